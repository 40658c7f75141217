"""Measures designs: export, map, time, check, power, record; in parallel and from a cache.

The cache has two files for a record. One is the hash of the Verilog, under a hash of the code that
makes it, so that nothing is exported to find a record. The other is the record, under a hash of the
Verilog, of all else that synthesis takes, and of the code that maps, times, checks and measures.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import msgspec

from dintmac.golden.workload import Workload
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.hierarchy import Part
from dintmac.hdl.verilog import Export, export
from dintmac.hdl.yosys import find_yosys
from dintmac.synth.cache import Cache, code_of, key_of
from dintmac.synth.cells import Cells, cells_of
from dintmac.synth.check import CheckError, check
from dintmac.synth.energy import measure_energy
from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.netlist import Netlist
from dintmac.synth.records import AreaSplit, Check, Power, Record, RecordedConfiguration
from dintmac.synth.stimuli import measurable
from dintmac.synth.synthesis import Mapped, recipe_sources, synthesize
from dintmac.synth.targets import synthesize_within
from dintmac.synth.timing import Timing, TimingError, boundary_of, delay_missing, find_sta
from dintmac.synth.workers import share_out

__all__ = ["measure", "measure_all", "tools"]

#: Arguments of :func:`measure`.
Job = tuple[Configuration, Library] | tuple[Configuration, Library, float | None]
Progress = Callable[[int, int, Record], None]
#: Workloads for the measurement of energy, by the name of their format.
Data = Mapping[str, Workload]

#: Areas are sums of decimal fractions; what lies below this is binary noise.
_DECIMALS = 6


def measure(
    configuration: Configuration,
    library: Library,
    target_delay_ns: float | None = None,
    *,
    data: Data | None = None,
    store: Cache | None = None,
) -> Record:
    """Synthesize a design, check the netlist against the golden model, and record it.

    Parameters
    ----------
    configuration : Configuration
    library : Library
    target_delay_ns : float, optional
        The clock period for which the design is mapped; by default it is mapped for the smallest
        area. The record is of the fastest netlist where none is fast enough.
    data : mapping of str to Workload, optional
        What energy is measured on, by the name of the format; without a workload of the design's
        format, and for designs that :func:`measurable` excludes, there is no energy. Where weights
        of another format are taken as well, energy is also measured on a workload of that one.
    store : Cache, optional
        The user's cache folder by default. A record that is there is not measured again.

    Raises
    ------
    TypeError, ValueError
        If the target is not a positive number.
    TimingError
        If there is a target, but delays in this library cannot be measured.
    CheckError
        If the netlist differs from the golden model.
    LibraryError, YosysError, CacheError
        If a library, Yosys or the cache folder cannot be used.
    """
    task = _Task(configuration, library, target_delay_ns, data=data or {}, store=store or Cache())
    return task.load() or _measured(task)


def measure_all(
    jobs: Sequence[Job],
    *,
    data: Data | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    store: Cache | None = None,
) -> list[Record]:
    """Measure many designs, several at a time.

    Each record is in the cache as soon as it is made, so an interrupted run resumes where it was.

    Parameters
    ----------
    jobs : sequence of (Configuration, Library) or (Configuration, Library, target_delay_ns)
    data : mapping of str to Workload, optional
        As for :func:`measure`.
    workers : int, optional
        Processes; by default one for each processor.
    progress : callable, optional
        Called with the number of jobs done, their total, and a record, as each is finished.
    store : Cache, optional
        The user's cache folder by default.

    Returns
    -------
    list of Record, in the order of ``jobs``.

    Raises
    ------
    CheckError, LibraryError, YosysError, CacheError
        As :func:`measure`.
    """
    tasks = [_Task(*job, data=data or {}, store=store or Cache()) for job in jobs]
    records: dict[int, Record] = {}

    def finish(index: int, record: Record) -> None:
        records[index] = record
        if progress is not None:
            progress(len(records), len(jobs), record)

    for index, task in enumerate(tasks):
        if record := task.load():
            finish(index, record)
    waiting = [index for index in range(len(jobs)) if index not in records]
    # Unusable libraries are found before anything is measured, and Yosys is compiled once only.
    for index in waiting:
        _cells_of(tasks[index].library, tasks[index].store)
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    if workers <= 1:
        for index in waiting:
            finish(index, _measured(tasks[index]))
    else:
        waited = [tasks[index] for index in waiting]
        share_out(_measured, waited, workers, lambda i, record: finish(waiting[i], record))
    return [records[index] for index in range(len(jobs))]


def tools() -> dict[str, str]:
    """Versions of all that records depend on beside the project's own files."""
    yosys = find_yosys()
    found = {"amaranth": version("amaranth"), "yosys": f"{yosys.version} ({yosys.origin})"}
    with contextlib.suppress(TimingError):
        found["opensta"] = find_sta().version
    return found


