"""The clockwork that drives, samples and checks a design cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dintmac.hdl.configuration import Configuration
from dintmac.sim.handle import RESET, Handle
from dintmac.sim.scoreboard import Model, Scoreboard
from dintmac.sim.streams import (
    CheckError,
    Payload,
    ProtocolChecker,
    Stream,
    StreamDriver,
    StreamMonitor,
    StreamSink,
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
        self.scoreboards: list[Scoreboard] = []
        self._drivers: list[_Driver] = []
        self._samplers: list[_Sampler] = []
        self.valid_outputs: list[str] = []

    def add_driver(self, driver: _Driver) -> None:
        """Let a driver set inputs in every cycle."""
        self._drivers.append(driver)

    def add_sampler(self, sampler: _Sampler) -> None:
        """Let a monitor or a checker see every cycle."""
        self._samplers.append(sampler)

    def add_scoreboard(self, model: Model, port: str, field: str) -> Scoreboard:
        """A scoreboard that must be empty at the end."""
        scoreboard = Scoreboard(model, self.handle.ports[port], field)
        self.scoreboards.append(scoreboard)
        return scoreboard

    def add_input(self, name: str, scoreboard: Scoreboard) -> StreamDriver:
        """Drive, check and monitor an input stream; the scoreboard's model sees its transfers."""
        stream = Stream.of(self.handle, name)
        driver = StreamDriver(self.handle, stream)
        self.add_driver(driver)
        self.add_sampler(ProtocolChecker(self.handle, stream))
        self.add_sampler(StreamMonitor(self.handle, stream, lambda t: scoreboard.observe(name, t)))
        return driver

    def add_output(self, name: str, scoreboard: Scoreboard) -> StreamSink:
        """Take, check and monitor an output stream; the scoreboard receives its transfers."""
        stream = Stream.of(self.handle, name)
        sink = StreamSink(self.handle, stream)
        self.add_driver(sink)
        self.add_sampler(ProtocolChecker(self.handle, stream))
        self.add_sampler(StreamMonitor(self.handle, stream, scoreboard.receive))
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
        for driver in self._drivers:
            driver.reset()
        self.handle.set(RESET, 1)
        await self.handle.settle()
        await self.handle.tick()
        self.handle.set(RESET, 0)
        await self.handle.settle()
        for port in self.valid_outputs:
            if self.handle.get(port):
                raise CheckError(f"{port} is high after a reset")
        await self.handle.tick()
        for sampler in self._samplers:
            sampler.reset()
        for scoreboard in self.scoreboards:
            scoreboard.reset()

    async def run(self, cycles: int) -> None:
        """Run a number of cycles."""
        for _ in range(cycles):
            for driver in self._drivers:
                driver.drive()
            await self.handle.settle()
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
                for scoreboard in self.scoreboards:
                    scoreboard.compare()
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
        """Drain and end the test: the scoreboards are empty and have compared something.

        Raises
        ------
        CheckError
        """
        await self.drain(timeout=timeout)
        for scoreboard in self.scoreboards:
            scoreboard.finish()

    def _is_drained(self) -> bool:
        return all(driver.idle for driver in self._drivers) and not any(
            scoreboard.outstanding for scoreboard in self.scoreboards
        )

    def _state(self) -> str:
        owed = sum(scoreboard.outstanding for scoreboard in self.scoreboards)
        busy = sum(not driver.idle for driver in self._drivers)
        return f"{owed} outputs are missing and {busy} drivers are busy"
