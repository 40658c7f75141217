"""The gate-level simulator on netlists made by hand."""

import dataclasses
import itertools

import numpy as np
import pytest

from dintmac.synth.netlist import (
    Cell,
    ClockGate,
    Module,
    Netlist,
    NetlistError,
    Simulation,
    truth_tables,
)


def module(inputs, outputs, *cells, name="top"):
    instances = (
        Cell(
            f"u{i}",
            kind,
            {pin: (bit,) if not isinstance(bit, tuple) else bit for pin, bit in pins.items()},
        )
        for i, (kind, pins) in enumerate(cells)
    )
    return Module(name, inputs, outputs, tuple(instances))


def simulate(top, copies=8, seed=0, **kwargs):
    netlist = Netlist({"top": top}, "top", **kwargs)
    return Simulation(netlist, copies, np.random.default_rng(seed))


FLIP_FLOP = ("$_DFF_P_", {"C": 2, "D": 3, "Q": 4})
CLOCKED = {"clk": (2,), "d": (3,)}

OPERATIONS = {
    "$_NOT_": lambda a: 1 - a,
    "$_BUF_": lambda a: a,
    "$_AND_": lambda a, b: a & b,
    "$_NAND_": lambda a, b: 1 - (a & b),
    "$_OR_": lambda a, b: a | b,
    "$_NOR_": lambda a, b: 1 - (a | b),
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: 1 - (a ^ b),
    "$_ANDNOT_": lambda a, b: a & (1 - b),
    "$_ORNOT_": lambda a, b: a | (1 - b),
    "$_MUX_": lambda a, b, s: b if s else a,
}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_simple_gate_has_its_truth_table(kind):
    operation = OPERATIONS[kind]
    pins = ("A", "B", "S")[: operation.__code__.co_argcount]
    bits = dict(zip(pins, (2, 3, 4), strict=False))
    gate = module({p: (b,) for p, b in bits.items()}, {"Y": (9,)}, (kind, {**bits, "Y": 9}))
    table = truth_tables(gate)["Y"]
    for row, operands in enumerate(itertools.product((0, 1), repeat=len(pins))):
        # The first pin is the fastest.
        assert table >> row & 1 == operation(*operands[::-1]), operands


def test_copies_are_independent_and_ports_are_numbers():
    adder = module(
        {"a": (2, 3), "b": (4, 5)},
        {"s": (6, 7, 8)},
        ("$_XOR_", {"A": 2, "B": 4, "Y": 6}),
        ("$_AND_", {"A": 2, "B": 4, "Y": 10}),
        ("FA", {"A": 3, "B": 5, "C": 10, "S": 7, "CO": 8}),
    )
    full_adder = module(
        {"A": (2,), "B": (3,), "C": (4,)},
        {"S": (5,), "CO": (6,)},
        ("$_XOR_", {"A": 2, "B": 3, "Y": 7}),
        ("$_XOR_", {"A": 7, "B": 4, "Y": 5}),
        ("$_AND_", {"A": 2, "B": 3, "Y": 8}),
        ("$_AND_", {"A": 7, "B": 4, "Y": 9}),
        ("$_OR_", {"A": 8, "B": 9, "Y": 6}),
        name="FA",
    )
    netlist = Netlist({"top": adder, "FA": full_adder}, "top")
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(4), np.arange(4)))
    sim = Simulation(netlist, 16, np.random.default_rng(0))
    sim.set("a", a)
    sim.set("b", b)
    sim.evaluate()
    assert sim.get("s")[:, 0].tolist() == (a + b).tolist()


@pytest.mark.parametrize("copies", [1, 7, 8, 64, 100])
def test_ports_of_many_signed_elements_come_back_as_they_went_in(copies):
    bits = tuple(range(2, 2 + 24))
    wires = module({"i": bits}, {"o": bits})
    sim = simulate(wires, copies)
    values = np.random.default_rng(1).integers(-128, 128, (copies, 3))
    sim.set("i", values)
    sim.evaluate()
    assert np.array_equal(sim.get("o", 3, signed=True), values)
    assert np.array_equal(sim.get("o", 3), values & 0xFF)


