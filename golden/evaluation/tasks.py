"""Quantize and evaluate a model, from path to path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dintmac.golden.checks import check_int
from dintmac.golden.evaluation.comparison import Outcome, Scores, Source, compare
from dintmac.golden.evaluation.export import QuantizedFolder, write_model
from dintmac.golden.evaluation.metrics import Embeddings, LayerError, Measure, Text
from dintmac.golden.evaluation.questions import Questions, read_questions
from dintmac.golden.inputs import load_lines, load_text
from dintmac.golden.models.folder import Encoding, load_model, load_tokenizer
from dintmac.golden.models.transformer import CausalModel, Tokens, Transformer
from dintmac.golden.quantization.recipe import Recipe
from dintmac.golden.quantization.slac import ActivationRange, activation_ranges, calibration_batch
from dintmac.golden.quantization.variants import Variant

#: Sentences that come with the package, one a line; no sentence is in both files.
_TEXTS = Path(__file__).parents[1] / "texts"
CALIBRATION = _TEXTS / "calibration.txt"
EVALUATION = _TEXTS / "evaluation.txt"

#: More tokens than any text has: nothing is cut off.
_UNLIMITED = 1 << 31


@dataclass(frozen=True)
class Windows:
    """Which parts of a text a causal model is calibrated on.

    Parameters
    ----------
    length : int
        Tokens in each, as many as a sequence of the target task has (SLAC); at most the whole text
        and the positions of the model.
    count : int
        How many.
    seed : int
        Of their places.
    """

    length: int = 512
    count: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_int("length", self.length, 1, 1 << 31)
        check_int("count", self.count, 1, 1 << 31)
        check_int("seed", self.seed, 0, 1 << 63)


@dataclass(frozen=True)
class Row:
    """What a variant does to a model.

    Attributes
    ----------
    variant : Variant
        How the model is quantized.
    error : LayerError
        The mean of all linear layers.
    layers : dict of name to LayerError
        Of each of them, by its name, in order.
    scores : dict of float by name
        ``cosine`` for encoders; ``perplexity`` and ``divergence`` (nats) for causal models, and
        with questions ``accuracy`` and ``accuracy_per_character``.
    """

    variant: Variant
    error: LayerError
    layers: Mapping[str, LayerError]
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """Variants of a quantized model side by side.

    Attributes
    ----------
    model : str
        Its name.
    settings : dict
        What is the same in all rows: plain values by name.
    full_precision : dict of float by name
        Scores of the model as it is.
    rows : sequence of Row
        One for each variant.
    ranges : sequence of ActivationRange
        Ranges of activations by the length of sequences; empty if they were not asked for.

    Raises
    ------
    ValueError
        If a row lacks a score of full precision.
    """

    model: str
    settings: Mapping[str, Any]
    full_precision: Scores
    rows: Sequence[Row]
    ranges: Sequence[ActivationRange]

    def __post_init__(self) -> None:
        for row in self.rows:
            if lacking := self.full_precision.keys() - row.scores.keys():
                raise ValueError(f"every row must have the {min(lacking)} of full precision")


def quantize(
    model: Path,
    output: Path,
    recipe: Recipe,
    *,
    calibration: Path = CALIBRATION,
    windows: Windows = Windows(),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Quantize a model and write it, as :func:`~dintmac.golden.evaluation.export.write_model` does.

    Parameters
    ----------
    model : Path
        A Hugging Face folder, or a Llama2.c checkpoint with a ``tokenizer.json`` beside it.
    output : Path
        A new or empty folder.
    recipe : Recipe
    calibration : Path
        Text for calibration; for an encoder, a sentence a line.
    windows : Windows
        Of a causal model.
    progress : callable
        Called with the layers done and their number.

    Returns
    -------
    dict, what ``quantization.json`` holds.

    Raises
    ------
    OSError, TypeError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    loaded = load_model(model)
    sequences = read_sequences(loaded, model, calibration, windows)
    return write_model(
        output, loaded, recipe, sequences, progress=lambda done: progress(done, loaded.layers)
    )


def evaluate(
    model: Path,
    variants: Sequence[Variant],
    base: Recipe,
    *,
    calibration: Path = CALIBRATION,
    text: Path = EVALUATION,
    windows: Windows = Windows(),
    context: int | None = None,
    stride: int | None = None,
    questions: Path | None = None,
    shots: int = 0,
    lengths: Sequence[int] = (),
    integer: bool = False,
    quantized: Sequence[Path] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Evaluation:
    """Compare variants on a text that is not the one of calibration.

    Parameters
    ----------
    model, windows, calibration
        As in :func:`quantize`.
    variants : sequence of Variant
        At least one, unless there are folders.
    base : Recipe
        What they have in common.
    text : Path
        Text to evaluate on; for an encoder, a sentence a line.
    context, stride : int, optional
        Of the perplexity, as in :class:`~dintmac.golden.evaluation.metrics.Text`; ``context`` is
        the length of the windows by default, and at most the positions of the model.
    questions : Path, optional
        JSONL file of multiple-choice questions, for a causal model.
    shots : int
        Solved questions before each of them.
    lengths : sequence of int
        Lengths of sequences at which the ranges of activations are compared.
    integer : bool
        Whether layers are run with the exact integers of the hardware.
    quantized : sequence of Path
        Folders that :func:`quantize` has written of this model; they come before the variants.
    progress : callable
        Called with the layers done, in all rows, and their number.

    Returns
    -------
    Evaluation

    Raises
    ------
    OSError, TypeError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    recipes = [variant.recipe(base) for variant in variants]
    loaded = load_model(model)
    folders = [QuantizedFolder(folder, loaded) for folder in quantized]
    # What has been quantized needs no calibration.
    calibrating = read_sequences(loaded, model, calibration, windows) if recipes else []
    if not isinstance(loaded, CausalModel) and (context, stride) != (None, None):
        raise ValueError("context and stride must come with a causal model, not with an encoder")
    context = windows.length if context is None else context
    measures = _measures(loaded, model, text, context, stride)
    if questions is not None:
        measures.append(_questions(loaded, model, questions, shots))
    ranges: list[ActivationRange] = []
    if lengths:
        rng = np.random.default_rng(windows.seed)
        ranges = activation_ranges(loaded, read_tokens(loaded, model, calibration), lengths, rng)
    sources: list[Source] = [*folders, *recipes]
    exact, outcomes = compare(
        loaded, sources, calibrating, measures, integer=integer, progress=progress
    )
    settings: dict[str, Any] = {"quantized": [folder.name for folder in quantized]}
    if recipes:
        settings |= _settings(base) | {
            "calibration": calibration.name,
            "calibration_tokens": sum(map(len, calibrating)),
        }
        if isinstance(loaded, CausalModel):
            settings |= asdict(windows)
    settings |= {
        "text": text.name,
        "text_tokens": sum(map(len, measures[0].sequences)),
        "integer": integer,
    }
    if isinstance(loaded, CausalModel):
        settings |= {
            "context": min(context, loaded.positions),
            "stride": stride,
            "questions": None if questions is None else questions.name,
            "shots": shots,
        }
    named = [*(folder.variant for folder in folders), *variants]
    rows = [_row(*pair) for pair in zip(named, outcomes, strict=True)]
    return Evaluation(model.resolve().name, settings, exact, rows, ranges)


