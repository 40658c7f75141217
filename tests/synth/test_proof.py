"""Proofs of sums: right netlists are proved, and faults are found with a counterexample."""

import re
import sys

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8, parse
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.configuration import Configuration
from dintmac.synth.check import CheckError, check
from dintmac.synth.logic import Graph, ProofError, SolverError, add, product
from dintmac.synth.netlist import Simulation
from dintmac.synth.proof import prove

#: Narrow partial sums; what is left of the adders is proved all the same.
DEPTH = 4
FOUR_BITS = [(f.name, a.name) for f in (INT4, DINT4) for a in architectures_of(f)]


@pytest.mark.parametrize(("format", "architecture"), FOUR_BITS)
@pytest.mark.slow
def test_a_lane_of_every_four_bit_architecture_is_exact(mapped, proofs_of, format, architecture):
    """Control logic is another matter: it has tests of its own."""
    proofs = proofs_of(*mapped("pe", format, architecture, lanes=1, outputs=1, depth=DEPTH), 3)
    claims = {proof.claim: proof.method for proof in proofs}
    assert claims.keys() == {"what comes in", "lane 0", "zeros"}
    assert claims["lane 0"] == "SAT, 16 sets of codes"


@pytest.mark.slow
def test_lanes_and_outputs_are_proved_one_by_one_whatever_the_others_do(mapped, proofs_of):
    sizes = {"lanes": 2, "outputs": 2, "depth": DEPTH}
    claims = [proof.claim for proof in proofs_of(*mapped("pe", "dint4", **sizes), 8)]
    assert claims == [
        f"{claim} of output {output}"
        for output in range(2)
        for claim in ("what comes in", "lane 0", "lane 1", "zeros")
    ]


@pytest.mark.slow
def test_two_lanes_that_share_partial_products_are_proved_together(mapped, proofs_of):
    proofs = proofs_of(*mapped("dot", "int3", "pair", lanes=2, depth=DEPTH), 2)
    assert proofs[1].claim == "lanes 0, 1"
    assert proofs[1].method == "SAT, 64 sets of codes"


@pytest.mark.parametrize("architecture", [a.name for a in architectures_of(INT8)])
@pytest.mark.slow
def test_all_products_of_every_int8_architecture_are_simulated(mapped, proofs_of, architecture):
    sizes = {"lanes": 2, "outputs": 1, "depth": DEPTH}
    proofs = proofs_of(*mapped("pe", "int8", architecture, **sizes), 3)
    methods = {proof.claim: proof.method for proof in proofs}
    assert methods["lane 0"] == methods["lane 1"] == "exhaustive, 65,536 products"


@pytest.mark.parametrize(
    ("design", "options"),
    [
        ("dot", {"operand_register": 1, "tree_register": 2, "fast_adder": 1}),
        ("pe", {"operand_register": 1, "tree_register": 2}),
        ("pe", {"operand_register": 1, "double_buffered": 0}),
    ],
)
@pytest.mark.slow
def test_sums_are_exact_with_options(mapped, proofs_of, design, options):
    sizes = {"lanes": 1, "depth": DEPTH} | ({"outputs": 1} if design == "pe" else {})
    claims = [p.claim for p in proofs_of(*mapped(design, "dint4", **sizes, **options), 3)]
    assert claims == ["what comes in", "lane 0", "zeros"]


@pytest.mark.slow
def test_of_a_sum_in_two_rows_the_control_logic_is_proved(mapped, proofs_of):
    proofs = proofs_of(*mapped("mac", "dint4", depth=DEPTH, carry_save=1))
    assert [proof.claim for proof in proofs] == ["control"]


@pytest.mark.slow
def test_a_design_is_mapped_and_proved(ge, store):
    proofs = prove(Configuration("mac", DINT4, "", {"depth": DEPTH}), ge, store)
    assert [proof.claim for proof in proofs] == ["what comes in", "lane 0", "zeros", "control"]


# Faults


