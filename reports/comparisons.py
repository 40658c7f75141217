"""Ratios grouped by what is compared, and what they say about the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dintmac.reports.grouping import gathered, grouped
from dintmac.reports.labels import (
    case,
    change,
    listed,
    mark,
    plural,
    short_case,
    times,
    times_of,
)
from dintmac.synth.ratios import Ratio, Side
from dintmac.synth.records import EXTRAPOLATED, FAR

__all__ = [
    "AREA_SCOPE",
    "EXTRAPOLATION",
    "PUBLISHED",
    "Comparison",
    "compare",
    "conclusion",
    "metric_of",
    "places",
    "sizes",
]

#: What INT8 takes, in units of dINT4, both with INT8 activations, by metric: from reviews of the
#: paper (EMNLP 2023, arXiv 2311.05161). Power at equal throughput is energy for each MAC.
PUBLISHED = {"area": 1.93, "energy": 2.56}

#: What is in an area and what is not.
AREA_SCOPE = (
    "Areas are sums of mapped cells. They include registers, accumulators and handshakes. They "
    "exclude place and route, the clock tree and memories."
)

#: What the mark of an energy says.
EXTRAPOLATION = (
    f"Energies marked † are extrapolated. More than {100 * EXTRAPOLATED:g} % of the arcs, or of "
    f"the energy itself, is read at more than {FAR:g} times the last slew or load of the library's "
    "tables."
)


@dataclass(frozen=True)
class Comparison:
    """All ratios of one metric between one format and another.

    Attributes
    ----------
    metric : str
        What is divided: ``area``, ``area at equal delay`` or ``energy``.
    formats : (str, str)
        Of baseline and candidate.
    ratios : one or more Ratio
        Those of a design one after the other.
    """

    metric: str
    formats: tuple[str, str]
    ratios: tuple[Ratio, ...]

    @property
    def baseline(self) -> str:
        """The dividend, such as ``INT8 booth``, or ``best INT8`` if that is not one everywhere."""
        return _named([r.baseline for r in self.ratios])

    @property
    def candidate(self) -> str:
        """The divisor, such as ``dINT4 digits``, or ``best dINT4``."""
        return _named([r.candidate for r in self.ratios])

    @property
    def title(self) -> str:
        """What is divided by what."""
        return f"{self.baseline} ÷ {self.candidate}, {self.metric}"

    @property
    def published(self) -> float | None:
        """The published ratio of this comparison."""
        return PUBLISHED.get(self.metric) if self.formats == ("INT8", "dINT4") else None

    @property
    def ends(self) -> tuple[Ratio, Ratio]:
        """The least and the greatest ratio."""
        values = sorted(self.ratios, key=lambda r: r.ratio)
        return values[0], values[-1]

    @property
    def common(self) -> str:
        """The ratio that is printed everywhere; empty if they differ."""
        first, *others = {times(r.ratio) for r in self.ratios}
        return "" if others else first + mark(any(r.extrapolated for r in self.ratios))

    def compared(self, ratio: Ratio) -> str:
        """How many of the architectures that are built were compared: ``9 of 9 ÷ 3 of 4``."""
        counts = [(len(ratio.compared[f]), len(ratio.missing[f])) for f in self.formats]
        return " ÷ ".join(f"{found} of {found + missing}" for found, missing in counts)

    def architectures(self, ratio: Ratio) -> str:
        """Those of one ratio, such as ``booth ÷ digits``, unless all have the same."""
        if len({(r.baseline, r.candidate) for r in self.ratios}) == 1:
            return ""
        return f"{ratio.baseline.architecture} ÷ {ratio.candidate.architecture}"


def compare(ratios: Sequence[Ratio]) -> list[Comparison]:
    """Group the ratios of the strongest baselines by metric and formats: published ones first."""
    strongest = [r for r in ratios if r.strongest]
    groups = grouped(strongest, lambda r: (metric_of(r), r.baseline.format, r.candidate.format))
    comparisons = [
        Comparison(metric, (baseline, candidate), tuple(gathered(group, lambda r: r.design)))
        for (metric, baseline, candidate), group in groups.items()
    ]
    return sorted(comparisons, key=lambda c: c.published is None)


def conclusion(comparisons: Sequence[Comparison]) -> list[str]:
    """What the measured ratios say about the published ones: paragraphs of short sentences."""
    claimed = {c.metric: c for c in comparisons if c.published is not None}
    return [
        "The paper behind dINT (EMNLP 2023, arXiv 2311.05161) is reported to claim that INT8 "
        f"weights take {times(PUBLISHED['area'])} the area and {times(PUBLISHED['energy'])} the "
        "power of dINT4 weights. Power at equal throughput is energy.",
        *(
            _claimed(claimed[metric])
            if metric in claimed
            else f"No {metric} of INT8 and dINT4 was compared: nothing is said of {times(ratio)}."
            for metric, ratio in PUBLISHED.items()
        ),
        *(
            _denormals(c)
            for c in comparisons
            if (c.formats, c.metric) == (("INT4", "dINT4"), "area")
        ),
        *([_completeness(comparisons)] if comparisons else []),
        AREA_SCOPE,
        *([EXTRAPOLATION] if any(r.extrapolated for c in comparisons for r in c.ratios) else []),
    ]


def sizes(ratios: Sequence[Ratio], others: Sequence[Ratio]) -> str:
    """Sizes of designs, such as ``mac and dot 16``; with libraries unless all of ``others``."""
    by_size, every = grouped(ratios, short_case), grouped(others, short_case)
    return listed(
        size
        if {r.library for r in group} == {r.library for r in every[size]}
        else f"{size} in {listed(dict.fromkeys(r.library for r in group))}"
        for size, group in by_size.items()
    )


def places(ratios: Sequence[Ratio]) -> str:
    """Where ratios were measured, such as ``4 designs and 3 libraries``."""
    designs = len({case(r) for r in ratios})
    libraries = len({r.library for r in ratios})
    return f"{plural(designs, 'design')} and {plural(libraries, 'library', 'libraries')}"


def metric_of(ratio: Ratio) -> str:
    """What a ratio divides, such as ``area at equal delay``."""
    return ratio.metric if ratio.delay_ns is None else f"{ratio.metric} at equal delay"


def _claimed(comparison: Comparison) -> str:
    """Range of a published ratio, and in how many places it is reached."""
    published = comparison.published or 0.0
    ratios = comparison.ratios
    reached = sum(round(r.ratio, 2) >= published for r in ratios)  # as it is printed
    sides = [r.baseline for r in ratios], [r.candidate for r in ratios]
    baseline, candidate = map(_with_article, sides)
    sentences = [
        f"{_capitalized(baseline)} takes {_span(comparison)} the {comparison.metric} of "
        f"{candidate}, in {places(ratios)}.",
        f"{times(published)} is reached in {reached} of {plural(len(ratios), 'case')}.",
        *map(_winners, sides),
    ]
    return " ".join(filter(None, sentences))


def _denormals(comparison: Comparison) -> str:
    """What dINT4 takes more than INT4."""
    ratios = comparison.ratios
    costs = sorted(1 / r.ratio for r in ratios)
    least, greatest = change(costs[0]), change(costs[-1])
    span = least if least == greatest else f"{least} to {greatest}"
    candidate = _with_article([r.candidate for r in ratios])
    baseline = _with_article([r.baseline for r in ratios])
    return (
        f"The denormals cost {span} of area: {candidate} against {baseline}, in {places(ratios)}."
    )


def _span(comparison: Comparison) -> str:
    """Least and greatest ratio, each with where it was measured and the architectures there."""
    return comparison.common or " to ".join(
        f"{times_of(r)} ({', '.join(filter(None, [_place(r), comparison.architectures(r)]))})"
        for r in comparison.ends
    )


def _place(ratio: Ratio) -> str:
    return f"{short_case(ratio)} in {ratio.library}"


def _completeness(comparisons: Sequence[Comparison]) -> str:
    """Whether a best is that of all architectures that are built, by metric."""
    ratios = [r for comparison in comparisons for r in comparison.ratios]
    metrics = grouped(grouped(ratios, metric_of).items(), lambda item: _missing(item[1]))
    return " ".join(
        f"In {listed(metric for metric, _ in group)} {text}." for text, group in metrics.items()
    )


def _missing(ratios: Sequence[Ratio]) -> str:
    lacking = [r for r in ratios if any(r.missing.values())]
    if not lacking:
        return "all architectures that are built were compared"
    return f"some architectures that are built were left out at {sizes(lacking, ratios)}"


def _winners(sides: Sequence[Side]) -> str:
    """A sentence of what the best of a format is, unless that is one everywhere."""
    names = list(dict.fromkeys(side.architecture for side in sides))
    return f"The best {sides[0].format} is {listed(names, 'or')}." if len(names) > 1 else ""


def _with_article(sides: Sequence[Side]) -> str:
    """``INT8 booth``, or ``the best INT8`` if that is not one everywhere."""
    name = _named(sides)
    return f"the {name}" if name.startswith("best ") else name


def _capitalized(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _named(sides: Sequence[Side]) -> str:
    architectures = {side.architecture for side in sides}
    name = architectures.pop()
    return f"best {sides[0].format}" if architectures else f"{sides[0].format} {name}"
