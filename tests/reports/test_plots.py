"""Plots show what their panels say, whatever the settings of matplotlib."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace

from dintmac.reports.comparisons import compare
from dintmac.reports.labels import short_title
from dintmac.reports.panels import Bar, BarPanel, Dot, DotPanel, growth_panels, ratio_panels
from dintmac.reports.plots import darkened, draw
from dintmac.reports.report import read_report
from dintmac.synth.ratios import Ratio, Side, ratios_of

RATIOS = DotPanel(
    title="INT8 booth ÷ dINT4 digits, area",
    axis="area of INT8 booth ÷ area of dINT4 digits",
    dots=(Dot("MAC", "ge", 1.4), Dot("MAC", "sky", 1.5), Dot("tile", "ge", 1.8)),
    span=(0.9, 1.8),
    published=1.93,
)
AREAS = BarPanel(
    title="ge",
    axis="area per MAC, GE",
    parts=("registers", "products"),
    bars=(Bar("MAC", "INT8 booth", (100.0, 250.0)), Bar("MAC", "dINT4 digits", (80.0, 120.5))),
)


def texts(svg):
    """Texts of a plot, which matplotlib leaves as comments beside their outlines."""
    return re.findall("<!-- (.*?) -->", svg.decode())


def test_ratios_have_headings_libraries_values_and_the_published_ratio():
    shown = texts(draw([RATIOS], "svg"))
    assert [t for t in shown if t in {"MAC", "tile"}] == ["MAC", "tile"]
    assert {"ge", "sky", "1.40×", "1.50×", "1.80×", "published 1.93×"} <= set(shown)
    assert {RATIOS.title, RATIOS.axis} <= set(shown)


def test_bars_have_totals_units_and_a_legend():
    shown = set(texts(draw([AREAS], "svg")))
    assert {"350.0", "200.5", "registers", "products", "ge", "area per MAC, GE"} <= shown
    assert {"INT8 booth", "dINT4 digits"} <= shown


def test_panels_of_one_span_have_one_scale():
    low = DotPanel("low", "", (Dot("MAC", "ge", 0.9),), RATIOS.span, None)
    ticks = [
        [t for t in texts(draw([panel], "svg")) if re.fullmatch(r"\d(\.\d)?×", t)]
        for panel in (RATIOS, low)
    ]
    assert ticks[0] == ticks[1] != []


def test_a_dollar_is_a_dollar_and_a_long_name_is_cut():
    svg = draw([BarPanel("a$b$ \n c", "x" * 99, ("p",), (Bar("h", "l", (1.0,)),))], "svg")
    assert "x" * 63 + "…" in texts(svg)
    assert "a$b$ c" in texts(svg)


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_user_s_settings_do_not_change_a_plot(kind):
    plain = draw([RATIOS, AREAS], kind, columns=2)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "x"}):
        assert draw([RATIOS, AREAS], kind, columns=2) == plain


def test_the_dark_plot_has_no_colour_of_the_light_ground_or_ink():
    svg = draw([RATIOS], "svg")
    dark = darkened(svg)
    for colour in (b"#ffffff", b"#1c2330", b"#d5dae1"):
        assert colour in svg
        assert colour not in dark
    assert texts(dark) == texts(svg)


def test_matplotlib_is_not_loaded_before_something_is_drawn():
    script = "import sys, dintmac.reports.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def areas(library, design, ratio, **parameters):
    return Ratio(
        design=design,
        parameters=parameters,
        library=library,
        metric="area",
        delay_ns=None,
        baseline=Side("INT8", "booth"),
        candidate=Side("dINT4", "digits"),
        strongest=True,
        ratio=ratio,
        compared={"INT8": ["booth"], "dINT4": ["digits"]},
        missing={"INT8": [], "dINT4": []},
        extrapolated=False,
    )


def test_growth_orders_sizes_within_designs_and_keeps_single_buffers_apart():
    ratios = [
        areas("a", "dot", 1.6, lanes=16),
        areas("a", "dot", 1.4, lanes=4),
        areas("a", "pe", 1.8, lanes=16, outputs=4),
        areas("a", "pe", 1.7, lanes=16, outputs=4, double_buffered=0),
        areas("b", "pe", 1.9, lanes=16, outputs=4),
    ]
    first, second = growth_panels(ratios)
    assert first.places == ("dot 4", "dot 16", "pe 16×4", "pe 16×4 single-buffered")
    assert len(set(first.series)) == 3
    assert dict(first.lines)["smallest INT8 ÷ smallest dINT4"] == (1.4, 1.6, 1.8, 1.7)
    assert first.span == second.span == (1.4, 1.9)


def drawn_lines(panels, monkeypatch):
    """(title of the panel, label, place, value) of every mark that has been drawn."""
    marks = []

    def look(figure, *_, **__):
        for axes in figure.axes:
            places = [label.get_text() for label in axes.get_xticklabels()]
            named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            colours = {line.get_color(): label for label, line in named.items()}
            marks.extend(
                (axes.get_title("left"), colours[line.get_color()], places[x], y)
                for line in axes.get_lines()
                for x, y in zip(*line.get_data(), strict=True)
            )

    monkeypatch.setattr(Figure, "savefig", look)
    draw(panels, "png", columns=2)
    return marks


def test_growth_draws_what_its_labels_say_of_the_published_records(monkeypatch):
    """A label is a quotient of two smallest areas, which are looked up in the records here."""
    published = Path(__file__).resolve().parents[2] / "reports" / "published" / "report.json"
    records = read_report(published).records

    def smallest(side, library, place):
        booth, _, format = side.rpartition(" ")
        assert booth in ("", "Booth")
        return min(
            r.area
            for r in records
            if (r.configuration.format, r.library, r.target_delay_ns) == (format, library, None)
            and short_title(r.configuration) == place
            and (not booth or r.configuration.architecture.startswith("booth"))
        )

    marks = drawn_lines(growth_panels(ratios_of(records)), monkeypatch)
    for library, label, place, value in marks:
        baseline, candidate = re.fullmatch(r"smallest (.+) ÷ smallest (.+)", label).groups()
        quotient = smallest(baseline, library, place) / smallest(candidate, library, place)
        assert value == pytest.approx(quotient), (library, label, place)
    places = {(r.library, short_title(r.configuration)) for r in records}
    assert len(marks) == len(set(marks)) == 3 * len(places)


def test_all_panels_of_ratios_have_room_for_the_longest_note():
    def span(*ratios):
        panels = ratio_panels(compare(ratios))
        assert len({panel.span for panel in panels}) == 1
        return panels[0].span

    plain = areas("a", "dot", 1.6, lanes=16)
    other = areas("b", "dot", 1.7, lanes=16)
    named = replace(other, baseline=Side("INT8", "booth_folded_of_another_name"))
    # Architectures are noted where they differ.
    assert span(plain, other)[0] == span(plain, named)[0] == 1.6
    assert span(plain, other)[1] + 0.3 < span(plain, named)[1] < 4


def test_ratios_of_one_design_stand_under_one_heading():
    ratios = [
        areas(library, "dot", 1.5, lanes=lanes) for library in ("a", "b") for lanes in (4, 16)
    ]
    (panel,) = ratio_panels(compare(ratios))
    assert [dot.heading for dot in panel.dots] == 2 * ["dot product, 4 lanes"] + 2 * [
        "dot product, 16 lanes"
    ]
