"""Delays, capacitances and energies of cells, from the tables of a Liberty file."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.syntax import Group

__all__ = ["CellTables", "Delay", "Energy", "PinTables", "Table", "Technology", "condition"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Condition = Callable[[Mapping[str, Booleans]], Booleans]

#: Names that axes have in templates, for timing and for power.
_SLEW_AXES = ("input_net_transition", "input_transition_time", "input_transition")
_LOAD_AXES = ("total_output_net_capacitance",)

#: Arcs that a working clock and tied-off resets leave alone have these types.
_ASYNCHRONOUS = ("clear", "preset")

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}


@dataclass(frozen=True, eq=False)
class Table:
    """A quantity over the slew at an input and the load at an output.

    Attributes
    ----------
    slews, loads : float64 arrays, shapes (S,) and (L,)
        In ns and fF, increasing; a single element where the quantity does not depend on them.
    values : float64 array, shape (S, L)
    """

    slews: Floats
    loads: Floats
    values: Floats

    def at(self, slew: Floats | float, load: Floats | float) -> Floats:
        """Interpolated in both directions, and extrapolated from the outermost values."""
        i, s = _position(self.slews, np.asarray(slew, dtype=np.float64))
        j, t = _position(self.loads, np.asarray(load, dtype=np.float64))
        i1, j1 = np.minimum(i + 1, len(self.slews) - 1), np.minimum(j + 1, len(self.loads) - 1)
        low = self.values[i, j] * (1 - t) + self.values[i, j1] * t
        high = self.values[i1, j] * (1 - t) + self.values[i1, j1] * t
        result: Floats = low * (1 - s) + high * s
        return result


def _position(axis: Floats, at: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Index of the element before ``at`` and the fraction of the way to the next."""
    if len(axis) == 1:
        return np.zeros(at.shape, dtype=np.intp), np.zeros(at.shape)
    index = np.clip(np.searchsorted(axis, at) - 1, 0, len(axis) - 2)
    return index, (at - axis[index]) / (axis[index + 1] - axis[index])


@dataclass(frozen=True, eq=False)
class Delay:
    """How an output follows a pin.

    Attributes
    ----------
    related : str
    delays, slews : tuple of Table
        In ns, for the rising output, the falling output or both.
    """

    related: str
    delays: tuple[Table, ...]
    slews: tuple[Table, ...]


@dataclass(frozen=True, eq=False)
class Energy:
    """Energy that a transition of a pin takes inside the cell.

    Attributes
    ----------
    related : str or None
        For outputs: the input that caused the transition.
    when : str or None
        State of the other pins; None: whatever no other condition covers.
    tables : tuple of Table
        In fJ, for rising and falling transitions; one that is absent counts as nought.
    """

    related: str | None
    when: str | None
    tables: tuple[Table, ...]

    def at(self, slew: Floats | float, load: Floats | float) -> Floats:
        """Mean of a rising and a falling transition, in fJ."""
        total = np.zeros(np.broadcast(slew, load).shape)
        for table in self.tables:
            total = total + table.at(slew, load)
        return total / 2


@dataclass(frozen=True, eq=False)
class PinTables:
    """A pin: its capacitance in fF, and what its transitions take."""

    capacitance: float
    delays: tuple[Delay, ...]
    energies: tuple[Energy, ...]


@dataclass(frozen=True, eq=False)
class CellTables:
    """A cell.

    Attributes
    ----------
    pins : dict of str to PinTables
    leakage : float
        In nW, in states that ``leakages`` do not name.
    leakages : tuple of (str, float)
        Conditions and nW.
    """

    pins: dict[str, PinTables]
    leakage: float
    leakages: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Technology:
    """What a library says of the cells that a design uses.

    Attributes
    ----------
    voltage : float
        Nominal supply, in V.
    cells : dict of str to CellTables
    """

    voltage: float
    cells: dict[str, CellTables]

    @classmethod
    def read(cls, library: Library, cells: Iterable[str]) -> Technology | None:
        """The tables of some cells, or None if none of them has internal power.

        Capacitances are the mean of rise and fall where the file has both. Energies count in
        the file's unit of capacitance times the square of its unit of voltage, as Liberty has it.

        Raises
        ------
        LibraryError
            If the file lacks units or a nominal voltage, or a table has axes of other kinds.
        """
        group = library.group(cells)
        if not any(True for _ in _powers(group)):
            return None
        try:
            units = _Units.of(group)
            templates = group.groups("lu_table_template", "power_lut_template")
            reader = _Reader(units, {t.names[0]: t for t in templates})
            found = {c.names[0]: reader.cell(c) for c in group.groups("cell")}
            voltage = float(_required(group, "nom_voltage"))
        except ValueError as error:
            raise LibraryError(
                f"power tables of {str(library.path)!r} must be complete, but {error} is not"
            ) from None
        return cls(voltage * units.voltage, found)


