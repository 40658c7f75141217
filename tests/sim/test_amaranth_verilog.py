"""Amaranth's own Verilog of a component, for whoever does not export it by ``dintmac verilog``."""

import dataclasses

import pytest
from amaranth.back import verilog

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.sim.bench import run_bench
from dintmac.sim.simulators import SIMULATORS, cocotb_simulator

MAC = Configuration("mac", DINT4, "", {"depth": 64})


def behind_exported_ports(exported):
    """The export with Amaranth's Verilog in it: a module that renames ports, and what it wraps."""
    inputs = [p for p in reversed(exported.ports) if (p.stream, p.role) == ("i", "payload")]
    ports = ["input clk", "input rst"]
    ports += [f"{port.direction} [{port.width - 1}:0] {port.name}" for port in exported.ports]
    wrapper = f"""\
module {exported.module} ({", ".join(ports)});
  component component (
    .clk(clk), .rst(rst), .i__valid(i_valid), .i__ready(i_ready),
    .i__payload({{{", ".join(port.name for port in inputs)}}}),
    .o__valid(o_valid), .o__ready(o_ready), .o__payload(o_sum)
  );
endmodule
"""
    converted = verilog.convert(exported.configuration.create(), name="component")
    return dataclasses.replace(exported, modules=wrapper + converted)


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_simulates_as_the_golden_model_says(monkeypatch):
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "builtin")
    export = cocotb_simulator.export
    monkeypatch.setattr(
        cocotb_simulator, "export", lambda given: behind_exported_ports(export(given))
    )
    result = run_bench(MAC, SIMULATORS["icarus"], seed=1)
    assert result.passed, [test.message for test in result.tests if not test.passed]
