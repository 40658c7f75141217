"""Ratios grouped by what is compared, and what they say about the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dintmac.reports.grouping import gathered, grouped
from dintmac.reports.labels import design_name, netlist, plural, times
from dintmac.synth.records import Ratio, Record

__all__ = ["AREA_SCOPE", "PUBLISHED", "Comparison", "compare", "conclusion", "places"]

#: What INT8 takes, in units of dINT4, both with INT8 activations, by metric: from reviews of the
#: paper (EMNLP 2023, arXiv 2311.05161).
PUBLISHED = {"area": 1.93, "power": 2.56}

#: What is in an area and what is not.
AREA_SCOPE = (
    "Areas are sums of mapped cells: they include registers, accumulators and handshakes, and "
    "exclude place and route, the clock tree and memories."
)


@dataclass(frozen=True)
class Comparison:
    """All ratios of one metric between one baseline and one candidate.

    Attributes
    ----------
    metric : str
        What is divided, such as ``area``.
    baseline, candidate : str
        Dividend and divisor, such as ``INT8 booth`` and ``dINT4 digits``.
    formats : (str, str)
        Their formats.
    ratios : one or more Ratio
        Those of a design one after the other.
    """

    metric: str
    baseline: str
    candidate: str
    formats: tuple[str, str]
    ratios: tuple[Ratio, ...]

    @property
    def title(self) -> str:
        """What is divided by what."""
        return f"{self.baseline} ÷ {self.candidate}, {self.metric}"

    @property
    def published(self) -> float | None:
        """The published ratio of this comparison."""
        return PUBLISHED.get(self.metric) if self.formats == ("INT8", "dINT4") else None


def compare(ratios: Sequence[Ratio]) -> list[Comparison]:
    """Group ratios by metric, baseline and candidate, in the order of their first appearance."""
    groups = grouped(ratios, lambda r: (r.metric, netlist(**r.baseline), netlist(**r.candidate)))
    return [
        Comparison(
            *key,
            formats=(group[0].baseline["format"], group[0].candidate["format"]),
            ratios=tuple(gathered(group, lambda r: r.design)),
        )
        for key, group in groups.items()
    ]


def conclusion(records: Sequence[Record], comparisons: Sequence[Comparison]) -> list[str]:
    """What the measured ratios say about the published ones: sentences of one paragraph."""
    claims = " and ".join(f"{times(ratio)} in {metric}" for metric, ratio in PUBLISHED.items())
    sentences = [
        "The paper behind dINT (EMNLP 2023, arXiv 2311.05161) is reported to claim for INT8 "
        f"against dINT4 weights {claims}."
    ]
    claimed = [c for c in comparisons if c.published is not None]
    sentences += [_claimed(c, records) for c in claimed]
    silent = PUBLISHED.keys() - {c.metric for c in claimed}
    sentences += [
        f"No {metric} was compared, so nothing is said of {times(ratio)}."
        for metric, ratio in PUBLISHED.items()
        if metric in silent
    ]
    sentences += [
        _denormals(c) for c in comparisons if c.formats == ("INT4", "dINT4") and c.metric == "area"
    ]
    return [*sentences, AREA_SCOPE]


def _claimed(comparison: Comparison, records: Sequence[Record]) -> str:
    """Range of a published ratio, and in how many places it is reached."""
    published = comparison.published or 0.0
    ratios = comparison.ratios
    reached = sum(round(r.ratio, 2) >= published for r in ratios)  # as it is printed
    sentence = (
        f"Here the {comparison.metric} of {comparison.baseline} is {_span(ratios)} that of "
        f"{comparison.candidate}, in {places(ratios)}; it reaches {times(published)} in "
        f"{reached} of {plural(len(ratios), 'case')}."
    )
    beaten = sum(_is_beaten(ratio, records) for ratio in ratios)
    if comparison.metric != "area" or not beaten:
        return sentence
    return (
        f"{sentence} In {beaten} of them a smaller {comparison.formats[0]} netlist was measured "
        "than this baseline."
    )


def _denormals(comparison: Comparison) -> str:
    """What dINT4 takes more than INT4."""
    costs = sorted(100 * (1 / r.ratio - 1) for r in comparison.ratios)
    least, greatest = (f"{cost:+.1f} %".replace("-", "−") for cost in (costs[0], costs[-1]))
    span = least if least == greatest else f"{least} to {greatest}"
    return (
        f"The denormals cost {span} of area: {comparison.candidate} against "
        f"{comparison.baseline}, in {places(comparison.ratios)}."
    )


def _span(ratios: Sequence[Ratio]) -> str:
    least = min(ratios, key=lambda r: r.ratio)
    greatest = max(ratios, key=lambda r: r.ratio)
    if times(least.ratio) == times(greatest.ratio):
        return times(least.ratio)
    return f"{_placed(least)} to {_placed(greatest)}"


def _placed(ratio: Ratio) -> str:
    return f"{times(ratio.ratio)} ({design_name(ratio.design)}, {ratio.library})"


def places(ratios: Sequence[Ratio]) -> str:
    """Where ratios were measured, such as ``4 designs and 3 libraries``."""
    designs = len({r.design for r in ratios})
    libraries = len({r.library for r in ratios})
    return f"{plural(designs, 'design')} and {plural(libraries, 'library', 'libraries')}"


def _is_beaten(ratio: Ratio, records: Sequence[Record]) -> bool:
    """Whether a smaller netlist of the baseline's format was measured than the baseline."""
    areas = {
        record.architecture: record.area
        for record in records
        if (record.library, record.design) == (ratio.library, ratio.design)
        and record.format == ratio.baseline["format"]
    }
    baseline = areas.get(ratio.baseline["architecture"])
    return baseline is not None and min(areas.values()) < baseline