def simulated_sum(netlist, codes, activations, partial_sum, bits):
    """The sum of a processing element of one output."""
    sim = Simulation(netlist, 1, np.random.default_rng(0))
    for port in ("enable", "load", "i_valid", "i_swap"):
        sim.set(port, np.ones(1, np.uint8))
    sim.set("i_weights", np.array([codes], np.uint8))
    sim.set("i_activations", np.array([activations], np.int8))
    sim.set("i_partial_sums", np.array([partial_sum], np.int64))
    assert bits == netlist.inputs["i_partial_sums"]
    for _ in range(4):
        sim.evaluate()
        sim.tick()
    sim.evaluate()
    return int(sim.get("o_partial_sums", signed=True)[0, 0])


MESSAGE = re.compile(
    r"the sum must be (-?\d+), not (-?\d+), for activations \[(.*?)\], codes \[(.*?)\] "
    r"and (-?\d+) before"
)


@pytest.mark.parametrize("part", ["partial_products", "inner_product"])
@pytest.mark.parametrize("format", ["dint4", "int8"])
@pytest.mark.slow
def test_faults_in_products_and_adders_are_found_and_simulation_agrees(
    mapped, proofs_of, netlist_of, gate_faults, part, format
):
    sizes = {"lanes": 2, "outputs": 1, "depth": DEPTH}
    configuration, right = mapped("pe", format, **sizes)
    bits = parse(format).accumulator_bits(DEPTH)
    for what, faulty in gate_faults(right, part, 5):
        with pytest.raises(ProofError) as caught:
            pytest.fail(f"not found: {what}: {proofs_of(configuration, faulty)}")
        expected, got, *operands, addend = MESSAGE.search(str(caught.value)).groups()
        activations, codes = ([int(n) for n in text.split(",")] for text in operands)
        arguments = (codes, activations, int(addend), bits)
        assert simulated_sum(netlist_of(right), *arguments) == int(expected), what
        assert simulated_sum(netlist_of(faulty), *arguments) == int(got), what


@pytest.mark.parametrize(("design", "part"), [("mac", "mac_mac"), ("pe", "processing_element")])
@pytest.mark.slow
def test_faults_in_control_logic_are_found_and_simulation_agrees(
    mapped, proofs_of, netlist_of, gate_faults, design, part
):
    sizes = {"lanes": 1, "outputs": 2} if design == "pe" else {}
    configuration, right = mapped(design, "int8", depth=DEPTH, **sizes)
    for what, faulty in gate_faults(right, part, 6):
        with pytest.raises(ProofError):
            pytest.fail(f"not found: {what}: {proofs_of(configuration, faulty)}")
        with pytest.raises(CheckError):
            pytest.fail(f"no fault: {what}: {check(netlist_of(faulty), configuration)}")


# Messages


def test_without_a_solver_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysat.solvers", None)
    graph = Graph()
    with pytest.raises(SolverError, match="install it with: pip install 'dintmac\\[proof\\]'"):
        graph.distinguish([graph.one], [0])


# Logic


def test_the_graph_computes_as_integers_do():
    """Where the solver finds another sum, it is the one of the numbers that it says."""
    graph = Graph()
    a, b, other = (graph.inputs(8) for _ in range(3))
    total = add(product(-5, a, 8, graph.one), b)
    model = graph.distinguish(total, other)
    x, y, found = (
        sum(bit << i for i, bit in enumerate(model.values(number))) for number in (a, b, total)
    )
    assert found == (y - 5 * x) % 256
    assert graph.distinguish(total, add(b, product(-5, a, 8, graph.one))) is None


def test_numbers_that_differ_are_told_apart():
    graph = Graph()
    a, b = graph.inputs(6), graph.inputs(6)
    assert graph.distinguish(add(a, b), add(b, a)) is None
    model = graph.distinguish(add(a, b), [x | y for x, y in zip(a, b, strict=True)])
    first, second = (sum(v << i for i, v in enumerate(model.values(n))) for n in (a, b))
    assert (first + second) % 64 != first | second
