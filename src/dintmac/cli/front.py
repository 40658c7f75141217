"""``dintmac front``."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = (
    "join a report and an evaluation, and write which weight formats are on the Pareto front "
    "of accuracy against area and energy: front.md and front.png"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    verb.add_argument(
        "--report",
        type=Path,
        default=Path("build/report/report.json"),
        metavar="FILE",
        help="report.json of dintmac report --format macs",
    )
    verb.add_argument(
        "--evaluation",
        type=Path,
        default=Path("build/evaluate/evaluate.json"),
        metavar="FILE",
        help="evaluate.json of dintmac evaluate --format macs",
    )
    verb.add_argument(
        "--output", type=Path, default=Path("build/front"), metavar="FOLDER", help="where to write"
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.reports.evaluation import read_evaluation
    from dintmac.reports.front import summary, write_front
    from dintmac.reports.report import read_report

    records, evaluation = read_report(options.report).records, read_evaluation(options.evaluation)
    write_front(records, evaluation, options.output)
    print(f"{summary(records, evaluation)}\n\nWritten to {options.output}: front.md has it all.")
    return 0
