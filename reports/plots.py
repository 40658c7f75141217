"""Plots: ratios, values in parts, lines over sizes or layers, and fronts."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from dintmac.reports.labels import number, times
from dintmac.reports.panels import BarPanel, DotPanel, FrontPanel, GrowthPanel, LinePanel, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["darkened", "draw"]

#: Okabe and Ito's colours, which people tell apart whatever their colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#999999")
_CLAIM = "#D55E00"
#: Parts of areas and energies, alike in both.
_PARTS = {
    "registers": "#0072B2",
    "products": "#E69F00",
    "accumulation": "#009E73",
    "products and sums": "#CC79A7",
    "control": "#999999",
    "clock": "#56B4E9",
    "inputs": "#F0E442",
    "leakage": "#1c1c1c",
}
_MARKERS = "osD^vP"
_DASHES = ("-", "--", ":", "-.")
_INK, _FAINT, _PAPER = "#1c2330", "#d5dae1", "#ffffff"
_DARK = {_INK: "#e4e7ec", _FAINT: "#3a4352", _PAPER: "#161b24"}
#: Ground under a text, at which the lines of the grid stop.
_PATCH = {"facecolor": _PAPER, "linewidth": 0, "pad": 1.0}

#: Where a name may stand beside a point of a front, right and above, the better first; beside
#: others the opposite.
_SIDES = ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, 0), (1, 0), (0, -1), (0, 1))

_WIDTH = 5.4  # inches a panel
_ROW = 0.21
_MARGIN = 1.1
_LINE_PANEL = 3.2  # inches
_FRONT_PANEL = 4.2


def draw(
    panels: Sequence[Panel],
    kind: Literal["png", "svg"],
    *,
    columns: int = 1,
) -> bytes:
    """Draw panels in a grid; equal panels give equal bytes.

    Parameters
    ----------
    panels : one or more panels
        Drawn row by row.
    kind : "png" or "svg"
        Pixels at 200 a inch, or vectors.
    columns : int
        Panels side by side.
    """
    # Imported here: matplotlib takes most of a second, which --help should not wait for.
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(map(_height, row)) for row in rows]
    with _style():
        figure = Figure(figsize=(_WIDTH * columns, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
        for index, panel in enumerate(panels):
            axes = figure.add_subplot(grid[divmod(index, columns)])
            if isinstance(panel, DotPanel):
                _draw_dots(axes, panel)
            elif isinstance(panel, GrowthPanel):
                _draw_growth(axes, panel)
            elif isinstance(panel, BarPanel):
                _draw_bars(axes, panel)
            elif isinstance(panel, FrontPanel):
                _draw_fronts(axes, panel)
            else:
                _draw_lines(axes, panel)
        buffer = io.BytesIO()
        metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def darkened(svg: bytes) -> bytes:
    """The same plot in light ink on a dark ground."""
    for light, dark in _DARK.items():
        svg = svg.replace(light.encode(), dark.encode())
    return svg


@contextmanager
def _style() -> Iterator[None]:
    """The look of all plots, whatever the user's own settings of matplotlib say."""
    import matplotlib.style

    settings = {
        "axes.axisbelow": True,
        "axes.edgecolor": _FAINT,
        "axes.facecolor": _PAPER,
        "axes.grid": True,
        "axes.grid.axis": "x",
        "axes.labelcolor": _INK,
        "axes.labelsize": 8.5,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": _INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "figure.constrained_layout.h_pad": 0.12,
        "figure.constrained_layout.w_pad": 0.12,
        "figure.facecolor": _PAPER,
        "font.family": "DejaVu Sans",
        "font.size": 8.5,
        "grid.color": _FAINT,
        "grid.linewidth": 0.6,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "savefig.dpi": 200,
        "svg.hashsalt": "dintmac",
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "ytick.left": False,
    }
    with warnings.catch_warnings(), matplotlib.style.context(["default", settings]):
        # A library may have a name in a script that the font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _draw_dots(axes: Axes, panel: DotPanel) -> None:
    positions = _rows(axes, [(dot.heading, dot.label) for dot in panel.dots])
    labels = list(dict.fromkeys(dot.label for dot in panel.dots))
    for position, dot in zip(positions, panel.dots, strict=True):
        which = labels.index(dot.label)
        axes.plot(
            dot.value,
            position,
            _MARKERS[which % len(_MARKERS)],
            color=_COLOURS[which % len(_COLOURS)],
            markersize=5.5,
        )
        _value(axes, dot.value, position, f"{times(dot.value)}  {_plain(dot.note)}".rstrip())
    axes.set_xlim(min(1.0, panel.span[0]) - 0.15, max(2.0, panel.span[1]) + 0.2)
    for whole in (1.0, 2.0):
        axes.axvline(whole, color=_INK, linewidth=0.9, zorder=0.5)
    if panel.published is not None:
        axes.axvline(panel.published, color=_CLAIM, linestyle="--", linewidth=1.1, zorder=0.6)
        _write(
            axes,
            f"published {times(panel.published)}",
            (panel.published, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-3, 1),
            ha="right",
            va="bottom",
            color=_CLAIM,
        )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_title(_plain(panel.title), pad=16)
    axes.set_xlabel(_plain(panel.axis))


