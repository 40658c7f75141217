"""Checks that values read from JSON have the types that their dataclasses say."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any

__all__ = ["check_type"]

_NAMES: dict[object, str] = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    list: "a list",
}


def check_type(name: str, value: Any, kind: Any) -> None:
    """Refuse a value that is not of a dataclass field's type.

    Raises
    ------
    TypeError
        If ``value``, or a part of it, is of another type; a float must be finite.
    """
    if isinstance(kind, types.UnionType):  # something or None
        if value is None:
            return
        kind = typing.get_args(kind)[0]
    if dataclasses.is_dataclass(kind) and isinstance(value, typing.cast(type, kind)):
        for field, hint in typing.get_type_hints(kind).items():
            check_type(f"{name}.{field}", getattr(value, field), hint)
    elif typing.get_origin(kind) is dict and isinstance(value, dict):
        _, item_kind = typing.get_args(kind)
        for key, item in value.items():
            check_type(f"{name}.{key}", item, item_kind)
    elif typing.get_origin(kind) is list and isinstance(value, list):
        for i, item in enumerate(value):
            check_type(f"{name}[{i}]", item, typing.get_args(kind)[0])
    elif not _is_plain(value, kind):
        wanted = _NAMES.get(typing.get_origin(kind) or kind, "an object")
        raise TypeError(f"{name} must be {wanted}, not {value!r}")


def _is_plain(value: object, kind: object) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(typing.cast(float, value))
    return type(value) is kind
