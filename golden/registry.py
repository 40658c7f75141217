"""What there is of a kind, by name: the package's own, and what others add to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Things of a kind by name, in the order in which they were added.

    Another package adds to it by an entry point, whose name is the name and whose value is the
    thing: so it is there in every process, such as inside a simulator. Entry points are loaded when
    the registry is first read. A program adds to it with :meth:`add`.

    Parameters
    ----------
    kind, kinds : str
        What a member is, for messages: ``design``; and many, for the group of entry points,
        ``dintmac.designs``.
    members : iterable of (str, T)
        The package's own.
    """

    def __init__(self, kind: str, kinds: str, members: Iterable[tuple[str, T]] = ()) -> None:
        self._kind = kind
        self._group = f"dintmac.{kinds}"
        self._members: dict[str, T] = {}
        self._complete = False
        for name, member in members:
            self.add(name, member)

    def add(self, name: str, member: T) -> None:
        """Add a member.

        Raises
        ------
        ValueError
            If the name is taken.
        """
        if name in self._members:
            raise ValueError(f"there is a {self._kind} {name!r} already")
        self._members[name] = member

    def find(self, name: str) -> T:
        """The member of a name.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        if name not in self:
            raise ValueError(f"{self._kind} must be one of {', '.join(self)}, not {name!r}")
        return self[name]

    def __getitem__(self, name: str) -> T:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, T]:
        if not self._complete:
            # First: what is loaded may read the registry.
            self._complete = True
            for point in entry_points(group=self._group):
                self.add(point.name, point.load())
        return self._members
