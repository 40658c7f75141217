"""Writing the files of a folder all or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

__all__ = ["check_folder", "replace_files"]


def replace_files(
    folder: Path, contents: Mapping[str, bytes], obsolete: Collection[str] = ()
) -> None:
    """Put files into a folder so that it has all of the new ones or still all of the old ones.

    Everything is first written under a temporary name inside the folder (a sibling could be on
    another file system), and only then moved into place, file by file. If anything fails before
    the last file is in place, the earlier files come back. Other files are left alone.

    Parameters
    ----------
    folder : Path
        Made, with its parents, if it does not exist.
    contents : dict of str to bytes
        File names and what is to be in them.
    obsolete : names
        Files of an earlier report that the new one does not have: removed.

    Raises
    ------
    ValueError
        If ``folder``, or a part of its path, is a file.
    OSError
        If the files cannot be written, such as on a full disk.
    """
    check_folder(folder)
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as temporary:
            _replace(folder, Path(temporary), contents, obsolete)
    except BaseException as error:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise _cannot_write(folder, error) from error
        raise


def check_folder(folder: Path) -> None:
    """Refuse a path at which there cannot be a folder.

    Raises
    ------
    ValueError
        If ``folder``, or a part of its path, is a file.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"output must be a folder for the report, not the file {path}")


def _replace(
    folder: Path, temporary: Path, contents: Mapping[str, bytes], obsolete: Collection[str]
) -> None:
    new, old = temporary / "new", temporary / "old"
    new.mkdir()
    old.mkdir()
    for name, content in contents.items():
        (new / name).write_bytes(content)
    touched = [name for name in (*contents, *obsolete) if (folder / name).exists()]
    for name in touched:
        shutil.copy2(folder / name, old / name)
    # The disk needs no more room from here on.
    try:
        for name in contents:
            os.replace(new / name, folder / name)
        for name in obsolete:
            (folder / name).unlink(missing_ok=True)
    except BaseException:
        for name in touched:
            os.replace(old / name, folder / name)
        for name in contents.keys() - set(touched):
            (folder / name).unlink(missing_ok=True)
        raise


def _cannot_write(folder: Path, error: OSError) -> OSError:
    return OSError(f"report cannot be written to {folder}: {error.strerror or error}")
