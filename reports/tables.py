"""Tables of records and ratios: cells as text, the same for markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dintmac.reports.comparisons import Comparison
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import (
    DASH,
    design_title,
    netlist,
    number,
    times,
)
from dintmac.synth.records import Ratio, Record, Variant

__all__ = ["Group", "Table", "library_table", "ratio_table"]


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
    groups = grouped(records, lambda r: design_title(r.design, r.parameters))
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
    """The ratios of one comparison: a row a design, a column a library."""
    cells = {
        (design_title(r.design, r.parameters), r.library): _spaced(
            times(r.ratio), comparison.architectures(r)
        )
        for r in comparison.ratios
    }
    designs = dict.fromkeys(design for design, _ in cells)
    libraries = tuple(dict.fromkeys(library for _, library in cells))
    rows = tuple(
        (design, *(cells.get((design, library), DASH) for library in libraries))
        for design in designs
    )
    return Table(
        title=comparison.title,
        columns=("design", *libraries),
        numeric=(False, *(True for _ in libraries)),
        groups=(Group("", rows),),
    )


def _cells(record: Record, ratios: Sequence[Ratio]) -> tuple[str, ...]:
    split = record.area_split
    return (
        record.format,
        record.architecture,
        number(record.area),
        number(record.area / record.products_per_cycle),
        number(split.registers),
        number(split.products),
        number(split.accumulation),
        number(split.control),
        f"{record.flip_flops:,}",
        number(record.target_delay_ns),
        number(record.delay_ns),
        _ratios(record, ratios),
        _check(record),
        f"{record.check.vectors:,}",
    )


def _ratios(record: Record, ratios: Sequence[Ratio]) -> str:
    """Ratios of which a record is the candidate, each with its baseline: those of least areas."""
    here = (record.library, record.design, record.parameters)
    side = Variant(record.format, record.architecture)
    texts = [
        _spaced(times(r.ratio), netlist(r.baseline), "" if r.metric == "area" else f"({r.metric})")
        for r in ratios
        if (r.library, r.design, r.parameters) == here
        and r.candidate == side
        and record.target_delay_ns is None
    ]
    return "; ".join(texts) or DASH


def _check(record: Record) -> str:
    """How a netlist was checked."""
    method = record.check.method
    return _spaced(record.checked, "" if method == record.checked else f"({method})")


def _spaced(*texts: str) -> str:
    return " ".join(text for text in texts if text)
