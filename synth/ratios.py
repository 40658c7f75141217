"""Ratios between measurements of equal function."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from dintmac.golden.formats import parse
from dintmac.hdl.catalog import DESIGNS
from dintmac.synth.records import Positive, Record, Stored

__all__ = ["Ratio", "Side", "ratios_of"]

Key = TypeVar("Key", bound=Hashable)

#: Weight formats that are compared: baseline and candidate.
_PAIRS = (("INT8", "INT4"), ("INT8", "dINT4"), ("INT4", "dINT4"))


class Side(Stored, frozen=True):
    """One side of a comparison.

    Attributes
    ----------
    format : str
        Weight format.
    architecture : str
        How products are made.
    """

    format: str
    architecture: str


class Ratio(Stored, frozen=True, kw_only=True):
    """How many times more the baseline takes than the candidate, at equal function.

    Attributes
    ----------
    design : str
        Name of the design of both sides.
    parameters : dict of str to int
        Its sizes and options.
    library : str
        Name of the library of both sides.
    metric : str
        ``area``, or ``energy`` for each multiply-accumulate operation.
    delay_ns : float or None
        The delay that both sides keep, and so the throughput that both have; null: no delay was
        asked for.
    baseline : Side
        Every architecture of its format stands as one.
    candidate : Side
        That of the least area or energy of its format.
    strongest : bool
        Whether the baseline is that of the least area or energy of its format, so that no other
        that was measured would give a lower ratio.
    ratio : float
        Value of the baseline over that of the candidate.
    compared : dict of str to list of str
        For either format the architectures among which the least was looked for.
    missing : dict of str to list of str
        For either format the architectures that the design is built in besides.
    extrapolated : bool
        Whether much of either energy is read far beyond the library's tables; false for areas.

    Raises
    ------
    ValueError
        If ``compared`` or ``missing`` is not of the formats of both sides.
    """

    design: str
    parameters: dict[str, int]
    library: str
    metric: str
    delay_ns: float | None
    baseline: Side
    candidate: Side
    strongest: bool
    ratio: Positive
    compared: dict[str, list[str]]
    missing: dict[str, list[str]]
    extrapolated: bool

    def __post_init__(self) -> None:
        formats = {self.baseline.format, self.candidate.format}
        for name, architectures in (("compared", self.compared), ("missing", self.missing)):
            if architectures.keys() != formats:
                raise ValueError(f"{name} must have the formats of both sides")


def ratios_of(records: Iterable[Record]) -> list[Ratio]:
    """INT8 over INT4, INT8 over dINT4 and INT4 over dINT4, in area and energy.

    For each design, parameters and library the best candidate, whatever its architecture, is
    compared with every architecture of the baseline's format. Areas are compared between netlists
    mapped for the smallest area, and at each delay that was asked for between the smallest that
    keep it. Energies are compared on the same data. The order is that in which designs and
    libraries first occur.
    """
    return [ratio for group in _grouped(records, _place) for ratio in _ratios(group)]


def _place(record: Record) -> Hashable:
    """What both sides of a ratio have in common."""
    configuration = record.configuration
    return record.library, configuration.design, frozenset(configuration.parameters.items())


def _ratios(group: Sequence[Record]) -> Iterable[Ratio]:
    unhurried = [r for r in group if r.target_delay_ns is None]
    yield from _compared("area", None, unhurried, _area)
    for delay in sorted({r.target_delay_ns for r in group if r.target_delay_ns is not None}):
        keep = [r for r in group if r.delay_ns is not None and r.delay_ns <= delay]
        slow = [r for r in group if r.target_delay_ns == delay and r not in keep]
        yield from _compared("area", delay, keep, _area, slow)
    measured = [r for r in unhurried if r.power is not None]
    for alike in _grouped(measured, lambda r: r.power and (r.power.data, r.power.period_ns)):
        yield from _compared("energy", None, alike, _energy)


def _compared(
    metric: str,
    delay: float | None,
    records: Sequence[Record],
    value: Callable[[Record], float],
    excluded: Sequence[Record] = (),
) -> Iterable[Ratio]:
    """The best of each format against every architecture of the other.

    What is ``excluded`` was tried as well, and did not keep the delay.
    """
    tried = _tried([*records, *excluded])
    best = _best(records, value, lambda r: r.configuration.format)
    sides = _best(records, value, _side)
    for baseline_format, candidate_format in _PAIRS:
        if not {baseline_format, candidate_format} <= best.keys():
            continue
        candidate = best[candidate_format]
        configuration = candidate.configuration
        compared = {name: tried[name] for name in (baseline_format, candidate_format)}
        built = DESIGNS[configuration.design].built_architectures
        missing = {
            name: [a for a in built(parse(name)) if a not in names]
            for name, names in compared.items()
        }
        for side, baseline in sides.items():
            if side.format == baseline_format:
                yield Ratio(
                    design=configuration.design,
                    parameters=configuration.parameters,
                    library=candidate.library,
                    metric=metric,
                    delay_ns=delay,
                    baseline=side,
                    candidate=_side(candidate),
                    strongest=baseline is best[baseline_format],
                    ratio=value(baseline) / value(candidate),
                    compared=compared,
                    missing=missing,
                    extrapolated=metric == "energy" and _is_extrapolated(baseline, candidate),
                )


def _side(record: Record) -> Side:
    return Side(record.configuration.format, record.configuration.architecture)


def _tried(records: Iterable[Record]) -> dict[str, list[str]]:
    """Architectures by format."""
    tried: dict[str, list[str]] = {}
    for record in records:
        side = _side(record)
        names = tried.setdefault(side.format, [])
        if side.architecture not in names:
            names.append(side.architecture)
    return tried


def _best(
    records: Iterable[Record], value: Callable[[Record], float], key: Callable[[Record], Key]
) -> dict[Key, Record]:
    """The record of the least value for each key."""
    best: dict[Key, Record] = {}
    for record in records:
        other = best.setdefault(key(record), record)
        if value(record) < value(other):
            best[key(record)] = record
    return best


def _area(record: Record) -> float:
    return record.area


def _energy(record: Record) -> float:
    assert record.power is not None
    return record.power.energy_per_mac_fj


def _is_extrapolated(*records: Record) -> bool:
    return any(r.power is not None and r.power.is_extrapolated for r in records)


def _grouped(
    records: Iterable[Record], key: Callable[[Record], Hashable]
) -> Iterable[Sequence[Record]]:
    groups: dict[Hashable, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups.values()
