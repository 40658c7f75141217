# amaranth: UnusedElaboratable=no
"""Proves designs with Yosys' SAT solver: products of a lane, and properties of the control logic.

A design is Verilog with the ports of an export: the export itself, or the netlist that was mapped
from it (:attr:`dintmac.synth.netlist.Netlist.verilog`). What it is compared with comes from the
tables of :mod:`dintmac.golden.formats` and from ``*``, not from the architectures.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import (
    Array,
    Assert,
    Assume,
    ClockDomain,
    ClockSignal,
    Const,
    Instance,
    Module,
    Signal,
    Value,
    signed,
)
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, ACTIVATION_MIN, Format
from dintmac.hdl.architectures import architecture_for
from dintmac.hdl.designs import Configuration
from dintmac.hdl.verilog import Export
from dintmac.hdl.yosys import YosysError, find_yosys
from dintmac.synth.netlist import Netlist

__all__ = [
    "ProofError",
    "Properties",
    "code_sets",
    "lane",
    "prove_lane",
    "prove_properties",
    "simulate_lane",
    "units_of",
]


class ProofError(RuntimeError):
    """A design does not have a property, or no proof was found that it has."""


# Lanes


def lane(format: Format, architecture: str) -> Configuration:
    """A processing element of one group of lanes and one output."""
    group = architecture_for(format, architecture, resident=True).group
    return Configuration("pe", format, architecture, {"lanes": group, "outputs": 1})


#: With all inputs held and all enables high, registers become what they take over: the settled
#: pipeline is combinational. What is left of its loops, or of registers, is an error.
_SETTLE = """\
read_verilog -formal design.v
read_rtlil proof.il
hierarchy -check -top proof
proc -norom
flatten
chformal -lower
setattr -unset init w:*
opt -nodffe -nosdff
techmap -map registers.v
opt -full
check -assert
select -assert-none t:$*dff* t:$*latch* t:$mem*
"""
_REGISTERS = """\
(* techmap_celltype = "$dff" *)
module wire_for_register #(parameter WIDTH = 1, parameter CLK_POLARITY = 1)
  (input CLK, input [WIDTH-1:0] D, output [WIDTH-1:0] Q);
  assign Q = D;
