"""Operands that the benches share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_MAX, ACTIVATION_MIN, Format

__all__ = ["all_activations", "extremes", "random_activations", "random_codes"]


def random_activations(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    """Uniform INT8 activations."""
    return rng.integers(ACTIVATION_MIN, ACTIVATION_MAX, shape, dtype=np.int8, endpoint=True)


def random_codes(rng: np.random.Generator, format: Format, *shape: int) -> NDArray[np.uint8]:
    """Uniform codes of a format."""
    return rng.integers(format.codes, size=shape, dtype=np.uint8)


def all_activations() -> NDArray[np.int8]:
    """Every INT8 activation once."""
    return np.arange(ACTIVATION_MIN, ACTIVATION_MAX + 1, dtype=np.int8)


def extremes(format: Format) -> list[tuple[int, int]]:
    """(activation, code) of the least product, the greatest, and those of the other two signs."""
    units = format.to_units(np.arange(format.codes, dtype=np.uint8))
    pairs = [
        (activation, int(code))
        for activation in (ACTIVATION_MIN, ACTIVATION_MAX)
        for code in (units.argmin(), units.argmax())
    ]
    return sorted(pairs, key=lambda pair: pair[0] * int(units[pair[1]]))
