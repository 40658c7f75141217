"""Logic on symbols: gates become a graph, and a SAT solver looks for values of its inputs.

A *bit* is a :class:`Bit` of a graph, or an integer whose bit i is its value in copy i, as in
:mod:`dintmac.synth.netlist`: what is written with ``&``, ``|`` and ``^`` computes with either.
False is 0; ``one`` is what is true: :attr:`Graph.one`, or an integer with a one for each copy.
Numbers are lists of bits, the least significant first, in two's complement.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

__all__ = [
    "Bit",
    "Graph",
    "Model",
    "Number",
    "ProofError",
    "SolverError",
    "add",
    "constant",
    "differ",
    "find_solver",
    "join",
    "product",
    "replayed",
]

#: A list of ``Bit | int``.
Number: TypeAlias = list[Any]

#: Of the solvers in python-sat: the quickest on adders.
_SOLVER = "cadical153"


class SolverError(RuntimeError):
    """There is no SAT solver."""


class ProofError(RuntimeError):
    """A netlist is wrong, or no proof was found that it is right."""


class Graph:
    """ANDs and XORs of inputs, each once.

    A node has an even number, and its complement the odd one that follows; 0 is false.
    """

    def __init__(self) -> None:
        self._nodes: list[tuple[str, int, int] | None] = [None]
        self._numbers: dict[tuple[str, int, int], int] = {}
        self.one = Bit(self, 1)

    def input(self) -> Bit:
        """A new input."""
        self._nodes.append(None)
        return Bit(self, 2 * len(self._nodes) - 2)

    def inputs(self, count: int) -> list[Bit]:
        """New inputs."""
        return [self.input() for _ in range(count)]

    def conjunction(self, a: int, b: int) -> int:
        """The number of ``a`` and ``b``."""
        if a == b or b == 1:
            return a
        if a == 1:
            return b
        return 0 if a == 0 or b == 0 or a == b ^ 1 else self._node("and", a, b)

    def difference(self, a: int, b: int) -> int:
        """The number of ``a`` exclusive-or ``b``."""
        complement = (a ^ b) & 1
        a, b = a & ~1, b & ~1
        if a == b:
            return complement
        return (a or b if a == 0 or b == 0 else self._node("xor", a, b)) ^ complement

    def _node(self, kind: str, a: int, b: int) -> int:
        key = (kind, min(a, b), max(a, b))
        if key not in self._numbers:
            self._nodes.append(key)
            self._numbers[key] = 2 * len(self._nodes) - 2
        return self._numbers[key]

    def distinguish(self, first: Number, second: Number) -> Model | None:
        """Values of inputs for which two numbers of equal width differ, or None.

        From the lowest bit to the highest, because equal bits help to compare the next: four times
        as quick, where numbers are sums, as all bits at once.

        Raises
        ------
        SolverError
            If python-sat is missing.
        """
        numbers = [_number(a ^ b) for a, b in zip(first, second, strict=True)]
        with self._solver(numbers) as solver:
            for variable in map(_variable, numbers):
                if solver.solve(assumptions=[variable]):
                    return Model(solver.get_model())
                solver.add_clause([-variable])
        return None

    def _solver(self, numbers: Iterable[int]) -> Any:
        return find_solver()(name=_SOLVER, bootstrap_with=self._clauses(numbers))

    def _clauses(self, numbers: Iterable[int]) -> list[list[int]]:
        """What the nodes that ``numbers`` depend on are, and that false is false."""
        clauses = [[-_variable(0)]]
        seen: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop() & ~1
            node = self._nodes[number // 2]
            if number in seen or node is None:
                continue
            seen.add(number)
            kind, *operands = node
            out, a, b = map(_variable, (number, *operands))
            if kind == "and":
                clauses += [[-out, a], [-out, b], [out, -a, -b]]
            else:
                clauses += [[-out, a, b], [-out, -a, -b], [out, -a, b], [out, a, -b]]
            waiting += operands
        return clauses


class Model:
    """Values that a solver found; what does not matter is false."""

    def __init__(self, literals: Iterable[int]) -> None:
        self._true = {literal for literal in literals if literal > 0}

    def values(self, bits: Number) -> list[int]:
        """Values of bits."""
        numbers = map(_number, bits)
        return [number & 1 ^ (number // 2 + 1 in self._true) for number in numbers]


def replayed(values: list[int]) -> Callable[[int], Number]:
    """Gives out values as they were asked for."""
    source = iter(values)
    return lambda count: list(itertools.islice(source, count))


def find_solver() -> Any:
    """The class of python-sat's solvers.

    Raises
    ------
    SolverError
        If it is missing.
    """
    try:
        from pysat.solvers import Solver
    except ImportError:
        message = "no SAT solver found; install it with: pip install 'dintmac[proof]'"
        raise SolverError(message) from None
    return Solver


def _variable(number: int) -> int:
    """As solvers count, from 1 on and with a minus for complements."""
    variable = number // 2 + 1
    return -variable if number & 1 else variable


class Bit:
    """A bit of a graph, with the operators of one."""

    __slots__ = ("graph", "number")

    def __init__(self, graph: Graph, number: int) -> None:
        self.graph = graph
        self.number = number

    def __and__(self, other: Bit | int) -> Bit:
        return Bit(self.graph, self.graph.conjunction(self.number, _number(other)))

    def __xor__(self, other: Bit | int) -> Bit:
        return Bit(self.graph, self.graph.difference(self.number, _number(other)))

    def __or__(self, other: Bit | int) -> Bit:
        neither = self.graph.conjunction(self.number ^ 1, _number(other) ^ 1)
        return Bit(self.graph, neither ^ 1)

    __rand__, __rxor__, __ror__ = __and__, __xor__, __or__

    def __bool__(self) -> bool:
        # Of a netlist that asks whether a reset is tied off, it is not.
        return self.number != 0


def _number(bit: Bit | int) -> int:
    return bit.number if isinstance(bit, Bit) else bit


def constant(value: int, width: int, one: Bit | int) -> Number:
    """``value`` modulo two to the ``width``."""
    return [one if value >> i & 1 else 0 for i in range(width)]


def add(first: Number, second: Number, carry: Bit | int = 0) -> Number:
    """The sum of two numbers and a bit, as wide as they are."""
    total = []
    for a, b in zip(first, second, strict=True):
        either = a ^ b
        total.append(either ^ carry)
        carry = (a & b) | (either & carry)
    return total


def product(factor: int, number: Number, width: int, one: Bit | int) -> Number:
    """``factor`` times a signed number, modulo two to the ``width``."""
    extended = number + number[-1:] * (width - len(number))
    total: Number = [0] * width
    for shift in range(abs(factor).bit_length()):
        if abs(factor) >> shift & 1:
            total = add(total, ([0] * shift + extended)[:width])
    return total if factor >= 0 else add([bit ^ one for bit in total], [0] * width, one)


def join(numbers: Iterable[Number]) -> Number:
    """One number after another, the first in the least significant bits."""
    return list(itertools.chain.from_iterable(numbers))


def differ(first: Number, second: Number) -> Any:
    """Whether two numbers of equal width differ."""
    differences = map(operator.xor, first, second)
    return functools.reduce(operator.or_, differences, 0)
