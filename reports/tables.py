"""Tables of records and ratios: cells as text, the same for markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dintmac.reports.comparisons import Comparison
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import (
    DASH,
    count,
    design_name,
    design_title,
    netlist,
    number,
    products_per_cycle,
    times,
)
from dintmac.synth.records import Ratio, Record

__all__ = ["Group", "Table", "library_table", "parts_of", "ratio_table"]


_PART_RANKS = {"registers": 0, "products": 1, "accumulation": 2, "other": 9}


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


def parts_of(records: Iterable[Record]) -> list[str]:
    """Names of the parts into which areas are split: registers first, the rest last."""
    parts = {part for record in records for part in record.area_split}
    return sorted(parts, key=lambda part: (_PART_RANKS.get(part, 3), part))


def library_table(records: Sequence[Record], ratios: Sequence[Ratio]) -> Table:
    """All netlists of one library, by design.

    Parameters
    ----------
    records : one or more Record
        All of one library.
    ratios : sequence of Ratio
        Printed in the rows of their candidates, each with the name of its baseline.
    """
    parts = parts_of(records)
    groups = grouped(records, lambda r: design_title(r.design, r.parameters))
    columns = (
        ("format", False),
        ("architecture", False),
        ("area", True),
        ("area per MAC", True),
        *((part, True) for part in parts),
        ("flip-flops", True),
        ("delay, ns", True),
        ("baseline ÷ this", False),
        ("check", False),
    )
    return Table(
        title=f"{records[0].library}, areas in {records[0].area_unit}",
        columns=tuple(name for name, _ in columns),
        numeric=tuple(numeric for _, numeric in columns),
        groups=tuple(
            Group(heading, tuple(_record_cells(record, parts, ratios) for record in group))
            for heading, group in groups.items()
        ),
    )


def ratio_table(comparison: Comparison) -> Table:
    """The ratios of one comparison: a row a design, a column a library."""
    ratios = {(r.design, r.library): times(r.ratio) for r in comparison.ratios}
    designs = tuple(dict.fromkeys(r.design for r in comparison.ratios))
    libraries = tuple(dict.fromkeys(r.library for r in comparison.ratios))
    rows = tuple(
        (design_name(design), *(ratios.get((design, library), DASH) for library in libraries))
        for design in designs
    )
    return Table(
        title=comparison.title,
        columns=("design", *libraries),
        numeric=(False, *(True for _ in libraries)),
        groups=(Group("", rows),),
    )


def _record_cells(record: Record, parts: Sequence[str], ratios: Sequence[Ratio]) -> tuple[str, ...]:
    return (
        record.format,
        record.architecture,
        number(record.area),
        number(record.area / products_per_cycle(record.parameters)),
        *(number(record.area_split.get(part)) for part in parts),
        count(record.flip_flops),
        number(record.delay_ns),
        _ratios(record, ratios),
        _check(record),
    )


def _ratios(record: Record, ratios: Sequence[Ratio]) -> str:
    candidate = (record.library, record.design, record.format, record.architecture)
    texts = [
        f"{times(r.ratio)} {netlist(**r.baseline)} ({r.metric})"
        for r in ratios
        if (r.library, r.design, r.candidate["format"], r.candidate["architecture"]) == candidate
    ]
    return "; ".join(texts) or DASH


def _check(record: Record) -> str:
    return record.checked
