"""Grouping in the order of first appearance."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

__all__ = ["gathered", "grouped"]

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by key; keys and items in the order of their first appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def gathered(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[Item]:
    """Items of equal key one after the other, at the place of the first of them."""
    return [item for group in grouped(items, key).values() for item in group]
