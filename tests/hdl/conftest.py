"""Components as simple gates, so that thousands of operands are tried at once."""

import json

import numpy as np
import pytest
from amaranth.back import rtlil

from dintmac.hdl.yosys import find_yosys
from dintmac.synth.netlist import Module, Netlist, Simulation

_SCRIPT = """\
read_rtlil top.il
hierarchy -top top
proc
flatten -noscopeinfo
opt_clean
techmap
setattr -unset init w:*
dfflegalize -cell $_DFF_P_ x
opt_clean
write_json top.json
"""


@pytest.fixture
def gates_of(tmp_path):
    """``gates_of(module, ports, copies)``: copies of an Amaranth module side by side."""

    def build(module, ports, copies):
        text = rtlil.convert(module, name="top", ports=list(ports), emit_src=False)
        (tmp_path / "top.il").write_text(text, "utf-8")
        find_yosys().run(_SCRIPT, tmp_path)
        found = json.loads((tmp_path / "top.json").read_text("utf-8"))["modules"]
        netlist = Netlist({"top": Module.from_json("top", found["top"])}, "top")
        return Simulation(netlist, copies, np.random.default_rng(0))

    return build
