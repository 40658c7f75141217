"""Properties of the control logic, for :func:`dintmac.synth.proof.prove_netlist`.

They speak of ports, of inner nets (*probes*) where induction needs them, and of registers of their
own. They are written for designs with the options of the defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dintmac.hdl.configuration import Configuration
from dintmac.synth.logic import Number, add, choose, constant, differ, join

__all__ = ["PROPERTIES", "Frame", "Properties"]


class Frame:
    """A cycle.

    Parameters
    ----------
    ports : mapping of str to Number
        Of the design, and probes.
    model : mapping of str to Number
        Registers of the properties.
    registers : Number
        All of the netlist.
    one : bit
    """

    def __init__(
        self,
        ports: Mapping[str, Number],
        model: Mapping[str, Number],
        registers: Number,
        one: Any,
    ) -> None:
        self._numbers = {**ports, **model}
        self.registers = registers
        self.one = one

    def __getitem__(self, name: str) -> Number:
        return self._numbers[name]

    def bit(self, name: str) -> Any:
        """A number of one bit."""
        (bit,) = self._numbers[name]
        return bit

    def width(self, name: str) -> int:
        """Bits of a number."""
        return len(self._numbers[name])

    def moves(self) -> Any:
        """Whether no result waits to be taken."""
        return (self.bit("o_valid") & (self.bit("o_ready") ^ self.one)) ^ self.one

    def taken(self, stream: str = "i") -> Any:
        """Whether a transfer is."""
        return self.bit(f"{stream}_valid") & self.bit(f"{stream}_ready")

    def goes(self) -> Any:
        """Whether there is no reset."""
        return self.bit("rst") ^ self.one


class Properties:
    """Properties of a design.

    Attributes
    ----------
    probes : tuple of str
        Inner nets that they speak of.
    registers : dict of str to int
        Names and widths of registers of their own, which a reset clears.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._design = configuration
        self.probes: tuple[str, ...] = ()
        self.registers: dict[str, int] = {}

    def next(self, frame: Frame) -> dict[str, Number]:
        """The registers in the next cycle."""
        after = self._next(frame)
        return {name: choose(frame.goes(), bits, [0] * len(bits)) for name, bits in after.items()}

    def _next(self, frame: Frame) -> dict[str, Number]:
        return {}

    def wrong(self, before: Frame, now: Frame) -> Iterator[tuple[str, Any]]:
        """What must be, and whether it is not, in a cycle after another."""
        raise NotImplementedError


def becomes(before: Frame, now: Frame, name: str, taken: Any, new: str) -> Any:
    """Whether ``name`` is other than ``new`` was if it was taken, and other than it was if not."""
    return differ(now[name], choose(taken, before[new], before[name]))


def changed(before: Frame, now: Frame, idle: Any) -> Any:
    """Whether a register of the netlist changed in an idle cycle without a reset."""
    return before.goes() & idle & differ(now.registers, before.registers)


def results_wait(before: Frame, now: Frame, payload: str) -> tuple[str, Any]:
    """A result that is not taken stays."""
    waits = before.goes() & (before.moves() ^ before.one)
    left = (now.bit("o_valid") ^ now.one) | differ(now[payload], before[payload])
    return "a result must stay as it is until it is taken", waits & left


def delayed(frame: Frame, name: str, event: Any) -> Number:
    """A register of the properties whose bit i is whether an event was i + 1 moves ago."""
    return choose(frame.moves(), [event, *frame[name]][:-1], frame[name])


