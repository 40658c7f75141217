"""Evaluations of quantized models: ``evaluate.json``, and what is made from it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dintmac.golden.evaluation.tasks import Evaluation, Row
from dintmac.golden.files import Content, write_folder
from dintmac.golden.quantization.slac import ActivationRange, growth
from dintmac.reports import documents
from dintmac.reports.grouping import gathered, grouped
from dintmac.reports.labels import DASH, plural, times
from dintmac.reports.pages import plain_table, render_markdown
from dintmac.reports.panels import Bar, BarPanel, Line, LinePanel
from dintmac.reports.plots import draw
from dintmac.reports.tables import Group, Table

__all__ = [
    "FILES",
    "evaluation_table",
    "read_evaluation",
    "summary",
    "write_evaluation",
]

#: Files of an evaluation; without ranges there is no ranges.png.
FILES = ("evaluate.json", "evaluate.md", "errors.png", "layers.png", "scores.png", "ranges.png")


@dataclass(frozen=True)
class _Score:
    """How a score is shown."""

    column: str
    decimals: int
    title: str
    axis: str
    #: From the score to what the plot has.
    plotted: Callable[[float], float]
    #: Whether full precision has a value of its own.
    absolute: bool


_SCORES = {
    "cosine": _Score(
        "cosine",
        4,
        "Embeddings",
        "1 − cosine to full precision, %",
        lambda value: 100 * (1 - value),
        absolute=False,
    ),
    "perplexity": _Score(
        "perplexity", 3, "Perplexity", "perplexity", lambda value: value, absolute=True
    ),
    "divergence": _Score(
        "KL, nats",
        5,
        "Divergence",
        "Kullback-Leibler divergence from full precision, 10⁻³ nats",
        lambda value: 1000 * value,
        absolute=False,
    ),
    "accuracy": _Score(
        "accuracy", 3, "Questions", "share of right answers", lambda value: value, absolute=True
    ),
    "accuracy_per_character": _Score(
        "per character",
        3,
        "Questions, by likelihood per character",
        "share of right answers",
        lambda value: value,
        absolute=True,
    ),
}

_SETTINGS = {
    "quantized": "folders of packed codes",
    "activations": "range of activations",
    "signed_scale": "scales may be negative",
    "asymmetric": "weights have zero points",
    "alpha": "α of SmoothQuant",
    "damping": "damping of GPTQ",
    "calibration": "text of calibration",
    "calibration_tokens": "tokens of calibration",
    "length": "tokens in a sequence of calibration",
    "count": "sequences of calibration",
    "seed": "seed of their places",
    "text": "text of evaluation",
    "text_tokens": "tokens of evaluation",
    "context": "tokens in a window",
    "stride": "tokens from window to window",
    "questions": "questions",
    "shots": "solved questions in a prompt",
    "integer": "layers run in exact integers",
}


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> str:
    """Write an evaluation's files into a folder, all or nothing.

    The same evaluation gives the same bytes. Other files in the folder are left alone.

    Parameters
    ----------
    evaluation : Evaluation
        With one or more rows.
    folder : path
        Made if it does not exist.

    Returns
    -------
    str, the text of ``evaluate.json``.

    Raises
    ------
    ValueError
        If there are no rows, or ``folder`` is a file.
    OSError
        If the files cannot be written.
    """
    if not evaluation.rows:
        raise ValueError("an evaluation must have at least one row")
    # The order of layers and settings is theirs: keys are not sorted.
    text = documents.to_text(evaluation, sort_keys=False)
    contents = {"evaluate.json": text} | _render(evaluation)
    write_folder(Path(folder), contents, [name for name in FILES if name not in contents])
    return text


def read_evaluation(path: str | Path) -> Evaluation:
    """Read an ``evaluate.json``; ``write_evaluation`` renders it again.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no evaluation.
    """
    return documents.read(path, Evaluation, "an evaluation")


def summary(evaluation: Evaluation) -> str:
    """The table of an evaluation, and what its ranges say, as text for a terminal."""
    return "\n\n".join([plain_table(evaluation_table(evaluation)), *_conclusion(evaluation.ranges)])


def evaluation_table(evaluation: Evaluation) -> Table:
    """All variants, with full precision first."""
    scores = [name for name in _SCORES if name in evaluation.full_precision]
    columns = ("format", "method", "granularity", "scales")
    numbers = ("y, %", "rounding, %", "underflow, %", "zeros, %")
    first = ("float32", DASH, DASH, DASH, DASH, DASH, DASH, DASH)
    rows = [
        (*first, *_scores(evaluation.full_precision, scores)),
        *((*_cells(row), *_scores(row.scores, scores)) for row in evaluation.rows),
    ]
    return Table(
        title=f"{evaluation.model}, quantized",
        columns=(*columns, *numbers, *(_SCORES[name].column for name in scores)),
        numeric=(False,) * len(columns) + (True,) * (len(numbers) + len(scores)),
        groups=(Group("", tuple(rows)),),
    )


def _cells(row: Row) -> tuple[str, ...]:
    variant, error = row.variant, row.error
    return (
        variant.format,
        variant.method,
        variant.granularity,
        variant.search,
        *(f"{100 * part:.3f}" for part in (error.total, error.rounding, error.underflow)),
        f"{100 * error.underflowed:.1f}",
    )


def _scores(scores: dict[str, float], names: Sequence[str]) -> Iterator[str]:
    return (f"{scores[name]:.{_SCORES[name].decimals}f}" for name in names)


def _render(evaluation: Evaluation) -> dict[str, Content]:
    """The contents of all files but evaluate.json, by name."""
    errors, scores = _error_panels(evaluation.rows), _score_panels(evaluation)
    layers = _layer_panels(evaluation.rows)
    ranges = _range_panel(evaluation.ranges) if evaluation.ranges else None
    values = {
        "model": evaluation.model,
        "table": evaluation_table(evaluation),
        "errors_text": " ".join(panel.text for panel in errors),
        "scores_text": " ".join(panel.text for panel in scores),
        "layers_text": " ".join(panel.text for panel in layers),
        "ranges_text": ranges.text if ranges else "",
        "range_table": _range_table(evaluation.ranges) if ranges else None,
        "conclusion": " ".join(_conclusion(evaluation.ranges)),
        "settings": [
            (meaning, _plain(evaluation.settings[name]))
            for name, meaning in _SETTINGS.items()
            if name in evaluation.settings
        ],
    }
    contents: dict[str, Content] = {
        "evaluate.md": render_markdown(values, "evaluate.md.jinja"),
        "errors.png": draw(errors, "png", columns=2),
        "layers.png": draw(layers, "png"),
        "scores.png": draw(scores, "png", columns=2),
    }
    return contents | ({"ranges.png": draw([ranges], "png")} if ranges else {})


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or DASH
    return DASH if value is None else str(value)


def _label(row: Row) -> str:
    return f"{row.variant.format} {row.variant.method}"


def _heading(row: Row) -> str:
    return f"{row.variant.granularity}, {row.variant.search} scales"


def _bars(rows: Sequence[Row], lengths: Sequence[tuple[float, ...]]) -> tuple[Bar, ...]:
    bars = [Bar(_heading(r), _label(r), part) for r, part in zip(rows, lengths, strict=True)]
    return tuple(gathered(bars, lambda bar: bar.heading))


def _error_panels(rows: Sequence[Row]) -> list[BarPanel]:
    """The error of layer outputs, and the parts of it from the weights."""
    totals = [(100 * row.error.total,) for row in rows]
    parts = [(100 * row.error.rounding, 100 * row.error.underflow) for row in rows]
    axis = "squared error of layer outputs, % of their squares"
    return [
        BarPanel("Weights and activations: y", axis, ("y",), _bars(rows, totals)),
        BarPanel("Weights alone", axis, ("rounding", "underflow"), _bars(rows, parts)),
    ]


def _score_panels(evaluation: Evaluation) -> list[BarPanel]:
    """A panel for each score."""
    exact = evaluation.full_precision
    return [_score_panel(evaluation, name) for name in _SCORES if name in exact]


def _score_panel(evaluation: Evaluation, name: str) -> BarPanel:
    score, rows = _SCORES[name], evaluation.rows
    bars = _bars(rows, [(score.plotted(row.scores[name]),) for row in rows])
    if score.absolute:
        bars = (Bar("", "float32", (score.plotted(evaluation.full_precision[name]),)), *bars)
    return BarPanel(score.title, score.axis, (name,), bars)


def _layer_panels(rows: Sequence[Row]) -> list[LinePanel]:
    """The error by layer, a panel for each kind of scales."""
    return [
        LinePanel(
            f"Error by layer: {heading}",
            "linear layer, in the order of the forward pass",
            "y, %",
            tuple(
                Line(
                    row.variant.format,
                    row.variant.method,
                    tuple(100 * error.total for error in row.layers.values()),
                )
                for row in group
            ),
        )
        for heading, group in grouped(rows, _heading).items()
    ]


def _range_panel(ranges: Sequence[ActivationRange]) -> LinePanel:
    return LinePanel(
        "Range of activations by length of the sequences",
        "linear layer, in the order of the forward pass",
        "greatest magnitude of the inputs",
        tuple(
            Line("", plural(length, "token"), tuple(r.maximum for r in group))
            for length, group in grouped(ranges, lambda r: r.length).items()
        ),
    )


def _range_table(ranges: Sequence[ActivationRange]) -> Table:
    lengths = list(grouped(ranges, lambda r: r.length))
    rows = tuple(
        (layer, *(f"{r.maximum:.3g}" for r in group))
        for layer, group in grouped(ranges, lambda r: r.layer).items()
    )
    return Table(
        title="Greatest magnitude of the inputs",
        columns=("linear layer", *(plural(length, "token") for length in lengths)),
        numeric=(False, *(True for _ in lengths)),
        groups=(Group("", rows),),
    )


def _conclusion(ranges: Sequence[ActivationRange]) -> list[str]:
    """What the ranges say about calibration at the length of the task; empty without them."""
    if not ranges:
        return []
    lengths: list[Any] = sorted({r.length for r in ranges})
    return [
        f"Ranges of activations at {lengths[-1]} tokens are {times(growth(ranges))} those at "
        f"{lengths[0]} (median of the layers): near 1, calibration at the length of the task "
        "gains nothing."
    ]
