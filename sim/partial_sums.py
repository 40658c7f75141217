"""Partial sums of processing elements, which follow their vectors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from dintmac.sim.handle import Handle
from dintmac.sim.streams import Transfer

__all__ = ["PartialSumMonitor", "PartialSums"]


class Stages:
    """Whether there is something in each of a number of pipeline stages."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.reset()

    def reset(self) -> None:
        """Empty the stages."""
        self._held = deque([False] * self._count)

    def push(self, entered: bool) -> bool:
        """Call it once in each enabled cycle: what goes in, and what comes out."""
        self._held.append(entered)
        return self._held.popleft()


class PartialSums:
    """Drives the partial sums of a vector ``delay`` enabled cycles after it.

    In other cycles the port carries the complement of the last partial sums.
    """

    def __init__(self, handle: Handle, delay: int) -> None:
        self._handle = handle
        self._stages = Stages(delay - 1)
        self._mask = (1 << handle.ports["i_partial_sums"].width) - 1
        self._queue: deque[int] = deque()
        self._taken = self._due = False
        self._last = 0

    @property
    def idle(self) -> bool:
        """Whether no partial sums wait for their cycle."""
        return not self._queue

    def send(self, words: Iterable[int]) -> None:
        """Partial sums of the next vectors."""
        self._queue.extend(words)

    def take(self) -> None:
        """A vector was taken in this cycle; its partial sums will be due."""
        self._taken = True

    def reset(self) -> None:
        """Forget all partial sums."""
        self._queue.clear()
        self._stages.reset()
        self._taken = self._due = False

    def drive(self) -> None:
        """Set the port for this cycle."""
        if self._due:
            self._last = self._queue[0]
        self._handle.set("i_partial_sums", self._last ^ (0 if self._due else self._mask))

    def sample(self) -> None:
        """See whether the element takes the partial sums in this cycle."""
        if not self._handle.get("enable"):
            return
        if self._due:
            self._queue.popleft()
        self._due, self._taken = self._stages.push(self._taken), False


class PartialSumMonitor:
    """Hands the partial sums that appear ``delay`` cycles after ``o_valid`` to ``receive``."""

    def __init__(self, handle: Handle, receive: Callable[[Transfer], None], delay: int) -> None:
        self._handle = handle
        self._receive = receive
        self._stages = Stages(delay - 1)
        self.reset()

    def reset(self) -> None:
        """Forget the sums under way."""
        self._stages.reset()
        self._fresh = False

    def sample(self) -> None:
        """See whether there are new partial sums in this cycle."""
        handle = self._handle
        if self._fresh:
            payload = {"partial_sums": handle.get("o_partial_sums")}
            self._receive(Transfer(handle.cycle, payload))
        self._fresh = bool(handle.get("enable")) and self._stages.push(bool(handle.get("o_valid")))
