"""What a simulator is."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dintmac.golden.files import write_files
from dintmac.hdl.configuration import Configuration

__all__ = ["Bench", "Progress", "SimulationError", "Simulator", "SimulatorMissingError"]

#: A coroutine function at the top of a module: ``await bench(handle, *arguments)``.
Bench = Callable[..., Awaitable[Any]]

Progress = Callable[[float], None]


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
    pays_from : float
        Cycles from which its speed is worth its build: it is then preferred to those that pay from
        fewer.
    """

    name: str
    waveforms: tuple[str, ...]
    pays_from: float = math.inf

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
