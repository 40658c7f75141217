"""Children: they import nothing from the user's folder, speak UTF-8, and end with their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["end_with_parent", "last_words", "python", "run", "started"]


def python(module: str) -> list[str]:
    """The command that runs a module of ours in this interpreter, without the current folder."""
    return [sys.executable, "-P", "-m", module]


def run(
    command: Sequence[str],
    folder: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return what it said.

    Parameters
    ----------
    command : sequence of str
    folder : Path, optional
        Where it runs; the current folder if None.
    environment : dict of str to str, optional
        Variables beside those of this process.
    text : str
        What it reads.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | dict(environment or {}),
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said last, on standard error if it did, or how it ended."""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1][-300:] if lines else f"it ended with status {done.returncode}"


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process and all that it starts, until the block ends: then they are killed.

    They are a group of their own, which Ctrl-C at a terminal does not reach. Standard input is a
    pipe that stays open: see :func:`end_with_parent`.

    Parameters
    ----------
    command : sequence of str
    options
        Of :class:`subprocess.Popen`.
    """
    with subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0, **options) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def end_with_parent() -> None:
    """Called by what :func:`started` has started: its group is killed when standard input ends.

    It ends with the parent, however that ends.
    """

    def wait() -> None:
        while os.read(0, 1):
            """Nothing is written there."""
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
