"""Records."""

import msgspec
import pytest
from msgspec import structs

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.synth.records import AreaSplit, Check, CriticalPath, Record, RecordedConfiguration

RECORD = Record(
    configuration=RecordedConfiguration("mac", "dINT4", "digits", {"depth": 4096}),
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
    check=Check("simulated", 10, 20),
    tools={"yosys": "0.70"},
    inputs_sha256="00",
)


CONFIGURATION = Configuration("mac", DINT4, "nr4sd", {"depth": 64, "tree_register": 2})


@pytest.mark.parametrize("path", [None, CriticalPath("operands", "accumulator[3]", 7)])
def test_a_record_survives_json(path):
    written = structs.replace(RECORD, critical_path=path)
    assert msgspec.json.decode(msgspec.json.encode(written), type=Record) == written


def test_what_a_record_lacks_is_not_written():
    assert {"power_int8", "power_missing"}.isdisjoint(msgspec.to_builtins(RECORD))
    assert "power_missing" in msgspec.to_builtins(structs.replace(RECORD, power_missing="why"))


def test_a_recorded_configuration_is_that_of_the_hardware():
    recorded = RecordedConfiguration.of(CONFIGURATION)
    assert msgspec.to_builtins(recorded) == {
        "design": "mac",
        "format": "dINT4",
        "architecture": "nr4sd",
        "parameters": {"depth": 64, "tree_register": 2},
    }
    assert recorded.configuration() == CONFIGURATION


def test_a_configuration_that_is_not_known_is_read_and_refused_when_it_is_asked_for():
    values = {"design": "mac", "format": "INT8", "architecture": "new", "parameters": {}}
    recorded = msgspec.convert(values, RecordedConfiguration)
    with pytest.raises(ValueError, match="new"):
        recorded.configuration()


def test_products_of_a_cycle_are_those_of_all_parallel_parts():
    sizes = {"depth": 64, "lanes": 4, "outputs": 2, "rows": 3, "columns": 5}
    tile = RecordedConfiguration("tile", "dINT4", "digits", sizes)
    assert structs.replace(RECORD, configuration=tile).products_per_cycle == 120
    assert RECORD.products_per_cycle == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("area"), "missing required field `area`"),
        (lambda r: r.update(extra=1), "unknown field `extra`"),
        (lambda r: r.pop("check"), "missing required field `check`"),
        (lambda r: r["area_split"].pop("control"), r"`control` - at `\$\.area_split`"),
        (lambda r: r.update(area_split=None), r"got `null` - at `\$\.area_split`"),
        (lambda r: r.update(area=0), "> 0"),
        (lambda r: r["configuration"]["parameters"].update(lanes=0), "lanes must be positive"),
    ],
)
def test_refuses_what_has_other_fields_or_values(change, message):
    values = msgspec.to_builtins(RECORD)
    change(values)
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(values, Record)