def _draw_bars(axes: Axes, panel: BarPanel) -> None:
    positions = _rows(axes, [(bar.heading, bar.label) for bar in panel.bars])
    starts = [0.0] * len(panel.bars)
    for index, part in enumerate(panel.parts):
        lengths = [bar.lengths[index] for bar in panel.bars]
        axes.barh(
            positions,
            lengths,
            left=starts,
            height=0.74,
            label=_plain(part),
            color=_PARTS.get(part, _COLOURS[index % len(_COLOURS)]),
            edgecolor=_PAPER,
            linewidth=0.6,
        )
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    for position, total in zip(positions, starts, strict=True):
        _value(axes, total, position, number(total))
    axes.set_xlim(0, 1.16 * max(starts) or 1.0)
    axes.set_xlabel(_plain(panel.axis))
    if len(panel.parts) == 1:
        axes.set_title(_plain(panel.title), pad=10)
    else:
        _entitle(axes, panel.title, len(panel.parts), 3 if len(panel.parts) > 4 else 4, handle=1)


def _draw_lines(axes: Axes, panel: LinePanel) -> None:
    from matplotlib.ticker import MaxNLocator

    headings = list(dict.fromkeys(line.heading for line in panel.lines))
    labels = list(dict.fromkeys(line.label for line in panel.lines))
    for line in panel.lines:
        axes.plot(
            range(1, len(line.values) + 1),
            line.values,
            _DASHES[headings.index(line.heading) % len(_DASHES)],
            color=_COLOURS[labels.index(line.label) % len(_COLOURS)],
            linewidth=1.1,
            label=_plain(f"{line.heading} {line.label}"),
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _scale_by_powers(axes)
    axes.margins(x=0.01)
    axes.set_xlabel(_plain(panel.axis))
    axes.set_ylabel(_plain(panel.value_axis))
    _entitle(axes, panel.title, len(panel.lines), 3, handle=2)


def _scale_by_powers(axes: Axes) -> None:
    """A logarithmic scale of values with plain numbers."""
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y")


def _draw_fronts(axes: Axes, panel: FrontPanel) -> None:
    """Filled marks on the front, under a line, and hollow ones off it."""
    for index, line in enumerate(panel.lines):
        colour = _COLOURS[index % len(_COLOURS)]
        marker = _MARKERS[index % len(_MARKERS)]
        best = [(x, y) for _, x, y, is_best in line.points if is_best]
        axes.plot(
            *zip(*best, strict=True),
            marker=marker,
            color=colour,
            label=_plain(line.label),
            drawstyle="steps-post",
            markersize=5.5,
            linewidth=1.1,
        )
        for _, x, y, is_best in line.points:
            if not is_best:
                axes.plot(x, y, marker, color=colour, markersize=5.5, markerfacecolor=_PAPER)
    if all(y > 0 for line in panel.lines for _, _, y, _ in line.points):
        _scale_by_powers(axes)
    axes.margins(x=0.12, y=0.1)
    axes.autoscale_view()
    _name_points(axes, panel)
    axes.set_xlabel(_plain(panel.axis))
    axes.set_ylabel(_plain(panel.value_axis))
    _entitle(axes, panel.title, len(panel.lines), 2, handle=2)


def _name_points(axes: Axes, panel: FrontPanel) -> None:
    """Write names where they hide neither marks nor lines nor other names, as far as possible."""
    from matplotlib.transforms import Bbox

    def at(x: float, y: float) -> tuple[float, float]:
        pixels = axes.transData.transform((x, y))
        across, up = 72 / axes.figure.dpi * pixels
        return float(across), float(up)

    def box(x: float, y: float, width: float, height: float) -> Bbox:
        return Bbox.from_extents(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    taken = []
    for line in panel.lines:
        taken += [box(*at(x, y), 7, 7) for _, x, y, _ in line.points]
        best = [at(x, y) for _, x, y, is_best in line.points if is_best]
        for (x0, y0), (x1, y1) in pairwise(best):
            taken += [Bbox.from_extents(x0, y0, x1, y0 + 1), Bbox.from_extents(x1, y1, x1 + 1, y0)]
    for index, line in enumerate(panel.lines):
        for name, x, y, is_best in line.points:
            side = 1 if is_best else -1
            (across, up), width = at(x, y), 4.6 * len(_plain(name))
            places = [
                (side * right * (reach + width / 2), side * above * reach)
                for reach in (6, 9, 13, 18, 24)
                for right, above in _SIDES
            ]
            boxes = [box(across + dx, up + dy, width, 8) for dx, dy in places]
            free = [i for i, one in enumerate(boxes) if not one.count_overlaps(taken)]
            chosen = free[0] if free else 0
            taken.append(boxes[chosen])
            colour = _COLOURS[index % len(_COLOURS)]
            options = {"fontsize": 7, "color": colour, "ha": "center"}
            _write(axes, _plain(name), (x, y), xytext=places[chosen], **options)


def _draw_growth(axes: Axes, panel: GrowthPanel) -> None:
    positions = range(len(panel.places))
    for index, (name, values) in enumerate(panel.lines):
        points = list(zip(positions, values, panel.series, strict=True))
        for part, series in enumerate(dict.fromkeys(panel.series)):
            own = [(x, y) for x, y, other in points if other == series and y is not None]
            axes.plot(
                [x for x, _ in own],
                [y for _, y in own],
                marker=_MARKERS[index],
                color=_COLOURS[index],
                label=_plain(name) if part == 0 else None,
                markersize=4.5,
                linewidth=1.2,
            )
    low, high = panel.span
    room = 0.06 * (high - low) or 0.1
    axes.set_ylim(low - room, high + room)
    axes.grid(axis="y")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}×")
    axes.set_xticks(positions, [_plain(place) for place in panel.places], rotation=40, ha="right")
    axes.set_ylabel(_plain(panel.axis))
    _entitle(axes, panel.title, len(panel.lines), 2, handle=2)


def _entitle(axes: Axes, title: str, entries: int, columns: int, *, handle: int) -> None:
    """Put the legend above the axes, and the title above the legend."""
    axes.set_title(_plain(title), pad=10 + 12 * math.ceil(entries / columns))
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.995),
        ncols=columns,
        borderaxespad=0,
        handlelength=handle,
        handletextpad=0.4,
        columnspacing=1.2,
        labelspacing=0.2,
    )
    legend.set_in_layout(False)


