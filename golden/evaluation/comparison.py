"""Quantized models side by side: layer by layer through memory, once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from dintmac.golden.evaluation.export import QuantizedFolder
from dintmac.golden.evaluation.metrics import ErrorMeter, LayerError, Measure
from dintmac.golden.models.transformer import Floats, Tokens, Transformer, ignore
from dintmac.golden.quantization.linear import IntegerLinear, Linear
from dintmac.golden.quantization.recipe import (
    QuantizedLayer,
    Recipe,
    Scales,
    calibration_inputs,
    find_scales,
    quantize_layer,
)

Scores = dict[str, float]
#: How a model is to be quantized, or where it has been.
Source: TypeAlias = Recipe | QuantizedFolder


@dataclass(frozen=True)
class Outcome:
    """What became of a model when it was quantized.

    Parameters
    ----------
    errors : dict of name to LayerError
        Of the linear layers, in order.
    scores : dict of float by name
        Of all measures.
    """

    errors: dict[str, LayerError]
    scores: Scores


def compare(
    model: Transformer,
    sources: Sequence[Source],
    calibration: Sequence[Tokens],
    measures: Sequence[Measure],
    *,
    integer: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Scores, list[Outcome]]:
    """Quantize a model in several ways, or take it as it has been quantized, and measure each.

    One layer of the model is in memory at a time, with one quantized version of it; of the
    sequences the hidden states, for each version.

    Parameters
    ----------
    model : Transformer
        In full precision.
    sources : sequence of Recipe or QuantizedFolder
    calibration : sequence of int64 arrays, shape (length,)
        Token numbers for calibration; it may be empty if there are no recipes.
    measures : one or more Measure
        Errors of linear layers are those on the sequences of the first.
    integer : bool
        Whether layers are run with the exact integers of the hardware, as ``IntegerLinear``.
    progress : callable
        Called with the number of layers quantized, in all versions, and that of all to come.

    Returns
    -------
    tuple of the scores in full precision, and of one Outcome for each source.

    Raises
    ------
    TypeError, ValueError
        If there are no sequences, one does not fit the model, a weight is NaN or infinite, or the
        hardware has no such layer.
    """
    if not calibration and any(isinstance(source, Recipe) for source in sources):
        raise ValueError("calibration must have at least one sequence")
    groups = [list(measure.sequences) for measure in measures]
    calibrating = model.states(calibration, layers=0)
    exact = [model.states(sequences, layers=0) for sequences in groups]
    found = [exact for _ in sources]
    errors: list[dict[str, LayerError]] = [{} for _ in sources]
    for layer in range(model.layers):
        resident = model.resident(layer)
        inputs: dict[str, Floats] = {}
        if calibrating:
            inputs, calibrating = calibration_inputs(resident, layer, calibrating)
        for number, quantized in enumerate(_quantized(resident, layer, sources, inputs)):
            meter = ErrorMeter(resident, quantized.unfolded(resident.folds(layer)))
            for states in exact[0]:
                resident.run_layer(layer, states, meter.observe)
            errors[number] |= meter.errors()
            linears: dict[str, Linear] = dict(quantized.linears)
            if integer:
                linears = {n: IntegerLinear(linear) for n, linear in quantized.linears.items()}
            changed = resident.replaced(linears=linears, tensors=quantized.tensors)
            found[number] = _advanced(changed, layer, found[number])
            progress(layer * len(sources) + number + 1, model.layers * len(sources))
        exact = _advanced(resident, layer, exact)
    ends = model.resident_ends()
    scores = [_scores(ends, measures, states, exact) for states in (exact, *found)]
    return scores[0], [Outcome(*pair) for pair in zip(errors, scores[1:], strict=True)]


def _quantized(
    resident: Transformer, layer: int, sources: Sequence[Source], inputs: dict[str, Floats]
) -> Iterator[QuantizedLayer]:
    """A layer of the model from each source."""
    # Recipes that differ only in what comes after the scales of channels share them.
    scales: dict[Recipe, Scales] = {}
    for source in sources:
        if isinstance(source, QuantizedFolder):
            yield source.layer(layer)
            continue
        scaled = replace(source, gptq=False, rank=0)
        if scaled not in scales:
            scales[scaled] = find_scales(resident, layer, source, inputs)
        yield quantize_layer(resident, layer, source, inputs, scales[scaled], fold=False)


def _scores(
    model: Transformer,
    measures: Sequence[Measure],
    states: Sequence[Sequence[Floats]],
    exact: Sequence[Sequence[Floats]],
) -> Scores:
    """What all measures say of the last hidden states."""
    result: Scores = {}
    for measure, ours, right in zip(measures, states, exact, strict=True):
        result |= measure.scores(model, ours, right)
    return result


def _advanced(
    model: Transformer, layer: int, states: Sequence[Sequence[Floats]]
) -> list[list[Floats]]:
    """Hidden states after a layer."""
    return [[model.run_layer(layer, one, ignore) for one in group] for group in states]
