"""Text and JSON that others wrote: UTF-8, with or without a byte order mark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["load_lines", "load_object", "load_text", "parse_object"]


def load_text(name: str, path: Path) -> str:
    """The characters of a file; its lines end at ``\\n`` alone, or at ``\\r\\n``, which becomes it.

    A byte order mark is left out.

    Parameters
    ----------
    name : str
        What the file is, for messages.
    path : Path

    Raises
    ------
    FileNotFoundError
        If it is no file.
    ValueError
        If it is not in UTF-8, or blank.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be a file, not {path}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be in UTF-8: {path}") from error
    if not text.strip():
        raise ValueError(f"{name} must not be empty: {path}")
    return text.replace("\r\n", "\n")


def load_lines(name: str, path: Path) -> list[str]:
    """The lines of a file that are not blank; parameters and errors as :func:`load_text`."""
    # Not splitlines: it also ends lines at characters, such as U+2028, that are part of the text.
    return [line for line in load_text(name, path).split("\n") if line.strip()]


def load_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds anything else, or a key twice.
    """
    text = load_text(path.name, path)
    try:
        return parse_object(text)
    except ValueError as error:
        raise ValueError(f"{path} must be a JSON object: {error}") from error


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The object that a JSON text is.

    Raises
    ------
    ValueError
        If it is anything else, or an object has a key twice.
    """
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"it is a {type(content).__name__}")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose keys must differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has the key {twice!r} twice")
    return found
