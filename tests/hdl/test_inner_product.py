# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal, Value

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.architectures import ARCHITECTURES, architectures_of
from dintmac.hdl.inner_product import InnerProduct
from dintmac.hdl.operands import Operands
from dintmac.hdl.pipeline import register

CASES = [(f, a) for f in (INT8, INT4, DINT4) for a in architectures_of(f)]
#: Each way to the adders: of complements or not, with a term of the activations or not.
WAYS = [(DINT4, "digits"), (INT4, "pair_folded"), (INT4, "r4n"), (INT8, "fip")]
ADDERS = [
    {"tree_register": tree_register, "fast_adder": fast_adder, "carry_save": carry_save}
    for tree_register, fast_adder, carry_save in ((0, 1, 0), (2, 0, 1), (5, 1, 1), (99, 0, 0))
]
BUILT = [(f, a) for f, a in CASES if a.makes_products and f != INT4]
#: Sums of extremes, and at random.
COPIES = 2048


class Sums:
    """An inner product behind its operands: a sum in each copy.

    Operands come a cycle before addend and term if there is a register, and are others then.
    """

    def __init__(self, gates_of, format, architecture, lanes, **stages):
        self.architecture = architecture
        self.width = format.accumulator_bits(64)
        self.has_register = bool(stages.get("tree_register"))
        self.has_carries = bool(stages.get("carry_save"))
        chosen = {"format": format, "architecture": architecture, "lanes": lanes}
        component = InnerProduct(**chosen, width=self.width, **stages)
        operands = Operands(**chosen, fast_adder=stages.get("fast_adder", 0))
        m = Module()
        m.submodules += [component, operands]
        component.connect(m, self._shared(m, operands))
        if self.has_register:
            m.d.comb += component.enable.eq(1)
        inputs = {"activations": operands.activations, "weights": component.weights}
        inputs["addend"], outputs = component.addend, {"o": component.o}
        if self.has_carries:
            inputs["addend_carry"], outputs["o_carry"] = component.addend_carry, component.o_carry
        ports = {
            name: Signal(Value.cast(value).shape(), name=name)
            for name, value in (inputs | outputs).items()
        }
        m.d.comb += [value.eq(ports[name]) for name, value in inputs.items()]
        m.d.comb += [ports[name].eq(value) for name, value in outputs.items()]
        self._sim = gates_of(m, ports.values(), COPIES)

    def _shared(self, m, operands):
        """What activations have in common: the term waits for the products."""
        if not self.has_register:
            return operands.shared
        return {
            name: register(m, value, Const(1), name) if name == "term" else value
            for name, value in operands.shared.items()
        }

    def of(self, activations, stored, addends, carries):
        """Sums of operands, shape (copies, lanes), and addends."""
        sim, as_added = self._sim, self.architecture.as_added
        self._set(activations, stored)
        if self.has_register:
            sim.evaluate()
            sim.tick()
            self._set(~activations, ~stored)
        addends = as_added(addends)
        if self.has_carries:
            addends = addends - carries
            sim.set("addend_carry", carries)
        sim.set("addend", addends)
        sim.evaluate()
        total = sum(sim.get(port)[:, 0] for port in ("o", "o_carry")[: 1 + self.has_carries])
        return self.wrapped(as_added(total))

    def _set(self, activations, stored):
        self._sim.set("activations", activations)
        self._sim.set("weights", stored)

    def wrapped(self, sums):
        half = 1 << (self.width - 1)
        return (sums + half) % (2 * half) - half


def check(sums, format, architecture, lanes):
    """Every sum is what the golden model says; operands are extreme in the first of them."""
    rng = np.random.default_rng(7)
    activations = rng.integers(-128, 128, (COPIES, lanes)).astype(np.int8)
    codes = rng.integers(0, format.codes, (COPIES, lanes)).astype(np.uint8)
    corners = COPIES // 4
    extremes = np.array([format.half_steps.argmin(), format.half_steps.argmax()], dtype=np.uint8)
    activations[:corners] = rng.choice(np.array([-128, 127], dtype=np.int8), (corners, 1))
    codes[:corners] = rng.choice(extremes, (corners, 1))
    limit = 1 << (sums.width - 1)
    addends = rng.integers(-limit, limit, COPIES)
    carries = rng.integers(-limit, limit, COPIES)
    products = (format.to_units(codes).astype(np.int64) * activations).sum(axis=1)
    expected = products + architecture.correction(format, codes) + addends
    got = sums.of(activations, architecture.encode(format, codes), addends, carries)
    assert np.array_equal(got, sums.wrapped(expected))


@pytest.mark.parametrize(("format", "architecture"), CASES, ids=lambda case: case.name)
@pytest.mark.slow
def test_equals_the_golden_model(gates_of, format, architecture):
    """A last group of two is not full."""
    check(Sums(gates_of, format, architecture, 5), format, architecture, 5)


@pytest.mark.parametrize("architecture", architectures_of(INT8), ids=lambda case: case.name)
def test_one_lane_equals_the_golden_model(gates_of, architecture):
    check(Sums(gates_of, INT8, architecture, 1), INT8, architecture, 1)


@pytest.mark.parametrize("stages", ADDERS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize(("format", "name"), WAYS, ids=[name for _, name in WAYS])
@pytest.mark.slow
def test_equals_the_golden_model_with_every_kind_of_adder(gates_of, format, name, stages):
    """Operands change with every cycle; addend and term come when the register has the products."""
    architecture = ARCHITECTURES[name]
    check(Sums(gates_of, format, architecture, 3, **stages), format, architecture, 3)


@pytest.mark.parametrize(("format", "architecture"), BUILT, ids=lambda case: case.name)
@pytest.mark.slow
def test_equals_the_golden_model_with_all_stages(gates_of, format, architecture):
    stages = {"tree_register": 2, "fast_adder": 1, "carry_save": 1}
    check(Sums(gates_of, format, architecture, 3, **stages), format, architecture, 3)
