"""What README and docs quote: blocks that are made from published records, and from types.

    python -m dintmac.reports.quotes

in the project's folder makes all blocks of ``README.md`` and ``docs/*.md`` anew. A block begins
with ``<!-- NAME -->`` and ends with ``<!-- end -->``; :data:`BLOCKS` says what stands in it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dintmac.golden.evaluation.tasks import Evaluation
from dintmac.golden.files import write_files
from dintmac.reports.comparisons import compare, conclusion
from dintmac.reports.elements import (
    element_table,
    fused_area_table,
    fused_energy_table,
    fused_surplus_table,
    overview_table,
    part_table,
    reach_table,
    rows_table,
    size_table,
)
from dintmac.reports.evaluation import read_evaluation
from dintmac.reports.fields import field_tables
from dintmac.reports.front import Front, front_tables, fronts
from dintmac.reports.labels import DASH, change, listed
from dintmac.reports.pages import escape_markdown, markdown_table
from dintmac.reports.report import Report, read_report
from dintmac.reports.tables import Group, Table, architecture_table, ratio_table
from dintmac.synth.ratios import Ratio

__all__ = [
    "BLOCKS",
    "Published",
    "claim_table",
    "filled",
    "main",
    "method_table",
    "on_all_fronts",
    "pages",
    "recipe_table",
    "rival_table",
]

#: Libraries of docs/arithmetic.md.
LIBRARIES = ("nangate45", "sky130hd", "sg13g2")

#: Formats of docs/quantization.md, each with the one that it competes with.
RIVALS = (
    ("FP4", "dINT4"),
    ("INT4", "dINT4"),
    ("dINT5", "dINT6"),
    ("dINT7", "dINT8"),
    ("dINT8", "INT8"),
    ("NF4", "FP4"),
)

_BLOCK = re.compile(r"<!-- ([^>]+) -->\n.*?<!-- end -->", re.DOTALL)


class Published:
    """The published reports of a project's folder, each read when a block first asks for it."""

    def __init__(self, folder: Path):
        self._folder = folder / "reports"

    @cached_property
    def report(self) -> Report:
        """INT8, INT4 and dINT4 in all designs but ``fused``."""
        return read_report(self._folder / "published" / "report.json")

    @cached_property
    def fused(self) -> Report:
        """Elements for two precisions."""
        return read_report(self._folder / "published-fused" / "report.json")

    @cached_property
    def formats(self) -> Report:
        """Processing elements for all formats."""
        return read_report(self._folder / "published-formats" / "report.json")

    @cached_property
    def accuracies(self) -> Evaluation:
        """MiniLM in all formats."""
        return read_evaluation(self._folder / "published-formats" / "evaluate.json")

    @cached_property
    def methods(self) -> Evaluation:
        """MiniLM in INT4 and dINT4 by several methods."""
        return read_evaluation(self._folder / "published-methods" / "evaluate.json")

    @cached_property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """What ``benchmarks/quantization.py`` found: ``rows`` by recipe, ``claims`` by name."""
        text = (self._folder / "published-methods" / "quantization.json").read_text("utf-8")
        found: dict[str, dict[str, Any]] = json.loads(text)
        return found


def on_all_fronts(found: Sequence[Front]) -> str:
    """Which formats are on all of the fronts, as a sentence."""
    best = [{point.format for point in front.best} for front in found]
    names = [p.format for p in found[0].points if p.format in set.intersection(*best)]
    return f"On all fronts: {listed(names)}." if names else "No format is on all fronts."


def rival_table(found: Sequence[Front], evaluation: Evaluation) -> Table:
    """What formats take and lose beyond those that they compete with (:data:`RIVALS`).

    Parameters
    ----------
    found : sequence of Front
        Of one library and design.
    evaluation : Evaluation
        By one method, with cosines.
    """
    measures = {front.metric: {p.format: p.cost for p in front.points} for front in found}
    measures["y"] = {row.variant.format: row.error.total for row in evaluation.rows}
    measures["1 − cosine"] = {
        row.variant.format: 1 - row.scores["cosine"] for row in evaluation.rows
    }
    rows = [
        (f"{one} against {other}", *(_beyond(m, one, other) for m in measures.values()))
        for one, other in RIVALS
    ]
    return rows_table(("", *measures), rows)


def method_table(evaluation: Evaluation) -> Table:
    """Error of layer outputs and cosine of embeddings, by format and method."""
    rows = tuple(
        (
            row.variant.format,
            row.variant.method,
            f"{100 * row.error.total:.3f} %",
            f"{row.scores['cosine']:.4f}",
        )
        for row in evaluation.rows
    )
    columns = ("format", "method", "error of layer outputs", "cosine of embeddings")
    return Table("", columns, (False, False, True, True), (Group("", rows),))


