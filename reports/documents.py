"""Files of JSON: values of our types as text, and read again strictly."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

__all__ = ["read", "to_text"]

Kind = TypeVar("Kind")


def to_text(value: Any, *, sort_keys: bool) -> str:
    """A value as JSON with a line for each entry; the same value gives the same text.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    values = msgspec.to_builtins(value)
    text = json.dumps(values, indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def read(path: str | Path, kind: type[Kind], what: str) -> Kind:
    """The value that a file holds.

    Parameters
    ----------
    path : path
        JSON in UTF-8, with or without a byte order mark.
    kind : type
        Of the value; every part of it is checked.
    what : str
        What the file must be, such as ``a report``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else; the message names the file, the place in it and what is wrong.
    """
    content = Path(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).replace("`", "").partition(" - at $")
        where = f"at {place.removeprefix('.')}: " if place else ""
        raise ValueError(f"{path} must be {what}, but {where}{message}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON in UTF-8, but {error}") from error
