"""Records and ratios."""

import dataclasses
import json

import pytest

from dintmac.synth.records import AreaSplit, Check, CriticalPath, Ratio, Record, Variant, ratios_of

RECORD = Record(
    design="mac",
    format="dINT4",
    architecture="digits",
    parameters={"depth": 4096},
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
    delay_missing="ge has no tables of delays",
    power=None,
    checked="simulated",
    check=Check("simulated", 10, 20),
    tools={"yosys": "0.70"},
    inputs_sha256="00",
)


def record(format, architecture, area, **changes):
    return dataclasses.replace(
        RECORD, format=format, architecture=architecture, area=area, **changes
    )


@pytest.mark.parametrize("path", [None, CriticalPath("operands", "accumulator[3]", 7)])
def test_a_record_survives_json(path):
    written = dataclasses.replace(RECORD, critical_path=path)
    assert Record.from_json(json.loads(json.dumps(written.to_json()))) == written


def test_products_of_a_cycle_are_those_of_all_parallel_parts():
    sizes = {"depth": 64, "lanes": 4, "outputs": 2, "rows": 3, "columns": 5}
    assert dataclasses.replace(RECORD, parameters=sizes).products_per_cycle == 120
    assert RECORD.products_per_cycle == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.pop("area"),
        lambda r: r.update(extra=1),
        lambda r: r.pop("check"),
        lambda r: r["area_split"].pop("control"),
        lambda r: r.update(area_split=None),
    ],
)
def test_refuses_what_has_other_fields(change):
    values = RECORD.to_json()
    change(values)
    with pytest.raises(ValueError, match="a record must have exactly the fields design, format"):
        Record.from_json(values)


def test_the_baseline_is_the_smallest_of_its_format_and_named():
    records = [
        record("INT8", "behavioural", 400.0),
        record("INT8", "booth", 190.0),
        record("dINT4", "digits", 100.0),
        record("dINT4", "behavioural", 120.0),
        record("INT4", "digits", 95.0),
    ]
    found = {(r.baseline.format, r.candidate.format): r for r in ratios_of(records)}
    assert found.keys() == {("INT8", "INT4"), ("INT8", "dINT4"), ("INT4", "dINT4")}
    assert found["INT8", "dINT4"] == Ratio(
        design="mac",
        parameters={"depth": 4096},
        library="ge",
        metric="area",
        baseline=Variant("INT8", "booth"),
        candidate=Variant("dINT4", "digits"),
        ratio=1.9,
    )
    assert found["INT4", "dINT4"].ratio == pytest.approx(0.95)


@pytest.mark.parametrize(
    "other", [{"library": "x"}, {"design": "dot"}, {"parameters": {"depth": 8}}]
)
def test_only_equal_functions_in_one_library_are_compared(other):
    records = [record("INT8", "booth", 2.0, **other), record("dINT4", "digits", 1.0)]
    assert ratios_of(records) == []
