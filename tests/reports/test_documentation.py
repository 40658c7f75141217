"""docs/reports.md names every field of report.json."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from dintmac.reports.report import FILES, Report
from dintmac.synth.ratios import Ratio, Variant
from dintmac.synth.records import AreaSplit, BeyondTables, Check, Power, Record

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")


@pytest.mark.parametrize(
    "kind", [Report, Record, AreaSplit, BeyondTables, Check, Power, Ratio, Variant]
)
def test_every_field_is_documented(kind):
    assert {field.name for field in fields(kind)} <= set(re.findall(r"`(\w+)`", DOCUMENT))


def test_every_file_is_documented():
    assert set(FILES) == set(re.findall(r"^\| `([\w.]+)`", DOCUMENT, re.M)) & set(FILES)
