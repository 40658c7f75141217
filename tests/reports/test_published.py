"""What the README quotes is what the published report says, and that follows from its records."""

from pathlib import Path

from dintmac.reports.report import read_report, write_report

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "reports" / "published"


def table_rows(text):
    return [line for line in text.splitlines() if line.startswith("|") and "×" in line]


def test_the_readme_quotes_the_published_report():
    readme, report = (ROOT / "README.md").read_text(), (PUBLISHED / "report.md").read_text()
    rows = table_rows(readme)
    assert len(rows) == 7  # areas of four designs, energies of three
    assert set(rows) <= set(table_rows(report))
    assert report.split("\n\n")[1] in readme  # the conclusion


def test_the_published_tables_follow_from_their_records(tmp_path):
    report = read_report(PUBLISHED / "report.json")
    write_report(report.records, report.ratios, report.tools, tmp_path)
    for name in ("report.json", "report.md"):
        assert (tmp_path / name).read_bytes() == (PUBLISHED / name).read_bytes()


def test_every_published_netlist_was_checked():
    records = read_report(PUBLISHED / "report.json").records
    assert {record.checked for record in records} <= {"simulated", "equivalent"}
    assert all(record.check.vectors > 0 for record in records)
