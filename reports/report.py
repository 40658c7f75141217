"""Reports: ``report.json``, and the markdown, page and plots that are made from it alone."""

from __future__ import annotations

import base64
import contextlib
import textwrap
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from dintmac.golden.files import Content, write_folder
from dintmac.reports import documents
from dintmac.reports.comparisons import (
    AREA_SCOPE,
    EXTRAPOLATION,
    Comparison,
    compare,
    conclusion,
    places,
)
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import listed, number, plural, times_of
from dintmac.reports.pages import plain_table, render_html, render_markdown
from dintmac.reports.panels import (
    Panel,
    area_panels,
    energy_panels,
    growth_panels,
    ratio_panels,
)
from dintmac.reports.plots import darkened, draw
from dintmac.reports.tables import architecture_table, baseline_tables, library_table, ratio_table
from dintmac.synth.cache import Cache, CacheError, key_of
from dintmac.synth.ratios import Ratio
from dintmac.synth.records import Record, Stored

__all__ = ["FILES", "Report", "read_report", "report_text", "summary", "write_report"]

#: Files of a report; there is no picture of what was not measured.
FILES = (
    "report.json",
    "report.md",
    "report.html",
    "ratios.png",
    "growth.png",
    "areas.png",
    "energies.png",
)


class Report(Stored, frozen=True):
    """What ``report.json`` holds.

    Attributes
    ----------
    records : one or more Record
        One for each netlist measured; tables and plots keep their order.
    ratios : list of Ratio
        Ratios between them; may be empty.
    tools : dict of str to str
        Versions of the tools that measured, by name.
    """

    records: Annotated[list[Record], Meta(min_length=1)]
    ratios: list[Ratio]
    tools: dict[str, str]


