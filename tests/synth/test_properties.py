"""Properties of the control logic: right netlists have them, and faults break them."""

import dataclasses
import re

import pytest

from dintmac.synth.check import CheckError, check
from dintmac.synth.proof import ProofError

SIZES = {
    "mac": {"depth": 4},
    "dot": {"depth": 4, "lanes": 1},
    "pe": {"depth": 4, "lanes": 1, "outputs": 2},
    "tile": {"depth": 4, "lanes": 1, "outputs": 1, "rows": 2, "columns": 2},
}


@pytest.mark.parametrize("format", ["dint4", "int8"])
@pytest.mark.parametrize("design", SIZES)
def test_the_control_logic_of_every_design_is_proved_by_induction(
    mapped, proofs_of, design, format
):
    control = proofs_of(*mapped(design, format, **SIZES[design]))[-1]
    assert control.claim == "control"
    assert re.fullmatch(r"induction, k = \d+", control.method)


@pytest.mark.parametrize(
    ("design", "part"),
    [
        ("mac", "mac_mac"),
        ("pe", "processing_element"),
        ("tile", "weight_stationary_tile"),
    ],
)
def test_faults_in_control_logic_are_found_and_simulation_agrees(
    mapped, proofs_of, netlist_of, gate_faults, design, part
):
    configuration, right = mapped(design, "int8", **SIZES[design])
    for what, faulty in gate_faults(right, part, 6):
        with pytest.raises(ProofError):
            pytest.fail(f"not found: {what}: {proofs_of(configuration, faulty)}")
        with pytest.raises(CheckError):
            pytest.fail(f"no fault: {what}: {check(netlist_of(faulty), configuration)}")


@pytest.mark.parametrize(
    ("design", "sentence"),
    [
        ("mac", "a result must stay as it is until it is taken"),
        ("pe", "o_activations must follow i_activations with a vector"),
        ("tile", "a result must stay as it is until it is taken"),
    ],
)
def test_a_clock_gate_that_is_always_open_breaks_a_property(
    mapped, proofs_of, ge_cells, design, sentence
):
    configuration, right = mapped(design, "int8", **SIZES[design])
    found = []
    for name, module in right.modules.items():
        for index, cell in enumerate(module.cells):
            if cell.kind in ge_cells.clock_gates:
                pins = {**cell.pins, ge_cells.clock_gates[cell.kind].enable: ("1",)}
                open_gate = dataclasses.replace(cell, pins=pins)
                cells = (*module.cells[:index], open_gate, *module.cells[index + 1 :])
                changed = {**right.modules, name: dataclasses.replace(module, cells=cells)}
                with pytest.raises(ProofError) as caught:
                    proofs_of(configuration, dataclasses.replace(right, modules=changed))
                found.append(str(caught.value))
    print(len(found), [f[:150] for f in found])
    assert any(sentence in message for message in found)
