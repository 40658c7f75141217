"""Writes the files of every room: all of them or none, each complete when it appears."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

__all__ = [
    "Content",
    "cache_folder",
    "check_folder",
    "is_stream",
    "new_folder",
    "temporary_folder",
    "write_files",
    "write_folder",
]

#: What is to be in a file; a path stands for a file that is moved there.
Content: TypeAlias = str | bytes | Path


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that goes when its block ends, also if an interrupt comes while it does."""
    # Its name is known before it is there, so that no interrupt comes between the two.
    path = Path(tempfile.gettempdir()) / f"dintmac-{secrets.token_hex(8)}"
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        try:
            shutil.rmtree(path, ignore_errors=True)
        except BaseException:
            # The command line is interrupted once.
            shutil.rmtree(path, ignore_errors=True)
            raise


def write_files(contents: Mapping[Path, Content], obsolete: Collection[Path] = ()) -> None:
    """Write files so that all of the new ones are there or still all of the old ones.

    Everything is first written under a temporary name in the folder of the file, and only then
    moved into place. If anything fails before the last file is in place, the earlier ones come
    back. Of a symbolic link the target is replaced; permissions stay. Devices and pipes are
    written to. Of two runs that write the same files, one comes after the other.

    Parameters
    ----------
    contents : dict of Path to str, bytes or Path
        What is to be in each file. Text is written as UTF-8; what is no UTF-8 in the name of a
        file, as in ``\\udcff``.
    obsolete : paths
        Files to remove.

    Raises
    ------
    OSError
        If a file cannot be written, such as on a full disk, with its name.
    """
    with ExitStack() as stack:
        streams = [path for path in contents if is_stream(path)]
        staged: dict[Path, Path] = {}
        for path, content in contents.items():
            if path not in streams:
                with _about(path):
                    target = path.resolve() if path.is_symlink() else path
                    staged[target] = _temporary(target, stack)
                    _fill(staged[target], content, target)
        for path in streams:
            with _about(path):
                _append(path, contents[path])
        _move(staged, obsolete)


def write_folder(
    folder: Path, contents: Mapping[str, Content], obsolete: Collection[str] = ()
) -> None:
    """Write files into a folder, as :func:`write_files` does; other files are left alone.

    Parameters
    ----------
    folder : Path
        Made, with its parents, if it does not exist.
    contents : dict of str to str, bytes or Path
        What is to be in the files, by name.
    obsolete : names
        Files to remove.

    Raises
    ------
    ValueError
        If ``folder``, or a part of its path, is a file.
    OSError
        If a file cannot be written; folders that were made are gone again.
    """
    check_folder(folder)
    with _made(folder):
        write_files(
            {folder / name: content for name, content in contents.items()},
            [folder / name for name in obsolete],
        )


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` when the block ends.

    If the block fails, there is nothing.

    Parameters
    ----------
    folder : Path
        It must not exist or be empty; its parents are made if they do not exist.

    Raises
    ------
    ValueError
        If it has files, is one, or another run is writing it.
    OSError
        If it cannot be made.
    """
    check_folder(folder)
    # resolve: the current folder cannot be replaced under the name of a dot.
    target = folder.resolve()
    with _made(target), ExitStack() as stack:
        if not _lock(target, stack, wait=False):
            raise ValueError(f"output must be a folder that no other run is writing, not {folder}")
        if any(target.iterdir()):
            raise ValueError(f"output must be a new or empty folder, not {folder}")
        temporary = TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
        partial = Path(stack.enter_context(temporary)) / target.name
        partial.mkdir()
        yield partial
        shutil.copymode(target, partial)
        partial.replace(target)


def check_folder(folder: Path) -> None:
    """Refuse a path at which there cannot be a folder.

    Raises
    ------
    ValueError
        If ``folder``, or a part of its path, is a file.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"output must be a folder, not the file {path}")


def cache_folder() -> Path:
    """``$DINTMAC_CACHE``, or ``dintmac`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Raises
    ------
    RuntimeError
        If the environment names none and the user has no home.
    """
    if folder := os.environ.get("DINTMAC_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "dintmac"
    try:
        return Path.home() / ".cache" / "dintmac"
    except RuntimeError:
        raise RuntimeError(
            "the user has no home for a cache: set HOME, XDG_CACHE_HOME or DINTMAC_CACHE"
        ) from None


def is_stream(path: Path) -> bool:
    """Whether a path is a device or a pipe, or the file that standard output goes to.

    Raises
    ------
    OSError
        If it is a folder, or cannot be looked at.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return not stat.S_ISREG(found.st_mode) or _is_output(found)


def _is_output(found: os.stat_result) -> bool:
    """Whether a file is what standard output or standard error goes to."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(descriptor)):
                return True
    return False


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that exists, with its parents; what was made goes if the block fails."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """Errors within name the file that was asked for."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _temporary(target: Path, stack: ExitStack) -> Path:
    """A name beside a file, which is free again at the end."""
    path = target.with_name(f".{secrets.token_hex(8)}.partial")
    stack.callback(path.unlink, missing_ok=True)
    return path


def _fill(path: Path, content: Content, target: Path) -> None:
    """Write a new file with the owner and permissions of the one that it is to replace."""
    if isinstance(content, Path):
        shutil.move(content, path)
    else:
        path.write_bytes(_encoded(content))
    if target.exists():
        found = target.stat()
        with contextlib.suppress(OSError):
            os.chown(path, found.st_uid, found.st_gid)
        path.chmod(stat.S_IMODE(found.st_mode))


def _append(path: Path, content: Content) -> None:
    """Write to a device or pipe, or to the end of standard output."""
    with path.open("ab") as stream:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, stream)
        else:
            stream.write(_encoded(content))


def _encoded(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")


def _move(staged: Mapping[Path, Path], obsolete: Collection[Path]) -> None:
    """Move new files into place; what they replace comes back if that fails."""
    touched = [path for path in (*staged, *obsolete) if os.path.lexists(path)]
    with ExitStack() as stack:
        for folder in sorted({path.parent for path in (*staged, *obsolete)}):
            _lock(folder, stack)
        old = {path: _temporary(path, stack) for path in touched}
        for path, kept in old.items():
            _keep(path, kept)
        # The disk needs no more room from here on.
        try:
            for target, temporary in staged.items():
                with _about(target):
                    os.replace(temporary, target)
            for path in obsolete:
                path.unlink(missing_ok=True)
        except BaseException:
            for path in staged.keys() - old.keys():
                path.unlink(missing_ok=True)
            for path, kept in old.items():
                os.replace(kept, path)
            raise


def _lock(folder: Path, stack: ExitStack, *, wait: bool = True) -> bool:
    """Be the only run that writes to a folder; a lock ends with its process."""
    # Not every file system has locks.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _keep(path: Path, kept: Path) -> None:
    """Give a file a second name, or where that is impossible a copy."""
    try:
        os.link(path, kept, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, kept, follow_symlinks=False)