class DotProductProperties(Properties):
    """Of ``mac`` and ``dot``, whatever the products are."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self.registers = {"under_way": self._design.latency, "summed": self._design.latency}

    def _next(self, frame: Frame) -> dict[str, Number]:
        taken = frame.taken()
        return {
            "under_way": delayed(frame, "under_way", taken & frame.bit("i_last")),
            "summed": delayed(frame, "summed", taken),
        }

    def wrong(self, before: Frame, now: Frame) -> Iterator[tuple[str, Any]]:
        yield "i_ready must be high unless a result waits", now.bit("i_ready") ^ now.moves()
        yield results_wait(before, now, "o_sum")
        stalled = before.moves() ^ now.one
        yield "nothing must change while a result waits", changed(before, now, stalled)
        yield (
            f"each last transfer must give one result, {self._design.latency} moves later",
            now.bit("o_valid") ^ now["under_way"][-1],
        )
        # The accumulator takes a transfer with the move before the last.
        summing = before.moves() & before["summed"][-2]
        yield (
            "the sum must stay as it is without a transfer",
            before.goes() & (summing ^ now.one) & differ(now["o_sum"], before["o_sum"]),
        )


class ElementProperties(Properties):
    """Of ``pe``, whatever the products are."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        # The weights in use.
        outputs = range(configuration.sizes.outputs)
        self.probes = tuple(f"core.inner_product_{i}.weights" for i in outputs)

    def wrong(self, before: Frame, now: Frame) -> Iterator[tuple[str, Any]]:
        enable, one = before.bit("enable"), now.one
        vector = enable & before.bit("i_valid")
        valid = choose(enable, before["i_valid"], before["o_valid"])
        expected = choose(before.goes(), valid, [0])
        yield "o_valid must follow i_valid with enable", differ(now["o_valid"], expected)
        for name in ("activations", "swap"):
            wrong = becomes(before, now, f"o_{name}", vector, f"i_{name}")
            yield f"o_{name} must follow i_{name} with a vector", wrong
        wrong = becomes(before, now, "o_weights", before.bit("load"), "i_weights")
        yield "weights must shift with load", wrong
        idle = (enable | before.bit("load")) ^ one
        yield "nothing must change without enable and load", changed(before, now, idle)
        swaps = vector & before.bit("i_swap")
        used, now_used = (join(frame[probe] for probe in self.probes) for frame in (before, now))
        wrong = differ(now_used, choose(swaps, before["o_weights"], used))
        yield "weights in use must change with a swap", wrong
        sums = enable & before.bit("o_valid")
        wrong = (sums ^ one) & differ(now["o_partial_sums"], before["o_partial_sums"])
        yield "partial sums must stay as they are without a vector", wrong


class TileProperties(Properties):
    """Of ``tile``: the streams and the weight sets, whatever the products are."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        design = self._design
        self.probes = ("core.rows_loaded", "core.swapping")
        self.registers = {
            "under_way": design.latency,
            # Rows of the set that the next swap will take.
            "loaded": design.sizes.rows.bit_length(),
            # A swap needs so many moves to the last element, and takes the set with the next.
            "passing": design.sizes.rows + design.sizes.columns - 2,
        }

    def _next(self, frame: Frame) -> dict[str, Number]:
        taken = frame.taken()
        swaps = taken & frame.bit("i_swap")
        loaded = add(frame["loaded"], [0] * frame.width("loaded"), frame.taken("i_weight"))
        return {
            "under_way": delayed(frame, "under_way", taken),
            "loaded": choose(swaps, [0] * len(loaded), loaded),
            "passing": delayed(frame, "passing", swaps),
        }

    def wrong(self, before: Frame, now: Frame) -> Iterator[tuple[str, Any]]:
        one = now.one
        yield results_wait(before, now, "o_partial_sums")
        idle = (before.moves() | before.taken("i_weight")) ^ one
        yield (
            "nothing must change while a result waits, unless a row comes",
            changed(before, now, idle),
        )
        yield (
            f"each vector must give one result, {self._design.latency} moves later",
            now.bit("o_valid") ^ now["under_way"][-1],
        )
        rows = constant(self._design.sizes.rows, now.width("loaded"), one)
        complete = differ(now["loaded"], rows) ^ one
        swapping = differ(now["passing"], [0] * now.width("passing"))
        ready = now.moves() & (now.bit("i_swap") ^ one | complete)
        yield (
            "a vector must be taken when nothing waits, one that swaps when its set is complete",
            now.bit("i_ready") ^ ready,
        )
        yield (
            "rows must be taken unless a set waits or its swap is under way",
            now.bit("i_weight_ready") ^ ((complete | swapping) ^ one),
        )
        yield (
            "no set must be taken by two swaps",
            now.taken() & now.bit("i_swap") & ((complete ^ one) | swapping),
        )
        yield (
            "rows must be counted",
            differ(now["core.rows_loaded"], choose(swapping, rows, now["loaded"]))
            | (now.bit("core.swapping") ^ swapping),
        )


#: The properties of each design.
PROPERTIES: dict[str, type[Properties]] = {
    "mac": DotProductProperties,
    "dot": DotProductProperties,
    "pe": ElementProperties,
    "tile": TileProperties,
}
