"""A folder of JSON files, each under a key that is a hash of all that its content follows from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dintmac.golden.files import cache_folder, write_files

__all__ = ["Cache", "CacheError", "key_of"]


class CacheError(OSError):
    """The cache cannot be written."""


def key_of(*parts: Any) -> str:
    """SHA-256 of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


class Cache:
    """JSON objects by key.

    What is there is whole, whoever else writes and whenever the program ends. A file that does not
    read is as good as none.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`~dintmac.golden.files.cache_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_folder() if folder is None else folder

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