def test_a_flip_flop_delays_by_a_cycle_and_starts_with_random_bits():
    sim = simulate(module(CLOCKED, {"q": (4,)}, FLIP_FLOP), copies=64)
    sim.set("d", np.arange(64) % 2)
    sim.evaluate()
    assert 10 < sim.get("q").sum() < 54
    sim.tick()
    sim.evaluate()
    assert sim.get("q")[:, 0].tolist() == [i % 2 for i in range(64)]


def test_a_gated_clock_holds_the_register_unless_enabled_or_in_test():
    gate = ClockGate("ICG", "CK", "E", "GCK", ("TE",))
    top = module(
        {**CLOCKED, "e": (5,), "t": (6,)},
        {"q": (4,)},
        ("ICG", {"CK": 2, "E": 5, "TE": 6, "GCK": 7}),
        ("$_DFF_P_", {"C": 7, "D": 3, "Q": 4}),
    )
    sim = simulate(top, 4, clock_gates={"ICG": gate})
    one = np.ones(4, dtype=np.uint8)
    for enable, data in ((one, one), (np.array([0, 0, 1, 0]), 0 * one)):
        sim.set("e", enable)
        sim.set("t", np.array([0, 0, 0, 1]))
        sim.set("d", data)
        sim.evaluate()
        sim.tick()
    sim.evaluate()
    assert sim.get("q")[:, 0].tolist() == [1, 1, 0, 0]


def test_gates_of_gates_need_all_enables():
    gate = ClockGate("ICG", "CK", "E", "GCK")
    top = module(
        {**CLOCKED, "e": (5,), "f": (6,)},
        {"q": (4,)},
        ("ICG", {"CK": 2, "E": 5, "GCK": 7}),
        ("ICG", {"CK": 7, "E": 6, "GCK": 8}),
        ("$_DFF_P_", {"C": 8, "D": 3, "Q": 4}),
    )
    sim = simulate(top, 4, clock_gates={"ICG": gate})
    one = np.ones(4, dtype=np.uint8)
    for e, f, d in ((one, one, 0 * one), (np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), one)):
        for port, value in (("e", e), ("f", f), ("d", d)):
            sim.set(port, value)
        sim.evaluate()
        sim.tick()
    sim.evaluate()
    assert sim.get("q")[:, 0].tolist() == [0, 0, 0, 1]


def test_a_reset_that_is_tied_off_does_not_matter():
    top = module(CLOCKED, {"q": (4,)}, ("$_DFF_PN0_", {"C": 2, "D": 3, "Q": 4, "R": "1"}))
    sim = simulate(top)
    sim.set("d", np.ones(8, dtype=np.uint8))
    sim.evaluate()
    sim.tick()
    sim.evaluate()
    assert sim.get("q").all()


def test_refuses_an_asynchronous_reset_in_use():
    top = module(
        {**CLOCKED, "r": (5,)}, {"q": (4,)}, ("$_DFF_PP0_", {"C": 2, "D": 3, "Q": 4, "R": 5})
    )
    sim = simulate(top)
    sim.evaluate()
    sim.set("r", np.ones(8, dtype=np.uint8))
    with pytest.raises(NetlistError, match="asynchronous resets must be tied off"):
        sim.evaluate()


def test_what_nothing_depends_on_is_left_out():
    dead = ("$_NOT_", {"A": 3, "Y": 9})
    netlist = Netlist({"top": module(CLOCKED, {"q": (4,)}, FLIP_FLOP, dead)}, "top")
    assert (netlist.gates, netlist.flip_flops) == (0, 1)


