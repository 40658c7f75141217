"""Complementary outputs of registers in place of inverters."""

from collections import Counter

import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth.cells import cells_of
from dintmac.synth.check import check
from dintmac.synth.complements import Complementary, complementary, use_complements
from dintmac.synth.liberty import Library
from dintmac.synth.netlist import Cell, Module, Netlist
from dintmac.synth.synthesis import synthesize

COMPLEMENT = """
    pin (QN) {
      direction : output;
      max_capacitance : 1000.0;
      function : "IQN";
    }
"""


@pytest.fixture(scope="module")
def with_complements(ge, store, tmp_path_factory):
    """``with_complements(area)``: the bundled library with a flip-flop that has both outputs."""

    def analysed(area):
        head, _, rest = ge.text().partition("  cell (DFF) {\n")
        body, _, tail = rest.partition("\n  }\n")
        both = body.replace("area : 6;", f"area : {area};") + COMPLEMENT
        text = f"{head}  cell (DFF) {{\n{body}\n  }}\n  cell (BOTH) {{\n{both}\n  }}\n{tail}"
        path = tmp_path_factory.mktemp("library") / "both.lib"
        path.write_text(text)
        library = Library.read(path)
        return library, cells_of(library, store)

    return analysed


@pytest.fixture(scope="module")
def cells(with_complements):
    return with_complements(6.25)[1]


def inverter(name, data, out):
    return Cell(name, "INV", {"A": (data,), "Y": (out,)})


def register(name, data, out):
    return Cell(name, "DFF", {"CK": (2,), "D": (data,), "Q": (out,)})


def child(*cells, outputs=(5,)):
    return Module("child", {"i": (3, 4)}, {"o": outputs}, cells)


def parent(*cells, outputs):
    return Module("parent", {"clk": (2,), "i": (3, 4)}, {"o": outputs}, cells)


def kinds(modules, name):
    return Counter(cell.kind for cell in modules[name].cells)


def test_a_complement_is_used_where_it_takes_less_than_an_inverter(with_complements, ge_cells):
    assert ge_cells.areas["INV"] == 0.5
    assert complementary(with_complements(6.25)[1])["DFF"] == Complementary("BOTH", "Q", "QN")
    assert "DFF" not in complementary(with_complements(6.5)[1])
    assert complementary(ge_cells) == {}


def test_inverters_of_one_register_become_its_complement(cells):
    top = parent(
        register("r", 3, 5),
        inverter("a", 5, 6),
        inverter("b", 5, 7),
        inverter("c", 4, 8),
        outputs=(5, 6, 7, 8),
    )
    result = use_complements({"parent": top}, "parent", cells)["parent"]
    assert {cell.name: cell.kind for cell in result.cells} == {"r": "BOTH", "c": "INV"}
    assert result.cells[0].pins["QN"] == (6,)
    assert result.outputs["o"] == (5, 6, 6, 8)


def test_a_complement_that_is_in_use_already_serves_for_inverters_as_well(cells):
    both = Cell("r", "BOTH", {"CK": (2,), "D": (3,), "Q": (5,), "QN": (6,)})
    top = parent(both, inverter("a", 5, 7), outputs=(6, 7))
    result = use_complements({"parent": top}, "parent", cells)["parent"]
    assert result.cells == (both,)
    assert result.outputs["o"] == (6, 6)


def test_an_inverter_in_an_instance_becomes_the_complement_of_a_register_outside(cells):
    middle = Module(
        "middle", {"i": (3, 4)}, {"o": (5,)}, (Cell("x", "child", {"i": (3, 4), "o": (5,)}),)
    )
    top = parent(
        register("r", 3, 5),
        Cell("x", "middle", {"i": (5, 4), "o": (6,)}),
        Cell("y", "middle", {"i": (5, 5), "o": (7,)}),
        outputs=(6, 7),
    )
    modules = {"parent": top, "middle": middle, "child": child(inverter("n", 3, 5))}
    result = use_complements(modules, "parent", cells)
    assert kinds(result, "parent") == {"BOTH": 1, "middle": 2}
    assert kinds(result, "child") == {}
    for version in (modules, result):
        netlist = Netlist({**cells.models, **version}, "parent")
        outputs, _ = netlist.step([0b0011, 0b0101], [0b0110] * netlist.flip_flops, 0b1111)
        assert outputs == [0b1001, 0b1001]


def test_an_inverter_stays_where_one_instance_has_no_register_before_it(cells):
    top = parent(
        register("r", 3, 5),
        Cell("x", "child", {"i": (5, 4), "o": (6,)}),
        Cell("y", "child", {"i": (4, 5), "o": (7,)}),
        outputs=(6, 7),
    )
    modules = {"parent": top, "child": child(inverter("n", 3, 5))}
    assert use_complements(modules, "parent", cells) == modules


@pytest.mark.slow
def test_a_mapped_design_is_smaller_by_its_inverters_and_right(with_complements):
    configuration = Configuration("mac", DINT4, "digits", {"depth": 300})
    areas = []
    for area in (6.5, 6):
        library, cells = with_complements(area)
        mapped = synthesize(export(configuration), library, cells)
        modules = {**cells.models, **mapped.modules}
        netlist = Netlist(modules, mapped.top, clock_gates=cells.clock_gates)
        assert check(netlist, configuration).vectors > 1000
        areas.append(mapped.area(cells))
    # The accumulator and what the digits need of the code.
    assert areas[1] <= areas[0] - 20 * 0.5
