"""Making a report: which netlists it measures, on which data, and what it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dintmac.golden.files import check_folder
from dintmac.golden.formats import parse
from dintmac.golden.quantization.variants import named_formats
from dintmac.reports.report import Report, write_report
from dintmac.synth.liberty import find_libraries
from dintmac.synth.measure import measure_all, tools
from dintmac.synth.ratios import ratios_of
from dintmac.synth.records import Record
from dintmac.synth.selection import contenders, jobs_of, selected
from dintmac.synth.stimuli import workloads_of

__all__ = ["report"]


def report(
    output: str | Path | None = None,
    *,
    designs: Sequence[str] | None = None,
    formats: Sequence[str] = ("int8", "int4", "dint4"),
    libraries: Sequence[str] | None = None,
    dont_use: Sequence[str] = (),
    workloads: Sequence[str | Path] = (),
    target_delays_ns: Sequence[float] = (),
    quick: bool = False,
    growth: bool = False,
    behavioural: bool = False,
    jobs: int | None = None,
    progress: Callable[[int, int, Record], None] = lambda done, total, record: None,
    note: Callable[[str], None] = lambda text: None,
) -> Report:
    """Measure designs, check every netlist, compare them, and write a report.

    What was measured before comes from the cache, so an interrupted report resumes where it was.

    Parameters
    ----------
    output : path, optional
        Folder for the files of the report; nothing is written if None.
    designs : sequence of str, optional
        All but ``fused`` by default.
    formats : sequence of str
        Weight formats; ``macs`` stands for all whose MACs are compared.
    libraries, dont_use : sequence of str
        As for :func:`~dintmac.synth.liberty.find_libraries`: all that are found, with all of their
        cells, by default.
    workloads : sequence of path
        Files of what energy is measured on, one for each format; Gaussian data if empty.
    target_delays_ns : sequence of float
        Clock periods to map for, beside the smallest area, in libraries that state delays.
    quick : bool
        The default sizes of ``mac``, ``dot`` and ``pe`` in the bundled library alone, in the
        architectures that can be smallest there.
    growth : bool
        More sizes of ``dot`` and ``pe`` as well.
    behavioural : bool
        What the synthesis tool makes of ``*`` and ``+`` as well.
    jobs : int, optional
        Netlists that are measured side by side; by default one for each processor.
    progress : callable
        Called with the netlists done, their number, and a record, as each is finished.
    note : callable
        Called with a sentence about each library of which cells are left alone.

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError, OSError
        If what is asked for does not go together, or a file cannot be read or written.
    LibraryError, YosysError, CacheError
        If a library, Yosys or the cache folder cannot be used.
    CheckError
        If a netlist differs from the golden model.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be positive, not {jobs}")
    if quick and (libraries or growth):
        raise ValueError(
            "quick must come without libraries and growth: it measures the default sizes in the "
            "bundled library alone"
        )
    if output is not None:
        check_folder(Path(output))
    found = find_libraries(["ge"] if quick else libraries, dont_use)
    for library in found:
        if library.left_alone:
            note(f"{library.name}: {library.left_alone}")
    weights = list(dict.fromkeys(map(parse, named_formats(formats))))
    if quick:
        configurations = contenders(designs, weights, behavioural=behavioural)
    else:
        configurations = selected(designs, weights, growth=growth, behavioural=behavioural)
    records = measure_all(
        jobs_of(configurations, found, target_delays_ns),
        data=workloads_of(list(map(Path, workloads)), weights),
        workers=jobs,
        progress=progress,
    )
    made = Report(records, ratios_of(records), tools())
    if output is not None:
        write_report(made, output)
    return made