_cells_of = lru_cache(maxsize=16)(cells_of)


@dataclass(frozen=True)
class _Task:
    """What is measured, on what, and where its record is kept."""

    configuration: Configuration
    library: Library
    target_delay_ns: float | None = None
    _: KW_ONLY
    data: Data
    store: Cache

    def __post_init__(self) -> None:
        target = self.target_delay_ns
        if target is None:
            return
        if isinstance(target, bool) or not isinstance(target, int | float):
            raise TypeError(f"target delay must be a number of ns, not {target!r}")
        if not 0 < target < math.inf:
            raise ValueError(f"target delay must be positive and finite, not {target!r}")
        if missing := delay_missing(self.library):
            raise TimingError(f"target delay must be one that can be measured, but {missing}")

    @property
    def cells(self) -> Cells:
        return _cells_of(self.library, self.store)

    @property
    def workloads(self) -> list[Workload | None]:
        """One for each format of its weights; None where energy is not to be measured."""
        data = self.data if measurable(self.configuration) else {}
        return [data.get(format.name) for format in self.configuration.weight_formats]

    def load(self, exported: Export | None = None) -> Record | None:
        """The record of an export, or of what it was when last kept; None if none is whole."""
        known = self.store.load(self._hardware_key()) or {}
        hardware = known.get("hardware") if exported is None else _hardware_of(exported)
        try:
            return msgspec.convert(self.store.load(self._key(self.inputs(hardware))), Record)
        except msgspec.ValidationError:
            return None

    def keep(self, record: Record, exported: Export) -> None:
        """Keep a record, unless it follows from code of others, which has no hash."""
        makers = (
            DESIGNS[self.configuration.design].component,
            type(self.configuration.multiplier),
            self.configuration.format.kind.half_steps,
        )
        if all(maker.__module__.startswith("dintmac.") for maker in makers):
            self.store.store(self._key(record.inputs_sha256), msgspec.to_builtins(record))
            self.store.store(self._hardware_key(), {"hardware": _hardware_of(exported)})

    def inputs(self, hardware: str | None) -> str:
        """Hash of what a netlist follows from."""
        target = self.target_delay_ns and float(self.target_delay_ns)
        return key_of(hardware, recipe_sources(), target, self.library.sha256, tools())

    def _hardware_key(self) -> str:
        return key_of(repr(self.configuration), code_of("dintmac.hdl.verilog"), tools())

    def _key(self, inputs: str) -> str:
        # What comes of modules that make hardware is in their Verilog.
        code = code_of("dintmac.synth.measure", without="amaranth")
        workloads = [w and (w.source, w.sha256) for w in self.workloads]
        library = self.library.name, self.library.area_unit
        return key_of(inputs, repr(self.configuration), library, workloads, code)


def _hardware_of(exported: Export) -> str:
    """Hash of the Verilog, and of how weights are stored for it."""
    tables = [table.to_json() for table in exported.configuration.weight_tables]
    return key_of(exported.modules, tables)


