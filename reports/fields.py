"""Tables of the fields of JSON files, made from the types that are read and their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect as types

from dintmac.reports.pages import Verbatim, markdown_table
from dintmac.reports.tables import Group, Table

__all__ = ["field_tables"]

#: Names of plain values: one, and many.
_PLAIN: dict[type, tuple[str, str]] = {
    types.StrType: ("string", "strings"),
    types.IntType: ("whole number", "whole numbers"),
    types.FloatType: ("number", "numbers"),
    types.BoolType: ("true or false", "true or false"),
    types.AnyType: ("any value", "any values"),
    types.NoneType: ("null", "null"),
}

#: A field in a docstring of numpydoc: its name before a colon, and what it means, indented.
_FIELD = re.compile(r"^(\w+) : .*\n((?:    .*\n?)+)", re.MULTILINE)


def field_tables(kind: type) -> str:
    """A section for a type and for each that it holds: what it is, and a table of its fields.

    Parameters
    ----------
    kind : type
        A msgspec struct or a dataclass; its docstring, and theirs, say what every field means.

    Returns
    -------
    str, Markdown.

    Raises
    ------
    KeyError
        If a field has no meaning in a docstring.
    """
    return "\n\n".join(_section(one) for one in _reached(kind))


def _section(kind: type) -> str:
    info: Any = types.type_info(kind)
    document = inspect.getdoc(kind) or ""
    meanings = {name: _markdown(text) for name, text in _FIELD.findall(document)}
    rows = [
        (Verbatim(f"`{f.encode_name}`"), Verbatim(_name(f.type)), Verbatim(meanings[f.name]))
        for f in info.fields
    ]
    table = Table("", ("field", "type", "holds"), (False, False, False), (Group("", tuple(rows)),))
    parts = f"#### {kind.__name__}", _markdown(_introduction(document)), markdown_table(table)
    return "\n\n".join(parts)


def _introduction(document: str) -> str:
    """What a docstring says before its first section."""
    return re.split(r"\n\w+\n---", document)[0]


def _reached(kind: type) -> list[type]:
    """A type and all that its fields hold, each once, in the order of the fields."""
    found = [kind]
    for one in found:
        info: Any = types.type_info(one)
        for field in info.fields:
            found += [part for part in _parts(field.type) if part not in found]
    return found


def _parts(info: Any) -> Iterator[type]:
    """The types with fields of their own that a type is made of."""
    if isinstance(info, types.StructType | types.DataclassType):
        yield info.cls
    elif isinstance(info, types.UnionType):
        for part in info.types:
            yield from _parts(part)
    elif isinstance(info, types.ListType):
        yield from _parts(info.item_type)
    elif isinstance(info, types.DictType):
        yield from _parts(info.value_type)


def _name(info: Any, many: int = 0) -> str:
    """What a type is called in JSON; ``many`` is 1 for more than one of it."""
    if isinstance(info, types.UnionType):
        return " or ".join(_name(part, many) for part in info.types)
    if isinstance(info, types.ListType):
        return f"list{'s' * many} of {_name(info.item_type, 1)}"
    if isinstance(info, types.DictType):
        return f"object{'s' * many} of {_name(info.value_type, 1)}"
    if isinstance(info, types.StructType | types.DataclassType):
        return f"[{info.cls.__name__}](#{info.cls.__name__.lower()})"
    return _PLAIN[type(info)][many]


def _markdown(text: str) -> str:
    """A text of a docstring on one line, as a cell of a table in Markdown."""
    line = " ".join(text.split()).replace("|", r"\|")
    return re.sub(r"(?::\w+:)?(`+)~?([^`]+)\1", r"`\2`", line)