def recipe_table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Error of layer outputs, its parts, the share of zeros and the cosine, by recipe."""
    columns = {
        "y": ("total", 5),
        "rounding": ("rounding", 5),
        "underflow": ("underflow", 5),
        "zeros": ("underflowed", 3),
        "cosine": ("cosine", 4),
    }
    return rows_table(
        ("recipe", *columns),
        [
            (name, *(f"{row[key]:.{n}f}" if key in row else "" for key, n in columns.values()))
            for name, row in rows.items()
        ],
    )


def claim_table(claims: Mapping[str, Sequence[float]]) -> Table:
    """What a benchmark is to show, what it measured, and the bound."""
    rows = [(name, f"{value:.4g}", f"≤ {bound:.4g}") for name, (value, bound) in claims.items()]
    return rows_table(("to be shown", "measured", "bound"), rows)


def _conclusion(ratios: Sequence[Ratio]) -> str:
    return "\n".join(f"- {escape_markdown(text)}" for text in conclusion(compare(ratios)))


def _best_table(ratios: Sequence[Ratio], metric: str) -> Table:
    """The best INT8 over the best dINT4 in all designs and libraries."""
    wanted = (metric, ("INT8", "dINT4"))
    (comparison,) = (c for c in compare(ratios) if (c.metric, c.formats) == wanted)
    return ratio_table(comparison)


def _fronts(published: Published) -> list[Front]:
    return fronts(published.formats.records, published.accuracies)


#: What stands in each block.
BLOCKS: Mapping[str, Callable[[Published], str | Table]] = {
    "conclusion": lambda p: _conclusion(p.report.ratios),
    "areas": lambda p: _best_table(p.report.ratios, "area"),
    "energies": lambda p: _best_table(p.report.ratios, "energy"),
    "architectures": lambda p: architecture_table(compare(p.report.ratios)),
    "elements in nangate45": lambda p: element_table(p.report.records, "pe 16×4", "nangate45"),
    "elements": lambda p: overview_table(p.report.records, "pe 16×4", LIBRARIES),
    "dot products": lambda p: overview_table(p.report.records, "dot 16", LIBRARIES),
    "ratios of 16×4": lambda p: size_table(p.report.ratios, "pe 16×4", LIBRARIES),
    "ratios of 32×8": lambda p: size_table(p.report.ratios, "pe 32×8", LIBRARIES),
    "parts": lambda p: part_table(p.report.records, "pe 16×4", LIBRARIES),
    "reach": lambda p: reach_table(p.report.records, "pe 16×4", LIBRARIES),
    "fused areas": lambda p: fused_area_table(p.fused.records, p.report.records, LIBRARIES),
    "fused surplus": lambda p: fused_surplus_table(p.fused.records, p.report.records, LIBRARIES),
    "fused energies": lambda p: fused_energy_table(p.fused.records, p.report.records, LIBRARIES),
    "on all fronts": lambda p: on_all_fronts(_fronts(p)),
    "fronts": lambda p: front_tables(_fronts(p))[0],
    "rivals": lambda p: rival_table(_fronts(p), p.accuracies),
    "methods": lambda p: method_table(p.methods),
    "recipes": lambda p: recipe_table(p.recipes["rows"]),
    "claims": lambda p: claim_table(p.recipes["claims"]),
    "fields of report.json": lambda p: field_tables(Report),
    "fields of evaluate.json": lambda p: field_tables(Evaluation),
}


def pages(folder: Path) -> list[Path]:
    """The pages that may quote."""
    return [folder / "README.md", *sorted((folder / "docs").glob("*.md"))]


def filled(page: str, published: Published) -> str:
    """A page with its blocks made anew.

    Raises
    ------
    OSError
        If a report cannot be read.
    ValueError
        If a name is not one of :data:`BLOCKS`, or a report lacks what a block is made of.
    """
    return _BLOCK.sub(lambda match: _block(match[1], published), page)


def main(folder: Path) -> None:
    """Make the blocks of all pages anew, or none if one cannot be made.

    Raises
    ------
    OSError, ValueError
        As :func:`filled`.
    """
    published = Published(folder)
    write_files({page: filled(page.read_text("utf-8"), published) for page in pages(folder)})


def _block(name: str, published: Published) -> str:
    if name not in BLOCKS:
        raise ValueError(f"the name of a block must be one of {', '.join(BLOCKS)}, not {name!r}")
    content = BLOCKS[name](published)
    text = markdown_table(content) if isinstance(content, Table) else content
    return f"<!-- {name} -->\n{text}\n<!-- end -->"


def _beyond(values: Mapping[str, float], one: str, other: str) -> str:
    return change(values[one] / values[other]) if {one, other} <= values.keys() else DASH


if __name__ == "__main__":
    try:
        main(Path())
    except (OSError, ValueError) as problem:
        sys.exit(str(problem))