def _measured(task: _Task) -> Record:
    """All stages in their order, each a function of what those before have made."""
    exported = export(task.configuration)
    # Another state of our code may have made the same Verilog.
    record = task.load(exported)
    if record is None:
        mapped = _map(task, exported)
        timing = _time(task, mapped)
        checked = _check(task, mapped)
        power = _power(task, mapped)
        record = _record(task, exported, mapped, timing, checked, power)
    task.keep(record, exported)
    return record


def _map(task: _Task, exported: Export) -> Mapped:
    if task.target_delay_ns is None:
        return synthesize(exported, task.library, task.cells)
    return synthesize_within(task.target_delay_ns, exported, task.library, task.cells)


def _time(task: _Task, mapped: Mapped) -> Timing | None:
    if delay_missing(task.library):
        return None
    boundary = boundary_of(task.library, task.cells)
    (timing,) = find_sta().time([mapped.flat(task.cells)], task.library, task.cells, boundary)
    return timing


def _check(task: _Task, mapped: Mapped) -> Check:
    modules = task.cells.models | mapped.modules
    netlist = Netlist(modules, mapped.top, clock_gates=task.cells.clock_gates)
    try:
        return check(netlist, task.configuration)
    except CheckError as error:
        where = f"{task.configuration.name} in {task.library.name}"
        raise CheckError(f"{where}: {error}") from None


def _power(task: _Task, mapped: Mapped) -> tuple[list[Power | None], str]:
    """Energy on each workload, and why there is none on the first."""
    of, missing = (task.configuration, task.library, task.cells), ""
    if not measurable(task.configuration):
        missing = "designs of these sizes and options have no stimuli"
    elif task.workloads[0] is None:
        missing = f"no workload of {task.configuration.format.name} was given"
    try:
        return [measure_energy(mapped, *of, w) if w else None for w in task.workloads], missing
    except LibraryError as error:
        return [None], str(error)


def _record(
    task: _Task,
    exported: Export,
    mapped: Mapped,
    timing: Timing | None,
    checked: Check,
    power: tuple[list[Power | None], str],
) -> Record:
    counts, cells = mapped.cells(), task.cells
    (of_format, *of_int8), power_missing = power
    return Record(
        configuration=RecordedConfiguration.of(task.configuration),
        library=task.library.name,
        recipe="area" if task.target_delay_ns is None else "delay",
        target_delay_ns=task.target_delay_ns,
        area=round(mapped.area(cells), _DECIMALS),
        area_unit=task.library.area_unit,
        area_split=_split(mapped, cells),
        cells=dict(sorted(counts.items())),
        flip_flops=sum(n for kind, n in counts.items() if kind in cells.flip_flops),
        delay_ns=timing.delay_ns if timing else None,
        critical_path=timing.critical_path if timing else None,
        delay_missing=delay_missing(task.library),
        power=of_format,
        power_int8=of_int8[0] if of_int8 else None,
        power_missing=power_missing,
        check=checked,
        tools=tools(),
        inputs_sha256=task.inputs(_hardware_of(exported)),
    )


def _split(mapped: Mapped, cells: Cells) -> AreaSplit:
    counts: dict[str, Counter[str]] = {part: Counter() for part in ("registers", *Part)}
    sequential = cells.flip_flops | cells.clock_gates.keys()
    for name, instances in mapped.instances().items():
        part = mapped.modules[name].part if len(mapped.modules) > 1 else Part.ACCUMULATION
        for kind, number in mapped.cells_of(name).items():
            counts["registers" if kind in sequential else part][kind] += instances * number
    areas: dict[str, Any] = {
        part: round(sum(cells.areas[kind] * number for kind, number in counted.items()), _DECIMALS)
        for part, counted in counts.items()
    }
    return AreaSplit(**areas | ({} if mapped.has_products else {"products": None}))
