"""Checks of constructor parameters, shared by all components."""

from __future__ import annotations

from dintmac.golden.formats import Format

__all__ = ["check_depth", "check_format", "check_positive"]


def check_positive(name: str, value: object) -> None:
    """Refuse what is no positive int.

    Raises
    ------
    TypeError
        If ``value`` is not an int.
    ValueError
        If it is not positive.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be positive, not {value!r}")


def check_format(format: object) -> None:
    """Refuse what is no :class:`Format`.

    Raises
    ------
    TypeError
    """
    if not isinstance(format, Format):
        raise TypeError(f"format must be a Format, not {format!r}")


def check_depth(depth: object, products: int) -> None:
    """Refuse a depth that is smaller than the number of products that one pass adds.

    Raises
    ------
    TypeError
        If ``depth`` is not an int.
    ValueError
        If it is too small.
    """
    check_positive("depth", depth)
    assert isinstance(depth, int)
    if depth < products:
        raise ValueError(
            f"depth must be at least {products}, the products that one pass adds, not {depth}"
        )
