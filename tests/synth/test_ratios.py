"""Ratios between records."""

import pytest
from msgspec import structs

from dintmac.golden.formats import DINT4, INT8
from dintmac.hdl.catalog import DESIGNS
from dintmac.synth.ratios import Ratio, Side, ratios_of
from dintmac.synth.records import (
    AreaSplit,
    BeyondTables,
    Check,
    Power,
    Record,
    RecordedConfiguration,
)

SIZES = {"depth": 4096}
RECORD = Record(
    configuration=RecordedConfiguration("mac", "dINT4", "digits", SIZES),
    library="ge",
    recipe="area",
    target_delay_ns=None,
    area=100.0,
    area_unit="GE",
    area_split=AreaSplit(registers=50.0, products=30.0, accumulation=15.0, control=5.0),
    cells={"NAND2": 10},
    flip_flops=5,
    delay_ns=None,
    critical_path=None,
    delay_missing="not measured",
    power=None,
    check=Check("simulated", 10, 20),
    tools={"yosys": "0.70"},
    inputs_sha256="00",
)


def record(format, architecture, area, *, design="mac", parameters=SIZES, **changes):
    configuration = RecordedConfiguration(design, format, architecture, parameters)
    return structs.replace(RECORD, configuration=configuration, area=area, **changes)


def energy(value, data="gaussian"):
    return Power(
        energy_per_mac_fj=value,
        split_fj={"clock": value},
        data=data,
        data_sha256="00",
        macs=1,
        cycles=8,
        period_ns=4.0,
        voltage=1.1,
        glitch_factor=1.5,
        step_ps=2.0,
        beyond_tables=BeyondTables(arcs=0.0, energy=0.0, reach=0.8),
    )


def by_sides(ratios):
    """Ratios by both architectures and metric, with the delay."""
    return {
        (r.baseline.architecture, r.candidate.architecture, r.metric, r.delay_ns): (
            round(r.ratio, 6),
            r.strongest,
        )
        for r in ratios
        if (r.baseline.format, r.candidate.format) == ("INT8", "dINT4")
    }


def test_every_baseline_stands_against_the_smallest_candidate_and_the_strongest_is_named():
    records = [
        record("INT8", "behavioural", 400.0),
        record("INT8", "booth", 190.0),
        record("dINT4", "digits", 100.0),
        record("dINT4", "behavioural", 120.0),
        record("INT4", "digits", 95.0),
    ]
    ratios = ratios_of(records)
    assert ratios[2:4] == [
        Ratio(
            design="mac",
            parameters={"depth": 4096},
            library="ge",
            metric="area",
            delay_ns=None,
            baseline=Side("INT8", architecture),
            candidate=Side("dINT4", "digits"),
            strongest=architecture == "booth",
            ratio=ratio,
            compared={"INT8": ["behavioural", "booth"], "dINT4": ["digits", "behavioural"]},
            missing={
                "INT8": [a for a in DESIGNS["mac"].built_architectures(INT8) if a != "booth"],
                "dINT4": ["digits_folded", "nr4sd", "nr4sd_split"],
            },
            extrapolated=False,
        )
        for architecture, ratio in (("behavioural", 4.0), ("booth", 1.9))
    ]
    pairs = [(r.baseline.format, r.candidate.format, r.strongest) for r in ratios]
    assert pairs.count(("INT8", "INT4", True)) == pairs.count(("INT4", "dINT4", True)) == 1
    assert ratios[-1].ratio == pytest.approx(0.95)


@pytest.mark.parametrize(
    "other", [{"library": "x"}, {"design": "dot"}, {"parameters": {"depth": 8}}]
)
def test_only_equal_functions_in_one_library_are_compared(other):
    records = [record("INT8", "booth", 2.0, **other), record("dINT4", "digits", 1.0)]
    assert ratios_of(records) == []


def test_the_order_of_parameters_is_no_matter():
    """Records from the cache have them sorted."""
    fresh = record("INT8", "booth", 190.0, parameters={"lanes": 4, "depth": 64})
    cached = record("dINT4", "digits", 100.0, parameters={"depth": 64, "lanes": 4})
    (ratio,) = ratios_of([fresh, cached])
    assert (ratio.ratio, ratio.strongest) == (1.9, True)


