"""Records."""

import json

import pytest

from dintmac.synth.records import AreaSplit, Check, Record

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
