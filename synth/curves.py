"""Fronts; areas over delays: those of records, comparisons at equal delay, throughput of areas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from dintmac.synth.records import Record

__all__ = ["front", "pareto", "smallest_within", "throughput_per_area"]

Item = TypeVar("Item")


def front(items: Iterable[Item], costs: Callable[[Item], tuple[float, float]]) -> list[Item]:
    """The items that no other beats in both costs, by growing first cost.

    Of equal ones the first stays.
    """
    best: list[Item] = []
    for item in sorted(items, key=costs):
        if not best or costs(item)[1] < costs(best[-1])[1]:
            best.append(item)
    return best


def pareto(records: Iterable[Record]) -> list[Record]:
    """The records that no other beats in both area and delay, by growing delay.

    Records without a delay are left out; of equal ones the first stays.
    """
    timed = [record for record in records if record.delay_ns is not None]
    return front(timed, lambda record: (_delay(record), record.area))


def smallest_within(records: Iterable[Record], delay_ns: float) -> Record | None:
    """The smallest record that works at a clock period, whatever it was mapped for.

    None if there is none. Of two formats' records, each the smallest of its own at one and the
    same period, the areas compare at equal delay.

    Parameters
    ----------
    records : iterable of Record
        Of equal function: one design with one set of parameters, in one library.
    delay_ns : float
        The clock period.
    """
    fast = [r for r in records if r.delay_ns is not None and r.delay_ns <= delay_ns]
    return min(fast, key=lambda record: record.area, default=None)


def throughput_per_area(record: Record, period_ns: float | None = None) -> float:
    """Products a ns and unit of area.

    Parameters
    ----------
    record : Record
    period_ns : float, optional
        The clock period; by default the shortest that the record works at.

    Raises
    ------
    ValueError
        If the delay of the record is not known or longer than the period.
    """
    delay = record.delay_ns
    if delay is None:
        raise ValueError(f"a record must have a delay, but {record.delay_missing}")
    period = delay if period_ns is None else period_ns
    if period < delay:
        raise ValueError(f"period_ns must be at least the delay, {delay} ns, not {period!r}")
    return record.products_per_cycle / (period * record.area)


def _delay(record: Record) -> float:
    return record.delay_ns or 0.0
