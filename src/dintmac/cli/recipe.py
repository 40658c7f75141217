"""Options that ``dintmac quantize`` and ``dintmac evaluate`` share."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac.cli.console import peak_memory
from dintmac.cli.options import format_help

if TYPE_CHECKING:
    from dintmac.golden.evaluation.tasks import Windows
    from dintmac.golden.quantization.activations import ActivationScheme
    from dintmac.golden.quantization.recipe import Recipe

__all__ = [
    "MODEL_HELP",
    "add_calibration",
    "add_recipe",
    "axes",
    "cost",
    "recipe_of",
    "windows_of",
]

MODEL_HELP = (
    "a Hugging Face folder (config.json, *.safetensors, tokenizer.json) of a BERT, OPT or LLaMA "
    "model, or a Llama2.c checkpoint (.bin) with a tokenizer.json beside it"
)
#: Names of ranges of activations, beside those of calibration.
_DYNAMIC, _NONE = "dynamic", "none"


def axes() -> dict[str, tuple[str, list[str], list[str]]]:
    """What may differ between the rows of a table: option, meaning, defaults of both verbs."""
    return {
        "method": (
            "none, or parts joined by +: smoothquant, awq or aqas (scales of input channels), gptq "
            "(rounding), rank16 (low-rank correction), outliers6 (channels that reach 6 in 16 "
            "bits)",
            ["aqas+gptq"],
            ["none", "smoothquant", "aqas", "aqas+gptq"],
        ),
        "format": (format_help(), ["dint4"], ["int4", "dint4"]),
        "granularity": (
            "which weights share a scale: tensor, channel, or group64 for 64 neighbours",
            ["channel"],
            ["channel"],
        ),
        "scales": ("absmax (clip nothing) or mse (least squared error)", ["mse"], ["mse"]),
    }


def add_recipe(verb: argparse.ArgumentParser) -> None:
    """Options that are the same in all rows of a table."""
    verb.add_argument(
        "--activations",
        default="min-max",
        metavar="NAME",
        help="range of INT8 activations: min-max, percentile or mse of calibration, dynamic (that "
        "of each token), or none to leave them as they are",
    )
    verb.add_argument(
        "--percentile",
        type=float,
        metavar="P",
        help="of --activations percentile (99.99 if not given)",
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


def recipe_of(options: argparse.Namespace) -> Recipe:
    """What the options say that is the same in all rows of a table."""
    from dintmac.golden.quantization.recipe import Recipe

    return Recipe(
        signed_scale=not (options.positive_scales or options.asymmetric),
        asymmetric=options.asymmetric,
        activations=_activations(options),
        alpha=options.alpha,
        damping=options.damping,
    )


def _activations(options: argparse.Namespace) -> ActivationScheme | None:
    from dintmac.golden.quantization.activations import ActivationScheme, Calibration

    methods = {method.value: method for method in Calibration}
    percentile = options.activations == Calibration.PERCENTILE.value
    if options.percentile is not None and not percentile:
        raise ValueError("percentile must come with activations percentile")
    if options.activations == _NONE:
        if options.affine:
            raise ValueError("affine must come with activations that are quantized, not none")
        return None
    if options.activations == _DYNAMIC:
        return ActivationScheme(dynamic=True, symmetric=not options.affine)
    if options.activations not in methods:
        names = ", ".join([*methods, _DYNAMIC])
        raise ValueError(f"activations must be {names} or {_NONE}, not {options.activations!r}")
    scheme = ActivationScheme(symmetric=not options.affine, method=methods[options.activations])
    if options.percentile is None:
        return scheme
    return replace(scheme, percentile=options.percentile)


def add_calibration(verb: argparse.ArgumentParser) -> None:
    """Options of the text for calibration."""
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


def windows_of(options: argparse.Namespace) -> Windows:
    """The calibration sequences of a causal model."""
    from dintmac.golden.evaluation.tasks import Windows

    return Windows(options.length, options.count, options.seed)


def cost(began: float) -> str:
    """Time since ``began``, and the memory that it took."""
    return f"{time.monotonic() - began:.0f} s, peak memory {peak_memory() / 2**30:.2f} GiB"
