"""The bench's own parts must fail on a design that misbehaves."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from dintmac.golden.formats import DINT4
from dintmac.hdl.behaviour import DotProductBehaviour
from dintmac.hdl.configuration import Configuration
from dintmac.sim.benches import dot_product
from dintmac.sim.simulators.amaranth import run_amaranth
from dintmac.sim.streams import CheckError

CONFIGURATION = Configuration("dot", DINT4, "behavioural", {"lanes": 2, "depth": 32})


class Tampered(wiring.Component):
    """A dot product whose output is tampered with."""

    def __init__(self, fault):
        self._inner = CONFIGURATION.create()
        self._fault = fault
        super().__init__(self._inner.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self._inner
        wiring.connect(m, wiring.flipped(self.i), inner.i)
        count = Signal(8)
        waited = Signal()
        repeated = Signal()
        m.d.comb += [
            self.o.valid.eq(inner.o.valid),
            self.o.payload.eq(inner.o.payload),
            inner.o.ready.eq(self.o.ready),
        ]
        m.d.sync += waited.eq(self.o.valid & ~self.o.ready)
        with m.If(inner.o.valid & inner.o.ready):
            m.d.sync += count.eq(count + 1)
        match self._fault:
            case "wrong sum":
                with m.If(count == 7):
                    m.d.comb += self.o.payload.sum.eq(inner.o.payload.sum + 1)
            case "lost":
                with m.If(count == 7):
                    m.d.comb += [self.o.valid.eq(0), inner.o.ready.eq(1)]
            case "lost at the end":
                with m.If(count == 59):
                    m.d.comb += [self.o.valid.eq(0), inner.o.ready.eq(1)]
            case "duplicated":
                with m.If((count == 7) & ~repeated):
                    m.d.comb += inner.o.ready.eq(0)
                    m.d.sync += repeated.eq(self.o.valid & self.o.ready)
            case "duplicated at the end":
                with m.If((count == 59) & ~repeated):
                    m.d.comb += inner.o.ready.eq(0)
                    m.d.sync += repeated.eq(self.o.valid & self.o.ready)
            case "changed":
                m.d.comb += self.o.payload.sum.eq(inner.o.payload.sum ^ waited)
            case "dropped":
                m.d.comb += self.o.valid.eq(inner.o.valid & ~waited)
            case "valid in reset":
                m.d.comb += self.o.valid.eq(1)
            case "deaf":
                m.d.comb += [self.o.valid.eq(0), inner.o.ready.eq(0)]
        return m


async def simulate(handle, test):
    bench = dot_product.Bench(handle, CONFIGURATION, np.random.default_rng(3))
    await bench.reset()
    await test(bench)
    return bench.scoreboard.compared


def run(fault, test=dot_product.test_adds_products_while_both_sides_stall):
    return run_amaranth(Tampered(fault), simulate, (test,))


def test_a_design_without_fault_passes():
    assert run("none") == 60


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("wrong sum", r"o_sum must be \[-?\d+\], not \[-?\d+\], in cycle \d+, for .*codes"),
        ("lost", r"i_ready must be \[0\], not \[1\]"),
        ("lost at the end", r"o_valid must be \[1\], not \[0\]"),
        ("duplicated", r"i_ready must be \[1\], not \[0\]"),
        ("duplicated at the end", r"i_ready must be \[1\], not \[0\]"),
        ("changed", "o_sum changed in cycle"),
        ("dropped", "o_valid fell in cycle"),
        ("valid in reset", "o_valid is high after a reset"),
        ("deaf", "_ready must be|_valid must be"),
    ],
)
def test_the_bench_catches(fault, message):
    with pytest.raises(CheckError, match=message):
        run(fault)


def test_a_test_that_compares_nothing_fails():
    async def idle(bench):
        await bench.finish(timeout=10)

    with pytest.raises(CheckError, match="no sum was compared"):
        run("none", idle)


def test_the_driver_holds_a_payload_until_it_is_transferred():
    """With the output stalled for good, the offer must stay; the checker watches each cycle."""

    async def stall(bench):
        bench.o.stalls = lambda: True
        bench.i.send(bench.random_sums(10))
        await bench.run(60)
        assert bench.handle.get("i_valid")
        assert not bench.i.idle
        bench.o.stalls = lambda: False
        await bench.finish(timeout=200)

    assert run("none", stall) == 10


def test_random_stalls_are_reproducible():
    async def cycles(bench):
        await dot_product.test_adds_products_while_both_sides_stall(bench)
        lengths.append(bench.handle.cycle)

    lengths = []
    run("none", cycles)
    run("none", cycles)
    assert lengths[0] == lengths[1]


def test_sums_that_were_not_compared_are_named(monkeypatch):
    """A behaviour that leaves open what it should know."""
    tick = DotProductBehaviour.tick

    def forgetful(behaviour, inputs):
        if behaviour.sums > 10:
            behaviour._known[:] = False
            inputs = {**inputs, "i_first": np.zeros((1, 1), dtype=np.int64)}
        tick(behaviour, inputs)

    monkeypatch.setattr(DotProductBehaviour, "tick", forgetful)
    with pytest.raises(CheckError, match="sums were not compared"):
        run("none")