endmodule
"""


def prove_lane(export: Export, verilog: str, codes: NDArray[np.uint8] | None = None) -> None:
    """Prove the sums of a processing element of few lanes, for all operands.

    With weights, activations and partial sum held, the settled output is
    ``partial sum + Σ weight × activation + correction(weights)``, modulo its width. Two steps:

    1. Output less output for a partial sum of nought is the partial sum, whatever the codes.
    2. For a partial sum of nought, and each set of codes, the output is the rest.

    Parameters
    ----------
    export : Export
        Of a processing element of one output (:func:`lane`).
    verilog : str
        ``export.verilog``, or its mapped netlist.
    codes : uint8, shape (sets, lanes), optional
        Sets of codes in the second step; all by default.

    Raises
    ------
    ProofError
        With codes, activations and partial sum for which it is not so.
    YosysError
        If the Verilog is no such design.
    """
    configuration = export.configuration
    if codes is None:
        codes = code_sets(configuration)
    packed = codes @ (1 << configuration.format.bits * np.arange(codes.shape[1]))
    shown = "-verify -prove-asserts -show codes -show activations -show partial_sum"
    cases = "".join(f"sat {shown} -set codes {value}\n" for value in packed)
    steps: list[tuple[_Lane, str]] = [
        (_Addend(export), f"sat {shown}\n"),
        (_Products(export), cases),
    ]
    for harness, proofs in steps:
        files = {"design.v": verilog, "registers.v": _REGISTERS}
        log = _fails(harness.build(), harness.inputs, _SETTLE + proofs, files)
        if log is not None:
            values = re.findall(r"\\(codes|activations|partial_sum) +(-?\d+) ", log)
            example = ", ".join(f"{name} {value}" for name, value in values)
            raise ProofError(f"{configuration.name} must be exact, but is not for {example}")


class _Lane:
    """A processing element at rest: operands in, sum out."""

    def __init__(self, export: Export) -> None:
        self._export = export
        widths = {port.name: port.width for port in export.ports}
        self.codes = Signal(widths["i_weights"])
        self.activations = Signal(widths["i_activations"])
        self.partial_sum = Signal(signed(widths["i_partial_sums"]))
        self.inputs = (self.codes, self.activations, self.partial_sum)

    def build(self) -> Module:
        raise NotImplementedError

    def _sum(self, m: Module, partial_sum: Value) -> Signal:
        operands = {
            "i_weights": self.codes,
            "i_activations": self.activations,
            "i_partial_sums": partial_sum,
        }
        # Enables and valid bits: all else that goes in.
        inputs = [port.name for port in self._export.ports if port.direction == "input"]
        controls = {name: 1 for name in inputs if name not in operands}
        total = Signal(self.partial_sum.shape())
        m.submodules += Instance(
            self._export.module,
            i_clk=ClockSignal(),
            i_rst=0,
            o_o_partial_sums=total,
            **{f"i_{name}": value for name, value in (operands | controls).items()},
        )
        return total


class _Addend(_Lane):
    """The first step of :func:`prove_lane`."""

    def build(self) -> Module:
        m = Module()
        nought = Const(0, self.partial_sum.shape())
        excess = self._sum(m, self.partial_sum) - self._sum(m, nought)
        m.d.comb += Assert(excess[: len(self.partial_sum)] == self.partial_sum.as_unsigned())
        return m


class _Products(_Lane):
    """The second step: against a table of weights and one of corrections."""

    def build(self) -> Module:
        m = Module()
        format = self._export.configuration.format
        lanes = self._export.configuration.parameters["lanes"]
        terms = [
            units_of(format, self.codes.word_select(i, format.bits))
            * self.activations.word_select(i, ACTIVATION_BITS).as_signed()
            for i in range(lanes)
        ]
        configuration = self._export.configuration
        corrections = configuration.build().correction(code_sets(configuration))
        expected = Signal(self.partial_sum.shape())
        m.d.comb += [
            expected.eq(sum(terms, Array(corrections.tolist())[self.codes])),
            Assert(self._sum(m, Const(0, self.partial_sum.shape())) == expected),
        ]
        return m


def units_of(format: Format, code: Value) -> Value:
    """The value of a code in hardware units, from the format's table."""
    return Array(Const(unit, signed(format.bits + 1)) for unit in _units(format))[code]


def _units(format: Format) -> list[int]:
    units: list[int] = format.to_units(np.arange(format.codes, dtype=np.uint8)).tolist()
    return units


def simulate_lane(
    netlist: Netlist, configuration: Configuration, codes: NDArray[np.uint8] | None = None
) -> int:
    """Simulate all products of a processing element of few lanes, gate by gate.

    Every combination of codes meets every combination of activations, each with a partial sum at
    random: 65,536 sums for a lane of INT8, 2^32 for a pair. A set of codes takes a cycle.

    Parameters
    ----------
    netlist : Netlist
        Mapped from the export of ``configuration``.
    configuration : Configuration
        As :func:`lane` makes it.
    codes : uint8, shape (sets, lanes), optional
        Sets of codes to simulate; all by default.

    Returns
    -------
    int
        Number of sums compared.

    Raises
    ------
    ProofError
        With codes and activations of a sum that differs.
    """
    if codes is None:
        codes = code_sets(configuration)
    reference = _Reference(configuration)
    one = {port: [reference.mask] * width for port, width in netlist.inputs.items()}
    held = {"rst": [0], **reference.operands}
    state = [0] * netlist.flip_flops
    # A set is loaded, then swapped in with the activations that it is multiplied by.
    delay = 1 + configuration.build().latency
    for cycle in range(len(codes) + delay):
        weights = reference.weights(codes[min(cycle, len(codes) - 1)])
        ports = one | held | {"i_weights": weights}
        inputs = [plane for port in netlist.inputs for plane in ports[port]]
        planes, state = netlist.step(inputs, state, reference.mask)
        if cycle >= delay:
            outputs = dict(zip(_bits(netlist.outputs), planes, strict=True))
            reference.compare(codes[cycle - delay], outputs)
    return len(codes) * reference.copies


