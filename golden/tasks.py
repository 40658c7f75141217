"""Quantize and evaluate a model, from path to path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dintmac.golden.evaluate import (
    cosines,
    layer_errors,
    multiple_choice,
    read_questions,
    score_text,
)
from dintmac.golden.export import write_model
from dintmac.golden.linear import QuantizedLinear
from dintmac.golden.models.folder import load_model, load_tokenizer
from dintmac.golden.models.transformer import CausalModel, Tokens, Transformer
from dintmac.golden.recipe import Recipe, quantize_layers
from dintmac.golden.slac import calibration_batch

#: More tokens than any text has: nothing is cut off.
_UNLIMITED = 1 << 31

Row = dict[str, float]


def quantize(
    model: Path,
    output: Path,
    recipe: Recipe,
    text: Path,
    *,
    length: int = 512,
    count: int = 32,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Quantize a model and write it, as :func:`~dintmac.golden.export.write_model` does.

    Parameters
    ----------
    model : Path
        A Hugging Face folder, or a Llama2.c checkpoint with a ``tokenizer.json`` beside it.
    output : Path
        A new or empty folder.
    recipe : Recipe
    text : Path
        Text for calibration; for an encoder, a sentence a line.
    length, count, seed : int
        Of the calibration windows of a causal model: ``length`` is that of the target task.
    progress : callable
        Called with the layers done and their number.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    loaded = load_model(model)
    sequences = read_sequences(loaded, model, text, length=length, count=count, seed=seed)
    write_model(
        output, loaded, recipe, sequences, progress=lambda done: progress(done, loaded.layers)
    )


def evaluate(
    model: Path,
    recipes: Mapping[str, Recipe],
    calibration: Path,
    text: Path,
    *,
    questions: Path | None = None,
    shots: int = 0,
    length: int = 512,
    count: int = 32,
    seed: int = 0,
    stride: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Row]:
    """Compare recipes on a text that is not the one of calibration.

    Parameters
    ----------
    model, length, count, seed
        As in :func:`quantize`; ``length`` is also the context of the perplexity.
    recipes : mapping of name to Recipe
    calibration, text : Path
        Texts for calibration and for evaluation.
    questions : Path, optional
        JSONL file of multiple-choice questions, for a causal model.
    shots : int
        Solved questions before each of them.
    stride : int, optional
        Of the perplexity.
    progress : callable
        Called with the recipes done and their number.

    Returns
    -------
    dict of row by name, with ``full precision`` first: ``y`` with its parts, the mean of all linear
    layers; ``cosine`` for encoders; ``perplexity``, ``divergence`` and ``accuracy`` for causal
    models.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    loaded = load_model(model)
    windows = {"length": length, "count": count, "seed": seed}
    calibrating = read_sequences(loaded, model, calibration, **windows)
    evaluating = read_sequences(loaded, model, text, **windows)

    def score(candidate: Transformer) -> Row:
        if not isinstance(candidate, CausalModel) or not isinstance(loaded, CausalModel):
            return {"cosine": float(np.mean(cosines(loaded, candidate, evaluating)))}
        tokens = read_tokens(loaded, model, text)
        context = min(length, loaded.positions)
        result = asdict(
            score_text(candidate, tokens, context=context, stride=stride, reference=loaded)
        )
        if questions is not None:
            tokenize = load_tokenizer(_tokenizer_folder(model), length=_UNLIMITED)
            found = multiple_choice(candidate, tokenize, read_questions(questions), shots=shots)
            result["accuracy"] = found
        return result

    rows = {"full precision": score(loaded)}
    for done, (name, recipe) in enumerate(recipes.items(), 1):
        linears: dict[str, QuantizedLinear] = {}
        for layer in quantize_layers(loaded, recipe, calibrating, fold=False):
            linears |= layer.linears
        errors = layer_errors(loaded, linears, evaluating).values()
        rows[name] = {
            "y": float(np.mean([e.total for e in errors])),
            "rounding": float(np.mean([e.rounding for e in errors])),
            "underflow": float(np.mean([e.underflow for e in errors])),
            "underflowed": float(np.mean([e.underflowed for e in errors])),
        } | score(loaded.replaced(linears=linears))
        progress(done, len(recipes))
    return rows


def read_sequences(
    model: Transformer, path: Path, text: Path, *, length: int, count: int, seed: int
) -> list[Tokens]:
    """Sequences of a text: its lines for an encoder, random windows for a causal model.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    if isinstance(model, CausalModel):
        tokens = read_tokens(model, path, text)
        length = min(length, model.positions, len(tokens))
        return calibration_batch(tokens, length, count, np.random.default_rng(seed))
    tokenize = load_tokenizer(_tokenizer_folder(path), length=model.positions)
    sequences = [tokenize(line) for line in _read(text).splitlines() if line.strip()]
    for sequence in sequences:
        model.check_tokens(sequence)
    return sequences


def read_tokens(model: Transformer, path: Path, text: Path) -> Tokens:
    """All tokens of a text.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        With one sentence that says what is wrong.
    """
    tokens = load_tokenizer(_tokenizer_folder(path), length=_UNLIMITED)(_read(text))
    if tokens.max(initial=0) >= model.vocabulary:
        raise ValueError(
            f"tokenizer must have at most the {model.vocabulary} tokens of the model, "
            f"not a token {tokens.max()}"
        )
    return tokens


def _read(text: Path) -> str:
    if not text.is_file():
        raise FileNotFoundError(f"text must be a file, not {text}")
    content = text.read_text(encoding="utf-8")
    if not content.strip():
        raise ValueError(f"text must not be empty: {text}")
    return content


def _tokenizer_folder(model: Path) -> Path:
    return model if model.is_dir() else model.parent
