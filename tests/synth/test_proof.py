"""Proofs of sums: right netlists are proved, and faults are found with a counterexample."""

import re
import sys

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8, parse
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.configuration import Configuration
from dintmac.synth.logic import Graph, ProofError, SolverError, add, constant, product
from dintmac.synth.netlist import Netlist, NetlistError, Simulation
from dintmac.synth.proof import probes_of, prove

#: Narrow partial sums; what is left of the adders is proved all the same.
DEPTH = 4
FOUR_BITS = [(f.name, a.name) for f in (INT4, DINT4) for a in architectures_of(f)]


@pytest.mark.parametrize(("format", "architecture"), FOUR_BITS)
def test_a_lane_of_every_four_bit_architecture_is_exact(mapped, proofs_of, format, architecture):
    proofs = proofs_of(*mapped("pe", format, architecture, lanes=1, outputs=1, depth=DEPTH))
    claims = {proof.claim: proof.method for proof in proofs}
    assert claims.keys() == {"what comes in", "lane 0", "zeros", "control"}
    assert claims["lane 0"] == "SAT, 16 sets of codes"


@pytest.mark.slow
def test_lanes_and_outputs_are_proved_one_by_one_whatever_the_others_do(mapped, proofs_of):
    sizes = {"lanes": 2, "outputs": 2, "depth": DEPTH}
    claims = [proof.claim for proof in proofs_of(*mapped("pe", "dint4", **sizes))]
    assert claims == [
        f"{claim} of output {output}"
        for output in range(2)
        for claim in ("what comes in", "lane 0", "lane 1", "zeros")
    ] + ["control"]


def test_two_lanes_that_share_partial_products_are_proved_together(mapped, proofs_of):
    proofs = proofs_of(*mapped("dot", "int3", "pair", lanes=2, depth=DEPTH))
    assert proofs[1].claim == "lanes 0, 1"
    assert proofs[1].method == "SAT, 64 sets of codes"


@pytest.mark.parametrize("architecture", [a.name for a in architectures_of(INT8)])
def test_all_products_of_every_int8_architecture_are_simulated(mapped, proofs_of, architecture):
    proofs = proofs_of(*mapped("pe", "int8", architecture, lanes=2, outputs=1, depth=DEPTH))
    methods = {proof.claim: proof.method for proof in proofs}
    assert methods["lane 0"] == methods["lane 1"] == "exhaustive, 65,536 products"


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


# Messages


def test_what_cannot_be_proved_is_refused():
    with pytest.raises(ValueError, match="design must be one of mac, dot, pe, tile, not 'fused'"):
        probes_of(Configuration("fused", DINT4))
    configuration = Configuration("pe", DINT4, "", {"fast_adder": 1})
    with pytest.raises(ValueError, match="pe must have its default fast_adder to be proved"):
        probes_of(configuration)


def test_a_probe_must_be_there(mapped, ge_cells):
    _, netlist = mapped("mac", "dint4", depth=DEPTH)
    modules = {**ge_cells.models, **netlist.modules}
    with pytest.raises(NetlistError, match="probe must be the name of a net, not 'nothing'"):
        Netlist(modules, netlist.top, clock_gates=ge_cells.clock_gates, probes=["nothing"])


def test_without_a_solver_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysat.solvers", None)
    graph = Graph()
    with pytest.raises(SolverError, match="install it with: pip install 'dintmac\\[proof\\]'"):
        graph.solve([graph.one])


# Logic


def test_the_graph_computes_as_integers_do():
    """A solver that must find sum and product of numbers that are given."""
    graph = Graph()
    a, b, wanted = (graph.inputs(8) for _ in range(3))
    total = add(product(-5, a, 8, graph.one), b)
    given = zip([*a, *b], [*constant(77, 8, 1), *constant(200, 8, 1)], strict=True)
    facts = [bit if value else bit ^ graph.one for bit, value in given]
    equal = [x ^ y ^ graph.one for x, y in zip(total, wanted, strict=True)]
    values = graph.solve([*facts, *equal]).values(wanted)
    assert sum(bit << i for i, bit in enumerate(values)) == (200 - 5 * 77) % 256


def test_numbers_that_differ_are_told_apart():
    graph = Graph()
    a, b = graph.inputs(6), graph.inputs(6)
    assert graph.distinguish(add(a, b), add(b, a)) is None
    model = graph.distinguish(add(a, b), [x | y for x, y in zip(a, b, strict=True)])
    first, second = (sum(v << i for i, v in enumerate(model.values(n))) for n in (a, b))
    assert (first + second) % 64 != first | second
