"""``dintmac doctor``."""

from __future__ import annotations

import argparse

from dintmac.cli import EXIT_FAILED
from dintmac.cli.console import print_json

SUMMARY = "show which tools and libraries are found and how to get the others"


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.doctor import examine

    findings = examine()
    if options.json:
        print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            state = finding.found or f"missing; {finding.remedy}"
            print(f"{finding.name:20}  {state}  ({finding.purpose})")
    missing = any(finding.required and not finding.found for finding in findings)
    return EXIT_FAILED if missing else 0
