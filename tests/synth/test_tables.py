"""Liberty tables: axes, units, conditions."""

from pathlib import Path

import numpy as np
import pytest

from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.tables import Energy, Table, Technology, condition

SMALL = Path(__file__).with_name("small.lib").read_text()


def read(tmp_path, text):
    path = tmp_path / "small.lib"
    path.write_text(text)
    return Technology.read(Library.read(path), {"INV", "NAND", "DFF"})


@pytest.fixture
def technology(tmp_path):
    return read(tmp_path, SMALL)


def test_tables_count_in_nanoseconds_femtofarads_and_femtojoules(technology):
    assert technology.voltage == 2.0
    pin = technology.cells["INV"].pins["Y"]
    (delay,) = pin.delays
    # 0.02 + 0.1·slew + 1·load, with loads in pF.
    assert delay.delays[0].at(0.05, 5.0) == pytest.approx(0.02 + 0.005 + 0.005)
    assert delay.slews[1].at(0.05, 5.0) == pytest.approx(0.03 + 0.01)
    (energy,) = pin.energies
    assert energy.at(0.05, 5.0) == pytest.approx((3 + 1) / 2 + 0.1 * 5)
    assert technology.cells["NAND"].pins["B"].capacitance == pytest.approx(4.0)


def test_other_units_give_the_same_energies(tmp_path, technology):
    text = SMALL.replace("(1, pf)", "(0.5, pf)").replace('"1V"', '"100mV"')
    scaled = read(tmp_path, text.replace("nom_voltage : 2.0", "nom_voltage : 20"))
    assert scaled.voltage == pytest.approx(technology.voltage)
    # The unit of energy is that of capacitance times that of voltage squared.
    old = technology.cells["INV"].pins["Y"].energies[0].at(0.05, 4.0)
    assert scaled.cells["INV"].pins["Y"].energies[0].at(0.05, 2.0) == pytest.approx(old * 0.005)
    assert scaled.cells["INV"].pins["A"].capacitance == pytest.approx(1.0)


def test_leakage_is_in_nanowatts_by_state(tmp_path):
    text = SMALL.replace('leakage_power_unit : "1nW"', 'leakage_power_unit : "100pW"')
    cell = read(tmp_path, text).cells["INV"]
    assert cell.leakage == pytest.approx(0.2)
    assert dict(cell.leakages) == pytest.approx({"A": 0.3, "!A": 0.1})


def test_axes_may_come_in_either_order(tmp_path, technology):
    slews, loads = "input_net_transition", "total_output_net_capacitance"
    first, rest = SMALL.split("power_lut_template", 1)
    first = first.replace(slews, "S").replace(loads, slews).replace("S", loads)
    swapped = first + "power_lut_template" + rest
    table = read(tmp_path, swapped).cells["INV"].pins["Y"].delays[0].delays[0]
    plain = technology.cells["INV"].pins["Y"].delays[0].delays[0]
    assert np.allclose(table.values, plain.values.T)


def test_rise_and_fall_capacitances_are_averaged(tmp_path):
    edges = "capacitance : 0.002; rise_capacitance : 0.001; fall_capacitance : 0.002;"
    text = SMALL.replace("capacitance : 0.002;", edges, 1)
    assert read(tmp_path, text).cells["INV"].pins["A"].capacitance == pytest.approx(1.5)


def test_tables_are_interpolated_and_extrapolated():
    slews, loads = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0])
    table = Table(slews, loads, np.array([[0, 2], [1, 3], [5, 7]]))
    assert table.at(0.5, 1.0) == pytest.approx(1.5)
    assert table.at(2.0, 0.0) == pytest.approx(3.0)
    assert table.at(4.0, 3.0) == pytest.approx(10.0)
    assert np.allclose(table.at(np.array([0.0, 3.0]), np.array([2.0, 0.0])), [2.0, 5.0])


def test_a_table_says_how_far_beyond_it_a_reading_is():
    slews, loads = np.array([0.0, 1.0, 4.0]), np.array([0.0, 10.0])
    table = Table(slews, loads, np.zeros((3, 2)))
    assert table.reach(4.0, 10.0) == 1
    assert np.allclose(table.reach(np.array([2.0, 12.0]), np.array([25.0, 10.0])), [2.5, 3.0])
    # What does not depend on one of them is not extrapolated in it.
    flat = Table(slews, np.zeros(1), np.zeros((3, 1)))
    assert flat.reach(2.0, 1e9) == 0.5
    wider = Table(slews, 10 * loads, np.zeros((3, 2)))
    assert Energy("A", None, (wider, table)).reach(0.0, 30.0) == 3


def test_resets_are_no_delays(tmp_path):
    text = SMALL.replace("timing_type : rising_edge", "timing_type : clear")
    assert read(tmp_path, text).cells["DFF"].pins["Q"].delays == ()


def test_a_library_without_internal_power_has_no_technology(ge):
    with pytest.raises(LibraryError, match=r"^ge has no tables of power$"):
        Technology.read(ge, {"NAND2", "INV"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nom_voltage", "absent", "nom_voltage of library small is 'nothing'"),
        ("time_unit", "absent", "time_unit is 'nothing'"),
        ('"1ns"', '"1 day"', "time_unit is '1 day'"),
        ("(1, pf)", "(one, pf)", "capacitive_load_unit is 'onepf'"),
        ("values", "absent", "values of cell_rise both is 'nothing'"),
        ('"0.022, 0.031', '"0.022, many', "values of cell_rise both is '0.022 many"),
        ('"0.022, 0.031,', '"0.022,', "values of cell_rise both is '0.022 0.121"),
        ('"0.022, 0.031', '"0.022, nan', "values of cell_rise both is '0.022 nan"),
        ("index_2", "absent", "index_2 of lu_table_template both is 'nothing'"),
        ("0.01, 0.1, 1.0", "0.1, 0.01, 1.0", "index_1 of lu_table_template both does not grow"),
        ("(both) { values", "(none) { values", "values of cell_rise none is '0.022"),
        ("capacitance : 0.002", "capacitance : much", "capacitance of pin A is 'much'"),
        ("input_transition_time", "normalized_voltage", "an axis is 'normalized_voltage'"),
    ],
)
def test_incomplete_tables_are_refused(tmp_path, old, new, message):
    with pytest.raises(LibraryError) as refusal:
        read(tmp_path, SMALL.replace(old, new, 1))
    assert str(refusal.value).startswith(
        f"tables of power in small must be complete, but {message}"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", lambda a, b, c: a),
        ("!A & B", lambda a, b, c: ~a & b),
        ("A*B+C", lambda a, b, c: (a & b) | c),
        ("A B' | C", lambda a, b, c: (a & ~b) | c),
        ("A & B ^ C", lambda a, b, c: a & (b ^ c)),
        ("(A + !(B * C))", lambda a, b, c: a | ~(b & c)),
        ("A & 1 | 0", lambda a, b, c: a),
    ],
)
def test_conditions_are_boolean_expressions(text, expected):
    rows = np.arange(8)
    pins = {name: (rows >> i & 1) == 1 for i, name in enumerate("ABC")}
    assert np.array_equal(condition(text)(pins), expected(*pins.values()))


@pytest.mark.parametrize("text", ["", "A &", "A )", "(A", "& A"])
def test_conditions_that_do_not_parse_are_refused(text):
    with pytest.raises(LibraryError, match="condition must"):
        condition(text)


def test_conditions_name_pins_of_the_cell():
    with pytest.raises(LibraryError, match="condition must name a pin of its cell, not 'Z'"):
        condition("A & Z")({"A": np.ones(2, dtype=bool)})
