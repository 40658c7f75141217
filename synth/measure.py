"""Measures designs: export, synthesis, check and record, in parallel and from a cache."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from dintmac.golden.workload import Workload
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.hdl.yosys import find_yosys
from dintmac.synth.cache import Cache, key_of
from dintmac.synth.cells import Cells, cells_of
from dintmac.synth.check import CheckError, check
from dintmac.synth.energy import measure_energy
from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.netlist import Netlist
from dintmac.synth.records import AreaSplit, Power, Record, RecordedConfiguration
from dintmac.synth.stimuli import measurable
from dintmac.synth.synthesis import Mapped, recipe_sources, synthesize
from dintmac.synth.targets import synthesize_within
from dintmac.synth.timing import Timing, TimingError, boundary_of, delay_missing, find_sta
from dintmac.synth.workers import share_out

__all__ = ["cached", "measure", "measure_all", "tools"]

#: Arguments of :func:`measure`.
Job = tuple[Configuration, Library] | tuple[Configuration, Library, float | None]
Progress = Callable[[int, int, Record], None]
#: Workloads for the measurement of energy, by the name of their format.
Data = Mapping[str, Workload]
#: Of the format of a design, and of the other one whose weights it takes.
Workloads = tuple[Workload | None, Workload | None]

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
    _check_target(target_delay_ns, library)
    store = store or Cache()
    record = cached(configuration, library, target_delay_ns, data=data, store=store)
    if record is None:
        workloads = _workloads(configuration, data)
        cells = _cells_of(library, store)
        record = _measure(configuration, library, cells, target_delay_ns, workloads)
        store.store(
            _key(configuration, library, target_delay_ns, workloads), msgspec.to_builtins(record)
        )
    return record


def cached(
    configuration: Configuration,
    library: Library,
    target_delay_ns: float | None = None,
    *,
    data: Data | None = None,
    store: Cache | None = None,
) -> Record | None:
    """The record that the cache has, or None; one that does not read counts as none."""
    key = _key(configuration, library, target_delay_ns, _workloads(configuration, data))
    stored = (store or Cache()).load(key)
    if stored is None:
        return None
    try:
        return msgspec.convert(stored, Record)
    except msgspec.ValidationError:
        return None


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
    store = store or Cache()
    report = progress or (lambda done, total, record: None)
    records: dict[int, Record] = {}

    def finish(index: int, record: Record) -> None:
        records[index] = record
        report(len(records), len(jobs), record)

    waiting = []
    for index, job in enumerate(jobs):
        record = cached(*job, data=data, store=store)
        if record is None:
            waiting.append(index)
        else:
            finish(index, record)
    # Unusable libraries are found before anything is measured, and Yosys is compiled once only.
    for library in dict.fromkeys(jobs[index][1] for index in waiting):
        _cells_of(library, store)
    workers = min(workers or os.cpu_count() or 1, len(waiting))
    if workers <= 1:
        for index in waiting:
            finish(index, measure(*jobs[index], data=data, store=store))
    else:
        work = partial(_work, data=data, store=store)
        waited = [jobs[index] for index in waiting]
        share_out(work, waited, workers, lambda i, record: finish(waiting[i], record))
    return [records[index] for index in range(len(jobs))]


def _work(job: Job, data: Data | None, store: Cache) -> Record:
    return measure(*job, data=data, store=store)


def tools() -> dict[str, str]:
    """Versions of all that records depend on beside the project's own files."""
    yosys = find_yosys()
    found = {"amaranth": version("amaranth"), "yosys": f"{yosys.version} ({yosys.origin})"}
    with contextlib.suppress(TimingError):
        found["opensta"] = find_sta().version
    return found


def _workloads(configuration: Configuration, data: Data | None) -> Workloads:
    """Workloads of the formats of its weights, if its energy is to be measured and can be."""
    if not data or not measurable(configuration):
        return None, None
    found = [data.get(format.name) for format in configuration.weight_formats]
    return found[0], found[1] if len(found) > 1 else None


def _check_target(target_delay_ns: float | None, library: Library) -> None:
    if target_delay_ns is None:
        return
    if isinstance(target_delay_ns, bool) or not isinstance(target_delay_ns, int | float):
        raise TypeError(f"target delay must be a number of ns, not {target_delay_ns!r}")
    if not 0 < target_delay_ns < math.inf:
        raise ValueError(f"target delay must be positive and finite, not {target_delay_ns!r}")
    if missing := delay_missing(library):
        raise TimingError(f"target delay must be one that can be measured, but {missing}")


