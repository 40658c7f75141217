"""Evaluations are written, read again, and shown as they are."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dintmac.golden.evaluation.metrics import LayerError
from dintmac.golden.evaluation.tasks import Evaluation, Row
from dintmac.golden.quantization.slac import ActivationRange
from dintmac.golden.quantization.variants import Variant
from dintmac.reports.evaluation import FILES, read_evaluation, summary, write_evaluation
from dintmac.reports.panels import Line, LinePanel
from dintmac.reports.plots import draw


def error(total):
    return LayerError(total, 0.8 * total, 0.1 * total, 0.125)


def row(method, total, *, granularity="channel", **scores):
    layers = {"first": error(0.5 * total), "second": error(1.5 * total)}
    return Row(Variant(method, "dINT4", granularity), error(total), layers, scores)


CAUSAL = Evaluation(
    "tiny",
    {"activations": "min-max", "stride": None, "integer": False, "text": "wiki_text.txt"},
    {"perplexity": 6.0, "divergence": 0.0, "accuracy": 0.5},
    [
        row("none", 0.02, perplexity=7.1234, divergence=0.0123, accuracy=0.0),
        row("aqas", 0.01, perplexity=6.5, divergence=0.0045, accuracy=0.0),
    ],
    [
        ActivationRange(layer, length, maximum, maximum, 1.0)
        for length, maximum in ((4, 2.0), (16, 5.0))
        for layer in ("first", "second")
    ],
)
ENCODER = Evaluation("e", {}, {"cosine": 1.0}, [row("none", 0.02, cosine=0.93)], [])


def test_writes_all_files_and_reads_the_evaluation_again(tmp_path):
    text = write_evaluation(CAUSAL, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert (tmp_path / "evaluate.json").read_text() == text
    assert read_evaluation(tmp_path / "evaluate.json") == CAUSAL
    assert list(json.loads(text)["rows"][0]["layers"]) == ["first", "second"]


@pytest.mark.slow
def test_an_evaluation_may_begin_with_a_byte_order_mark(tmp_path):
    text = write_evaluation(CAUSAL, tmp_path)
    (tmp_path / "evaluate.json").write_bytes(f"\ufeff{text}".encode())
    assert read_evaluation(tmp_path / "evaluate.json") == CAUSAL


@pytest.mark.slow
def test_the_same_evaluation_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_evaluation(CAUSAL, tmp_path / name)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
def test_without_ranges_the_old_plot_of_them_goes(tmp_path):
    write_evaluation(CAUSAL, tmp_path)
    write_evaluation(ENCODER, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES) - {"ranges.png"}
    assert "Activations by length" not in (tmp_path / "evaluate.md").read_text()


def test_the_table_has_full_precision_and_every_variant():
    table, conclusion = summary(CAUSAL).split("\n\n")
    rows = [re.split(r"  +", line.strip()) for line in table.splitlines()]
    assert rows[0][4:] == [
        *("y, %", "rounding, %", "underflow, %", "zeros, %"),
        *("perplexity", "KL, nats", "accuracy"),
    ]
    assert (rows[1][0], rows[1][-3:]) == ("float32", ["6.000", "0.00000", "0.500"])
    assert rows[2] == [
        *("dINT4", "none", "channel", "mse", "2.000", "1.600", "0.200", "12.5"),
        *("7.123", "0.01230", "0.000"),
    ]
    assert rows[3][1] == "aqas"
    assert "at 16 tokens are 2.50× those at 4" in conclusion


def test_markdown_has_settings_and_ranges_by_layer(tmp_path):
    write_evaluation(CAUSAL, tmp_path)
    page = (tmp_path / "evaluate.md").read_text()
    assert "- text of evaluation: wiki\\_text.txt" in page
    assert "- layers run in exact integers: no" in page
    assert "- tokens from window to window: —" in page
    assert "| second | 2 | 5 |" in page
    for name in FILES[2:]:
        assert f"]({name})" in page


def test_lines_say_what_they_are_in_plain_numbers():
    panel = LinePanel("t", "layer", "y", (Line("INT4", "aqas", (0.1, 2.0, 30.0)),))
    texts = re.findall("<!-- (.*?) -->", draw([panel], "svg").decode())
    assert {"t", "layer", "y", "INT4 aqas", "0.1", "1", "10", "20"} <= set(texts)
    assert panel.text == "t: y of every layer."


def test_granularities_are_told_apart(tmp_path):
    several = replace(ENCODER, rows=[*ENCODER.rows, row("none", 1, granularity="g8", cosine=0.9)])
    write_evaluation(several, tmp_path)
    assert "g8" in (tmp_path / "evaluate.md").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "be JSON in UTF-8, but Input data was truncated"),
        ("[]", "be an evaluation, but Expected object, got array"),
        ("7", "be an evaluation, but Expected object, got int"),
        ("{}", "be an evaluation, but Object missing required field model"),
        ('{"model": 7}', "be an evaluation, but at model: Expected str, got int"),
    ],
)
def test_refuses_what_is_no_evaluation(tmp_path, content, message):
    path = tmp_path / "evaluate.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"evaluate\.json must {message}"):
        read_evaluation(path)


@pytest.mark.slow
def test_refuses_a_row_without_a_score_of_full_precision(tmp_path):
    content = json.loads(write_evaluation(CAUSAL, tmp_path))
    del content["rows"][1]["scores"]["divergence"]
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="every row must have the divergence of full precision"):
        read_evaluation(path)


def test_settings_nested_without_end_are_refused(tmp_path):
    path = tmp_path / "evaluate.json"
    path.write_text('{"settings": {"text": ' + "[" * 100_000)
    with pytest.raises(ValueError, match="must be JSON in UTF-8, but maximum recursion depth"):
        read_evaluation(path)


def test_refuses_no_rows_and_no_numbers(tmp_path):
    with pytest.raises(ValueError, match="an evaluation must have at least one row"):
        write_evaluation(replace(CAUSAL, rows=[]), tmp_path)
    broken = replace(ENCODER, full_precision={"cosine": np.nan})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_evaluation(broken, tmp_path)
    assert not list(tmp_path.iterdir())
