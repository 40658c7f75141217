"""Ratios between measurements of equal function."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dintmac.golden.formats import parse
from dintmac.hdl.designs import built_architectures
from dintmac.synth.records import Record

__all__ = ["Ratio", "Variant", "ratios_of"]

#: Weight formats that are compared: baseline and candidate.
_PAIRS = (("INT8", "INT4"), ("INT8", "dINT4"), ("INT4", "dINT4"))


@dataclass(frozen=True)
class Variant:
    """One side of a comparison."""

    format: str
    architecture: str


@dataclass(frozen=True)
class Ratio:
    """How many times more the baseline takes than the candidate, at equal function.

    Attributes
    ----------
    design : str
    parameters : dict of str to int
    library : str
    metric : str
        ``area``, or ``energy`` for each multiply-accumulate operation.
    delay_ns : float or None
        The delay that both sides keep, and so the throughput that both have; None: no delay was
        asked for.
    baseline : Variant
        Every architecture of its format stands as one.
    candidate : Variant
        That of the least area or energy of its format.
    strongest : bool
        Whether the baseline is that of the least area or energy of its format, so that no other
        that was measured would give a lower ratio.
    ratio : float
    compared, missing : dict of str to list of str
        For either format the architectures among which the least was looked for, and those that
        the design is built in besides.
    extrapolated : bool
        Whether much of either energy is read far beyond the library's tables
        (:class:`dintmac.synth.records.BeyondTables`).
    """

    design: str
    parameters: dict[str, int]
    library: str
    metric: str
    delay_ns: float | None
    baseline: Variant
    candidate: Variant
    strongest: bool
    ratio: float
    compared: dict[str, list[str]]
    missing: dict[str, list[str]]
    extrapolated: bool

    def to_json(self) -> dict[str, Any]:
        """The ratio as JSON values."""
        return asdict(self)


def ratios_of(records: Iterable[Record]) -> list[Ratio]:
    """INT8 over INT4, INT8 over dINT4 and INT4 over dINT4, in area and energy.

    For each design, parameters and library the best candidate, whatever its architecture, is
    compared with every architecture of the baseline's format. Areas are compared between netlists
    mapped for the smallest area, and at each delay that was asked for between the smallest that
    keep it. Energies are compared on the same data. The order is that in which designs and
    libraries first occur.
    """
    groups = _grouped(records, lambda r: (r.library, r.design, frozenset(r.parameters.items())))
    return [ratio for group in groups for ratio in _ratios(group)]


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
    best = _best(records, value, lambda r: r.format)
    variants = _best(records, value, lambda r: Variant(r.format, r.architecture))
    for baseline_format, candidate_format in _PAIRS:
        if not {baseline_format, candidate_format} <= best.keys():
            continue
        candidate = best[candidate_format]
        compared = {name: tried[name] for name in (baseline_format, candidate_format)}
        missing = {
            name: [a for a in built_architectures(candidate.design, parse(name)) if a not in names]
            for name, names in compared.items()
        }
        for baseline in variants.values():
            if baseline.format == baseline_format:
                yield Ratio(
                    design=candidate.design,
                    parameters=candidate.parameters,
                    library=candidate.library,
                    metric=metric,
                    delay_ns=delay,
                    baseline=Variant(baseline.format, baseline.architecture),
                    candidate=Variant(candidate.format, candidate.architecture),
                    strongest=baseline is best[baseline_format],
                    ratio=value(baseline) / value(candidate),
                    compared=compared,
                    missing=missing,
                    extrapolated=metric == "energy" and _is_extrapolated(baseline, candidate),
                )


def _tried(records: Iterable[Record]) -> dict[str, list[str]]:
    """Architectures by format."""
    tried: dict[str, list[str]] = {}
    for record in records:
        names = tried.setdefault(record.format, [])
        if record.architecture not in names:
            names.append(record.architecture)
    return tried


def _best(
    records: Iterable[Record], value: Callable[[Record], float], key: Callable[[Record], Hashable]
) -> dict[Hashable, Record]:
    """The record of the least value for each key."""
    best: dict[Hashable, Record] = {}
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