def _key(
    configuration: Configuration,
    library: Library,
    target_delay_ns: float | None,
    workloads: Workloads,
) -> str:
    return key_of(
        configuration.design,
        configuration.format.name,
        configuration.architecture,
        configuration.parameters,
        library.name,
        library.area_unit,
        library.sha256,
        target_delay_ns and float(target_delay_ns),
        [workload and [workload.source, workload.sha256] for workload in workloads],
        tools(),
        _sources_sha256(),
    )


@cache
def _sources_sha256() -> str:
    """Hash of the code that a record follows from: cheaper than exporting to see what changed."""
    root = Path(__file__).parent.parent
    paths = [root / "golden" / f"{name}.py" for name in ("arithmetic", "formats")]
    paths += [path for room in ("hdl", "synth") for path in (root / room).rglob("*")]
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.suffix in (".py", ".abc", ".j2", ".v", ".ys"):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=16)
def _analysed(library: Library, folder: Path) -> Cells:
    return cells_of(library, Cache(folder))


def _cells_of(library: Library, store: Cache) -> Cells:
    return _analysed(library, store.folder)


def _measure(
    configuration: Configuration,
    library: Library,
    cells: Cells,
    target_delay_ns: float | None,
    workloads: Workloads,
) -> Record:
    exported = export(configuration)
    missing = delay_missing(library)
    timing: Timing | None = None
    if target_delay_ns is not None:
        mapped, timing = synthesize_within(target_delay_ns, exported, library, cells)
    else:
        mapped = synthesize(exported, library, cells)
    if timing is None and not missing:
        boundary = boundary_of(library, cells)
        (timing,) = find_sta().time([mapped.flat(cells)], library, cells, boundary)
    modules = {**cells.models, **mapped.modules}
    netlist = Netlist(modules, mapped.top, clock_gates=cells.clock_gates)
    try:
        checked = check(netlist, configuration)
    except CheckError as error:
        raise CheckError(f"{configuration.name} in {library.name}: {error}") from None
    counts = mapped.cells()
    (power, power_missing), (power_int8, _) = (
        _energy(mapped, configuration, library, cells, workload) for workload in workloads
    )
    return Record(
        configuration=RecordedConfiguration.of(configuration),
        library=library.name,
        recipe="area" if target_delay_ns is None else "delay",
        target_delay_ns=target_delay_ns,
        area=_area(counts, cells),
        area_unit=library.area_unit,
        area_split=_split(mapped, cells),
        cells=dict(sorted(counts.items())),
        flip_flops=sum(n for kind, n in counts.items() if kind in cells.flip_flops),
        delay_ns=None if timing is None else timing.delay_ns,
        critical_path=None if timing is None else timing.critical_path,
        delay_missing=missing,
        power=power,
        power_int8=power_int8,
        power_missing=power_missing,
        check=checked,
        tools=tools(),
        inputs_sha256=key_of(
            exported.verilog, recipe_sources(), target_delay_ns, library.sha256, tools()
        ),
    )


def _energy(
    mapped: Mapped,
    configuration: Configuration,
    library: Library,
    cells: Cells,
    workload: Workload | None,
) -> tuple[Power | None, str]:
    """Energy on a workload; None and why, where it cannot be computed."""
    if not measurable(configuration):
        return None, "designs of these sizes and options have no stimuli"
    if workload is None:
        return None, f"no workload of {configuration.format.name} was given"
    try:
        return measure_energy(mapped, configuration, library, cells, workload), ""
    except LibraryError as error:
        return None, str(error)


def _area(counts: Counter[str], cells: Cells) -> float:
    return round(sum(cells.areas[kind] * number for kind, number in counts.items()), _DECIMALS)


def _split(mapped: Mapped, cells: Cells) -> AreaSplit:
    registers: Counter[str] = Counter()
    logic: dict[str, Counter[str]] = {"products": Counter(), "accumulation": Counter()}
    control: Counter[str] = Counter()
    sequential = cells.flip_flops | cells.clock_gates.keys()
    for module, instances in mapped.instances().items():
        part = logic.get(mapped.modules[module].part, control)
        for kind, number in mapped.cells_of(module).items():
            (registers if kind in sequential else part)[kind] += instances * number
    if len(mapped.modules) == 1:
        logic["accumulation"], control = control, Counter()
    areas: dict[str, Any] = {name: _area(counts, cells) for name, counts in logic.items()}
    if not mapped.has_products:
        areas["products"] = None
    return AreaSplit(registers=_area(registers, cells), control=_area(control, cells), **areas)
