"""Tables of records and ratios: cells as text, the same for markdown and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from dintmac.reports.comparisons import Comparison, metric_of, sizes
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import (
    DASH,
    case,
    design_title,
    energy_per_mac,
    listed,
    netlist,
    number,
    times_of,
)
from dintmac.synth.curves import throughput_per_area
from dintmac.synth.ratios import Ratio, Side
from dintmac.synth.records import Record

__all__ = [
    "Group",
    "Table",
    "architecture_table",
    "baseline_tables",
    "library_table",
    "ratio_table",
]


@dataclass(frozen=True)
class Group:
    """Rows with a common heading; each row has a cell for every column of its table."""

    heading: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table; ``numeric`` says which columns hold numbers."""

    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    groups: tuple[Group, ...]


def library_table(records: Sequence[Record], ratios: Sequence[Ratio]) -> Table:
    """All netlists of one library, by design.

    Parameters
    ----------
    records : one or more Record
        All of one library.
    ratios : sequence of Ratio
        Printed in the rows of their candidates, each with the name of its baseline.
    """
    groups = grouped(records, lambda r: design_title(r.configuration))
    columns = (
        ("format", False),
        ("architecture", False),
        ("area", True),
        ("per MAC", True),
        ("registers", True),
        ("products", True),
        ("accumulation", True),
        ("control", True),
        ("flip-flops", True),
        ("target, ns", True),
        ("delay, ns", True),
        ("GMAC/s/mm²", True),
        ("fJ/MAC", True),
        ("baseline ÷ this", False),
        ("check", False),
        ("results", True),
    )
    return Table(
        title=f"{records[0].library}, areas in {records[0].area_unit}",
        columns=tuple(name for name, _ in columns),
        numeric=tuple(numeric for _, numeric in columns),
        groups=tuple(
            Group(heading, tuple(_cells(record, ratios) for record in group))
            for heading, group in groups.items()
        ),
    )


def ratio_table(comparison: Comparison) -> Table:
    """The ratios of one comparison: a row a design, a column a library.

    The second column says how many architectures were compared.
    """
    libraries = tuple(dict.fromkeys(r.library for r in comparison.ratios))
    rows = []
    for title, ratios in grouped(comparison.ratios, case).items():
        cells = {r.library: _spaced(times_of(r), comparison.architectures(r)) for r in ratios}
        values = (cells.get(library, DASH) for library in libraries)
        rows.append((title, _compared(comparison, ratios), *values))
    return Table(
        title=comparison.title,
        columns=("design", "architectures", *libraries),
        numeric=(False, False, *(True for _ in libraries)),
        groups=(Group("", tuple(rows)),),
    )


def _compared(comparison: Comparison, ratios: Sequence[Ratio]) -> str:
    """How many architectures were compared, by library where that differs."""
    texts = grouped(ratios, comparison.compared)
    if len(texts) == 1:
        return next(iter(texts))
    return "; ".join(f"{text} in {listed(r.library for r in of)}" for text, of in texts.items())


def architecture_table(comparisons: Sequence[Comparison]) -> Table:
    """Among which architectures a best was looked for: a row a set of sizes, a column a format."""
    ratios = [r for comparison in comparisons for r in comparison.ratios]
    formats = list(dict.fromkeys(format for r in ratios for format in r.compared))
    rows = []
    for metric, alike in grouped(ratios, metric_of).items():
        cases = grouped(alike, lambda r: (case(r), r.library)).values()
        for cells, groups in grouped(cases, lambda g: _architectures(g, formats)).items():
            rows.append((metric, sizes(list(chain(*groups)), alike), *cells))
    return Table(
        title="Architectures compared",
        columns=("ratio", "size", *formats),
        numeric=tuple(False for _ in ("ratio", "size", *formats)),
        groups=(Group("", tuple(rows)),),
    )


def _architectures(ratios: Sequence[Ratio], formats: Sequence[str]) -> tuple[str, ...]:
    """Of each format those that were compared in one case, and those that were not."""
    compared = {f: names for r in ratios for f, names in r.compared.items()}
    missing = {f: names for r in ratios for f, names in r.missing.items()}
    return tuple(_cell(compared[f], missing[f]) if f in compared else DASH for f in formats)


def _cell(compared: Sequence[str], missing: Sequence[str]) -> str:
    without = f", without {listed(missing)}" if missing else ""
    return f"{len(compared)} of {len(compared) + len(missing)}: {listed(compared)}{without}"


def baseline_tables(ratios: Sequence[Ratio]) -> list[Table]:
    """A table for each metric: every INT8 architecture over the best dINT4, by design."""
    chosen = [r for r in ratios if (r.baseline.format, r.candidate.format) == ("INT8", "dINT4")]
    return [
        _by_library(
            f"every INT8 architecture ÷ the best dINT4, {metric}",
            "architecture",
            {
                (case(r), r.baseline.architecture, r.library): _spaced(
                    times_of(r), "(strongest)" if r.strongest else ""
                )
                for r in group
            },
        )
        for metric, group in grouped(chosen, metric_of).items()
    ]


def _by_library(title: str, lead: str, cells: Mapping[tuple[str, str, str], str]) -> Table:
    """A table of cells by heading, row and library."""
    libraries = tuple(dict.fromkeys(library for _, _, library in cells))
    rows = grouped(dict.fromkeys((heading, row) for heading, row, _ in cells), lambda key: key[0])
    return Table(
        title=title,
        columns=(lead, *libraries),
        numeric=(False, *(True for _ in libraries)),
        groups=tuple(
            Group(
                heading,
                tuple(
                    (row, *(cells.get((heading, row, library), DASH) for library in libraries))
                    for _, row in keys
                ),
            )
            for heading, keys in rows.items()
        ),
    )


def _cells(record: Record, ratios: Sequence[Ratio]) -> tuple[str, ...]:
    split = record.area_split
    return (
        record.configuration.format,
        record.configuration.architecture,
        number(record.area),
        number(record.area / record.products_per_cycle),
        number(split.registers),
        number(split.products),
        number(split.accumulation),
        number(split.control),
        f"{record.flip_flops:,}",
        number(record.target_delay_ns),
        number(record.delay_ns),
        number(_throughput(record)),
        _energies(record),
        _ratios(record, ratios),
        record.check.method,
        f"{record.check.vectors:,}",
    )


def _throughput(record: Record) -> float | None:
    """Products a second at the shortest clock period, in thousand millions for each mm²."""
    if record.delay_ns is None or record.area_unit != "µm²":
        return None
    return 1e6 * throughput_per_area(record)


def _energies(record: Record) -> str:
    """Energy of a MAC, and that of INT8 mode."""
    energy = energy_per_mac(record.power)
    if record.power_int8 is None:
        return energy
    return f"{energy}; INT8 mode {energy_per_mac(record.power_int8)}"


def _ratios(record: Record, ratios: Sequence[Ratio]) -> str:
    """Ratios of which a record is the candidate, each with its strongest baseline."""
    of = record.configuration
    here = (record.library, of.design, of.parameters, record.target_delay_ns)
    side = Side(of.format, of.architecture)
    texts = [
        _spaced(times_of(r), netlist(r.baseline), "" if r.metric == "area" else f"({r.metric})")
        for r in ratios
        if (r.library, r.design, r.parameters, r.delay_ns) == here
        and r.candidate == side
        and r.strongest
    ]
    return "; ".join(texts) or DASH


def _spaced(*texts: str) -> str:
    return " ".join(text for text in texts if text)
