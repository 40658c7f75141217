"""The clockwork that drives, samples and checks a design cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dintmac.hdl.configuration import Configuration
from dintmac.sim.handle import RESET, Handle
from dintmac.sim.scoreboard import Scoreboard
from dintmac.sim.streams import (
    CheckError,
    Payload,
    ProtocolChecker,
    Stream,
    StreamDriver,
    StreamMonitor,
    StreamSink,
    Transfer,
)
from dintmac.sim.vectors import pack, unpack

__all__ = ["Testbench"]


class _Driver(Protocol):
    @property
    def idle(self) -> bool: ...
    def drive(self) -> None: ...
    def sample(self) -> None: ...
    def reset(self) -> None: ...


class _Sampler(Protocol):
    def sample(self) -> None: ...
    def reset(self) -> None: ...


class Testbench:
    """A design with drivers, monitors and checkers at its boundaries.

    Each cycle all drivers drive, the values settle, all checkers and monitors sample, then the
    drivers do, and the clock rises.

    Parameters
    ----------
    handle : Handle
    configuration : Configuration
    rng : numpy.random.Generator
        The source of all random operands and stalls.

    Attributes
    ----------
    latency : int
        Cycles, as the design documents it.
    scoreboard : Scoreboard
        Sees every cycle.
    valid_outputs : list of str
        Ports that must be low after a reset.
    """

    __test__ = False  # for pytest, which would take it for a class of tests

    def __init__(
        self, handle: Handle, configuration: Configuration, rng: np.random.Generator
    ) -> None:
        self.handle = handle
        self.configuration = configuration
        self.format = configuration.format
        self.latency: int = configuration.latency
        self.rng = rng
        self.scoreboard = Scoreboard(handle, configuration)
        self._begun = False
        self._drivers: list[_Driver] = []
        self._samplers: list[_Sampler] = []
        self.valid_outputs: list[str] = []

    def add_driver(self, driver: _Driver) -> None:
        """Let a driver set inputs in every cycle."""
        self._drivers.append(driver)

    def add_sampler(self, sampler: _Sampler) -> None:
        """Let a monitor or a checker see every cycle."""
        self._samplers.append(sampler)

    def add_input(self, name: str, owes: Callable[[Payload], Any]) -> StreamDriver:
        """Drive, check and monitor an input stream, of which some transfers owe a result."""
        stream = Stream.of(self.handle, name)

        def take(transfer: Transfer) -> None:
            if owes(transfer.payload):
                self.scoreboard.owe(transfer)

        driver = StreamDriver(self.handle, stream)
        self.add_driver(driver)
        self.add_sampler(ProtocolChecker(self.handle, stream))
        self.add_sampler(StreamMonitor(self.handle, stream, take))
        return driver

    def add_output(self, name: str) -> StreamSink:
        """Take, check and monitor the stream of results."""
        stream = Stream.of(self.handle, name)
        sink = StreamSink(self.handle, stream)
        self.add_driver(sink)
        self.add_sampler(ProtocolChecker(self.handle, stream))
        self.add_sampler(StreamMonitor(self.handle, stream, self.scoreboard.receive))
        self.valid_outputs.append(stream.valid)
        return sink

    def payloads(self, name: str, **fields: ArrayLike) -> list[Payload]:
        """Payloads of a stream from arrays of shape ``(T, *shape)``, one for each field."""
        ports = Stream.of(self.handle, name).fields
        words = [self.pack(ports[field], values) for field, values in fields.items()]
        return [dict(zip(fields, row, strict=True)) for row in zip(*words, strict=True)]

    def pack(self, port: str, values: ArrayLike) -> list[int]:
        """Words of a port from an array of shape ``(T, *shape)``."""
        return pack(values, self.handle.ports[port])

    def decode(self, port: str, words: list[int]) -> NDArray[np.int64]:
        """What the words of a port hold, int64, shape ``(T, *shape)``."""
        return unpack(words, self.handle.ports[port])

    async def reset(self) -> None:
        """Reset the design, for one cycle, and the bench.

        Raises
        ------
        CheckError
            If an output is valid afterwards.
        """
        if not self._begun:
            for name, port in self.handle.ports.items():
                if port.direction == "input":
                    self.handle.set(name, 0)
        for driver in self._drivers:
            driver.reset()
        self.handle.set(RESET, 1)
        await self.handle.settle()
        if self._begun:
            self.scoreboard.sample(reset=True)
        await self.handle.tick()
        self._begun = True
        self.handle.set(RESET, 0)
        await self.handle.settle()
        for valid in self.valid_outputs:
            if self.handle.get(valid):
                raise CheckError(f"{valid} is high after a reset")
        self.scoreboard.sample()
        await self.handle.tick()
        for sampler in self._samplers:
            sampler.reset()
        self.scoreboard.forget()

    async def run(self, cycles: int) -> None:
        """Run a number of cycles."""
        for _ in range(cycles):
            for driver in self._drivers:
                driver.drive()
            await self.handle.settle()
            self.scoreboard.sample()
            for sampler in self._samplers:
                sampler.sample()
            for driver in self._drivers:
                driver.sample()
            await self.handle.tick()

    async def run_until(self, condition: Callable[[], Any], *, timeout: int) -> None:
        """Run until a condition holds.

        Raises
        ------
        CheckError
            If it does not hold after ``timeout`` cycles.
        """
        start = self.handle.cycle
        while not condition():
            if self.handle.cycle - start >= timeout:
                # A wrong output says more than one that is missing.
                self.scoreboard.compare()
                raise CheckError(f"not finished after {timeout} cycles; {self._state()}")
            await self.run(1)

    async def drain(self, *, timeout: int) -> None:
        """Run until all payloads are sent and all outputs have come, and then a little longer.

        Raises
        ------
        CheckError
            If they have not after ``timeout`` cycles.
        """
        await self.run_until(self._is_drained, timeout=timeout)
        # What comes now was sent twice.
        await self.run(self.latency + 2)

    async def finish(self, *, timeout: int) -> None:
        """Drain and end the test: all results have come, and something was compared.

        Raises
        ------
        CheckError
        """
        await self.drain(timeout=timeout)
        self.scoreboard.finish()

    def _is_drained(self) -> bool:
        return all(driver.idle for driver in self._drivers) and not self.scoreboard.outstanding

    def _state(self) -> str:
        busy = sum(not driver.idle for driver in self._drivers)
        return f"{self.scoreboard.outstanding} results are missing and {busy} drivers are busy"
