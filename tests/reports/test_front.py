"""Fronts of hand-made measurements and evaluations."""

from dataclasses import replace

import pytest
from msgspec import structs

from dintmac.golden.evaluation.metrics import LayerError
from dintmac.golden.evaluation.tasks import Evaluation, Row
from dintmac.golden.quantization.variants import Variant
from dintmac.reports.front import FILES, fronts, nf4_note, summary, write_front
from dintmac.reports.panels import FrontLine, FrontPanel
from dintmac.reports.plots import draw
from dintmac.synth.records import (
    AreaSplit,
    BeyondTables,
    Check,
    Power,
    Record,
    RecordedConfiguration,
)

#: Area and energy of four MACs by format and architecture.
WITHIN_TABLES = BeyondTables(arcs=0.0, energy=0.0, reach=0.8)
COSTS = {
    ("INT8", "small"): (400.0, 90.0),
    ("INT8", "cool"): (440.0, 80.0),
    ("dINT4", "digits"): (200.0, 40.0),
    ("FP4", "shift"): (240.0, 30.0),
    ("dINT3", "digits"): (100.0, 50.0),
    ("INT5", "digits"): (1.0, 1.0),
}
#: y, in percent, and cosine.
LOSSES = {"INT8": (0.1, 0.99), "dINT4": (1.0, 0.9), "FP4": (1.0, 0.95), "dINT3": (4.0, 0.7)}


def record(format, architecture, area, energy):
    power = None
    if energy:
        power = Power(
            energy, {"clock": energy}, "gaussian", "00", 4, 8, 4.0, 1.1, 1.5, 2.0, WITHIN_TABLES
        )
    return Record(
        configuration=RecordedConfiguration("dot", format, architecture, {"depth": 64, "lanes": 4}),
        library="ge",
        recipe="area",
        target_delay_ns=None,
        area=area,
        area_unit="GE",
        area_split=AreaSplit(area, 0.0, 0.0, 0.0),
        cells={},
        flip_flops=5,
        delay_ns=None,
        critical_path=None,
        delay_missing="ge has no tables of delays",
        power=power,
        check=Check("simulated", 10, 20),
        tools={},
        inputs_sha256="00",
    )


def row(format, y, cosine, method="none"):
    error = LayerError(y / 100, 0.0, 0.0, 0.0)
    return Row(Variant(method, format), error, {"layer": error}, {"cosine": cosine})


RECORDS = [record(*variant, *costs) for variant, costs in COSTS.items()]
ROWS = [row(format, *losses) for format, losses in LOSSES.items()]
EVALUATION = Evaluation("a_model", {}, {"cosine": 1.0}, [*ROWS, row("NF4", 0.5, 0.96)], [])


def names(points):
    return [point.format for point in points]


def found(metric, measure):
    (one,) = (f for f in fronts(RECORDS, EVALUATION) if (f.metric, f.measure) == (metric, measure))
    return one


def test_the_best_architecture_of_a_format_stands_for_it_in_each_metric():
    areas = {p.format: (p.cost, p.architecture) for p in found("area", "y").points}
    assert areas["INT8"] == (100.0, "small")  # four products
    energies = {p.format: (p.cost, p.architecture) for p in found("energy", "y").points}
    assert energies["INT8"] == (80.0, "cool")


def test_a_front_has_what_nothing_beats_in_both():
    assert names(found("area", "y").best) == ["dINT3", "dINT4", "INT8"]
    assert names(found("area", "cosine").best) == ["dINT3", "dINT4", "FP4", "INT8"]
    assert names(found("energy", "y").best) == ["FP4", "INT8"]


def test_what_is_beaten_is_beaten_by_the_most_accurate_that_takes_no_more():
    energy = found("energy", "y")
    beaten = {point.format: energy.beaten_by(point) for point in energy.points}
    assert {name: other and other.format for name, other in beaten.items()} == {
        "FP4": None,
        "dINT4": "FP4",
        "dINT3": "FP4",
        "INT8": None,
    }


def test_formats_that_only_one_side_has_are_left_out():
    assert all(set(names(one.points)) == set(LOSSES) for one in fronts(RECORDS, EVALUATION))


def test_netlists_for_delays_do_not_count():
    fast = structs.replace(record("dINT4", "digits", 4.0, 1.0), target_delay_ns=1.0)
    assert fronts([*RECORDS, fast], EVALUATION) == fronts(RECORDS, EVALUATION)


def test_each_scheme_has_a_front_of_its_own():
    other = [replace(r, variant=replace(r.variant, method="gptq")) for r in ROWS]
    schemes = {f.scheme for f in fronts(RECORDS, replace(EVALUATION, rows=[*ROWS, *other]))}
    assert schemes == {"none, channel, mse scales", "gptq, channel, mse scales"}


def test_without_energies_there_are_areas_alone(tmp_path):
    records = [structs.replace(r, power=None) for r in RECORDS]
    assert {f.metric for f in fronts(records, EVALUATION)} == {"area"}
    write_front(records, EVALUATION, tmp_path)
    assert "fJ" not in (tmp_path / "front.md").read_text()


def test_a_format_without_an_energy_has_dashes_there():
    records = [
        structs.replace(r, power=None) if r.configuration.format == "FP4" else r for r in RECORDS
    ]
    (line,) = (line for line in summary(records, EVALUATION).splitlines() if "FP4  " in line)
    assert line.split()[:5] == ["FP4", "60.00", "shift", "—", "—"]
    assert line.split()[-1] == "—"


def test_the_files_say_what_is_on_the_front(tmp_path):
    write_front(RECORDS, EVALUATION, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    text = (tmp_path / "front.md").read_text()
    assert "a\\_model" in text
    cells = "dINT4 | 50.00 | digits | 40.00 | digits | 1.000 | 10.000"
    assert f"| {cells} | front | FP4 is better | front | FP4 is better |" in text
    assert "Evaluated, but not measured: NF4." in " ".join(text.split())
    assert "fronts of none, channel, mse scales: dINT3, dINT4, INT8." in text
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_front(RECORDS, EVALUATION, tmp_path / name)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_score_is_a_loss():
    scores = {"perplexity": 7.0, "divergence": 0.25, "accuracy": 0.75}
    rows = [replace(r, scores=scores) for r in ROWS]
    causal = Evaluation("m", {}, scores, rows, [])
    areas = [f for f in fronts(RECORDS, causal) if f.metric == "area"]
    losses = {f.measure: f.points[0].loss for f in areas}
    assert losses == {"y": 4.0, "perplexity": 7.0, "divergence": 250.0, "accuracy": 25.0}


def test_names_stand_apart_and_a_loss_of_zero_is_drawn():
    """No logarithm of zero; warnings are errors."""
    points = (("dINT4", 1.0, 0.5, True), ("FP4", 1.001, 0.5, False), ("INT8", 2.0, 0.0, True))
    panel = FrontPanel("title", "area", "loss", (FrontLine("none", points),))
    assert draw([panel], "svg").startswith(b"<?xml")


def test_nf4_would_need_wide_integers():
    assert "within 1 %, a MAC would look up integers of 9 bits, up to 162" in nf4_note()


def test_a_report_and_an_evaluation_of_other_formats_do_not_go_together():
    with pytest.raises(ValueError, match="report and evaluation must have a format in common"):
        fronts(RECORDS[:1], replace(EVALUATION, rows=ROWS[1:]))
