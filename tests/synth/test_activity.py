"""Timed simulation: values, glitches, clocks, and agreement with Icarus."""

import subprocess

import numpy as np
import pytest

from dintmac.synth.activity import CellModel, Circuit, TimedSimulation
from dintmac.synth.netlist import Cell, Module, NetlistError, Simulation, flatten

COPIES = 64


def circuit_of(cells, instances, inputs, outputs):
    """A circuit of ``(kind, {pin: net})`` with one-bit ports; nets are named."""
    numbers = {"0": "0", "1": "1"}

    def bit(net):
        return (numbers.setdefault(net, len(numbers)),)

    parts = tuple(
        Cell(f"u{i}", kind, {pin: bit(net) for pin, net in pins.items()})
        for i, (kind, pins) in enumerate(instances)
    )
    module = Module(
        "top", {n: bit(n) for n in ("clk", *inputs)}, {n: bit(n) for n in outputs}, parts
    )
    return Circuit.of({"top": module}, "top", cells)


def net_of(circuit, port):
    return int({**circuit.inputs, **circuit.outputs}[port][0])


def bits(rng, shape=COPIES):
    return rng.integers(0, 2, shape).astype(np.uint8)


#: y = a NAND (not a): always one but for the delay of the inverter.
PULSE = [
    ("INV", {"A": "a", "Y": "b"}),
    ("NAND", {"A": "a", "B": "b", "Y": "y"}),
]


def pulse_activity(cells, inverter, nand):
    circuit = circuit_of(cells, PULSE, ["a"], ["b", "y"])
    delays = np.ones(circuit.nets, dtype=int)
    delays[net_of(circuit, "b")], delays[net_of(circuit, "y")] = inverter, nand
    sim = TimedSimulation(circuit, COPIES, delays=delays)
    for value in (0, 1, 0, 1):
        sim.set("a", np.full(COPIES, value, dtype=np.uint8))
        sim.advance(count=value == 1)
    activity = sim.activity()
    assert activity.cycles == 2 * COPIES
    return activity.toggles[net_of(circuit, "y")], activity.settled[net_of(circuit, "y")]


def test_a_pulse_as_long_as_the_delay_is_a_glitch(small_cells):
    assert pulse_activity(small_cells, inverter=3, nand=3) == (2.0, 0.0)


def test_a_pulse_shorter_than_the_delay_is_swallowed(small_cells):
    assert pulse_activity(small_cells, inverter=3, nand=4) == (0.0, 0.0)


