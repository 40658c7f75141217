"""Records."""

import dataclasses
import json

import pytest

from dintmac.synth.records import AreaSplit, Check, CriticalPath, Record

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
