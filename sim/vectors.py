"""Vectors of numbers as the wide ports of a design, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dintmac.hdl.ports import Port

__all__ = ["pack", "unpack"]


def pack(values: ArrayLike, port: Port) -> list[int]:
    """One unsigned integer for each vector, element 0 in the least significant bits.

    Parameters
    ----------
    values : integer array, shape ``(T, *port.shape)``
    port : Port

    Raises
    ------
    ValueError
        If the shape is another one or an element does not fit its bits.
    """
    array = np.asarray(values).astype(np.int64, casting="safe")
    if array.shape[1:] != port.shape:
        raise ValueError(f"{port.name} must have shape (T, {port.shape}), not {array.shape}")
    low, high = _limits(port)
    if array.size and not (low <= array.min() and array.max() <= high):
        raise ValueError(f"{port.name} must be {low} to {high}, not {array.min()} to {array.max()}")
    bits = (array.reshape(len(array), -1, 1) >> np.arange(port.element_bits)) & 1
    octets = np.packbits(bits.astype(np.uint8).reshape(len(array), -1), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in octets]


def unpack(words: Sequence[int], port: Port) -> NDArray[np.int64]:
    """The vectors that ``words`` hold, int64, shape ``(T, *port.shape)``."""
    length = -(-port.width // 8)
    octets = b"".join(word.to_bytes(length, "little") for word in words)
    rows = np.frombuffer(octets, dtype=np.uint8).reshape(len(words), length)
    bits = np.unpackbits(rows, axis=1, bitorder="little", count=port.width)
    weights = np.left_shift(np.int64(1), np.arange(port.element_bits))
    if port.signed:
        weights[-1] = -weights[-1]
    values: NDArray[np.int64] = bits.reshape(-1, port.element_bits).astype(np.int64) @ weights
    return values.reshape(len(words), *port.shape)


def _limits(port: Port) -> tuple[int, int]:
    if port.signed:
        return -(1 << (port.element_bits - 1)), (1 << (port.element_bits - 1)) - 1
    return 0, (1 << port.element_bits) - 1