def _powers(library: Group) -> Iterator[Group]:
    for cell in library.groups("cell"):
        for pin in cell.groups("pin"):
            yield from pin.groups("internal_power")


def _required(group: Group, name: str) -> str:
    value = group.value(name)
    if value is None:
        raise ValueError(f"{name} of {group.kind} {' '.join(group.names)}".rstrip())
    return value


@dataclass(frozen=True)
class _Units:
    """The file's units in ns, fF, V and nW."""

    time: float
    capacitance: float
    voltage: float
    leakage: float

    @classmethod
    def of(cls, library: Group) -> _Units:
        number, unit = library.values("capacitive_load_unit") or ("", "")
        return cls(
            time=_unit(_required(library, "time_unit")) / 1e-9,
            capacitance=float(number) * _unit(f"1{unit}") / 1e-15,
            voltage=_unit(_required(library, "voltage_unit")),
            leakage=_unit(_required(library, "leakage_power_unit")) / 1e-9,
        )

    @property
    def energy(self) -> float:
        """In fJ."""
        return self.capacitance * self.voltage**2


def _unit(text: str) -> float:
    """``10ps`` as 1e-11."""
    match = re.fullmatch(r"\s*([\d.eE+-]*\d)\s*([fpnumk]?)[a-z]+\s*", text.lower())
    if match is None:
        raise ValueError(f"unit {text!r}")
    return float(match[1]) * _PREFIXES[match[2]]


@dataclass(frozen=True)
class _Reader:
    units: _Units
    templates: Mapping[str, Group]

    def cell(self, cell: Group) -> CellTables:
        leakages = [
            (g.value("when"), float(_required(g, "value")) * self.units.leakage)
            for g in cell.groups("leakage_power")
        ]
        stated = cell.value("cell_leakage_power")
        plain = [value for when, value in leakages if when is None]
        named = tuple((when, value) for when, value in leakages if when is not None)
        return CellTables(
            pins={pin.names[0]: self.pin(pin) for pin in cell.groups("pin")},
            leakage=float(stated) * self.units.leakage if stated else sum(plain),
            leakages=named,
        )

    def pin(self, pin: Group) -> PinTables:
        edges = [pin.value("rise_capacitance"), pin.value("fall_capacitance")]
        both = [float(edge) for edge in edges if edge is not None]
        stated = float(pin.value("capacitance") or 0.0)
        mean = sum(both) / 2 if len(both) == 2 else stated
        return PinTables(
            capacitance=mean * self.units.capacitance,
            delays=tuple(d for timing in pin.groups("timing") for d in self.delays(timing)),
            energies=tuple(e for p in pin.groups("internal_power") for e in self.energies(p)),
        )

    def delays(self, timing: Group) -> Iterator[Delay]:
        delays = self.tables(timing, ("cell_rise", "cell_fall"), self.units.time)
        slews = self.tables(timing, ("rise_transition", "fall_transition"), self.units.time)
        if delays and timing.value("timing_type") not in _ASYNCHRONOUS:
            for related in (timing.value("related_pin") or "").split():
                yield Delay(related, delays, slews)

    def energies(self, power: Group) -> Iterator[Energy]:
        tables = self.tables(power, ("rise_power", "fall_power", "power"), self.units.energy)
        if any(True for _ in power.groups("power")):
            tables = tables * 2
        related: list[str | None] = [*(power.value("related_pin") or "").split()]
        for pin in related or [None]:
            yield Energy(pin, power.value("when"), tables)

    def tables(self, group: Group, kinds: tuple[str, ...], unit: float) -> tuple[Table, ...]:
        return tuple(self.table(g, unit) for kind in kinds for g in group.groups(kind))

    def table(self, group: Group, unit: float) -> Table:
        template = self.templates.get(" ".join(group.names), Group("scalar"))
        axes: dict[str, Floats] = {}
        shape = []
        for number in itertools.count(1):
            variable = template.value(f"variable_{number}")
            if variable is None:
                break
            index = f"index_{number}"
            axis = _numbers(group, index) if group.values(index) else _numbers(template, index)
            shape.append(len(axis))
            axes[self.axis(variable)] = axis
        values = _numbers(group, "values").reshape(shape) * unit
        if list(axes) == ["load", "slew"]:
            values = values.T
        slews = axes.get("slew", np.zeros(1)) * self.units.time
        loads = axes.get("load", np.zeros(1)) * self.units.capacitance
        return Table(slews, loads, values.reshape(len(slews), len(loads)))

    @staticmethod
    def axis(variable: str) -> str:
        if variable in _SLEW_AXES:
            return "slew"
        if variable in _LOAD_AXES:
            return "load"
        raise ValueError(f"axis {variable!r}")


