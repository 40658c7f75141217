"""What README and docs quote is what published reports say, and that follows from their records."""

import re
from pathlib import Path

import pytest

from dintmac.golden.formats import INT8
from dintmac.golden.quantization.variants import MAC_FORMATS
from dintmac.hdl.configuration import Configuration
from dintmac.reports.evaluation import read_evaluation
from dintmac.reports.front import fronts, write_front
from dintmac.reports.quotes import BLOCKS, Published, filled, pages
from dintmac.reports.report import read_report, write_report
from dintmac.synth.ratios import ratios_of
from dintmac.synth.selection import CONTENDERS, OUTCLASSED

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "reports" / "published"
FORMATS = ROOT / "reports" / "published-formats"
FUSED = ROOT / "reports" / "published-fused"
PUBLISHED_LIBRARIES = ("nangate45", "sky130hd", "sg13g2", "osu018", "ge")


PAGES = [page.read_text("utf-8") for page in pages(ROOT)]


def blocks(page):
    """Names and whole texts of the blocks of a page."""
    return {
        match[1]: match[0]
        for match in re.finditer(r"<!-- ([^>]+) -->\n.*?<!-- end -->", page, re.DOTALL)
    }


@pytest.fixture(scope="module")
def published():
    return Published(ROOT)


@pytest.mark.parametrize("name", BLOCKS)
def test_what_pages_quote_follows_from_the_published_reports(name, published):
    quoted = [blocks(page)[name] for page in PAGES if name in blocks(page)]
    assert quoted
    for block in quoted:
        assert filled(block, published) == block


def test_pages_quote_blocks_alone():
    assert {name for page in PAGES for name in blocks(page)} == set(BLOCKS)
    for page in PAGES:
        assert len(re.findall(r"^<!-- ", page, re.MULTILINE)) == 2 * len(blocks(page))


@pytest.mark.parametrize(("name", "rows"), [("areas", 10), ("energies", 8)])
def test_the_readme_has_all_designs(name, rows):  # energy: of those that have double buffers
    assert len(blocks(PAGES[0])[name].splitlines()) == rows + 4


@pytest.mark.parametrize("folder", [PUBLISHED, FORMATS, FUSED])
def test_the_published_ratios_follow_from_the_records(folder):
    report = read_report(folder / "report.json")
    assert list(report.ratios) == ratios_of(report.records)


def test_the_published_tables_follow_from_their_records(tmp_path, monkeypatch):
    monkeypatch.setattr("dintmac.reports.report.draw", lambda panels, kind, columns=1: b"")
    report = read_report(PUBLISHED / "report.json")
    write_report(report, tmp_path)
    for name in ("report.json", "report.md"):
        assert (tmp_path / name).read_bytes() == (PUBLISHED / name).read_bytes()


def test_the_published_fronts_follow_from_their_records(tmp_path):
    records = read_report(FORMATS / "report.json").records
    evaluation = read_evaluation(FORMATS / "evaluate.json")
    assert {p.format for f in fronts(records, evaluation) for p in f.points} == set(MAC_FORMATS)
    write_front(records, evaluation, tmp_path)
    assert (tmp_path / "front.md").read_bytes() == (FORMATS / "front.md").read_bytes()


@pytest.mark.parametrize("folder", [PUBLISHED, FORMATS, FUSED])
def test_every_published_netlist_was_checked(folder):
    records = read_report(folder / "report.json").records
    assert {record.check.method for record in records} == {"simulated"}
    assert all(record.check.vectors > 0 for record in records)


def best(records, value):
    """The architecture of the least value of each format."""
    least = {}
    for record in sorted(records, key=value, reverse=True):
        least[record.configuration.format] = record.configuration.architecture
    return least


def of_default_sizes(design):
    """Published records of a design at its default size, by library."""
    sizes = Configuration(design, INT8).parameters
    records = read_report(PUBLISHED / "report.json").records
    found = [
        r
        for r in records
        if (r.configuration.design, r.configuration.parameters) == (design, sizes)
    ]
    return {library: [r for r in found if r.library == library] for library in PUBLISHED_LIBRARIES}


@pytest.mark.parametrize("design", CONTENDERS)
def test_a_quick_report_measures_what_is_smallest(design):
    smallest = best(of_default_sizes(design)["ge"], lambda record: record.area)
    assert set(smallest.values()) <= set(CONTENDERS[design])


@pytest.mark.parametrize("library", PUBLISHED_LIBRARIES)
@pytest.mark.parametrize("design", OUTCLASSED)
def test_what_other_sizes_leave_out_is_beaten_at_the_default_size(design, library):
    records = of_default_sizes(design)[library]
    for record in records:
        if record.configuration.architecture in OUTCLASSED[design]:
            assert any(is_better(other, record) for other in records)


def is_better(other, record):
    """Whether another of a format is smaller and, where energy is measured, takes less of it."""
    if other.configuration.format != record.configuration.format:
        return False
    energies = [r.power.energy_per_mac_fj for r in (other, record) if r.power is not None]
    return other.area < record.area and energies == sorted(energies)