def _settings(base: Recipe) -> dict[str, Any]:
    """What the variants have in common, as plain values."""
    scheme = base.activations
    return {
        "activations": "none" if scheme is None else scheme.name,
        "signed_scale": base.signed_scale,
        "asymmetric": base.asymmetric,
        "alpha": base.alpha,
        "damping": base.damping,
    }


def _row(variant: Variant, outcome: Outcome) -> Row:
    errors = [asdict(error) for error in outcome.errors.values()]
    means = {field: float(np.mean([error[field] for error in errors])) for field in errors[0]}
    return Row(variant, LayerError(**means), outcome.errors, outcome.scores)


def _measures(
    model: Transformer, path: Path, text: Path, context: int, stride: int | None
) -> list[Measure]:
    if not isinstance(model, CausalModel):
        return [Embeddings(read_sentences(model, path, text))]
    tokens = read_tokens(model, path, text)
    return [Text(tokens, context=min(context, model.positions), stride=stride)]


def _questions(model: Transformer, path: Path, questions: Path, shots: int) -> Questions:
    if not isinstance(model, CausalModel):
        raise ValueError("model to answer questions must be a causal one, not an encoder")
    tokenize = _tokenizer(model, path, _UNLIMITED)
    return Questions(read_questions(questions), tokenize, positions=model.positions, shots=shots)


def read_sequences(model: Transformer, path: Path, text: Path, windows: Windows) -> list[Tokens]:
    """Sequences of a text: its lines for an encoder, random windows for a causal model.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    if not isinstance(model, CausalModel):
        return read_sentences(model, path, text)
    tokens = read_tokens(model, path, text)
    length = min(windows.length, model.positions, len(tokens))
    return calibration_batch(tokens, length, windows.count, np.random.default_rng(windows.seed))


def read_sentences(model: Transformer, path: Path, text: Path) -> list[Tokens]:
    """The lines of a text, each as an int64 sequence that the model can take.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    tokenize = _tokenizer(model, path, model.positions)
    return [tokenize(line).tokens for line in load_lines("text", text)]


def read_tokens(model: Transformer, path: Path, text: Path) -> Tokens:
    """All tokens of a text, but for special ones after it; int64 array, shape (tokens,).

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    return _tokenizer(model, path, _UNLIMITED)(load_text("text", text)).without_suffix().tokens


def _tokenizer(model: Transformer, path: Path, length: int) -> Callable[[str], Encoding]:
    """The tokenizer of a model, whose tokens the model must know."""
    tokenize = load_tokenizer(path if path.is_dir() else path.parent, length=length)

    def checked(text: str) -> Encoding:
        found = tokenize(text)
        if not len(found.without_suffix().tokens):
            raise ValueError(f"tokenizer must have tokens for {text[:40]!r}")
        greatest = found.tokens.max()
        if greatest >= model.vocabulary:
            raise ValueError(
                f"tokenizer must have at most the {model.vocabulary} tokens of the model, "
                f"not a token {greatest}"
            )
        return found

    return checked
