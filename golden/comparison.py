"""Recipes side by side on one model, which goes through memory layer by layer, once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dintmac.golden.evaluate import ErrorMeter, LayerError, Measure
from dintmac.golden.linear import IntegerLinear, Linear
from dintmac.golden.models.transformer import Floats, Tokens, Transformer, ignore
from dintmac.golden.recipe import (
    Recipe,
    Scales,
    calibration_inputs,
    find_scales,
    quantize_layer,
)

Scores = dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What became of a model with a recipe.

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
    recipes: Sequence[Recipe],
    calibration: Sequence[Tokens],
    measures: Sequence[Measure],
    *,
    integer: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Scores, list[Outcome]]:
    """Quantize a model in several ways and measure each.

    One layer of the model is in memory at a time, with one recipe's version of it; of the sequences
    the hidden states, for each recipe.

    Parameters
    ----------
    model : Transformer
        In full precision.
    recipes : sequence of Recipe
    calibration : sequence of int64 arrays, shape (length,)
        Token numbers for calibration.
    measures : one or more Measure
        Errors of linear layers are those on the sequences of the first.
    integer : bool
        Whether layers are run with the exact integers of the hardware, as ``IntegerLinear``.
    progress : callable
        Called with the number of layers quantized, in all recipes, and that of all to come.

    Returns
    -------
    tuple of the scores in full precision, and of one Outcome for each recipe.

    Raises
    ------
    TypeError, ValueError
        If there are no sequences, one does not fit the model, a weight is NaN or infinite, or the
        hardware has no such layer.
    """
    if not calibration:
        raise ValueError("calibration must have at least one sequence")
    groups = [list(measure.sequences) for measure in measures]
    calibrating = model.states(calibration, layers=0)
    exact = [model.states(sequences, layers=0) for sequences in groups]
    found = [exact for _ in recipes]
    errors: list[dict[str, LayerError]] = [{} for _ in recipes]
    for layer in range(model.layers):
        resident = model.resident(layer)
        inputs, calibrating = calibration_inputs(resident, layer, calibrating)
        # Recipes that differ only in what comes after the scales of channels share them.
        scales: dict[Recipe, Scales] = {}
        for number, recipe in enumerate(recipes):
            scaled = replace(recipe, gptq=False, rank=0)
            if scaled not in scales:
                scales[scaled] = find_scales(resident, layer, recipe, inputs)
            quantized = quantize_layer(
                resident, layer, recipe, inputs, scales[scaled], fold=False
            ).linears
            meter = ErrorMeter(resident, quantized)
            for states in exact[0]:
                resident.run_layer(layer, states, meter.observe)
            errors[number] |= meter.errors()
            linears: dict[str, Linear] = dict(quantized)
            if integer:
                linears = {name: IntegerLinear(linear) for name, linear in quantized.items()}
            found[number] = _advanced(resident.replaced(linears=linears), layer, found[number])
            progress(layer * len(recipes) + number + 1, model.layers * len(recipes))
        exact = _advanced(resident, layer, exact)
    ends = model.resident_ends()
    scores = [_scores(ends, measures, states, exact) for states in (exact, *found)]
    return scores[0], [Outcome(*pair) for pair in zip(errors, scores[1:], strict=True)]


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
