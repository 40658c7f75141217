"""Drivers, monitors and the protocol checker of ready/valid streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dintmac.sim.handle import Handle

__all__ = [
    "CheckError",
    "Payload",
    "ProtocolChecker",
    "Stalls",
    "Stream",
    "StreamDriver",
    "StreamMonitor",
    "StreamSink",
    "Transfer",
    "no_stalls",
    "random_stalls",
]

#: Field of a stream → value of its port.
Payload = dict[str, int]

#: Called once a cycle; whether to stall in it.
Stalls = Callable[[], bool]


class CheckError(RuntimeError):
    """The design did something that it must not do."""


@dataclass(frozen=True)
class Stream:
    """The ports of a stream.

    Attributes
    ----------
    name : str
    fields : dict of str to str
        Field of the payload → its port.
    valid, ready : str
        Ports of the handshake.
    """

    name: str
    fields: dict[str, str]
    valid: str
    ready: str

    @classmethod
    def of(cls, handle: Handle, name: str) -> Stream:
        """The stream called ``name`` among the ports of a design."""
        fields = {
            port.name.removeprefix(f"{name}_"): port.name
            for port in handle.ports.values()
            if port.stream == name and port.role == "payload"
        }
        return cls(name, fields, f"{name}_valid", f"{name}_ready")


@dataclass(frozen=True)
class Transfer:
    """A payload and the cycle in which it was transferred."""

    cycle: int
    payload: Payload


def no_stalls() -> bool:
    """Never stall."""
    return False


def random_stalls(rng: np.random.Generator, probability: float) -> Stalls:
    """Stall a cycle with a probability."""
    return lambda: bool(rng.random() < probability)


class StreamDriver:
    """Drives the valid side; holds a payload until it is transferred.

    Without a payload to offer, the payload's ports carry the complement of the last one: a design
    that looks at them fails.

    Attributes
    ----------
    stalls : Stalls
        When it stalls, it offers no new payload.
    """

    def __init__(self, handle: Handle, stream: Stream) -> None:
        self.stalls: Stalls = no_stalls
        self._handle = handle
        self._stream = stream
        self.reset()

    @property
    def idle(self) -> bool:
        """Whether all payloads have been transferred."""
        return self._offered is None and not self._queue

    def send(self, payloads: Iterable[Payload | None]) -> None:
        """Offer payloads after those that wait already; None is a cycle without any.

        The iterable is advanced when its next payload can be offered, so that a payload may depend
        on what came out of the design meanwhile.
        """
        self._queue.append(iter(payloads))

    def reset(self) -> None:
        """Forget all payloads."""
        self._queue: deque[Iterator[Payload | None]] = deque()
        self._offered: Payload | None = None
        self._last: Payload | None = None
        self._handle.set(self._stream.valid, 0)

    def drive(self) -> None:
        """Set the ports for this cycle."""
        if self._offered is None and not self.stalls():
            self._offered = self._next_payload()
        if self._offered is not None:
            self._set(self._offered)
        elif self._last is not None:
            self._set({field: ~value for field, value in self._last.items()})
            self._last = None
        self._handle.set(self._stream.valid, int(self._offered is not None))

    def sample(self) -> None:
        """See whether the payload is transferred in this cycle."""
        if self._offered is not None and self._handle.get(self._stream.ready):
            self._last, self._offered = self._offered, None

    def _set(self, payload: Payload) -> None:
        for field, port in self._stream.fields.items():
            mask = (1 << self._handle.ports[port].width) - 1
            self._handle.set(port, payload[field] & mask)

    def _next_payload(self) -> Payload | None:
        while self._queue:
            for payload in self._queue[0]:
                return payload
            self._queue.popleft()
        return None


class StreamSink:
    """Drives the ready side.

    Attributes
    ----------
    stalls : Stalls
        When it stalls, it is not ready.
    waits_for_valid : bool
        Whether it is ready only in the cycles after one in which valid was seen.
    """

    def __init__(self, handle: Handle, stream: Stream) -> None:
        self.stalls: Stalls = no_stalls
        self.waits_for_valid = False
        self._handle = handle
        self._stream = stream
        self._seen = False

    @property
    def idle(self) -> bool:
        """A sink has nothing to finish."""
        return True

    def reset(self) -> None:
        """Forget that valid was seen."""
        self._seen = False
        self._handle.set(self._stream.ready, 0)

    def drive(self) -> None:
        """Set ready for this cycle."""
        ready = (self._seen or not self.waits_for_valid) and not self.stalls()
        self._handle.set(self._stream.ready, int(ready))

    def sample(self) -> None:
        """See whether a payload still waits."""
        valid = self._handle.get(self._stream.valid)
        self._seen = bool(valid and not self._handle.get(self._stream.ready))


class StreamMonitor:
    """Hands every transfer of a stream to ``receive``, whichever side the design is on."""

    def __init__(self, handle: Handle, stream: Stream, receive: Callable[[Transfer], None]) -> None:
        self._handle = handle
        self._stream = stream
        self._receive = receive

    def reset(self) -> None:
        """A monitor has no state."""

    def sample(self) -> None:
        """See whether there is a transfer in this cycle."""
        handle, stream = self._handle, self._stream
        if handle.get(stream.valid) and handle.get(stream.ready):
            payload = {field: handle.get(port) for field, port in stream.fields.items()}
            self._receive(Transfer(handle.cycle, payload))


class ProtocolChecker:
    """Fails when valid drops or a payload changes before its transfer."""

    def __init__(self, handle: Handle, stream: Stream) -> None:
        self._handle = handle
        self._stream = stream
        self.reset()

    def reset(self) -> None:
        """In reset an offer may be withdrawn."""
        self._held: Payload | None = None

    def sample(self) -> None:
        """Compare this cycle with the one before.

        Raises
        ------
        CheckError
        """
        handle, stream = self._handle, self._stream
        valid = handle.get(stream.valid)
        if not valid:
            if self._held is not None:
                raise CheckError(f"{stream.valid} fell in cycle {handle.cycle} before its transfer")
            return
        payload = {field: handle.get(port) for field, port in stream.fields.items()}
        if self._held is not None and payload != self._held:
            field = next(field for field in payload if payload[field] != self._held[field])
            raise CheckError(
                f"{stream.fields[field]} changed in cycle {handle.cycle} before its transfer, "
                f"from {self._held[field]:#x} to {payload[field]:#x}"
            )
        self._held = None if handle.get(stream.ready) else payload
