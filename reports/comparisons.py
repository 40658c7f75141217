"""Ratios grouped by what is compared, and what they say about the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dintmac.reports.grouping import gathered, grouped
from dintmac.reports.labels import case, design_name, plural, times
from dintmac.synth.ratios import Ratio, Variant

__all__ = ["AREA_SCOPE", "PUBLISHED", "Comparison", "compare", "conclusion", "metric_of", "places"]

#: What INT8 takes, in units of dINT4, both with INT8 activations, by metric: from reviews of the
#: paper (EMNLP 2023, arXiv 2311.05161). Power at equal throughput is energy for each MAC.
PUBLISHED = {"area": 1.93, "energy": 2.56}

#: What is in an area and what is not.
AREA_SCOPE = (
    "Areas are sums of mapped cells: they include registers, accumulators and handshakes, and "
    "exclude place and route, the clock tree and memories."
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
    """What the measured ratios say about the published ones: sentences of one paragraph."""
    claimed = {c.metric: c for c in comparisons if c.published is not None}
    return [
        "The paper behind dINT (EMNLP 2023, arXiv 2311.05161) is reported to claim for INT8 "
        f"against dINT4 weights {times(PUBLISHED['area'])} in area and "
        f"{times(PUBLISHED['energy'])} in power, which is energy at equal throughput.",
        *(_claimed(c) for c in claimed.values()),
        *(
            f"No {metric} of INT8 and dINT4 was compared, so nothing is said of {times(ratio)}."
            for metric, ratio in PUBLISHED.items()
            if metric not in claimed
        ),
        *(
            _denormals(c)
            for c in comparisons
            if (c.formats, c.metric) == (("INT4", "dINT4"), "area")
        ),
        AREA_SCOPE,
    ]


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
    return (
        f"Here the {comparison.metric} of {_with_names(r.baseline for r in ratios)} is "
        f"{_span(ratios)} that of {_with_names(r.candidate for r in ratios)}, in {places(ratios)}; "
        f"it reaches {times(published)} in {reached} of {plural(len(ratios), 'case')}."
    )


def _denormals(comparison: Comparison) -> str:
    """What dINT4 takes more than INT4."""
    costs = sorted(100 * (1 / r.ratio - 1) for r in comparison.ratios)
    least, greatest = (f"{cost:+.1f} %".replace("-", "−") for cost in (costs[0], costs[-1]))
    span = least if least == greatest else f"{least} to {greatest}"
    return (
        f"The denormals cost {span} of area: {_with_names(r.candidate for r in comparison.ratios)} "
        f"against {_with_names(r.baseline for r in comparison.ratios)}, "
        f"in {places(comparison.ratios)}."
    )


def _span(ratios: Sequence[Ratio]) -> str:
    least = min(ratios, key=lambda r: r.ratio)
    greatest = max(ratios, key=lambda r: r.ratio)
    if times(least.ratio) == times(greatest.ratio):
        return times(least.ratio)
    return f"{_placed(least)} to {_placed(greatest)}"


def _placed(ratio: Ratio) -> str:
    return f"{times(ratio.ratio)} ({design_name(ratio.design)}, {ratio.library})"


def _with_names(variants: Iterable[Variant]) -> str:
    """``INT8 booth``, or ``the best INT8 (booth or pair)`` with all that it is somewhere."""
    listed = list(variants)
    architectures = list(dict.fromkeys(variant.architecture for variant in listed))
    if len(architectures) == 1:
        return _named(listed)
    *firsts, last = architectures
    return f"the best {listed[0].format} ({', '.join(firsts)} or {last})"


def _named(variants: Sequence[Variant]) -> str:
    architectures = {variant.architecture for variant in variants}
    name = architectures.pop()
    return f"best {variants[0].format}" if architectures else f"{variants[0].format} {name}"
