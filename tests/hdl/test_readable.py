"""Expressions in the place of nets without names, and no change of what is computed."""

import re

import pytest

from dintmac.hdl.readable import readable
from dintmac.hdl.yosys import find_yosys


def module(body, ports="a, b, c, y", declarations=""):
    return f"module m({ports});\n{declarations}{body}endmodule\n"


BITS = "  input a;\n  input b;\n  input c;\n  output y;\n"


def test_nets_without_a_name_become_expressions():
    verilog = module(
        "  wire \\$1 ;\n  wire \\$2 ;\n"
        "  assign \\$1  = ~ a;\n  assign \\$2  = \\$1  & b;\n  assign y = \\$2  | c;\n",
        declarations=BITS,
    )
    assert readable(verilog) == module("  assign y = ((~ a) & b) | c;\n", declarations=BITS)


def test_conditions_stand_in_their_own_parentheses():
    verilog = module(
        "  wire \\$1 ;\n  reg y;\n  assign \\$1  = a & b;\n"
        "  always @(posedge c)\n    if (\\$1 ) y <= a;\n",
        declarations=BITS,
    )
    assert "    if (a & b) y <= a;\n" in readable(verilog)


def test_what_is_used_twice_stays_a_net_and_gets_a_name():
    verilog = module(
        "  wire \\$1 ;\n  assign \\$1  = ~ a;\n  assign y = \\$1  ^ \\$1 ;\n", declarations=BITS
    )
    assert "  assign net_1 = ~ a;\n  assign y = net_1 ^ net_1;\n" in readable(verilog)


def test_names_are_not_escaped_and_stay_distinct():
    wires = ["sum_3", "\\sum_3$45 ", "sum_3_45", "\\o.field[1] "]
    declarations = "".join(f"  wire {name};\n" for name in wires)
    text = readable(module("  assign y = \\sum_3$45 ;\n", declarations=BITS + declarations))
    assert "\\" not in text
    assert re.findall(r"  wire (\w+);", text) == ["sum_3", "sum_3_45_", "sum_3_45", "o_field_1"]
    assert "  assign y = sum_3_45_;\n" in text


def test_nets_of_an_instance_have_its_name_and_that_of_the_port():
    verilog = module(
        "  wire \\$1 ;\n  other cell (\n    .i(a),\n    .o(\\$1 )\n  );\n", declarations=BITS
    )
    assert "    .o(cell_o)\n" in readable(verilog)


#: Operators whose results depend on how wide they are evaluated, and what takes them.
TRAPS = {
    "the carry of a sum": ("[4:0]", "x + z", "\\$1  >> s"),
    "the carry that a sum loses": ("[3:0]", "x + z", "\\$1  >> s"),
    "an inverted bit among more": ("", "~ s", "x & \\$1 "),
    "an inverted bit behind others": ("", "~ s", "x | \\$1 "),
    "an inverted number among more": ("[1:0]", "~ x[1:0]", "x ^ \\$1 "),
    "a signed product": ("[7:0]", "$signed(x) * $signed(z)", "{ \\$1 [7], \\$1 [3:1] }"),
    "a negation as a choice": ("[3:0]", "- $signed(x)", "s ? \\$1  : z"),
    "a comparison of a sum": ("[3:0]", "x + z", "{ 3'h0, \\$1  == x }"),
    "a choice of one width": ("[3:0]", "s ? x : z", "~ \\$1 "),
    "a reduction": ("", "| x", "z ^ { 3'h0, \\$1  }"),
    "a reduced sum": ("[4:0]", "x + z", "{ 3'h0, s } & { 3'h0, \\$1 [4] }"),
    "a sum that is reduced": ("[4:0]", "x + z", "| \\$1 "),
    "a comparison": ("", "x < z", "\\$1  ? x : z"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_computed_stays_the_same(trap, tmp_path):
    width, expression, use = TRAPS[trap]
    ports = "  input [3:0] x;\n  input [3:0] z;\n  input s;\n  output [3:0] y;\n"
    body = f"  wire {width and width + ' '}\\$1 ;\n  assign \\$1  = {expression};\n"
    verilog = module(f"{body}  assign y = {use};\n", ports="x, z, s, y", declarations=ports)
    (tmp_path / "gold.v").write_text(verilog, "utf-8")
    (tmp_path / "gate.v").write_text(readable(verilog), "utf-8")
    find_yosys().run(
        "read_verilog gold.v\nprep\nrename m gold\ndesign -stash gold\n"
        "read_verilog gate.v\nprep\nrename m gate\ndesign -stash gate\n"
        "design -copy-from gold gold\ndesign -copy-from gate gate\n"
        "miter -equiv -flatten -make_assert gold gate miter\nsat -verify -prove-asserts miter\n",
        tmp_path,
    )
