"""Delays, capacitances and energies of cells, from the tables of a Liberty file."""

from __future__ import annotations

import itertools
import math
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

    def reach(self, slew: Floats | float, load: Floats | float) -> Floats:
        """The greater of slew and load, each over the last entry of its axis.

        Up to 1 a value is interpolated, beyond it is extrapolated.
        """
        farthest = np.zeros(np.broadcast(slew, load).shape)
        for axis, at in ((self.slews, slew), (self.loads, load)):
            if len(axis) > 1:
                farthest = np.maximum(farthest, at / axis[-1])
        return farthest


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
        In fJ, for rising and falling transitions; one that is absent counts as zero.
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

    def reach(self, slew: Floats | float, load: Floats | float) -> Floats:
        """How far :meth:`at` reaches in the table that ends first (:meth:`Table.reach`)."""
        farthest = np.zeros(np.broadcast(slew, load).shape)
        for table in self.tables:
            farthest = np.maximum(farthest, table.reach(slew, load))
        return farthest


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
    def read(cls, library: Library, cells: Iterable[str]) -> Technology:
        """The tables of some cells.

        Capacitances are the mean of rise and fall where the file has both. Energies count in
        the file's unit of capacitance times the square of its unit of voltage, as Liberty has it.

        Raises
        ------
        LibraryError
            If none of the cells has internal power, the file lacks units or a nominal voltage, or
            a table is incomplete or has axes of other kinds.
        """
        group = library.group(cells)
        if not any(True for _ in _powers(group)):
            raise LibraryError(f"{library.name} has no tables of power")
        try:
            units = _Units.of(group)
            templates = group.groups("lu_table_template", "power_lut_template")
            reader = _Reader(units, {" ".join(t.names): t for t in templates})
            found = {c.names[0]: reader.cell(c) for c in group.groups("cell")}
            voltage = _quantity(group, "nom_voltage")
        except ValueError as error:
            raise LibraryError(
                f"tables of power in {library.name} must be complete, but {error}"
            ) from None
        return cls(voltage * units.voltage, found)


def _powers(library: Group) -> Iterator[Group]:
    for cell in library.groups("cell"):
        for pin in cell.groups("pin"):
            yield from pin.groups("internal_power")


def _quantity(group: Group, name: str) -> float:
    """A number that a group must state."""
    (value,) = _numbers(group, name, 1)
    return float(value)


def _numbers(group: Group, name: str, count: int | None = None) -> Floats:
    """Numbers of all strings; one may hold several, with commas or blanks between them."""
    words = " ".join(group.values(name)).replace(",", " ").split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != (count or len(words) or 1) or not np.isfinite(numbers).all():
        stated = " ".join(words) or "nothing"
        raise ValueError(f"{name} of {_title(group)} is {stated[:60]!r}")
    return numbers


def _axis(group: Group, name: str) -> Floats:
    axis = _numbers(group, name)
    if (np.diff(axis) <= 0).any():
        raise ValueError(f"{name} of {_title(group)} does not grow")
    return axis


def _title(group: Group) -> str:
    return " ".join((group.kind, *group.names))


@dataclass(frozen=True)
class _Units:
    """The file's units in ns, fF, V and nW."""

    time: float
    capacitance: float
    voltage: float
    leakage: float

    @classmethod
    def of(cls, library: Group) -> _Units:
        return cls(
            time=_unit(library, "time_unit", "s") / 1e-9,
            capacitance=_unit(library, "capacitive_load_unit", "f") / 1e-15,
            voltage=_unit(library, "voltage_unit", "v"),
            leakage=_unit(library, "leakage_power_unit", "w") / 1e-9,
        )

    @property
    def energy(self) -> float:
        """In fJ."""
        return self.capacitance * self.voltage**2


def _unit(library: Group, name: str, unit: str) -> float:
    """``10ps``, or ``10`` and ``ps``, as 1e-11."""
    text = "".join(library.values(name))
    match = re.fullmatch(rf"\s*([\d.e+-]*\d)\s*([fpnumk]?){unit}\s*", text.lower())
    if match is None:
        raise ValueError(f"{name} is {text or 'nothing'!r}")
    return float(match[1]) * _PREFIXES[match[2]]


@dataclass(frozen=True)
class _Reader:
    units: _Units
    templates: Mapping[str, Group]

    def cell(self, cell: Group) -> CellTables:
        leakages = [
            (g.value("when"), _quantity(g, "value") * self.units.leakage)
            for g in cell.groups("leakage_power")
        ]
        plain = sum(value for when, value in leakages if when is None)
        if cell.value("cell_leakage_power"):
            plain = _quantity(cell, "cell_leakage_power") * self.units.leakage
        return CellTables(
            pins={pin.names[0]: self.pin(pin) for pin in cell.groups("pin")},
            leakage=plain,
            leakages=tuple((when, value) for when, value in leakages if when is not None),
        )

    def pin(self, pin: Group) -> PinTables:
        both = ("rise_capacitance", "fall_capacitance")
        names = both if all(map(pin.value, both)) else ("capacitance",)
        stated = [_quantity(pin, name) for name in names if pin.value(name)]
        return PinTables(
            capacitance=sum(stated) / max(len(stated), 1) * self.units.capacitance,
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
        for number in itertools.count(1):
            variable = template.value(f"variable_{number}")
            if variable is None:
                break
            index = f"index_{number}"
            axes[self.axis(variable)] = _axis(group if group.values(index) else template, index)
        shape = [len(axis) for axis in axes.values()]
        values = _numbers(group, "values", math.prod(shape)).reshape(shape) * unit
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
        raise ValueError(f"an axis is {variable!r}")


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
