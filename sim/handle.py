"""What a bench sees of a simulated design, whichever simulator runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from dintmac.hdl.ports import Port

__all__ = ["RESET", "Handle"]

#: Name of the reset port, which is no member of :attr:`Handle.ports`.
RESET = "rst"


class Handle(ABC):
    """A design under simulation, cycle by cycle.

    A cycle has three parts: inputs are set, :meth:`settle` lets combinational outputs follow, they
    are read, and :meth:`tick` brings the rising edge. Values are those of whole ports, unsigned.

    Attributes
    ----------
    ports : mapping of str to Port
        Without clock and reset.
    cycle : int
        Rising edges so far.
    """

    def __init__(self, ports: Mapping[str, Port]) -> None:
        self.ports = ports
        self.cycle = 0
        self._read_values: dict[str, int] = {}
        self._set_values: dict[str, int] = {}

    def get(self, port: str) -> int:
        """Value of a port in this cycle; call it between :meth:`settle` and :meth:`tick`."""
        value = self._read_values.get(port)
        if value is None:
            value = self._read_values[port] = self._read(port)
        return value

    def set(self, port: str, value: int) -> None:
        """Drive an input; call it before :meth:`settle`."""
        if self._set_values.get(port) != value:
            self._set_values[port] = value
            self._write(port, value)

    async def settle(self) -> None:
        """Let combinational outputs follow the inputs."""
        self._read_values.clear()
        await self._settle()

    async def tick(self) -> None:
        """Go past the next rising edge, to where inputs may be set."""
        await self._tick()
        self.cycle += 1

    @abstractmethod
    def report(self, fraction: float) -> None:
        """Tell whoever waits for the simulation how much of it is done, 0 … 1."""

    @abstractmethod
    def _read(self, port: str) -> int: ...

    @abstractmethod
    def _write(self, port: str, value: int) -> None: ...

    @abstractmethod
    async def _settle(self) -> None: ...

    @abstractmethod
    async def _tick(self) -> None: ...
