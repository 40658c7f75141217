"""Blocks of pages, and tables that only docs have, of hand-made reports."""

from types import SimpleNamespace

import pytest

from dintmac.golden.evaluation.metrics import LayerError
from dintmac.golden.evaluation.tasks import Evaluation, Row
from dintmac.golden.quantization.variants import Variant
from dintmac.reports import quotes
from dintmac.reports.front import Front, Point
from dintmac.reports.quotes import filled, main, method_table, on_all_fronts, pages, rival_table

PAGE = """# Title

<!-- methods -->
| old |
<!-- end -->

Text.
"""
FILLED = """# Title

<!-- methods -->
| format | method | error of layer outputs | cosine of embeddings |
| --- | --- | ---: | ---: |
| dINT4 | aqas+gptq | 0.400 % | 0.9800 |
<!-- end -->

Text.
"""


def row(format, y, cosine, method="none"):
    error = LayerError(y / 100, 0.0, 0.0, 0.0)
    return Row(Variant(method, format), error, {"layer": error}, {"cosine": cosine})


def evaluation(*rows):
    return Evaluation("a_model", {}, {"cosine": 1.0}, list(rows), [])


def front(metric, *points):
    points = [Point(format, "digits", cost, loss) for format, cost, loss in points]
    return Front("ge, pe 16×4", "none", metric, "GE", "y", tuple(points))


METHODS = evaluation(row("dINT4", 0.4, 0.98, "aqas+gptq"))
AREA = front("area", ("INT4", 90.0, 1.1), ("dINT4", 100.0, 1.0), ("FP4", 105.0, 1.0))
ENERGY = front("energy", ("dINT4", 30.0, 1.0), ("INT4", 33.0, 1.1), ("FP4", 36.0, 0.9))


def test_a_block_is_made_anew_and_the_rest_of_a_page_stays():
    published = SimpleNamespace(methods=METHODS)
    assert filled(PAGE, published) == FILLED
    assert filled(FILLED, published) == FILLED
    assert filled("no <!-- comment --> of ours\n", published) == "no <!-- comment --> of ours\n"


def test_an_unknown_block_is_refused():
    with pytest.raises(ValueError, match=r"must be one of conclusion, .*, not 'tables'"):
        filled("<!-- tables -->\n<!-- end -->\n", SimpleNamespace())


def project(folder, *names):
    (folder / "docs").mkdir()
    for name in names:
        (folder / name).write_text(PAGE, "utf-8")


def test_all_pages_are_filled(tmp_path, monkeypatch):
    project(tmp_path, "README.md", "docs/one.md", "docs/two.md")
    monkeypatch.setattr(quotes, "Published", lambda folder: SimpleNamespace(methods=METHODS))
    main(tmp_path)
    assert [page.read_text("utf-8") for page in pages(tmp_path)] == [FILLED] * 3


def test_without_a_report_nothing_is_written(tmp_path):
    project(tmp_path, "README.md")
    with pytest.raises(OSError, match=r"published-methods.evaluate\.json"):
        main(tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == PAGE


def test_formats_on_all_fronts():
    assert on_all_fronts([AREA]) == "On all fronts: INT4 and dINT4."
    assert on_all_fronts([AREA, ENERGY]) == "On all fronts: dINT4."
    assert on_all_fronts([front("area", ("INT4", 1.0, 1.0), ("FP4", 2.0, 2.0)), ENERGY]) == (
        "No format is on all fronts."
    )


def test_formats_against_those_that_they_compete_with():
    rows = [row("INT4", 1.1, 0.9), row("dINT4", 1.0, 0.92), row("FP4", 1.0, 0.96)]
    table = rival_table([AREA, ENERGY], evaluation(*rows, row("NF4", 0.5, 0.98)))
    assert table.columns == ("", "area", "energy", "y", "1 − cosine")
    cells = {row[0]: row[1:] for row in table.groups[0].rows}
    assert cells["FP4 against dINT4"] == ("+5.0 %", "+20.0 %", "+0.0 %", "−50.0 %")
    assert cells["INT4 against dINT4"] == ("−10.0 %", "+10.0 %", "+10.0 %", "+25.0 %")
    assert cells["NF4 against FP4"] == ("—", "—", "−50.0 %", "−50.0 %")
    assert cells["dINT8 against INT8"] == ("—",) * 4


def test_methods():
    (group,) = method_table(METHODS).groups
    assert group.rows == (("dINT4", "aqas+gptq", "0.400 %", "0.9800"),)
