"""Tables of fields are what types and their docstrings say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import Struct

from dintmac.reports.fields import field_tables
from dintmac.reports.report import FILES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")


@dataclass(frozen=True)
class Inner:
    """Something inside.

    Parameters
    ----------
    values : sequence of float
        Of ``a | b`` (:func:`~dintmac.hdl.x`).
    """

    values: list[float | None]


class Outer(Struct):
    """Something: it has
    two lines.

    Attributes
    ----------
    inner : Inner
        By name,
        in order.
    is_one : bool
        Or not.

    Raises
    ------
    ValueError
        Never.
    """

    inner: dict[str, Inner]
    is_one: bool = False


def test_a_section_for_each_type_says_what_its_docstring_says():
    assert (
        field_tables(Outer)
        == """\
#### Outer

Something: it has two lines.

| field | type | holds |
| --- | --- | --- |
| `inner` | object of [Inner](#inner) | By name, in order. |
| `is_one` | true or false | Or not. |

#### Inner

Something inside.

| field | type | holds |
| --- | --- | --- |
| `values` | list of numbers or null | Of `a \\| b` (`dintmac.hdl.x`). |"""
    )


class Silent(Struct):
    """Has a field that it does not tell of."""

    field: int


def test_a_field_without_a_meaning_is_an_error():
    with pytest.raises(KeyError, match="field"):
        field_tables(Silent)


def test_every_file_is_documented():
    assert set(FILES) == set(re.findall(r"^\| `([\w.]+)`", DOCUMENT, re.M)) & set(FILES)
