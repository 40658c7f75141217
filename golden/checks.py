"""Checks of what callers pass, each with its one-sentence message."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_int(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no int from ``low`` to ``high``.

    Raises
    ------
    TypeError
        If ``value`` is not an int.
    ValueError
        If it is out of range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")


def check_positive(name: str, value: object) -> None:
    """Refuse what is no positive number, such as infinity.

    Raises
    ------
    TypeError
        If ``value`` is neither an int nor a float.
    ValueError
        If it is not positive, not finite, or greater than a float32 can be.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 < value <= float(np.finfo(np.float32).max):
        raise ValueError(f"{name} must be positive and finite, not {value}")


def check_member(name: str, value: object, kind: type) -> None:
    """Refuse what is no ``kind``, such as a member of an enumeration.

    Raises
    ------
    TypeError
        If ``value`` is not a ``kind``.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of type {kind.__name__}, not {value!r}")


def check_array(name: str, value: object, *dtypes: str) -> None:
    """Refuse what is no array of one of ``dtypes``; nothing is ever cast silently.

    Raises
    ------
    TypeError
        If ``value`` is not an array of one of these types.
    """
    if not isinstance(value, np.ndarray) or value.dtype.name not in dtypes:
        raise TypeError(f"{name} must be an array of {' or '.join(dtypes)}, not {describe(value)}")


def check_axes(name: str, array: NDArray[Any], axes: int) -> None:
    """Refuse an array of another number of axes.

    Raises
    ------
    ValueError
        If ``array`` has not exactly ``axes`` axes.
    """
    if array.ndim != axes:
        raise ValueError(
            f"{name} must have {axes} {'axis' if axes == 1 else 'axes'}, not shape {array.shape}"
        )


def check_real(name: str, value: object) -> None:
    """Refuse what is no array of finite floating-point numbers.

    Raises
    ------
    TypeError
        If ``value`` is not a floating-point array.
    ValueError
        If an element is NaN or infinite.
    """
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        raise TypeError(f"{name} must be a floating-point array, not {describe(value)}")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite, not NaN or infinite")


def describe(value: object) -> str:
    """The element type of an array, the type of anything else."""
    return value.dtype.name if isinstance(value, np.ndarray) else type(value).__name__
