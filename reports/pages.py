"""Filling the templates of the markdown report and of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dintmac.reports.tables import Table

__all__ = [
    "Verbatim",
    "escape_markdown",
    "markdown_table",
    "plain_table",
    "render_html",
    "render_markdown",
    "render_picture",
]


class Verbatim(str):
    """Text that is markdown already."""


def render_markdown(values: Mapping[str, Any], name: str = "report.md.jinja") -> str:
    """A markdown report by the name of its template; what the values say is escaped."""
    environment = _environment(finalize=escape_markdown)
    environment.filters["verbatim"] = Verbatim
    template = environment.get_template(name)
    return template.render(values, markdown_table=markdown_table)


def render_html(values: Mapping[str, Any]) -> str:
    """The page; what the values say is escaped."""
    return _environment(autoescape=True).get_template("report.html.jinja").render(values)


def render_picture(name: str, values: Mapping[str, Any]) -> str:
    """The SVG of a picture."""
    return _environment(autoescape=True).get_template(f"{name}.svg.jinja").render(values)


def plain_table(table: Table) -> str:
    """A table without groups for a terminal, in columns."""
    rows = [table.columns, *(row for group in table.groups for row in group.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, table.numeric, strict=True)
        ).rstrip()
        for row in rows
    )


def _environment(**options: Any) -> Environment:
    return Environment(
        loader=PackageLoader("dintmac.reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )


def markdown_table(table: Table) -> str:
    """A table as markdown; where groups have a heading, it is the first column of their rows."""
    has_headings = any(group.heading for group in table.groups)
    lead = ("design",) if has_headings else ()
    rows = [
        (*((group.heading,) if has_headings else ()), *row)
        for group in table.groups
        for row in group.rows
    ]
    numeric = (*(False for _ in lead), *table.numeric)
    rules = ("---:" if right else "---" for right in numeric)
    lines = [_markdown_row(escape_markdown(name) for name in (*lead, *table.columns))]
    lines.append(_markdown_row(rules))
    lines += [_markdown_row(escape_markdown(cell) for cell in row) for row in rows]
    return "\n".join(lines)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape_markdown(text: object) -> str:
    """Text for markdown as it is to be read: on one line, without markup or HTML."""
    if isinstance(text, Verbatim):
        return text
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|~#>])", r"\\\1", line)
