"""What the plots show: one panel a comparison or library, made from ratios and records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from dintmac.reports.comparisons import Comparison, metric_of
from dintmac.reports.grouping import gathered, grouped
from dintmac.reports.labels import (
    case,
    design_title,
    mark,
    netlist,
    number,
    short_title,
    times,
)
from dintmac.synth.ratios import Ratio
from dintmac.synth.records import Record, products_of

__all__ = [
    "Bar",
    "BarPanel",
    "Dot",
    "DotPanel",
    "FrontLine",
    "FrontPanel",
    "GrowthPanel",
    "Line",
    "LinePanel",
    "Panel",
    "area_panels",
    "energy_panels",
    "growth_panels",
    "ratio_panels",
]

_AREAS = ("registers", "products", "accumulation", "products and sums", "control")
_ENERGIES = (
    "clock",
    "registers",
    "products",
    "accumulation",
    "products and sums",
    "control",
    "inputs",
    "leakage",
)


#: Width of a character beside a dot, in widths of the axes.
_CHARACTER = 1 / 70


@dataclass(frozen=True)
class Dot:
    """A ratio and a note on it; dots that follow each other with one heading stand under it."""

    heading: str
    label: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class DotPanel:
    """Ratios of one metric between one baseline and one candidate.

    ``span`` is what all panels show, so that all have one scale: the least ratio, and the greatest,
    published ones included, or where the text beside one ends; ``published`` is a ratio to compare
    with, or None.
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
    """An area, or another value, in the parts that the panel names; headings as of dots."""

    heading: str
    label: str
    lengths: tuple[float, ...]


@dataclass(frozen=True)
class BarPanel:
    """Values of one kind, such as the areas of one library."""

    title: str
    axis: str
    parts: tuple[str, ...]
    bars: tuple[Bar, ...]

    @property
    def text(self) -> str:
        """What the plot shows, for those who do not see it."""
        split = f", split into {', '.join(self.parts)}" if len(self.parts) > 1 else ""
        return f"{self.title}, {self.axis}{split}; the tables have every value."


@dataclass(frozen=True)
class Line:
    """Positive values of items in order; lines of one heading look alike, and of one label."""

    heading: str
    label: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class LinePanel:
    """Values of the same items, once for each line."""

    title: str
    axis: str
    value_axis: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """What the plot shows, for those who do not see it."""
        return f"{self.title}: {self.value_axis} of every {self.axis.partition(',')[0]}."


@dataclass(frozen=True)
class GrowthPanel:
    """Values of several lines at the same places, None where there is none.

    Lines end where the series, of which each place has one, is another.
    """

    title: str
    axis: str
    places: tuple[str, ...]
    series: tuple[str, ...]
    lines: tuple[tuple[str, tuple[float | None, ...]], ...]
    span: tuple[float, float] = (1.0, 2.0)

    @property
    def text(self) -> str:
        """What the plot shows, for those who do not see it."""
        names = ", ".join(name for name, _ in self.lines)
        return f"{self.title}: {names}, at {', '.join(self.places)}; the tables have every value."


@dataclass(frozen=True)
class FrontLine:
    """Named points (name, x, y, whether no other is less in both), by growing x."""

    label: str
    points: tuple[tuple[str, float, float, bool], ...]


@dataclass(frozen=True)
class FrontPanel:
    """Points and their fronts: less is better in both directions."""

    title: str
    axis: str
    value_axis: str
    lines: tuple[FrontLine, ...]

    @property
    def text(self) -> str:
        """What the plot shows, for those who do not see it."""
        fronts = "; ".join(
            f"{line.label}: {', '.join(name for name, _, _, best in line.points if best)}"
            for line in self.lines
        )
        return f"{self.title}, {self.value_axis} against {self.axis}; fronts of {fronts}."


Panel = DotPanel | BarPanel | LinePanel | GrowthPanel | FrontPanel


def growth_panels(ratios: Sequence[Ratio]) -> list[GrowthPanel]:
    """How ratios of areas grow with the size of the design: a panel for each library."""
    areas = [r for r in ratios if metric_of(r) == "area" and r.baseline.format == "INT8"]
    panels = [
        _growth_panel(library, group)
        for library, group in grouped(areas, lambda r: r.library).items()
    ]
    values = [v for panel in panels for _, line in panel.lines for v in line if v is not None]
    return [replace(panel, span=(min(values), max(values))) for panel in panels]


def _growth_panel(library: str, ratios: Sequence[Ratio]) -> GrowthPanel:
    designs = grouped(ratios, _place)
    places = [place for group in grouped(ratios, _series).values() for place in _by_size(group)]
    lines = {
        "smallest INT8 ÷ smallest INT4": lambda r: _is(r, "INT8", "INT4") and r.strongest,
        "smallest INT8 ÷ smallest dINT4": lambda r: _is(r, "INT8", "dINT4") and r.strongest,
        "smallest Booth INT8 ÷ smallest dINT4": lambda r: _is(r, "INT8", "dINT4") and _is_booth(r),
    }
    return GrowthPanel(
        title=library,
        axis="ratio of areas",
        places=tuple(places),
        series=tuple(_series(designs[place][0]) for place in places),
        lines=tuple(
            (name, tuple(_least(filter(chosen, designs[place])) for place in places))
            for name, chosen in lines.items()
        ),
    )


