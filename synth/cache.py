"""A folder of JSON files, each under a key that is a hash of all that its content follows from."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Cache", "CacheError", "key_of"]


class CacheError(OSError):
    """The cache cannot be written."""


def key_of(*parts: Any) -> str:
    """SHA-256 of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def default_folder() -> Path:
    """``$DINTMAC_CACHE``, or ``dintmac`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if folder := os.environ.get("DINTMAC_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dintmac"


class Cache:
    """JSON objects by key.

    A file is written under a temporary name and then renamed: what is there is whole, whoever else
    writes and whenever the program ends. A file that does not read is as good as none.

    Parameters
    ----------
    folder : Path, optional
        By default :func:`default_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def load(self, key: str) -> dict[str, Any] | None:
        """The object, or None if there is none that is whole."""
        try:
            value = json.loads(self._path(key).read_text())
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
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        except OSError as error:
            raise self._error(error) from error
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(value, file, sort_keys=True)
            os.replace(name, self._path(key))
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise self._error(error) from error
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _error(self, error: OSError) -> CacheError:
        return CacheError(
            f"cache folder must be writable, but {str(self.folder)!r} is not: {error.strerror}; "
            f"set DINTMAC_CACHE to another"
        )