A = {"a": (2,)}
INVALID = {
    "gates must form no loop, but one passes y.0.": module(
        A,
        {"y": (3,)},
        ("$_AND_", {"A": 2, "B": 4, "Y": 3}),
        ("$_NOT_", {"A": 3, "Y": 4}),
    ),
    "cell u0 must be of a known type, not 'MAGIC'": module(
        A, {"y": (3,)}, ("MAGIC", {"A": 2, "Y": 3})
    ),
    "net y.0. must have a driver": module(A, {"y": (3,)}),
    "net top: constant x must have a driver": module(
        A, {"y": (3,)}, ("$_AND_", {"A": 2, "B": "x", "Y": 3})
    ),
    "net y.0. must have one driver, not two": module(
        A, {"y": (3,)}, ("$_NOT_", {"A": 2, "Y": 3}), ("$_NOT_", {"A": 2, "Y": 3})
    ),
    "net a.0. must have one driver, not two": module(A, {"y": (2,)}, ("$_NOT_", {"A": 2, "Y": 2})),
    "flip-flop u0 must take the rising edge": module(
        CLOCKED, {"q": (4,)}, ("$_DFF_N_", {"C": 2, "D": 3, "Q": 4})
    ),
    "clock of u0 must be the clock port, not d.0.": module(
        CLOCKED, {"q": (4,)}, ("$_DFF_P_", {"C": 3, "D": 3, "Q": 4})
    ),
}


@pytest.mark.parametrize("message", INVALID)
def test_refuses_what_is_no_netlist_with_one_clock(message):
    with pytest.raises(NetlistError, match=message):
        Netlist({"top": INVALID[message]}, "top")


def test_refuses_an_unknown_top():
    with pytest.raises(NetlistError, match="top must be one of a, not 'b'"):
        Netlist({"a": module({}, {})}, "b")


def test_refuses_unknown_ports_and_elements_that_do_not_fit():
    sim = simulate(module({"i": (2, 3, 4)}, {"o": (2, 3, 4)}))
    with pytest.raises(ValueError, match="port must be one of i, not 'x'"):
        sim.set("x", np.zeros(8, dtype=np.uint8))
    with pytest.raises(ValueError, match="i has 3 bits, which 2 elements cannot share"):
        sim.set("i", np.zeros((8, 2), dtype=np.uint8))
    sim.evaluate()
    with pytest.raises(ValueError, match="o has 3 bits, which 2 elements cannot share"):
        sim.get("o", 2)


def test_a_register_has_no_truth_table():
    with pytest.raises(NetlistError):
        truth_tables(module(CLOCKED, {"q": (4,)}, FLIP_FLOP))


def probed(top, **probes):
    return Netlist({"top": top}, "top", probes=probes)


def test_verilog_shows_registers_and_probes():
    inverter = ("$_NOT_", {"A": 3, "Y": 5})
    top = module(CLOCKED, {"q": (4,)}, ("$_DFF_P_", {"C": 2, "D": 5, "Q": 4}), inverter)
    top = dataclasses.replace(top, names={5: "inner[0]", 4: "inner[1]"})
    netlist = probed(top, probe=["inner"])
    assert netlist.inputs == {"d": 1}
    assert netlist.outputs == {"q": 1, "probe": 2}
    assert netlist.flip_flops == 1
    assert "assign registers_next[0] = " in netlist.verilog("netlist")


def test_a_probe_must_be_there():
    top = module(CLOCKED, {"q": (4,)}, FLIP_FLOP)
    with pytest.raises(NetlistError, match="probe must be the name of a net, not 'nothing'"):
        probed(top, probe=["nothing"])


@pytest.mark.parametrize(("level", "bit", "active"), [("P", 5, "n"), ("N", "1", "M ^ M")])
def test_verilog_shows_asynchronous_resets(level, bit, active):
    reset = (f"$_DFF_P{level}0_", {"C": 2, "D": 3, "Q": 4, "R": bit})
    netlist = probed(module({**CLOCKED, "r": (5,)}, {"q": (4,)}, reset))
    assert f"assign resets[0] = ({active}" in netlist.verilog("netlist")