def _place(ratio: Ratio) -> str:
    return short_title(ratio)


def _series(ratio: Ratio) -> str:
    """What designs that differ in size alone have in common."""
    return f"{ratio.design} {ratio.parameters.get('double_buffered', 1)}"


def _by_size(ratios: Sequence[Ratio]) -> list[str]:
    sizes = {_place(ratio): products_of(ratio.parameters) for ratio in ratios}
    return sorted(sizes, key=lambda place: sizes[place])


def _is(ratio: Ratio, baseline: str, candidate: str) -> bool:
    return (ratio.baseline.format, ratio.candidate.format) == (baseline, candidate)


def _is_booth(ratio: Ratio) -> bool:
    return ratio.baseline.architecture in ("booth", "booth_folded")


def _least(ratios: Iterable[Ratio]) -> float | None:
    return min((r.ratio for r in ratios), default=None)


def ratio_panels(comparisons: Sequence[Comparison]) -> list[DotPanel]:
    """A panel for each comparison, all with one scale."""
    values = [r.ratio for comparison in comparisons for r in comparison.ratios]
    values += [c.published for c in comparisons if c.published is not None]
    dots = [_dot(comparison, r) for comparison in comparisons for r in comparison.ratios]
    ends = [_end_of_text(dot, min(1.0, *values)) for dot in dots]
    return [
        DotPanel(
            title=comparison.title,
            axis=f"{comparison.metric} of {comparison.baseline} ÷ "
            f"{comparison.metric} of {comparison.candidate}",
            dots=tuple(
                gathered([_dot(comparison, r) for r in comparison.ratios], lambda d: d.heading)
            ),
            span=(min(values), max(*values, *ends)),
            published=comparison.published,
        )
        for comparison in comparisons
    ]


def _end_of_text(dot: Dot, left: float) -> float:
    """Where the text beside a dot ends, if axes begin at ``left`` and end there."""
    share = min(len(f"{times(dot.value)}  {dot.note}") * _CHARACTER, 0.8)
    return (dot.value - share * left) / (1 - share)


def area_panels(records: Sequence[Record]) -> list[BarPanel]:
    """Areas per MAC of each format's smallest netlist: a panel for each library."""
    smallest = _best(records, lambda r: r.area)
    splits = [
        (r, "", _scaled(structs.asdict(r.area_split), r.products_per_cycle)) for r in smallest
    ]
    return [
        _bar_panel(library, f"area per MAC, {group[0][0].area_unit}", group, _AREAS)
        for library, group in grouped(splits, lambda item: item[0].library).items()
    ]


def energy_panels(records: Sequence[Record]) -> list[BarPanel]:
    """Energies per MAC of each format's lowest-energy netlist: a panel for each library."""
    splits = [
        (r, mode + mark(power.is_extrapolated), _scaled(power.split_fj, 1))
        for r in _best(records, lambda r: r.power.energy_per_mac_fj if r.power else math.inf)
        for mode, power in (("", r.power), (", INT8 mode", r.power_int8))
        if power is not None
    ]
    return [
        _bar_panel(library, "energy per MAC, fJ", group, _ENERGIES)
        for library, group in grouped(splits, lambda item: item[0].library).items()
    ]


def _best(records: Sequence[Record], value: Callable[[Record], float]) -> list[Record]:
    """Of each library, design, format and target delay the record of the least value."""
    groups = grouped(
        records,
        lambda r: (
            r.library,
            design_title(r.configuration),
            r.configuration.format,
            r.target_delay_ns,
        ),
    )
    return [min(group, key=value) for group in groups.values()]


def _bar_panel(
    title: str,
    axis: str,
    splits: Sequence[tuple[Record, str, dict[str, float]]],
    parts: Sequence[str],
) -> BarPanel:
    present = tuple(part for part in parts if any(part in split for *_, split in splits))
    bars = [
        Bar(
            design_title(record.configuration),
            _label(record) + mode,
            tuple(split.get(part, 0.0) for part in present),
        )
        for record, mode, split in splits
    ]
    return BarPanel(title, axis, present, tuple(gathered(bars, lambda bar: bar.heading)))


def _scaled(split: Mapping[str, float | None], macs: int) -> dict[str, float]:
    """Parts for each MAC; products and sums that were made together are one part."""
    parts = {name: value / macs for name, value in split.items() if value is not None}
    if split["products"] is None:
        parts["products and sums"] = parts.pop("accumulation")
    return parts


def _dot(comparison: Comparison, ratio: Ratio) -> Dot:
    note = f"{mark(ratio.extrapolated)} {comparison.architectures(ratio)}".strip()
    return Dot(case(ratio), ratio.library, ratio.ratio, note)


def _label(record: Record) -> str:
    target = record.target_delay_ns
    name = netlist(record.configuration)
    return name if target is None else f"{name}, {number(target)} ns"
