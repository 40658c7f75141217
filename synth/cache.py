"""A folder of JSON files, each under a key that is a hash of all that its content follows from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dintmac.golden.files import cache_folder, write_files

__all__ = ["Cache", "CacheError", "code_of", "key_of"]

#: The folder of the package, and how its modules import.
_SOURCES = Path(__file__).parents[2]
_IMPORT = re.compile(r"^\s*(?:from|import) ([\w.]+)(?: import (\([^)]*\)|.*))?", re.MULTILINE)


class CacheError(OSError):
    """The cache cannot be written."""


def key_of(*parts: Any) -> str:
    """SHA-256 of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@cache
def code_of(module: str, *, without: str = "") -> str:
    """SHA-256 of the text of a module and of all of ours that it imports, and they import.

    Parameters
    ----------
    module : str
        Such as ``dintmac.hdl.verilog``.
    without : str, optional
        Another package: modules that import it do not count, nor what only they import.
    """
    texts: dict[str, str] = {}
    waiting = {module}
    while waiting:
        name = waiting.pop()
        texts[name] = _text_of(name)
        imported = set(_imported(texts[name]))
        if without in {other.partition(".")[0] for other in imported}:
            texts[name], imported = "", set()
        waiting |= imported - texts.keys()
    return key_of(texts)


def _text_of(name: str) -> str:
    """The text of a module; empty if it is none of ours."""
    path = _SOURCES.joinpath(*name.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py") if name.startswith("dintmac.") else ()
    return next((file.read_text("utf-8") for file in files if file.is_file()), "")


def _imported(text: str) -> Iterator[str]:
    """What may be a module among the names that a text imports."""
    for module, names in _IMPORT.findall(text):
        yield module
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", names))


@dataclass(frozen=True)
class Cache:
    """JSON objects by key.

    What is there is whole, whoever else writes and whenever the program ends. A file that does not
    read is as good as none.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`~dintmac.golden.files.cache_folder`.
    """

    folder: Path = field(default_factory=cache_folder)

    def load(self, key: str) -> dict[str, Any] | None:
        """The object, or None if there is none that is whole."""
        try:
            value = json.loads(self._path(key).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def store(self, key: str, value: dict[str, Any]) -> None:
        """Write an object.

        Raises
        ------
        CacheError
            If the folder cannot be written, such as on a full disk; nothing is left behind.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_files({self._path(key): json.dumps(value, sort_keys=True)})
        except OSError as error:
            raise CacheError(
                f"cache folder must be writable, but {str(self.folder)!r} is not: "
                f"{error.strerror}; set DINTMAC_CACHE to another"
            ) from error

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