def test_at_equal_delay_the_smallest_that_keep_it_are_compared():
    records = [
        record("INT8", "booth", 180.0),
        record("INT8", "booth", 200.0, target_delay_ns=2.0, delay_ns=1.9),
        record("INT8", "booth", 300.0, target_delay_ns=1.0, delay_ns=1.1),
        record("INT8", "pair", 190.0, target_delay_ns=1.0, delay_ns=2.1),
        record("dINT4", "digits", 100.0),
        record("dINT4", "digits", 120.0, target_delay_ns=2.0, delay_ns=1.8),
        record("dINT4", "digits", 110.0, target_delay_ns=1.0, delay_ns=0.9),
    ]
    assert by_sides(ratios_of(records)) == {
        ("booth", "digits", "area", None): (1.8, True),
        ("booth", "digits", "area", 2.0): (round(200 / 110, 6), True),
    }


def test_the_lowest_energy_baseline_need_not_be_the_smallest():
    records = [
        record("INT8", "booth", 190.0, power=energy(300.0)),
        record("INT8", "baugh_wooley", 220.0, power=energy(250.0)),
        record("dINT4", "digits", 100.0, power=energy(125.0)),
    ]
    assert by_sides(ratios_of(records)) == {
        ("booth", "digits", "area", None): (1.9, True),
        ("baugh_wooley", "digits", "area", None): (2.2, False),
        ("booth", "digits", "energy", None): (2.4, False),
        ("baugh_wooley", "digits", "energy", None): (2.0, True),
    }


def sides(ratios, field):
    """A field of all ratios by metric and delay, where it is one for INT8 and dINT4."""
    of = {(r.metric, r.delay_ns): getattr(r, field) for r in ratios if r.strongest}
    return {key: (value.get("INT8"), value.get("dINT4")) for key, value in of.items()}


def test_nothing_is_missing_where_all_that_is_built_was_measured():
    records = [
        record(format.name, architecture, 100.0)
        for format in (INT8, DINT4)
        for architecture in DESIGNS["mac"].built_architectures(format)
    ]
    assert {tuple(map(tuple, r.missing.values())) for r in ratios_of(records)} == {((), ())}


def test_what_is_missing_is_told_for_energy_and_area_apart():
    records = [
        record("INT8", name, 190.0, power=energy(300.0) if name == "pair" else None)
        for name in DESIGNS["mac"].built_architectures(INT8)
    ]
    records.append(record("dINT4", "nr4sd", 100.0, power=energy(125.0)))
    int8 = list(DESIGNS["mac"].built_architectures(INT8))
    others = ["digits", "digits_folded", "nr4sd_split"]
    assert sides(ratios_of(records), "compared") == {
        ("area", None): (int8, ["nr4sd"]),
        ("energy", None): (["pair"], ["nr4sd"]),
    }
    assert sides(ratios_of(records), "missing") == {
        ("area", None): ([], others),
        ("energy", None): ([name for name in int8 if name != "pair"], others),
    }


def test_what_was_tried_for_a_delay_and_is_too_slow_is_not_missing():
    records = [
        record("INT8", "booth", 200.0, target_delay_ns=2.0, delay_ns=1.9),
        record("INT8", "pair", 190.0, target_delay_ns=2.0, delay_ns=2.1),
        record("INT8", "fip", 180.0, delay_ns=1.8),
        record("INT8", "r4n", 180.0, delay_ns=2.8),
        record("dINT4", "digits", 120.0, target_delay_ns=2.0, delay_ns=1.8),
    ]
    (compared,) = sides(ratios_of(records), "compared").values()
    assert set(compared[0]) == {"booth", "pair", "fip"}
    (missing,) = sides(ratios_of(records), "missing").values()
    assert "r4n" in missing[0]


@pytest.mark.parametrize("far", ["INT8", "dINT4"])
def test_energies_are_extrapolated_if_much_of_either_side_is(far):
    def measured(format, value):
        shares = BeyondTables(arcs=0.02 if format == far else 0.01, energy=0.0, reach=45.0)
        return structs.replace(energy(value), beyond_tables=shares)

    records = [
        record("INT8", "booth", 190.0, power=measured("INT8", 300.0)),
        record("dINT4", "digits", 100.0, power=measured("dINT4", 125.0)),
    ]
    assert {r.metric: r.extrapolated for r in ratios_of(records)} == {
        "area": False,
        "energy": True,
    }


def test_energies_of_different_data_are_not_compared():
    records = [
        record("INT8", "booth", 190.0, power=energy(300.0)),
        record("dINT4", "digits", 100.0, power=energy(125.0, "minilm")),
    ]
    assert {r.metric for r in ratios_of(records)} == {"area"}