def _rows(axes: Axes, names: Sequence[tuple[str, str]]) -> list[int]:
    """Lay out one line a label from top to bottom, and one before each new heading."""
    positions, line, last = [], 0, None
    for heading, _ in names:
        if heading != last:
            _write(
                axes,
                _plain(heading),
                (0, line),
                xycoords=("axes fraction", "data"),
                xytext=(2, 0),
                fontweight="bold",
                bbox=_PATCH,
            )
            last = heading
            line += 1
        positions.append(line)
        line += 1
    axes.set_yticks(positions, [_plain(label) for _, label in names])
    axes.set_ylim(line - 0.4, -0.6)
    return positions


def _height(panel: Panel) -> float:
    """Inches."""
    if isinstance(panel, FrontPanel):
        return _FRONT_PANEL
    if isinstance(panel, LinePanel | GrowthPanel):
        return _LINE_PANEL
    return _MARGIN + _ROW * _lines(panel)


def _lines(panel: DotPanel | BarPanel) -> int:
    items = panel.dots if isinstance(panel, DotPanel) else panel.bars
    headings = [item.heading for item in items]
    changes = sum(a != b for a, b in zip([None, *headings], headings, strict=False))
    return len(items) + changes


def _value(axes: Axes, x: float, y: float, text: str) -> None:
    _write(axes, text, (x, y), xytext=(6, 0), fontsize=7.5, bbox=_PATCH)


def _write(axes: Axes, text: str, point: tuple[float, float], **options: Any) -> None:
    """Write beside a point, within the room that the axes have anyway."""
    style: dict[str, Any] = {
        "textcoords": "offset points",
        "va": "center",
        "fontsize": 8,
        "in_layout": False,
    }
    axes.annotate(text, point, **style | options)


def _plain(text: str) -> str:
    """A name on one line of bearable length, in which a dollar does not begin a formula."""
    line = " ".join(text.split())
    short = line if len(line) <= 64 else line[:63] + "…"
    return short.replace("$", r"\$")
