"""Logic that goes to ABC and comes back."""

import pytest

from dintmac.synth.blif import COVERS, has_logic, logic_of, with_logic
from dintmac.synth.netlist import Cell, Module, NetlistError, truth_tables

OUTPUTS = {"INV": {"Y"}, "NAND": {"Y"}, "FA": {"CO", "S"}}


def gate(kind):
    """A simple gate as a module of its own."""
    inputs = {pin: (number,) for number, pin in enumerate("ABS", 2) if pin in COVERS[kind][0]}
    return Module(kind, inputs, {"Y": (9,)}, (Cell("gate", kind, {**inputs, "Y": (9,)}),))


def covered(rows, values):
    return any(all(c in ("-", v) for c, v in zip(row, values, strict=True)) for row in rows)


@pytest.mark.parametrize("kind", COVERS)
def test_covers_are_what_gates_do(kind):
    pins, rows = COVERS[kind]
    assert list(gate(kind).inputs) == list(pins)
    table = truth_tables(gate(kind))["Y"]
    for number in range(1 << len(pins)):
        values = "".join(str(number >> i & 1) for i in range(len(pins)))
        assert covered(rows, values) == bool(table >> number & 1)


def module(*cells, outputs):
    return Module("top", {"a": (2,), "b": (3,)}, {"y": outputs}, cells)


AND = Cell("and", "$_AND_", {"A": (2,), "B": (3,), "Y": (4,)})
NOT = Cell("not", "$_NOT_", {"A": (4,), "Y": (5,)})
ADDER = Cell("fa", "FA", {"A": (5,), "B": (2,), "CI": ("x",), "S": (6,), "CO": (7,)})


def test_ports_of_logic_are_what_it_reads_and_what_others_read():
    blif = logic_of(module(AND, NOT, ADDER, outputs=(6,))).splitlines()
    assert blif[:3] == [".model logic", ".inputs n2 n3", ".outputs n5"]
    assert blif[-5:] == [".names n2 n3 n4", "11 1", ".names n4 n5", "0 1", ".end"]


def test_constants_are_nets_of_their_own():
    tied = Cell("and", "$_AND_", {"A": ("1",), "B": ("x",), "Y": (4,)})
    blif = logic_of(module(tied, outputs=(4,))).splitlines()
    assert ".inputs" in blif
    assert ".names one zero n4" in blif


def test_only_simple_gates_are_logic():
    assert has_logic(module(AND, outputs=(4,)))
    assert not has_logic(module(ADDER, outputs=(6,)))


def test_mapped_logic_takes_the_place_of_gates():
    blif = """\
# written by ABC
.model logic
.inputs n2 \\
n3
.outputs n5
.gate NAND A=n2 B=n3 Y=new_n9
.gate INV  A=new_n9 Y=n4
.gate INV  A=n4 Y=n5
.end
"""
    mapped = with_logic(module(AND, NOT, ADDER, outputs=(6,)), blif, OUTPUTS)
    assert [cell.kind for cell in mapped.cells] == ["FA", "NAND", "INV", "INV"]
    _, nand, first, second = mapped.cells
    assert nand.pins["Y"] == first.pins["A"] == (8,)
    assert second.pins == {"A": (4,), "Y": (5,)}
    assert len({cell.name for cell in mapped.cells}) == 4


def test_constants_without_a_cell_reach_their_readers():
    blif = ".model logic\n.outputs n4 n5\n.gate _const0_ z=n5\n.gate _const1_ z=n4\n.end\n"
    mapped = with_logic(module(AND, NOT, ADDER, outputs=(4, 5, 6)), blif, OUTPUTS)
    assert mapped.outputs == {"y": ("1", "0", 6)}
    assert [cell.pins["A"] for cell in mapped.cells] == [("0",)]


def test_logic_that_is_not_mapped_is_refused():
    blif = ".model logic\n.inputs n2\n.outputs n5\n.names n2 n5\n0 1\n.end\n"
    with pytest.raises(NetlistError, match=r"cells alone, not '\.names n2 n5'"):
        with_logic(module(AND, NOT, outputs=(5,)), blif, OUTPUTS)
