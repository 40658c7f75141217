"""SLAC: calibration on sequences as long as those of the target task.

"Enhancing Computation Efficiency in Large Language Models through Weight and Activation
Quantization" (EMNLP 2023) matches the length of the calibration sequences to the task, since the
ranges of activations may depend on it. Whether they do is a matter of the model:
:func:`activation_ranges` shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dintmac.golden.checks import check_int
from dintmac.golden.models.transformer import Floats, Tokens, Transformer


def calibration_batch(
    tokens: Tokens, length: int, count: int, rng: np.random.Generator
) -> list[Tokens]:
    """Windows of one length from a text, at random places.

    Parameters
    ----------
    tokens : int64 array, shape (total,)
        The text.
    length : int
        Tokens in a window: those of a sequence in the target task; at most ``total``.
    count : int
        Number of windows.
    rng : numpy.random.Generator
        Where the places come from.

    Returns
    -------
    list of int64 arrays, shape (length,).

    Raises
    ------
    ValueError
        If the text is shorter than a window, or a number is not positive.
    """
    check_int("length of the windows", length, 1, len(tokens))
    check_int("count of windows", count, 1, 1 << 31)
    begins = rng.integers(0, len(tokens) - length + 1, count)
    return [tokens[begin : begin + length] for begin in begins]


@dataclass(frozen=True)
class ActivationRange:
    """What the inputs of a linear layer are like at a length of the sequences.

    Attributes
    ----------
    layer : str
        Name of the linear layer.
    length : int
        Tokens in a sequence.
    maximum : float
        Greatest magnitude.
    mean_maximum : float
        Mean over the sequences of the greatest magnitude in each.
    rms : float
        Root of the mean square.
    """

    layer: str
    length: int
    maximum: float
    mean_maximum: float
    rms: float


def activation_ranges(
    model: Transformer,
    tokens: Tokens,
    lengths: Sequence[int],
    rng: np.random.Generator,
    *,
    budget: int = 2048,
) -> list[ActivationRange]:
    """Ranges of the inputs of every linear layer by the length of the sequences.

    Each length sees about as many tokens, as a maximum grows with their number as well.

    Parameters
    ----------
    model : Transformer
    tokens : int64 array, shape (total,)
        A text.
    lengths : sequence of int
        Lengths of sequences to compare.
    rng : numpy.random.Generator
        Where the windows come from.
    budget : int
        Tokens for each length; a longer sequence is taken once.

    Returns
    -------
    list of ActivationRange, by length and then in the order of the layers.

    Raises
    ------
    ValueError
        If a length is out of range.
    """
    found = []
    for length in lengths:
        batch = calibration_batch(tokens, length, max(budget // length, 1), rng)
        maxima: dict[str, list[float]] = {}
        squares: dict[str, list[float]] = {}

        def observe(
            name: str,
            inputs: Floats,
            maxima: dict[str, list[float]] = maxima,
            squares: dict[str, list[float]] = squares,
        ) -> None:
            maxima.setdefault(name, []).append(float(np.abs(inputs).max()))
            squares.setdefault(name, []).append(float(np.square(inputs).mean()))

        model.states(batch, observe=observe)
        found += [
            ActivationRange(
                name,
                length,
                max(values),
                float(np.mean(values)),
                float(np.sqrt(np.mean(squares[name]))),
            )
            for name, values in maxima.items()
        ]
    return found


def growth(ranges: Sequence[ActivationRange]) -> float:
    """How many times wider the ranges are at the greatest length than at the least.

    The median over the layers of the ratio of their greatest magnitudes: near 1, the model does
    not need calibration at the length of the task.
    """
    least, greatest = (f(r.length for r in ranges) for f in (min, max))
    short = {r.layer: r.maximum for r in ranges if r.length == least}
    long = {r.layer: r.maximum for r in ranges if r.length == greatest}
    return float(np.median([long[name] / (short[name] or 1.0) for name in short]))