def _numbers(group: Group, name: str) -> Floats:
    """Numbers of all strings; one may hold several, with commas or blanks between them."""
    words = " ".join(group.values(name)).replace(",", " ").split()
    if not words:
        raise ValueError(f"{name} of {group.kind} {' '.join(group.names)}".rstrip())
    return np.array([float(word) for word in words])


def condition(text: str) -> Condition:
    """A Liberty expression over pins, such as ``!CK & (D + Q')``, as a function of their values.

    Operators are ``!`` and ``'``, ``^``, ``&`` and ``*`` and a mere blank, ``|`` and ``+``, in
    the order in which they bind; the constants are 0 and 1.

    Raises
    ------
    LibraryError
        If the text is no such expression.
    """
    parser = _Expression(text)
    result = parser.alternatives()
    if parser.rest():
        raise LibraryError(f"condition must be a Boolean expression, not {text!r}")
    return result


class _Expression:
    """Recursive descent over the words of an expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = re.findall(r"[\w\[\].]+|\S", text)

    def rest(self) -> list[str]:
        return self._words

    def _next(self, *words: str) -> bool:
        if self._words and self._words[0] in words:
            self._words.pop(0)
            return True
        return False

    def alternatives(self) -> Condition:
        left = self._product()
        while self._next("|", "+"):
            left = _binary(np.logical_or, left, self._product())
        return left

    def _product(self) -> Condition:
        left = self._exclusive()
        while self._next("&", "*") or (self._words and re.match(r"[\w(!]", self._words[0])):
            left = _binary(np.logical_and, left, self._exclusive())
        return left

    def _exclusive(self) -> Condition:
        left = self._factor()
        while self._next("^"):
            left = _binary(np.logical_xor, left, self._factor())
        return left

    def _factor(self) -> Condition:
        if self._next("!"):
            return _inverted(self._factor())
        if self._next("("):
            factor = self.alternatives()
            if not self._next(")"):
                raise LibraryError(f"condition must close its brackets, not {self._text!r}")
        else:
            factor = self._name()
        while self._next("'"):
            factor = _inverted(factor)
        return factor

    def _name(self) -> Condition:
        if not self._words or not re.match(r"\w", self._words[0]):
            raise LibraryError(f"condition must be a Boolean expression, not {self._text!r}")
        name = self._words.pop(0)
        if name in ("0", "1"):
            return lambda pins: np.broadcast_to(name == "1", next(iter(pins.values())).shape)
        return lambda pins: _known(pins, name)


def _known(pins: Mapping[str, Booleans], name: str) -> Booleans:
    if name not in pins:
        raise LibraryError(f"condition must name a pin of its cell, not {name!r}")
    return pins[name]


def _inverted(factor: Condition) -> Condition:
    return lambda pins: ~factor(pins)


def _binary(operator: Any, left: Condition, right: Condition) -> Condition:
    return lambda pins: operator(left(pins), right(pins))
