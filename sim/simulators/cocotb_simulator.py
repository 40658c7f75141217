"""Simulators that cocotb drives."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from abc import abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dintmac.hdl.configuration import Configuration
from dintmac.hdl.processes import python, run, started
from dintmac.hdl.verilog import export
from dintmac.sim.simulators.simulator import (
    Bench,
    Progress,
    SimulationError,
    Simulator,
    SimulatorMissingError,
)

__all__ = ["CocotbSimulator", "Command", "version_of"]

_INSTALL_COCOTB = "install it with: pip install 'dintmac[test]'"


@dataclass(frozen=True)
class Command:
    """How to start cocotb's runner for a simulator."""

    build_args: tuple[str, ...] = ()
    plusargs: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class CocotbSimulator(Simulator):
    """A simulator that cocotb drives, in a process of its own.

    Attributes
    ----------
    runner : str
        What cocotb calls it, if that is another name.
    """

    runner = ""

    def version(self) -> str:
        version = self.find()
        _check_cocotb(self.name)
        return version

    @abstractmethod
    def find(self) -> str:
        """Version of the simulator itself.

        Raises
        ------
        SimulatorMissingError
            If it is not installed.
        """

    @abstractmethod
    def command(self, waveform: Path | None) -> Command:
        """How it is started, with a waveform or without."""

    def _run(
        self,
        configuration: Configuration,
        bench: Bench,
        arguments: tuple[Any, ...],
        *,
        waveform: Path | None,
        folder: Path,
        progress: Progress,
    ) -> Any:
        exported = export(configuration)
        (folder / "design.v").write_text(exported.verilog, "utf-8")
        ports = {port.name: port for port in exported.ports}
        (folder / "job.pickle").write_bytes(pickle.dumps((ports, bench, arguments)))
        command = self.command(None if waveform is None else waveform.resolve())
        run = {
            "simulator": self.runner or self.name,
            "top": exported.module,
            "build_args": command.build_args,
            "plusargs": command.plusargs,
            "waves": waveform is not None,
        }
        (folder / "run.json").write_text(json.dumps(run), "utf-8")
        result = folder / "result.pickle"
        result.unlink(missing_ok=True)
        _execute(folder, _environment(folder) | dict(command.environment), progress)
        if not result.exists():
            raise SimulationError(f"{self.name} did not finish: {_end_of_logs(folder)}")
        exception, value = pickle.loads(result.read_bytes())
        if exception is not None:
            raise exception
        return value


def version_of(command: list[str], pattern: str) -> str:
    """The version that a program states of itself; ``0.0`` if it does not."""
    match = re.search(pattern, run(command).stdout)
    return match[1] if match else "0.0"


def _check_cocotb(name: str) -> None:
    if find_spec("cocotb") is None or find_spec("cocotb_tools") is None:
        raise SimulatorMissingError(f"{name} needs cocotb; {_INSTALL_COCOTB}")
    import find_libpython  # a dependency of cocotb

    if find_libpython.find_libpython() is None:
        library = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        raise SimulatorMissingError(
            f"{name} needs {library}.so for cocotb; install it with: apt install {library}"
        )


def _environment(folder: Path) -> dict[str, str]:
    """The environment without what would change how cocotb's runner works.

    Temporary files of compilers go to ``folder``, and no bench imports from the user's.
    """
    ours = {"WAVES", "GUI", "PYTEST_CURRENT_TEST", "SIM_CMD_PREFIX", "SIM_CMD_SUFFIX"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("COCOTB_")
    }
    return kept | {"PYTHONSAFEPATH": "1", "TMPDIR": str(folder)}


def _execute(folder: Path, environment: dict[str, str], progress: Progress) -> None:
    """Run cocotb's runner in ``folder`` and pass on what the bench reports."""
    reports = folder / "progress"
    reports.unlink(missing_ok=True)
    command = [*python("dintmac.sim.simulators.cocotb_runner"), str(folder)]
    with (
        (folder / "runner.log").open("wb") as log,
        started(command, env=environment, stdout=log, stderr=log) as process,
    ):
        while process.poll() is None:
            try:
                process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                progress(_last_report(reports))


def _last_report(reports: Path) -> float:
    lines = reports.read_text("utf-8").splitlines() if reports.exists() else []
    return float(lines[-1]) if lines else 0.0


def _end_of_logs(folder: Path) -> str:
    logs = [folder / name for name in ("test.log", "build.log", "runner.log")]
    texts = [log.read_text("utf-8", errors="replace").strip() for log in logs if log.exists()]
    return next((text[-1000:] for text in texts if text), "no log was written")
