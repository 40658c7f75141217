"""The verbs ``quantize`` and ``evaluate``: a model in codes, and what that does to it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac.console import Verbs, add_verb, counter, peak_memory, print_json

if TYPE_CHECKING:
    from dintmac.golden.calibration import ActivationScheme
    from dintmac.golden.recipe import Recipe
    from dintmac.golden.tasks import Windows

__all__ = ["add_evaluate", "add_quantize"]

_MODEL_HELP = (
    "a Hugging Face folder (config.json, *.safetensors, tokenizer.json) of a BERT, OPT or LLaMA "
    "model, or a Llama2.c checkpoint (.bin) with a tokenizer.json beside it"
)
#: What may differ between the rows of a table: option, meaning, defaults of both verbs.
_AXES = {
    "method": (
        "none, or parts joined by +: smoothquant, awq or aqas (scales of input channels), gptq "
        "(rounding), rank16 (low-rank correction), outliers6 (channels that reach 6 in 16 bits)",
        ["aqas+gptq"],
        ["none", "smoothquant", "aqas", "aqas+gptq"],
    ),
    "format": ("int2 to int8, dint3 to dint8, fp4", ["dint4"], ["int4", "dint4"]),
    "granularity": (
        "which weights share a scale: tensor, channel, or group64 for 64 neighbours",
        ["channel"],
        ["channel"],
    ),
    "scales": ("absmax (clip nothing) or mse (least squared error)", ["mse"], ["mse"]),
}
#: Names of ranges of activations, beside those of calibration.
_DYNAMIC, _NONE = "dynamic", "none"


def add_quantize(verbs: Verbs) -> None:
    """The verb ``quantize``."""
    verb = add_verb(
        verbs,
        "quantize",
        "quantize a model and write packed codes, scales, and a workload for each linear layer, "
        "which dintmac simulate runs",
        _quantize,
    )
    verb.add_argument("model", type=Path, metavar="MODEL", help=_MODEL_HELP)
    verb.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="a new or empty folder"
    )
    for name, (meaning, (default,), _) in _AXES.items():
        verb.add_argument(f"--{name}", metavar="NAME", default=default, help=meaning)
    _add_recipe(verb)
    _add_calibration(verb)
    verb.add_argument(
        "--json", action="store_true", help="print quantization.json instead of a summary"
    )


def _quantize(options: argparse.Namespace) -> int:
    from dintmac.golden import tasks
    from dintmac.golden.variants import Variant

    variant = Variant(options.method, options.format, options.granularity, options.scales)
    began = time.monotonic()
    with counter("quantizing layers") as progress:
        settings = tasks.quantize(
            options.model,
            options.output,
            variant.recipe(_recipe(options)),
            calibration=options.calibration or tasks.CALIBRATION,
            windows=_windows(options),
            progress=progress,
        )
    if options.json:
        print_json(settings)
        return 0
    layers = settings["layers"]
    weights = sum(layer["shape"][0] * layer["shape"][1] for layer in layers.values())
    print(
        f"{options.output}: {weights:,} weights of {len(layers)} linear layers in "
        f"{settings['format']}; {_cost(began)}"
    )
    workloads = sorted((options.output / "workloads").iterdir())
    if workloads:
        print(f"Simulate one of them: dintmac simulate tile --workload {workloads[0]}")
    return 0


def add_evaluate(verbs: Verbs) -> None:
    """The verb ``evaluate``."""
    verb = add_verb(
        verbs,
        "evaluate",
        "compare methods × formats × granularities on a model, against full precision, and write "
        "evaluate.json, evaluate.md and plots",
        _evaluate,
    )
    verb.add_argument("model", type=Path, metavar="MODEL", help=_MODEL_HELP)
    verb.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="text to evaluate on; a sentence a line for an encoder (80 sentences that come with "
        "dintmac if not given)",
    )
    for name, (meaning, _, defaults) in _AXES.items():
        if name == "format":
            meaning += ", nf4, or macs for all that a MAC can multiply"
        verb.add_argument(
            f"--{name}",
            action="append",
            metavar="NAME",
            help=f"{meaning}; can be repeated ({', '.join(defaults)} if not given)",
        )
    verb.add_argument(
        "--quantized",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="the model as dintmac quantize has written it, code by code; can be repeated; other "
        "rows are then only those that are asked for",
    )
    _add_recipe(verb)
    _add_calibration(verb)
    verb.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="tokens in a window of the perplexity (as --length if not given)",
    )
    verb.add_argument(
        "--stride",
        type=int,
        metavar="N",
        help="tokens from one window to the next (as --context if not given: no overlap)",
    )
    verb.add_argument(
        "--questions",
        type=Path,
        metavar="FILE.jsonl",
        help="multiple-choice questions in the form of MMLU, ARC, OpenBookQA, HellaSwag, PIQA, "
        "BoolQ or WinoGrande",
    )
    verb.add_argument(
        "--shots", type=int, default=0, metavar="N", help="solved questions before each one"
    )
    verb.add_argument(
        "--ranges",
        action="store_true",
        help="compare ranges of activations at --length, a quarter and a sixteenth of it",
    )
    verb.add_argument(
        "--integer", action="store_true", help="run layers in the exact integers of the hardware"
    )
    verb.add_argument(
        "--output",
        type=Path,
        default=Path("build/evaluate"),
        metavar="FOLDER",
        help="where to write",
    )
    verb.add_argument("--json", action="store_true", help="print evaluate.json instead of a table")


def _evaluate(options: argparse.Namespace) -> int:
    from dintmac.golden import tasks
    from dintmac.golden.files import check_folder
    from dintmac.golden.variants import variants
    from dintmac.reports.evaluation import summary, write_evaluation

    if options.shots and options.questions is None:
        raise ValueError("shots must come with questions")
    check_folder(options.output)
    windows, lengths = _windows(options), []
    if options.ranges:
        lengths = [max(windows.length // part, 1) for part in (16, 4, 1)]
    only_folders = options.quantized and not any(getattr(options, name) for name in _AXES)
    began = time.monotonic()
    with counter("layers") as progress:
        evaluation = tasks.evaluate(
            options.model,
            [] if only_folders else variants(*(_axis(options, name) for name in _AXES)),
            _recipe(options),
            calibration=options.calibration or tasks.CALIBRATION,
            text=options.text or tasks.EVALUATION,
            windows=windows,
            context=options.context,
            stride=options.stride,
            questions=options.questions,
            shots=options.shots,
            lengths=lengths,
            integer=options.integer,
            quantized=options.quantized or [],
            progress=progress,
        )
    text = write_evaluation(evaluation, options.output)
    if options.json:
        print(text, end="")
        return 0
    print(summary(evaluation))
    print(f"\n{_cost(began)}. Written to {options.output}: evaluate.md has it all.")
    return 0


def _axis(options: argparse.Namespace, name: str) -> list[str]:
    """The names of an axis of the table."""
    from dintmac.golden.variants import MAC_FORMATS

    names: list[str] = getattr(options, name) or _AXES[name][2]
    if name != "format":
        return names
    return [one for given in names for one in (MAC_FORMATS if given == "macs" else [given])]


def _add_recipe(verb: argparse.ArgumentParser) -> None:
    """Options that are the same in all rows of a table."""
    verb.add_argument(
        "--activations",
        default="min-max",
        metavar="NAME",
        help="range of INT8 activations: min-max, percentile or mse of calibration, dynamic (that "
        "of each token), or none to leave them as they are",
    )
    verb.add_argument(
        "--percentile", type=float, default=99.99, metavar="P", help="of --activations percentile"
    )
    verb.add_argument("--affine", action="store_true", help="activations have a zero point")
    verb.add_argument(
        "--positive-scales",
        action="store_true",
        help="scales of weights are positive; otherwise the mirror image of a range is used where "
        "it is better",
    )
    verb.add_argument("--asymmetric", action="store_true", help="weights have a zero point")
    verb.add_argument("--alpha", type=float, default=0.5, metavar="A", help="α of SmoothQuant")
    verb.add_argument(
        "--damping", type=float, default=0.01, metavar="D", help="of GPTQ and of corrections"
    )


def _recipe(options: argparse.Namespace) -> Recipe:
    from dintmac.golden.recipe import Recipe

    return Recipe(
        signed_scale=not (options.positive_scales or options.asymmetric),
        asymmetric=options.asymmetric,
        activations=_activations(options),
        alpha=options.alpha,
        damping=options.damping,
    )


def _activations(options: argparse.Namespace) -> ActivationScheme | None:
    from dintmac.golden.calibration import ActivationScheme, Calibration

    methods = {method.value: method for method in Calibration}
    if options.activations == _NONE:
        return None
    if options.activations == _DYNAMIC:
        return ActivationScheme(dynamic=True, symmetric=not options.affine)
    if options.activations not in methods:
        names = ", ".join([*methods, _DYNAMIC])
        raise ValueError(f"activations must be {names} or {_NONE}, not {options.activations!r}")
    return ActivationScheme(
        symmetric=not options.affine,
        method=methods[options.activations],
        percentile=options.percentile,
    )


def _add_calibration(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="text for calibration; a sentence a line for an encoder (200 sentences that come "
        "with dintmac if not given)",
    )
    verb.add_argument(
        "--length",
        type=int,
        default=512,
        metavar="N",
        help="tokens in a calibration sequence of a causal model: as many as a sequence of the "
        "target task has (SLAC)",
    )
    verb.add_argument(
        "--count", type=int, default=32, metavar="N", help="calibration sequences of such a model"
    )
    verb.add_argument("--seed", type=int, default=0, help="seed of their places in the text")


def _windows(options: argparse.Namespace) -> Windows:
    from dintmac.golden.tasks import Windows

    return Windows(options.length, options.count, options.seed)


def _cost(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s, peak memory {peak_memory() / 2**30:.2f} GiB"
