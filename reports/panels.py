"""What the plots show: one panel a comparison or library, made from ratios and records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dintmac.reports.comparisons import Comparison
from dintmac.reports.grouping import gathered, grouped
from dintmac.reports.labels import (
    design_title,
    netlist,
    number,
    times,
)
from dintmac.synth.records import Ratio, Record

__all__ = ["Bar", "BarPanel", "Dot", "DotPanel", "area_panels", "ratio_panels"]

_PARTS = ("registers", "products", "accumulation", "products and sums", "control")


@dataclass(frozen=True)
class Dot:
    """A ratio; dots that follow each other with one heading stand under it."""

    heading: str
    label: str
    value: float


@dataclass(frozen=True)
class DotPanel:
    """Ratios of one metric between one baseline and one candidate.

    ``span`` is the least and the greatest ratio of all panels, which so have one scale;
    ``published`` is a ratio to compare with, or None.
    """

    title: str
    axis: str
    dots: tuple[Dot, ...]
    span: tuple[float, float]
    published: float | None

    @property
    def text(self) -> str:
        """What the plot shows, for those who do not see it."""
        least, greatest = (times(f(dot.value for dot in self.dots)) for f in (min, max))
        return f"{self.title}: from {least} to {greatest}; the tables have every value."


@dataclass(frozen=True)
class Bar:
    """An area in parts, in the order of the panel's ``parts``; headings as of dots."""

    heading: str
    label: str
    lengths: tuple[float, ...]


@dataclass(frozen=True)
class BarPanel:
    """Areas of one library."""

    title: str
    axis: str
    parts: tuple[str, ...]
    bars: tuple[Bar, ...]

    @property
    def text(self) -> str:
        """What the plot shows, for those who do not see it."""
        return (
            f"{self.title}, {self.axis}, split into {', '.join(self.parts)}; "
            "the tables have every value."
        )


def ratio_panels(comparisons: Sequence[Comparison]) -> list[DotPanel]:
    """A panel for each comparison, all with one scale."""
    values = [r.ratio for comparison in comparisons for r in comparison.ratios]
    return [
        DotPanel(
            title=comparison.title,
            axis=f"{comparison.metric} of {comparison.baseline} ÷ "
            f"{comparison.metric} of {comparison.candidate}",
            dots=tuple(_dot(comparison, ratio) for ratio in comparison.ratios),
            span=(min(values), max(values)),
            published=comparison.published,
        )
        for comparison in comparisons
    ]


def area_panels(records: Sequence[Record]) -> list[BarPanel]:
    """A panel for each library, all with the same parts; areas are per MAC."""
    splits = [_split(record) for record in records]
    parts = tuple(part for part in _PARTS if any(part in split for split in splits))
    return [
        BarPanel(
            title=library,
            axis=f"area per MAC, {group[0].area_unit}",
            parts=parts,
            bars=tuple(gathered((_bar(r, parts) for r in group), lambda bar: bar.heading)),
        )
        for library, group in grouped(records, lambda r: r.library).items()
    ]


def _dot(comparison: Comparison, ratio: Ratio) -> Dot:
    architectures = comparison.architectures(ratio)
    return Dot(
        design_title(ratio.design, ratio.parameters),
        f"{ratio.library}, {architectures}" if architectures else ratio.library,
        ratio.ratio,
    )


def _bar(record: Record, parts: Sequence[str]) -> Bar:
    macs = record.products_per_cycle
    split = _split(record)
    return Bar(
        design_title(record.design, record.parameters),
        _label(record),
        tuple(split.get(part, 0.0) / macs for part in parts),
    )


def _label(record: Record) -> str:
    target = record.target_delay_ns
    return netlist(record) if target is None else f"{netlist(record)}, {number(target)} ns"


def _split(record: Record) -> dict[str, float]:
    """Parts of an area; products and sums that were made together are one part."""
    split = record.area_split
    parts = {"registers": split.registers, "control": split.control}
    if split.products is None:
        return parts | {"products and sums": split.accumulation}
    return parts | {"products": split.products, "accumulation": split.accumulation}