def drive(sims, inputs, rng, cycle):
    for port, width in inputs.items():
        element = next(b for b in (8, 4, 1) if width % b == 0)
        values = rng.integers(0, 1 << element, (COPIES, width // element)).astype(np.uint8)
        if port == "rst":
            values[:] = cycle < 2
        for sim in sims:
            sim.set(port, values)


@pytest.fixture(scope="module")
def dot(mapped, ge_cells, netlist_of):
    _, design = mapped("dot", "dint4", lanes=4, depth=64)
    circuit = Circuit.of(design.modules, design.top, ge_cells)
    return circuit, netlist_of(design)


def random_delays(circuit):
    return np.random.default_rng(5).integers(1, 9, circuit.nets)


@pytest.mark.slow
def test_nets_settle_to_what_the_netlist_computes(dot):
    circuit, netlist = dot
    rng = np.random.default_rng(0)
    untimed, timed = (
        TimedSimulation(circuit, COPIES, delays=d) for d in (None, random_delays(circuit))
    )
    reference = Simulation(netlist, COPIES, rng)
    compared = 0
    for cycle in range(30):
        drive([untimed, timed, reference], netlist.inputs, rng, cycle)
        reference.evaluate()
        untimed.advance(count=True)
        timed.advance(count=True)
        for port, width in netlist.outputs.items():
            assert np.array_equal(timed.get(port), untimed.get(port))
            # Accumulators hold noise until a sum begins.
            if cycle > 20 and port != "o_sum":
                assert np.array_equal(timed.get(port), reference.get(port, width) == 1)
                compared += 1
        reference.tick()
    assert compared
    with_glitches, without = timed.activity(), untimed.activity()
    assert np.array_equal(without.toggles, without.settled)
    assert np.array_equal(with_glitches.settled, without.settled)
    assert with_glitches.toggles.sum() > 1.05 * without.toggles.sum()
    assert (with_glitches.toggles >= with_glitches.settled).all()
    for kind, states in with_glitches.states.items():
        assert np.allclose(states.sum(axis=0), 1), kind
        assert np.array_equal(states, without.states[kind])


def verilog(flat, models, circuit, delays, vectors):
    """A bench that applies pairs of vectors, settles on the first and counts after the second."""
    ports = [net for nets in circuit.inputs.values() for net in nets]
    lines = ["`timescale 1ns/1ns", "module bench;", f" reg [{flat.nets - 1}:0] n = 2;"]
    lines += [f" integer count [0:{flat.nets - 1}];", " reg counting = 0;"]
    for cell in flat.cells:
        model = models[cell.kind]
        for pin in model.outputs:
            terms = [
                " & ".join(
                    f"{'' if value else '~'}n[{cell.pins[name]}]"
                    for name, value in zip(model.inputs, state, strict=True)
                )
                for state, high in zip(model._bits.T, model.pins[pin], strict=True)
                if high
            ]
            out = cell.pins[pin]
            lines += [
                f" wire f{out} = {' | '.join(f'({term})' for term in terms)};",
                # What f is once all nets have moved that move now.
                f" reg e{out} = 0, d{out} = 0;",
                f" always @(f{out}) e{out} <= f{out};",
                f" always @(e{out}) d{out} <= #{delays[out]} e{out};",
                f" always @(d{out}) if (d{out} === f{out}) n[{out}] <= d{out};",
            ]
    lines += [
        f" always @(n[{i}]) if (counting) count[{i}] = count[{i}] + 1;" for i in range(flat.nets)
    ]
    lines += [
        " integer i; initial begin",
        f"  for (i = 0; i < {flat.nets}; i = i + 1) count[i] = 0;",
    ]
    for before, after in vectors:
        for vector, counting in ((before, 0), (after, 1)):
            lines += [f"  n[{net}] = {value};" for net, value in zip(ports, vector, strict=True)]
            lines += [f"  counting = {counting}; #1000;"]
        lines += ["  counting = 0;"]
    lines += [
        f"  for (i = 0; i < {flat.nets}; i = i + 1) $display(count[i]);",
        "  $finish;",
        " end",
    ]
    return "\n".join([*lines, "endmodule", ""])


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_transitions_are_those_that_icarus_counts(mapped, ge_cells, tmp_path):
    _, design = mapped("mac", "dint4", depth=64)
    (top,) = (name for name in design.modules if name.endswith("inner_product"))
    module = design.modules[top]
    modules = design.modules | {
        top: Module(top, {**module.inputs, "clk": ("clk",)}, module.outputs, module.cells)
    }
    circuit = Circuit.of(modules, top, ge_cells)
    flat = flatten(modules, top, ge_cells.models)
    delays = random_delays(circuit)
    delays[np.concatenate(list(circuit.inputs.values()))] = 1
    sim = TimedSimulation(circuit, COPIES, delays=delays)
    rng = np.random.default_rng(3)
    rows = []
    for count in (False, True):
        row = {port: bits(rng, (COPIES, len(nets))) for port, nets in circuit.inputs.items()}
        for port, values in row.items():
            sim.set(port, values)
        sim.advance(count=count)
        rows.append(np.concatenate(list(row.values()), axis=1))
    activity = sim.activity()

    models = {kind: group.model for kind, group in circuit.instances.items()}
    text = verilog(flat, models, circuit, delays, np.stack(rows, axis=1))
    (tmp_path / "bench.v").write_text(text)
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    subprocess.run(["iverilog", "-o", "bench", "bench.v"], **run)
    counts = np.array(subprocess.run(["vvp", "bench"], **run).stdout.split(), dtype=int)
    logic = circuit.outputs_of(circuit.logic().values())
    assert activity.toggles[logic].sum() > 1.1 * activity.settled[logic].sum()
    assert np.array_equal(counts[logic], np.rint(activity.toggles[logic] * COPIES))


def test_gated_clocks_switch_in_the_cycles_that_are_enabled(ge_cells):
    gate = ge_cells.clock_gate
    pins = {gate.clock: "clk", gate.enable: "e", gate.out: "g", **dict.fromkeys(gate.test, "0")}
    flip_flop = min(ge_cells.flip_flops, key=lambda kind: (ge_cells.areas[kind], kind))
    model = CellModel.of(flip_flop, ge_cells)
    circuit = circuit_of(
        ge_cells,
        [
            (gate.cell, pins),
            (flip_flop, {model.clock: "g", "D": "d", model.outputs[0]: "q"}),
        ],
        ["d", "e"],
        ["q", "g"],
    )
    sim = TimedSimulation(circuit, COPIES, delays=np.ones(circuit.nets, dtype=int))
    rng = np.random.default_rng(1)
    held = np.zeros(COPIES, dtype=np.uint8)
    enabled = 0
    before = np.zeros((2, COPIES), dtype=np.uint8)
    for cycle in range(20):
        d, e = bits(rng), (rng.random(COPIES) < 0.25).astype(np.uint8)
        sim.set("d", d)
        sim.set("e", e)
        sim.advance(count=cycle > 0)
        held = np.where(before[1], before[0], held)
        assert np.array_equal(sim.get("q")[:, 0], held)
        enabled += int(before[1].sum()) if cycle else 0
        before = np.stack([d, e])
    activity = sim.activity()
    assert activity.toggles[circuit.clock] == 2
    assert activity.toggles[net_of(circuit, "g")] == pytest.approx(2 * enabled / (19 * COPIES))


@pytest.mark.slow
def test_uniform_activity_leaves_impossible_states_out(dot, uniform):
    circuit, _ = dot
    activity = uniform(circuit, 0.3)
    assert activity.toggles[circuit.clock] == 2
    assert activity.toggles[net_of(circuit, "i_valid")] == 0.3
    for kind, group in circuit.instances.items():
        assert np.allclose(activity.states[kind].sum(axis=0), 1)
        assert (activity.states[kind][~group.model.possible] == 0).all()


def test_copies_fill_words(dot):
    with pytest.raises(ValueError, match="copies must be a multiple of 64, not 65"):
        TimedSimulation(dot[0], 65)


def test_delays_are_at_least_one(dot):
    with pytest.raises(ValueError, match="delays must be at least 1 for each net"):
        TimedSimulation(dot[0], 64, delays=np.zeros(dot[0].nets, dtype=int))


def test_ports_are_known_and_wide_enough(dot):
    sim = TimedSimulation(dot[0], 64)
    with pytest.raises(ValueError, match=r"port must be one of .*, not 'x'"):
        sim.set("x", np.zeros(64, dtype=np.uint8))
    with pytest.raises(ValueError, match="i_weights has 16 bits, not a multiple of 3"):
        sim.set("i_weights", np.zeros((64, 3), dtype=np.uint8))


def test_an_activity_needs_a_cycle(dot):
    with pytest.raises(ValueError, match="a cycle must be counted before there is an activity"):
        TimedSimulation(dot[0], 64).activity()


def test_loops_are_refused(small_cells):
    loop = [("INV", {"A": "a", "Y": "b"}), ("INV", {"A": "b", "Y": "a"})]
    with pytest.raises(NetlistError, match="gates must form no loop"):
        TimedSimulation(circuit_of(small_cells, loop, [], ["b"]), 64)


def test_a_circuit_has_a_clock(small_cells):
    module = Module("top", {"a": (2,)}, {"y": (3,)}, (Cell("u", "INV", {"A": (2,), "Y": (3,)}),))
    with pytest.raises(NetlistError, match="clock must be one of a, not 'clk'"):
        Circuit.of({"top": module}, "top", small_cells)


def test_clocks_come_from_the_port(small_cells):
    instances = [
        ("INV", {"A": "clk", "Y": "c"}),
        ("DFF", {"CK": "c", "D": "d", "Q": "q"}),
    ]
    sim = TimedSimulation(circuit_of(small_cells, instances, ["d"], ["q"]), 64)
    with pytest.raises(NetlistError, match="clocks of DFF must come from the clock port"):
        sim.advance()
