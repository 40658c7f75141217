"""What README and docs quote is what published reports say, and that follows from their records."""

from pathlib import Path

import pytest

from dintmac.golden.variants import MAC_FORMATS
from dintmac.reports.evaluation import read_evaluation
from dintmac.reports.front import fronts, write_front
from dintmac.reports.report import read_report, write_report
from dintmac.synth.ratios import ratios_of

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "reports" / "published"
FORMATS = ROOT / "reports" / "published-formats"


def table_rows(text):
    return [line for line in text.splitlines() if line.startswith("|") and "×" in line]


def table_of(report, title):
    section = report.partition(f"### {title}\n")[2].partition("\n#")[0]
    return "\n".join(line for line in section.splitlines() if line.startswith("|"))


def test_the_readme_quotes_the_published_report():
    readme, report = (ROOT / "README.md").read_text(), (PUBLISHED / "report.md").read_text()
    conclusion = readme.partition("<!-- conclusion -->\n")[2].partition("\n<!-- end -->")[0]
    assert conclusion == report.split("\n\n")[1]
    for title, rows in (
        ("best INT8 ÷ best dINT4, area", 10),
        ("best INT8 ÷ best dINT4, energy", 8),  # of those that have double buffers
        ("Architectures compared", None),
    ):
        table = table_of(report, title)
        assert f"\n\n{table}\n\n" in readme
        assert rows in (None, len(table_rows(table)))


@pytest.mark.parametrize("folder", [PUBLISHED, FORMATS])
def test_the_published_ratios_follow_from_the_records(folder):
    report = read_report(folder / "report.json")
    assert list(report.ratios) == ratios_of(report.records)


def test_the_published_tables_follow_from_their_records(tmp_path, monkeypatch):
    monkeypatch.setattr("dintmac.reports.report.draw", lambda panels, kind, columns=1: b"")
    report = read_report(PUBLISHED / "report.json")
    write_report(report.records, report.ratios, report.tools, tmp_path)
    for name in ("report.json", "report.md"):
        assert (tmp_path / name).read_bytes() == (PUBLISHED / name).read_bytes()


def test_the_docs_quote_the_published_fronts():
    quantization = (ROOT / "docs" / "quantization.md").read_text()
    section = quantization.partition("## Accuracy and area")[2].partition("\n## ")[0]
    quoted = [line for line in section.splitlines() if line.startswith("|")]
    assert len(quoted) == 2 + len(MAC_FORMATS)  # of one library and one way to quantize
    assert set(quoted) <= set((FORMATS / "front.md").read_text().splitlines())


def test_the_published_fronts_follow_from_their_records(tmp_path):
    records = read_report(FORMATS / "report.json").records
    evaluation = read_evaluation(FORMATS / "evaluate.json")
    assert {p.format for f in fronts(records, evaluation) for p in f.points} == set(MAC_FORMATS)
    write_front(records, evaluation, tmp_path)
    assert (tmp_path / "front.md").read_bytes() == (FORMATS / "front.md").read_bytes()


@pytest.mark.parametrize("folder", [PUBLISHED, FORMATS])
def test_every_published_netlist_was_checked(folder):
    records = read_report(folder / "report.json").records
    assert {record.checked for record in records} <= {"simulated", "equivalent"}
    assert all(record.check.vectors > 0 for record in records)
