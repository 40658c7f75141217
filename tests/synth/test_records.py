"""Records and ratios."""

import dataclasses
import json

import pytest

from dintmac.synth.records import AreaSplit, Check, Ratio, Record, Variant, ratios_of, to_json

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


def test_a_record_survives_json():
    text = json.dumps(RECORD.to_json())
    assert Record.from_json(json.loads(text)) == RECORD


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


def test_the_report_has_sorted_keys_and_no_time():
    text = to_json([RECORD, record("INT8", "booth", 200.0)], {"yosys": "0.70"})
    report = json.loads(text)
    assert list(report) == ["ratios", "records", "tools"]
    assert report["ratios"][0]["ratio"] == 2.0
    assert text == json.dumps(report, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert text == to_json([RECORD, record("INT8", "booth", 200.0)], {"yosys": "0.70"})
