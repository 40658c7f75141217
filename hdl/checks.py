"""Checks of constructor parameters, shared by all components."""

from __future__ import annotations

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import Architecture

__all__ = ["MAX_DEPTH", "check_depth", "check_flag", "check_format", "check_positive", "check_tree"]

#: Sums of so many products fit the 64-bit integers that they are checked against, in any format.
MAX_DEPTH = 1 << 32


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


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither 0 nor 1.

    Raises
    ------
    TypeError
        If ``value`` is not an int.
    ValueError
        If it is another int.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if value not in (0, 1):
        raise ValueError(f"{name} must be 0 or 1, not {value}")


def check_tree(
    architecture: Architecture, *, tree_register: object, fast_adder: object, carry_save: object = 0
) -> None:
    """Refuse what cannot be done with the adders of an architecture.

    Raises
    ------
    TypeError
        If a parameter is not an int.
    ValueError
        If it is out of range, or not nought where the synthesis tool makes the adders.
    """
    if not isinstance(tree_register, int) or isinstance(tree_register, bool):
        raise TypeError(f"tree_register must be an int, not {tree_register!r}")
    if tree_register < 0:
        raise ValueError(f"tree_register must not be negative, not {tree_register}")
    check_flag("fast_adder", fast_adder)
    check_flag("carry_save", carry_save)
    if architecture.generator is None and (tree_register or fast_adder or carry_save):
        raise ValueError(
            f"tree_register, fast_adder and carry_save must be 0 with {architecture.name}, "
            "which leaves the adders to the synthesis tool"
        )


def check_format(format: object) -> None:
    """Refuse what is no :class:`Format`.

    Raises
    ------
    TypeError
    """
    if not isinstance(format, Format):
        raise TypeError(f"format must be a Format, not {format!r}")


def check_depth(depth: object, products: int) -> None:
    """Refuse a depth below the number of products that one pass adds, or beyond all use.

    Raises
    ------
    TypeError
        If ``depth`` is not an int.
    ValueError
        If it is too small or too large.
    """
    check_positive("depth", depth)
    assert isinstance(depth, int)
    if depth > MAX_DEPTH:
        raise ValueError(f"depth must be at most {MAX_DEPTH}, not {depth}")
    if depth < products:
        raise ValueError(
            f"depth must be at least {products}, the products that one pass adds, not {depth}"
        )