def report_text(report: Report) -> str:
    """The text of ``report.json``; keys are sorted.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    return documents.to_text(report, sort_keys=True)


def write_report(report: Report, folder: str | Path) -> None:
    """Write a report's files into a folder, all or nothing.

    The same report gives the same bytes. Other files in the folder are left alone.

    Parameters
    ----------
    report : Report
        With one or more records.
    folder : path
        Made if it does not exist.

    Raises
    ------
    ValueError
        If there are no records, a number is not finite, or ``folder`` is a file.
    OSError
        If the files cannot be written.
    """
    if not report.records:
        raise ValueError("a report must have at least one record")
    contents = {"report.json": report_text(report)} | _render(report)
    write_folder(Path(folder), contents, [name for name in FILES if name not in contents])


def read_report(path: str | Path) -> Report:
    """Read a ``report.json``; :func:`write_report` renders it again.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a report.
    """
    return documents.read(path, Report, "a report")


def summary(report: Report) -> str:
    """What a report says, in short, as text for a terminal."""
    comparisons = compare(report.ratios)
    tables = [f"{table.title}\n{plain_table(table)}" for table in map(ratio_table, comparisons)]
    paragraphs = [textwrap.fill(text, 92) for text in conclusion(comparisons)]
    return "\n\n".join([*tables, *paragraphs, f"{_checks(report.records)}."])


def _render(report: Report) -> dict[str, Content]:
    """The contents of all files but report.json, by name."""
    comparisons = compare(report.ratios)
    libraries = grouped(report.records, lambda r: r.library).values()
    panels: dict[str, Sequence[Panel]] = {
        "ratios": ratio_panels(comparisons),
        "growth": growth_panels(report.ratios),
        "areas": area_panels(report.records),
        "energies": energy_panels(report.records),
    }
    values = {
        "formats": listed(dict.fromkeys(r.configuration.format for r in report.records)),
        "command": "dintmac report",
        "conclusion": conclusion(comparisons),
        "highlights": [_highlight(c) for c in comparisons],
        "architecture_table": architecture_table(comparisons),
        "ratio_tables": [ratio_table(c) for c in comparisons],
        "baseline_tables": baseline_tables(report.ratios),
        "library_tables": [library_table(group, report.ratios) for group in libraries],
        "has_undivided": any(r.area_split.products is None for r in report.records),
        "texts": {name: " ".join(p.text for p in group) for name, group in panels.items()},
        "method": _method(report),
    }
    figures = {name: [_figure(panel) for panel in group] for name, group in panels.items()}
    pictures: dict[str, Content] = {
        f"{name}.png": _drawn(group, "png", columns=2) for name, group in panels.items() if group
    }
    return pictures | {
        "report.md": render_markdown(values),
        "report.html": render_html(values | {"figures": figures}),
    }


def _figure(panel: Panel) -> dict[str, str]:
    """A plot in both colour schemes, as addresses that hold the picture itself."""
    svg = _drawn([panel], "svg")
    return {
        "text": panel.text,
        "light": _data_address(svg),
        "dark": _data_address(darkened(svg)),
    }


def _drawn(
    panels: Sequence[Panel],
    kind: Literal["png", "svg"],
    *,
    columns: int = 1,
) -> bytes:
    """:func:`draw`, from the cache of measurements: pictures take longer than all the rest."""
    code = [path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
    key = key_of("picture", version("matplotlib"), code, kind, columns, repr(panels))
    store = Cache()
    stored = store.load(key)
    if stored is not None:
        return base64.b64decode(stored["picture"])
    picture = draw(panels, kind, columns=columns)
    # A cache that cannot be written costs time, and nothing else.
    with contextlib.suppress(CacheError):
        store.store(key, {"picture": base64.b64encode(picture).decode()})
    return picture


def _data_address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _highlight(comparison: Comparison) -> dict[str, str]:
    """A comparison in a few words."""
    return {
        "title": comparison.title,
        "span": comparison.common or " – ".join(map(times_of, comparison.ends)),
        "places": places(comparison.ratios),
    }


def _method(report: Report) -> list[tuple[str, str]]:
    """How the numbers came about: terms and what they were."""
    records = report.records
    libraries = dict.fromkeys(f"{r.library} (areas in {r.area_unit})" for r in records)
    recipes = dict.fromkeys(f"{r.recipe}, {_target(r)}" for r in records)
    return [
        ("Tools", "; ".join(f"{name} {version}" for name, version in sorted(report.tools.items()))),
        ("Libraries", "; ".join(libraries)),
        ("Recipe", "; ".join(recipes)),
        ("Checks", _checks(records)),
        ("Areas", AREA_SCOPE),
        *_energies(records),
        *_without_energy(records),
        ("Ratios", "On either side stands the best netlist of its format that was measured."),
    ]


def _energies(records: Sequence[Record]) -> list[tuple[str, str]]:
    """How energies were measured, if they were."""
    powers = [p for r in records for p in (r.power, r.power_int8) if p is not None]
    if not powers:
        return []
    data = listed(dict.fromkeys(power.data for power in powers))
    periods = listed(dict.fromkeys(f"{number(power.period_ns)} ns" for power in powers))
    text = (
        f"Transitions with glitches, at work on {data}, times the Liberty file's tables; leakage "
        f"over a clock period of {periods}. No wires and no clock tree."
    )
    return [("Energies", text), *_extrapolation(records)]


def _without_energy(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Why records have no energy, if some have none."""
    reasons = dict.fromkeys(r.power_missing for r in records if r.power_missing)
    return [("No energy", f"{'; '.join(reasons)}.")] if reasons else []


def _extrapolation(records: Sequence[Record]) -> list[tuple[str, str]]:
    """How far beyond the tables energies are read, in the libraries where some are marked."""
    beyond = [
        (record.library, power.beyond_tables)
        for record in records
        for power in (record.power, record.power_int8)
        if power is not None and power.is_extrapolated
    ]
    if not beyond:
        return []
    texts = [EXTRAPOLATION]
    for library, group in grouped(beyond, lambda item: item[0]).items():
        arcs = max(one.arcs for _, one in group)
        energy = max(one.energy for _, one in group)
        reach = max(one.reach for _, one in group)
        texts.append(
            f"In {library} that is up to {100 * arcs:.1f} % of the arcs and {100 * energy:.1f} % "
            f"of an energy, at up to {reach:.0f} times the last entry."
        )
    return [("Extrapolation", " ".join(texts))]


def _target(record: Record) -> str:
    target = record.target_delay_ns
    return "no delay target" if target is None else f"delay target {number(target)} ns"


def _checks(records: Sequence[Record]) -> str:
    """How many netlists were checked, and how."""
    counts = Counter(record.check.method for record in records)
    return ", ".join(f"{plural(n, 'netlist')} {how}" for how, n in counts.items())
