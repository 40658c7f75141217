"""Mapped netlists: what they consist of, and that areas are those that Yosys counts."""

import json
import random

import pytest

from dintmac.hdl.verilog import export
from dintmac.hdl.yosys import find_yosys
from dintmac.synth.cells import cells_of
from dintmac.synth.check import check
from dintmac.synth.liberty import Library
from dintmac.synth.netlist import Netlist
from dintmac.synth.synthesis import synthesize

SIZES = {"lanes": 2, "outputs": 3, "depth": 300}


@pytest.mark.slow
def test_a_netlist_is_made_of_library_cells_alone(mapped, ge_cells):
    _, netlist = mapped("pe", "dint4", **SIZES)
    assert set(netlist.cells()) <= set(ge_cells.areas)


@pytest.mark.slow
def test_instances_are_counted_through_the_hierarchy(mapped):
    _, netlist = mapped("pe", "dint4", **SIZES)
    counts = netlist.instances()
    assert counts["pe_inner_product"] == 3
    assert counts["pe_group_partial_products"] == 6
    assert counts["pe"] == 1


def test_adders_and_clock_gates_of_the_library_are_used(mapped):
    _, netlist = mapped("pe", "dint4", **SIZES)
    cells = netlist.cells()
    # Nearly every bit of the two slots of each lane, and of the partial sum, meets a full adder.
    assert cells["FA"] > 3 * 20
    # One each for shadow and resident weights, activations and partial sums.
    assert cells["CLKGATE"] == 4
    assert cells["DFF"] >= 2 * 6 * 4 + 2 * 8


@pytest.mark.slow
def test_synthesis_is_reproducible(mapped, ge, ge_cells):
    configuration, netlist = mapped("mac", "dint4", depth=300)
    assert synthesize(export(configuration), ge, ge_cells) == netlist


def test_the_area_is_that_which_yosys_counts(mapped, ge, ge_cells, tmp_path):
    """An independent sum: the netlist goes back to Yosys and through its ``stat``."""
    _, netlist = mapped("pe", "dint4", **SIZES)
    (tmp_path / "cells.lib").write_text(ge.text())
    modules = [f"module {name};\n{body(m)}endmodule\n" for name, m in netlist.modules.items()]
    (tmp_path / "netlist.v").write_text("\n".join(modules))
    script = "read_liberty -lib cells.lib\nread_verilog netlist.v\nhierarchy -top pe\n"
    script += "tee -q -o stat.json stat -json -liberty cells.lib\n"
    find_yosys().run(script, tmp_path)
    counted = json.loads((tmp_path / "stat.json").read_text())["design"]["area"]
    area = sum(ge_cells.areas[kind] * number for kind, number in netlist.cells().items())
    assert counted == pytest.approx(area)


def body(module):
    return "".join(f"  {cell.kind} u{i} ();\n" for i, cell in enumerate(module.cells))


@pytest.mark.parametrize("name", ["nangate45", "sky130hd", "sg13g2", "osu018"])
@pytest.mark.slow
def test_netlists_in_open_libraries_equal_the_golden_model(mapped, store, open_library, name):
    library = open_library(name)
    cells = cells_of(library, store)
    configuration, _ = mapped("tile", "dint4", lanes=2, rows=2, columns=1, outputs=1)
    netlist = synthesize(export(configuration), library, cells)
    modules = {**cells.models, **netlist.modules}
    simulated = Netlist(modules, netlist.top, clock_gates=cells.clock_gates)
    assert check(simulated, configuration).vectors > 1000


def shuffled(library, path, seed):
    """The library from a file whose cells are in another order."""
    names = sorted(library.facts)
    random.Random(seed).shuffle(names)
    path.write_text(library.text(names))
    return Library.read(path)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.slow
def test_areas_do_not_depend_on_the_order_of_cells_in_the_file(
    mapped, ge, ge_cells, tmp_path, seed
):
    configuration, netlist = mapped("mac", "int8", "nr4sd", depth=300)
    other = shuffled(ge, tmp_path / "shuffled.lib", seed)
    cells = cells_of(other)
    assert synthesize(export(configuration), other, cells).area(cells) == netlist.area(ge_cells)


def test_mappers_get_equal_cells_in_several_orders_and_all_by_area(ge_cells):
    orders = [ge_cells.ordered(order) for order in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    for order in orders:
        areas = [ge_cells.areas[name] for name in order]
        assert areas == sorted(areas)
        assert not set(order) & {*ge_cells.dont_use, *ge_cells.stronger}
