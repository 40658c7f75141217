# amaranth: UnusedElaboratable=no
"""Properties of the control logic, for :func:`dintmac.synth.proof.prove_properties`.

They speak of ports, and where induction needs it, of a register inside (``peek``). They are
written for designs with the stages of the defaults.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from dintmac.golden.formats import ACTIVATION_BITS
from dintmac.synth.proof import Properties, units_of

__all__ = ["PROPERTIES", "DotProductProperties", "ElementProperties", "TileProperties"]


def delayed(
    properties: Properties, m: Module, event: Value, moves: Value, latency: int
) -> list[Signal]:
    """Whether an event was 1, 2 … ``latency`` moves ago; resets forget it."""
    stages = [Signal(name=f"stage_{i + 1}") for i in range(latency)]
    with m.If(properties.rst):
        m.d.sync += Cat(stages).eq(0)
    with m.Elif(moves):
        m.d.sync += Cat(stages).eq(Cat(event, *stages))
    return stages


def claim_results_wait(properties: Properties, m: Module, payload: Value) -> None:
    """A result that is not taken stays, with its payload."""
    waits = properties.before(m, properties.running & properties.o_valid & ~properties.o_ready)
    before = properties.before(m, payload)
    properties.claim(m, ~waits | (properties.o_valid & (payload == before)))


class DotProductProperties(Properties):
    """Of ``mac`` and ``dot``.

    - The input is ready unless a result waits.
    - A result that is not taken stays as it is.
    - Each ``last`` gives one result, ``latency`` cycles later if none waits, and nothing else does.
    - The result is the sum of the transfers since ``first``.
    """

    def claims(self, m: Module) -> None:
        moves = ~self.o_valid | self.o_ready
        self.claim(m, self.i_ready == moves)
        claim_results_wait(self, m, self.o_sum)
        taken = self.i_valid & self.i_ready
        on_the_way = delayed(self, m, taken & self.i_last, moves, self.design.latency)
        self.claim(m, self.o_valid == on_the_way[-1])

        # A sum is known once there was a first transfer.
        products = self._products()
        valid, first, term = Signal(), Signal(), Signal(products.shape())
        total, known = Signal(len(self.o_sum)), Signal()
        with m.If(moves):
            m.d.sync += valid.eq(taken)
            with m.If(taken):
                m.d.sync += [first.eq(self.i_first), term.eq(products)]
            with m.If(valid):
                m.d.sync += [total.eq(Mux(first, 0, total) + term), known.eq(known | first)]
        with m.If(self.rst):
            m.d.sync += [valid.eq(0), known.eq(0)]
        self.claim(m, ~known | (self.o_sum == total))

    def _products(self) -> Value:
        format = self.configuration.format
        terms = [
            units_of(format, self.i_weights.word_select(lane, format.bits))
            * self.i_activations.word_select(lane, ACTIVATION_BITS).as_signed()
            for lane in range(self.design.lanes)
        ]
        return sum(terms[1:], terms[0])


class ElementProperties(Properties):
    """Of ``pe``.

    - While ``enable`` is low, activations, swaps and partial sums hold.
    - Valid bits take a cycle. Activations and swaps go with them; bubbles leave those as they are.
    - Weights shift by ``load`` and by nothing else.
    - Partial sums gain the products of the vector with the weights that its last swap took.
    """

    def claims(self, m: Module) -> None:
        moves = self.before(m, self.enable)
        vector = self.before(m, self.enable & self.i_valid)
        was_running = self.before(m, self.running)

        def claim_becomes(new: Value, taken: Value, now: Value) -> None:
            """What was offered if it was taken, else what was there."""
            expected = Mux(taken, self.before(m, new), self.before(m, now))
            self.claim(m, ~was_running | (now == expected))

        claim_becomes(self.i_valid, moves, self.o_valid)
        claim_becomes(self.i_activations, vector, self.o_activations)
        claim_becomes(self.i_swap, vector, self.o_swap)
        claim_becomes(self.i_weights, self.before(m, self.load), self.o_weights)

        # Weights are known once a vector swapped them in.
        swaps = self.enable & self.i_valid & self.i_swap
        weights, known = Signal.like(self.o_weights), Signal()
        with m.If(swaps):
            m.d.sync += [weights.eq(self.o_weights), known.eq(1)]
        resident = self.peek("core.resident", len(weights))
        self.claim(m, ~known | (resident == weights))

        sums = self.i_partial_sums + self._products(weights)
        total = Signal.like(self.o_partial_sums)
        m.d.comb += total.eq(sums)
        taken = self.before(m, self.enable & self.o_valid)
        expected = Mux(taken, self.before(m, total), self.before(m, self.o_partial_sums))
        self.claim(m, ~was_running | ~self.before(m, known) | (self.o_partial_sums == expected))

    def _products(self, weights: Value) -> Value:
        format = self.configuration.format
        terms = [
            units_of(format, weights.word_select(lane, format.bits))
            * self.o_activations.word_select(lane, ACTIVATION_BITS).as_signed()
            for lane in range(self.design.lanes)
        ]
        return sum(terms[1:], terms[0])


class TileProperties(Properties):
    """Of ``tile``: the streams and the weight sets, whatever the products are.

    - A result that is not taken stays as it is.
    - Each vector gives one result, ``latency`` moves later, and nothing else does.
    - A swap is taken only when all rows of its set have come, and no set is taken by two swaps.
    - A vector with a complete set, or without a swap, is taken whenever the pipeline moves.
    - No row comes while a complete set is in wait, or before its swap has passed the last element.
    """

    def claims(self, m: Module) -> None:
        rows, columns = self.design.rows, self.design.columns
        moves = ~self.o_valid | self.o_ready
        taken = self.i_valid & self.i_ready
        swaps = taken & self.i_swap
        claim_results_wait(self, m, self.o_partial_sums)
        on_the_way = delayed(self, m, taken, moves, self.design.latency)
        self.claim(m, self.o_valid == on_the_way[-1])

        # Rows of the set that the next swap will take.
        loaded = Signal(range(rows + 1))
        row = self.i_weight_valid & self.i_weight_ready
        with m.If(self.rst | swaps):
            m.d.sync += loaded.eq(0)
        with m.Elif(row):
            m.d.sync += loaded.eq(loaded + 1)
        # A swap needs this many moves to the last element, and takes the set with the next.
        passing = delayed(self, m, swaps, moves, rows + columns - 2)
        swapping = Cat(passing).any()

        self.claim(m, ~swaps | ((loaded == rows) & ~swapping))
        self.claim(m, self.i_ready == (moves & (~self.i_swap | (loaded == rows))))
        self.claim(m, self.i_weight_ready == ((loaded != rows) & ~swapping))

        in_wait = self.peek("core.rows_loaded", len(loaded))
        self.claim(m, in_wait == Mux(swapping, rows, loaded))
        self.claim(m, self.peek("core.swapping", 1) == swapping)


#: The properties of each design.
PROPERTIES: dict[str, type[Properties]] = {
    "mac": DotProductProperties,
    "dot": DotProductProperties,
    "pe": ElementProperties,
    "tile": TileProperties,
}
