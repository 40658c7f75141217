"""Reports: ``report.json``, and the markdown, page and plots that are made from it alone."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dintmac.reports.comparisons import AREA_SCOPE, Comparison, compare, conclusion, places
from dintmac.reports.files import replace_files
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import number, plural, times
from dintmac.reports.pages import render_html, render_markdown
from dintmac.reports.panels import BarPanel, DotPanel, area_panels, ratio_panels
from dintmac.reports.plots import darkened, draw
from dintmac.reports.tables import library_table, ratio_table
from dintmac.synth.records import Ratio, Record

__all__ = ["FILES", "Report", "read_report", "write_report"]

#: Files of a report; those of plots are missing where there is nothing to plot.
FILES = ("report.json", "report.md", "report.html", "ratios.png", "areas.png")


@dataclass(frozen=True)
class Report:
    """What ``report.json`` holds.

    Attributes
    ----------
    records : tuple of Record
        One for each netlist measured.
    ratios : tuple of Ratio
        Computed from them.
    tools : dict of str to str
        Versions of the tools that measured, by name.
    """

    records: tuple[Record, ...]
    ratios: tuple[Ratio, ...]
    tools: Mapping[str, str]


def write_report(
    records: Sequence[Record],
    ratios: Sequence[Ratio],
    tools: Mapping[str, str],
    folder: str | Path,
) -> None:
    """Write a report's files into a folder, all or nothing.

    The same arguments give the same bytes. Other files in the folder are left alone.

    Parameters
    ----------
    records : one or more Record
        Netlists measured; tables and plots keep their order.
    ratios : sequence of Ratio
        Ratios between them; may be empty.
    tools : dict of str to str
        Versions of the tools that measured, by name.
    folder : path
        Made if it does not exist.

    Raises
    ------
    ValueError
        If there are no records, or ``folder`` is a file.
    OSError
        If the files cannot be written.
    """
    if not records:
        raise ValueError("a report must have at least one record, not none")
    contents = _render(Report(tuple(records), tuple(ratios), dict(tools)))
    replace_files(Path(folder), contents, [name for name in FILES if name not in contents])


def read_report(path: str | Path) -> Report:
    """Read a ``report.json``.

    ``write_report(report.records, report.ratios, report.tools, folder)`` renders it again.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a report.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON in UTF-8: {error}") from error
    try:
        return _from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a report: {error}") from error


def _from_json(content: Any) -> Report:
    if not isinstance(content, dict) or content.keys() != {"records", "ratios", "tools"}:
        raise ValueError("it must be one object with records, ratios and tools")
    return Report(
        tuple(Record.from_json(record) for record in content["records"]),
        tuple(Ratio.from_json(ratio) for ratio in content["ratios"]),
        content["tools"],
    )


def _to_json(report: Report) -> bytes:
    content = {
        "records": [record.to_json() for record in report.records],
        "ratios": [ratio.to_json() for ratio in report.ratios],
        "tools": dict(report.tools),
    }
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _render(report: Report) -> dict[str, bytes]:
    """The contents of all files, by name."""
    comparisons = compare(report.ratios)
    libraries = grouped(report.records, lambda r: r.library)
    ratios, areas = ratio_panels(comparisons), area_panels(report.records)
    values = {
        "formats": _listed(dict.fromkeys(r.format for r in report.records)),
        "command": "dintmac report",
        "summary": " ".join(conclusion(report.records, comparisons)),
        "highlights": [_highlight(c) for c in comparisons],
        "ratio_tables": [ratio_table(c) for c in comparisons],
        "library_tables": [library_table(group, report.ratios) for group in libraries.values()],
        "ratios_text": " ".join(panel.text for panel in ratios),
        "areas_text": " ".join(panel.text for panel in areas),
        "method": _method(report),
    }
    contents = {
        "report.json": _to_json(report),
        "report.md": render_markdown(values).encode(),
        "report.html": render_html(
            values
            | {
                "ratio_figures": [_figure(panel) for panel in ratios],
                "area_figures": [_figure(panel) for panel in areas],
            }
        ).encode(),
    }
    if ratios:
        contents["ratios.png"] = draw(ratios, "png", columns=2)
    if areas:
        contents["areas.png"] = draw(areas, "png", columns=2)
    return contents


def _figure(panel: DotPanel | BarPanel) -> dict[str, str]:
    """A plot in both colour schemes, as addresses that hold the picture itself."""
    svg = draw([panel], "svg")
    return {
        "text": panel.text,
        "light": _data_address(svg),
        "dark": _data_address(darkened(svg)),
    }


def _data_address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _highlight(comparison: Comparison) -> dict[str, str]:
    """A comparison in a few words."""
    values = [times(r.ratio) for r in sorted(comparison.ratios, key=lambda r: r.ratio)]
    return {
        "title": comparison.title,
        "span": values[0] if values[0] == values[-1] else f"{values[0]} – {values[-1]}",
        "places": places(comparison.ratios),
    }


def _method(report: Report) -> list[tuple[str, str]]:
    """How the numbers came about: terms and what they were."""
    records = report.records
    libraries = dict.fromkeys(f"{r.library} (areas in {r.area_unit})" for r in records)
    recipes = dict.fromkeys(r.recipe for r in records)
    targets = dict.fromkeys(_target(r) for r in records)
    checks = Counter(r.checked for r in records)
    return [
        (
            "Tools",
            "; ".join(f"{name}: {version}" for name, version in sorted(report.tools.items())),
        ),
        ("Libraries", "; ".join(libraries)),
        ("Recipe", f"{'; '.join(recipes)}; the same for all netlists of a comparison"),
        ("Delay target", "; ".join(targets)),
        ("Checks", "; ".join(f"{plural(n, 'netlist')} {how}" for how, n in checks.items())),
        ("Areas", AREA_SCOPE),
        ("Again", "dintmac report"),
    ]


def _target(record: Record) -> str:
    if record.target_delay_ns is None:
        return "none"
    return f"{number(record.target_delay_ns)} ns"


def _listed(names: Iterable[str]) -> str:
    *firsts, last = names
    return f"{', '.join(firsts)} and {last}" if firsts else last
