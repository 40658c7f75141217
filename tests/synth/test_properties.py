"""Properties of the control logic: right netlists have them, and faults break them."""

import dataclasses
import re

import pytest

from dintmac.synth import induction
from dintmac.synth.check import CheckError, check
from dintmac.synth.logic import ProofError

SIZES = {
    "mac": {"depth": 4},
    "dot": {"depth": 4, "lanes": 1},
    "pe": {"depth": 4, "lanes": 1, "outputs": 2},
    "tile": {"depth": 4, "lanes": 1, "outputs": 1, "rows": 2, "columns": 2},
}


@pytest.mark.parametrize("format", ["dint4", "int8"])
@pytest.mark.parametrize("design", SIZES)
@pytest.mark.slow
def test_the_control_logic_of_every_design_is_proved_by_induction(
    mapped, proofs_of, design, format
):
    control = proofs_of(*mapped(design, format, **SIZES[design]))[-1]
    assert control.claim == "control"
    assert re.fullmatch(r"induction, k = \d+", control.method)


@pytest.mark.parametrize(("design", "part"), [("mac", "mac_mac"), ("pe", "processing_element")])
def test_faults_in_control_logic_are_found_and_simulation_agrees(
    mapped, proofs_of, netlist_of, gate_faults, design, part
):
    configuration, right = mapped(design, "int8", **SIZES[design])
    for what, faulty in gate_faults(right, part, 6):
        with pytest.raises(ProofError):
            pytest.fail(f"not found: {what}: {proofs_of(configuration, faulty)}")
        with pytest.raises(CheckError):
            pytest.fail(f"no fault: {what}: {check(netlist_of(faulty), configuration)}")


def test_faults_in_the_control_logic_of_a_tile_are_found(mapped, proofs_of, gate_faults):
    configuration, right = mapped("tile", "int8", **SIZES["tile"])
    for what, faulty in gate_faults(right, "weight_stationary_tile", 6):
        with pytest.raises(ProofError, match=r": .* must .*, but not in cycle \d+ with inputs rst"):
            pytest.fail(f"not found: {what}: {proofs_of(configuration, faulty)}")


@pytest.mark.parametrize("design", ["mac", "pe", "tile"])
def test_clock_gates_that_are_always_open_are_found(mapped, proofs_of, ge_cells, design):
    configuration, right = mapped(design, "int8", **SIZES[design])
    places = [
        (name, cell)
        for name, module in right.modules.items()
        for cell in module.cells
        if cell.kind in ge_cells.clock_gates
    ]
    assert places
    for name, cell in places:
        module = right.modules[name]
        enable = ge_cells.clock_gates[cell.kind].enable
        open_gate = dataclasses.replace(cell, pins={**cell.pins, enable: ("1",)})
        cells = tuple(open_gate if c is cell else c for c in module.cells)
        modules = {**right.modules, name: dataclasses.replace(module, cells=cells)}
        with pytest.raises(ProofError):
            proofs_of(configuration, dataclasses.replace(right, modules=modules))


def test_an_induction_that_does_not_end_is_no_proof(monkeypatch, mapped, proofs_of):
    monkeypatch.setattr(induction, "_STEPS", 1)
    sentence = "must keep its protocol, but induction over 1 cycle does not show it"
    with pytest.raises(ProofError, match=sentence):
        proofs_of(*mapped("tile", "int8", **SIZES["tile"]))
