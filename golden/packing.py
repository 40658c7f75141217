"""Codes in memory: packed bit by bit, little-endian (docs/dint.md, section 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_int
from dintmac.golden.formats import Format


def packed_bytes(count: int, format: Format) -> int:
    """Bytes that ``count`` codes of ``format`` take."""
    return -(-count * format.bits // 8)


def pack(codes: NDArray[np.uint8], format: Format) -> NDArray[np.uint8]:
    """Pack codes along the last axis: code ``i`` is bits ``[i * b +: b]`` of its row.

    Two 4-bit codes make a byte, the first one its low nibble; an 8-bit code is a byte. Each row
    begins at a byte and its last byte is filled with zeros.

    Parameters
    ----------
    codes : uint8 array, shape (…, count)
        Codes of ``format``.
    format : Format
        Its ``bits`` are the ``b`` above.

    Returns
    -------
    uint8 array, shape (…, packed_bytes(count, format)).

    Raises
    ------
    TypeError, ValueError
        If ``codes`` are no codes of ``format``, or have no axis.
    """
    format.check_codes(codes)
    if codes.ndim == 0:
        raise ValueError("codes to pack must have at least one axis, not shape ()")
    bits = np.unpackbits(codes[..., np.newaxis], axis=-1, count=format.bits, bitorder="little")
    row_bits = codes.shape[-1] * format.bits
    return np.packbits(bits.reshape(*codes.shape[:-1], row_bits), axis=-1, bitorder="little")


def unpack(packed: NDArray[np.uint8], format: Format, count: int) -> NDArray[np.uint8]:
    """Undo :func:`pack`.

    Parameters
    ----------
    packed : uint8 array, shape (…, packed_bytes(count, format))
        Packed codes.
    format : Format
        Their format.
    count : int
        Codes in a row.

    Returns
    -------
    uint8 array, shape (…, count), codes.

    Raises
    ------
    TypeError
        If ``packed`` is not a uint8 array or ``count`` not an int.
    ValueError
        If the rows have another length, or bits are set after the last code: the count or the
        format is not the one that was packed.
    """
    check_array("packed codes", packed, "uint8")
    check_int("count", count, 0, np.iinfo(np.int64).max)
    length = packed_bytes(count, format)
    if packed.ndim == 0 or packed.shape[-1] != length:
        raise ValueError(
            f"{count} packed {format.name} codes must take {length} bytes a row, "
            f"not shape {packed.shape}"
        )
    bits = np.unpackbits(packed, axis=-1, bitorder="little")
    used = count * format.bits
    if bits[..., used:].any():
        raise ValueError(f"bits after the last of {count} {format.name} codes must be zero")
    by_code = bits[..., :used].reshape(*packed.shape[:-1], count, format.bits)
    return np.packbits(by_code, axis=-1, bitorder="little")[..., 0]
