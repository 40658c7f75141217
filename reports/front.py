"""Accuracy against hardware: which weight formats are on the Pareto front.

A report says what a format's MAC takes, an evaluation what the format does to a model; here the
two are joined by the names of the formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dintmac.golden.evaluation.tasks import Evaluation, Row
from dintmac.golden.files import Content, write_folder
from dintmac.golden.quantization.grids import NF4, whole_levels
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import DASH, number, short_title
from dintmac.reports.pages import plain_table, render_markdown
from dintmac.reports.panels import FrontLine, FrontPanel
from dintmac.reports.plots import draw
from dintmac.reports.tables import Group, Table
from dintmac.synth.curves import front
from dintmac.synth.records import Record

__all__ = ["FILES", "Front", "Point", "front_tables", "fronts", "summary", "write_front"]

#: Files of a front.
FILES = ("front.md", "front.png")


@dataclass(frozen=True)
class _Measure:
    """What a format loses: its column and axis, and how it follows from a row of an evaluation."""

    column: str
    axis: str
    loss: Callable[[Row], float]


#: Less is better in all of them. All but the first are scores of an evaluation.
_MEASURES = {
    "y": _Measure("y, %", "squared error of outputs, %", lambda row: 100 * row.error.total),
    "cosine": _Measure(
        "1 − cosine, %",
        "1 − cosine of embeddings, %",
        lambda row: 100 * (1 - row.scores["cosine"]),
    ),
    "perplexity": _Measure("perplexity", "perplexity", lambda row: row.scores["perplexity"]),
    "divergence": _Measure(
        "KL, 10⁻³ nats",
        "Kullback-Leibler divergence, 10⁻³ nats",
        lambda row: 1000 * row.scores["divergence"],
    ),
    "accuracy": _Measure(
        "wrong, %", "share of wrong answers, %", lambda row: 100 * (1 - row.scores["accuracy"])
    ),
}


@dataclass(frozen=True)
class Point:
    """A format: what a MAC takes in the best of its architectures, and what the model loses."""

    format: str
    architecture: str
    cost: float
    loss: float


@dataclass(frozen=True)
class Front:
    """Formats on one design, quantized in one way.

    Attributes
    ----------
    place : str
        Library and design.
    scheme : str
        Method, granularity and scales of the quantization.
    metric : str
        What a MAC takes: ``area`` or ``energy``.
    unit : str
        Of the metric.
    measure : str
        What the model loses: ``y`` (the squared error of the outputs of layers) or a score.
    points : one or more Point
        By growing cost.
    """

    place: str
    scheme: str
    metric: str
    unit: str
    measure: str
    points: tuple[Point, ...]

    @cached_property
    def best(self) -> tuple[Point, ...]:
        """The points that no other beats in both, by growing cost."""
        return tuple(front(self.points, lambda point: (point.cost, point.loss)))

    def beaten_by(self, point: Point) -> Point | None:
        """The most accurate point that takes no more, or None for one of the front."""
        if point in self.best:
            return None
        return [other for other in self.best if other.cost <= point.cost][-1]


def fronts(records: Sequence[Record], evaluation: Evaluation) -> list[Front]:
    """Join measurements and an evaluation by the names of formats.

    Parameters
    ----------
    records : sequence of Record
        Those mapped for the smallest area count. In each metric the best architecture of a format
        stands for it.
    evaluation : Evaluation

    Returns
    -------
    list of Front: for each library and design, scheme, measure and metric. Without energies there
    is none of that metric.

    Raises
    ------
    ValueError
        If they have no format in common.
    """
    measured = {r.configuration.format for r in records}
    common = measured & {row.variant.format for row in evaluation.rows}
    if not common:
        raise ValueError("report and evaluation must have a format in common")
    smallest = [r for r in records if r.target_delay_ns is None]
    kept = [r for r in smallest if r.configuration.format in common]
    rows = [row for row in evaluation.rows if row.variant.format in common]
    return [
        Front(place, scheme, metric, unit, measure, _points(best, group, _MEASURES[measure].loss))
        for place, here in grouped(kept, _place).items()
        for measure in ("y", *(m for m in _MEASURES if m in evaluation.full_precision))
        for metric, unit, best in _metrics(here)
        for scheme, group in grouped(rows, _scheme).items()
    ]


def write_front(records: Sequence[Record], evaluation: Evaluation, folder: str | Path) -> None:
    """Write ``front.md`` and ``front.png`` into a folder, all or nothing.

    The same arguments give the same bytes. Other files in the folder are left alone.

    Raises
    ------
    ValueError
        As :func:`fronts`, or if ``folder`` is a file.
    OSError
        If the files cannot be written.
    """
    found = fronts(records, evaluation)
    panels = _panels(found)
    metrics = len({one.metric for one in found})
    values = {
        "model": evaluation.model,
        "tables": front_tables(found),
        "text": " ".join(panel.text for panel in panels),
        "unmeasured": ", ".join(_unmeasured(found, evaluation)),
        "nf4": nf4_note(),
    }
    contents: dict[str, Content] = {
        "front.md": render_markdown(values, "front.md.jinja"),
        "front.png": draw(panels, "png", columns=metrics),
    }
    write_folder(Path(folder), contents)


def summary(records: Sequence[Record], evaluation: Evaluation) -> str:
    """The tables as text for a terminal."""
    tables = front_tables(fronts(records, evaluation))
    return "\n\n".join(f"{table.title}\n{plain_table(table)}" for table in tables)


def nf4_note(tolerance: float = 0.01) -> str:
    """Why NF4 has no MAC, in a sentence."""
    greatest = int(np.abs(whole_levels(NF4, tolerance)).max())
    return (
        "NF4 has no MAC here: its levels are no small integers. To have each within "
        f"{100 * tolerance:g} %, a MAC would look up integers of {greatest.bit_length() + 1} bits, "
        f"up to {greatest}, and multiply these."
    )


def _metrics(records: Sequence[Record]) -> Iterator[tuple[str, str, dict[str, tuple[float, str]]]]:
    """Metrics that were measured, their units, and the best value and architecture by format."""
    yield "area", records[0].area_unit, _best(records, lambda r: r.area / r.products_per_cycle)
    powered = [r for r in records if r.power is not None]
    if powered:
        yield "energy", "fJ", _best(powered, _energy)


def _best(
    records: Iterable[Record], value: Callable[[Record], float]
) -> dict[str, tuple[float, str]]:
    return {
        format: min((value(r), r.configuration.architecture) for r in group)
        for format, group in grouped(records, lambda r: r.configuration.format).items()
    }


def _energy(record: Record) -> float:
    assert record.power is not None
    return record.power.energy_per_mac_fj


def _points(
    best: dict[str, tuple[float, str]], rows: Iterable[Row], loss: Callable[[Row], float]
) -> tuple[Point, ...]:
    points = [
        Point(format, best[format][1], best[format][0], loss(row))
        for format, row in ((row.variant.format, row) for row in rows)
        if format in best
    ]
    return tuple(sorted(points, key=lambda point: point.cost))


def _place(record: Record) -> str:
    return f"{record.library}, {short_title(record.configuration)}"


def _scheme(row: Row) -> str:
    variant = row.variant
    return f"{variant.method}, {variant.granularity}, {variant.search} scales"


def _unmeasured(found: Sequence[Front], evaluation: Evaluation) -> list[str]:
    """Formats that were evaluated alone."""
    measured = {point.format for one in found for point in one.points}
    formats = dict.fromkeys(row.variant.format for row in evaluation.rows)
    return [format for format in formats if format not in measured]


def front_tables(found: Sequence[Front]) -> list[Table]:
    """Tables of fronts, one for each library, design and scheme, with a row for each format."""
    groups = grouped(found, lambda one: (one.place, one.scheme))
    return [_table(f"{place}; {scheme}", group) for (place, scheme), group in groups.items()]


def _table(title: str, group: Sequence[Front]) -> Table:
    """Costs, losses, and for each front whether a format is on it, or what is better."""
    metrics = [ones[0] for ones in grouped(group, lambda one: one.metric).values()]
    measures = [ones[0] for ones in grouped(group, lambda one: one.measure).values()]
    columns = [
        ("format", False),
        *(
            column
            for one in metrics
            for column in ((f"{one.metric}, {one.unit}/MAC", True), ("architecture", False))
        ),
        *((_MEASURES[one.measure].column, True) for one in measures),
        *((f"{one.measure} by {one.metric}", False) for one in group),
    ]
    rows = [
        (
            format,
            *(cell for one in metrics for cell in _cost(one, format)),
            *(_loss(one, format) for one in measures),
            *(_standing(one, format) for one in group),
        )
        for format in (point.format for point in group[0].points)
    ]
    return Table(
        title=title,
        columns=tuple(name for name, _ in columns),
        numeric=tuple(numeric for _, numeric in columns),
        groups=(Group("", tuple(rows)),),
    )


def _cost(one: Front, format: str) -> tuple[str, str]:
    point = _of(one, format)
    return (number(point.cost), point.architecture) if point else (DASH, DASH)


def _of(one: Front, format: str) -> Point | None:
    return next((point for point in one.points if point.format == format), None)


def _loss(one: Front, format: str) -> str:
    point = _of(one, format)
    return DASH if point is None else f"{point.loss:.3f}"


def _standing(one: Front, format: str) -> str:
    point = _of(one, format)
    if point is None:
        return DASH
    better = one.beaten_by(point)
    return "front" if better is None else f"{better.format} is better"


def _panels(found: Sequence[Front]) -> list[FrontPanel]:
    """A panel for each library, design, measure and metric, with a line for each scheme."""
    groups = grouped(found, lambda one: (one.place, one.measure, one.metric))
    return [
        FrontPanel(
            title=f"{place}, {measure} by {metric}",
            axis=f"{metric} per MAC, {group[0].unit}",
            value_axis=_MEASURES[measure].axis,
            lines=tuple(
                FrontLine(
                    one.scheme,
                    tuple((p.format, p.cost, p.loss, p in one.best) for p in one.points),
                )
                for one in group
            ),
        )
        for (place, measure, metric), group in groups.items()
    ]