def code_sets(configuration: Configuration) -> NDArray[np.uint8]:
    """All combinations of codes of a processing element of one output; shape (sets, lanes)."""
    format, lanes = configuration.format, configuration.parameters["lanes"]
    sets = np.arange(format.codes**lanes)[:, np.newaxis]
    codes: NDArray[np.integer[Any]] = sets >> format.bits * np.arange(lanes) & (format.codes - 1)
    return codes.astype(np.uint8)


def _bits(ports: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(port, i) for port, width in ports.items() for i in range(width)]


class _Reference:
    """Sums for all activations at once, as planes: integers with a bit for each combination."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._format, lanes = configuration.format, configuration.parameters["lanes"]
        self._width = self._format.accumulator_bits(configuration.parameters["depth"])
        self._pe = configuration.build()
        self.copies: int = 256**lanes
        self.mask = (1 << self.copies) - 1
        index = np.arange(self.copies)[:, np.newaxis]
        self._activations = (index >> 8 * np.arange(lanes) & 255) + ACTIVATION_MIN
        rng = np.random.default_rng(1)
        limit = 1 << (self._width - 1)
        self._partial_sums = _planes(rng.integers(-limit, limit, self.copies), self._width)
        self.operands = {
            "i_activations": [
                plane
                for activations in self._activations.T
                for plane in _planes(activations, ACTIVATION_BITS)
            ],
            "i_partial_sums": self._partial_sums,
        }
        # One for each lane and code.
        self._products = [
            [_planes(unit * activations, self._width) for unit in _units(self._format)]
            for activations in self._activations.T
        ]

    def weights(self, codes: NDArray[np.uint8]) -> list[int]:
        bits = self._format.bits
        return [self.mask * (int(code) >> i & 1) for code in codes for i in range(bits)]

    def compare(self, codes: NDArray[np.uint8], outputs: Mapping[tuple[str, int], int]) -> None:
        correction = int(self._pe.correction(codes))
        expected = [self.mask * (correction >> i & 1) for i in range(self._width)]
        products = (table[code] for table, code in zip(self._products, codes, strict=True))
        for term in (self._partial_sums, *products):
            expected = _add(expected, term)
        wrong = 0
        for i, plane in enumerate(expected):
            wrong |= plane ^ outputs["o_partial_sums", i]
        if wrong:
            # The lowest bit that is set.
            first = (wrong & -wrong).bit_length() - 1
            raise ProofError(
                f"{self._configuration.name} must be exact, but is not for codes "
                f"{codes.tolist()}, activations {self._activations[first].tolist()}"
            )


def _planes(values: NDArray[np.int64], width: int) -> list[int]:
    bits = (values >> np.arange(width)[:, np.newaxis] & 1).astype(np.uint8)
    return [int.from_bytes(row.tobytes(), "little") for row in np.packbits(bits, 1, "little")]


def _add(first: list[int], second: list[int]) -> list[int]:
    """The sums of numbers in planes, modulo two to their width."""
    carry = 0
    total = []
    for a, b in zip(first, second, strict=True):
        either = a ^ b
        total.append(either ^ carry)
        carry = (a & b) | (either & carry)
    return total


# Properties

#: Registers without a reset hold anything at power-up, so their initial values are dropped.
_INDUCTION = """\
read_verilog -formal design.v
proc -norom
setattr -unset init w:*
read_rtlil proof.il
hierarchy -check -top proof
proc -norom
flatten
chformal -lower
{peeks}
opt_clean
check -assert
opt -full
sat -tempinduct -prove-asserts -set-assumes -verify -maxsteps {steps}
"""


class Properties:
    """Properties of a design; its ports are attributes, named as in the Verilog.

    The first cycle is a reset; there are more of them at any time. Registers of the properties
    have no reset of their own.

    Parameters
    ----------
    export : Export

    Attributes
    ----------
    rst : Signal
    running : Signal
        There was a reset before this cycle, and there is none in it.
    peeks : dict of str to Signal
        Registers of the design that invariants speak of, by their name in the flat design.
    """

    def __init__(self, export: Export) -> None:
        self._module = export.module
        self._ports = export.ports
        self.configuration = export.configuration
        self.design = export.configuration.build()
        self.rst = Signal()
        self.running = Signal()
        self.peeks: dict[str, Signal] = {}
        self._signals = {port.name: Signal(port.width, name=port.name) for port in export.ports}

    def __getattr__(self, name: str) -> Signal:
        if name.startswith("_") or name not in self._signals:
            raise AttributeError(f"port must be one of {', '.join(self._signals)}, not {name!r}")
        return self._signals[name]

    @property
    def inputs(self) -> list[Signal]:
        """What the solver chooses in every cycle."""
        names = [port.name for port in self._ports if port.direction == "input"]
        return [self.rst, *(self._signals[name] for name in names), *self.peeks.values()]

    def peek(self, name: str, width: int) -> Signal:
        """A register of the design, for an invariant."""
        return self.peeks.setdefault(name, Signal(width, name=f"peek_{name}"))

    def build(self) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        pins = {f"{p.direction[0]}_{p.name}": self._signals[p.name] for p in self._ports}
        m.submodules.design = Instance(self._module, i_clk=ClockSignal(), i_rst=self.rst, **pins)
        started = Signal()
        m.d.sync += started.eq(1)
        m.d.comb += [Assume(started | self.rst), self.running.eq(started & ~self.rst)]
        self.claims(m)
        return m

    def claims(self, m: Module) -> None:
        """Add the properties."""
        raise NotImplementedError

    def before(self, m: Module, value: Value) -> Signal:
        """``value`` in the cycle before."""
        register = Signal(value.shape(), name="before")
        m.d.sync += register.eq(value)
        return register

    def claim(self, m: Module, condition: Value) -> None:
        """``condition`` holds whenever the design is running."""
        m.d.comb += Assert(~self.running | condition)


def prove_properties(properties: Properties, verilog: str, *, steps: int = 20) -> None:
    """Prove by temporal induction that properties hold in every cycle.

    Parameters
    ----------
    properties : Properties
    verilog : str
        The design: the export's, or one that is derived from it.
    steps : int
        The longest induction that is tried.

    Raises
    ------
    ProofError
        If they do not hold, or induction over ``steps`` cycles does not show it.
    YosysError
        If the Verilog is no such design.
    """
    # A peek is a port of the properties that is connected to what it stands for.
    module, inputs = properties.build(), properties.inputs
    peeks = "".join(
        f"delete -input w:{signal.name}\nconnect -set {signal.name} design.{name}\n"
        for name, signal in properties.peeks.items()
    )
    script = _INDUCTION.format(peeks=peeks, steps=steps)
    if _fails(module, inputs, script, {"design.v": verilog}) is not None:
        raise ProofError(
            f"{properties.configuration.name} must have all {type(properties).__name__}, "
            f"but induction over {steps} cycles does not show it"
        )


def _fails(
    harness: Module, inputs: Sequence[Signal], script: str, files: Mapping[str, str]
) -> str | None:
    """None if all proofs of the script succeed, else the log of the first that fails."""
    with tempfile.TemporaryDirectory(prefix="dintmac-") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text)
        top = rtlil.convert(harness, name="proof", ports=inputs, emit_src=False)
        (folder / "proof.il").write_text(top)
        try:
            find_yosys().run(script, folder)
        except YosysError as error:
            if "proof did fail" not in str(error):
                raise
            return (folder / "yosys.log").read_text()
    return None
