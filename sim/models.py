"""What each design is to do, by the golden model, in terms of transfers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.formats import INT8, Format
from dintmac.golden.matmul import matmul
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.ports import Port
from dintmac.sim.scoreboard import Expected
from dintmac.sim.streams import CheckError, Payload
from dintmac.sim.vectors import unpack

__all__ = ["DotProductModel", "FusedModel", "ProcessingElementModel", "TileModel"]


class DotProductModel:
    """Sums of products from ``first`` to ``last``, and the weights' correction.

    Parameters
    ----------
    configuration : Configuration
    ports : mapping of str to Port
        Those of the design.
    """

    def __init__(self, configuration: Configuration, ports: Mapping[str, Port]) -> None:
        self._configuration = configuration
        self._ports = ports
        self._inputs: list[Payload] = []

    def observe(self, stream: str, payload: Payload) -> int:
        """Take a transfer; its sum is complete if it is the last."""
        self._inputs.append(payload)
        return payload["last"]

    def expect(self, count: int) -> Expected:
        """The next ``count`` sums."""
        last = np.array([payload["last"] for payload in self._inputs])
        ends = np.flatnonzero(last)[:count]
        inputs = self._inputs[: ends[-1] + 1]
        self._inputs = self._inputs[ends[-1] + 1 :]
        activations = unpack([p["activations"] for p in inputs], self._ports["i_activations"])
        stored = unpack([p["weights"] for p in inputs], self._ports["i_weights"]).astype(np.uint8)
        codes = self._configuration.decode(stored)
        units = self._configuration.format.to_units(codes)
        products = np.sum(activations * units, axis=1)
        sums = np.cumsum(products + self._configuration.correction(codes))
        first = np.array([payload["first"] for payload in inputs])
        starts = np.maximum.accumulate(np.where(first, np.arange(len(inputs)), 0))[ends]
        before = np.concatenate([[0], sums])[starts]

        def explain(index: int) -> str:
            start, end = int(starts[index]), int(ends[index])
            return f"{end - start + 1} transfers, the last of them {_hex(inputs[end])}: " + (
                f"activations {activations[end].tolist()}, weights {units[end].tolist()}"
            )

        # Sums of products fit; what a correction adds to them may wrap.
        width = self._configuration.width
        return Expected(narrow(sums[ends] - before, width, Overflow.WRAP), explain)

    def reset(self) -> None:
        """Forget the sum that has begun."""
        self._inputs = []


class TileModel:
    """Partial sums plus activations times the resident weights, and the weights' correction.

    Parameters
    ----------
    configuration : Configuration
    ports : mapping of str to Port
        Those of the design.
    """

    def __init__(self, configuration: Configuration, ports: Mapping[str, Port]) -> None:
        self._format = configuration.format
        self._configuration = configuration
        self._ports = ports
        self._weights = ports.get("i_weight_weights") or ports["i_weights"]
        #: Transfers of weights that make a set.
        self._rows = configuration.sizes.rows
        self._resident: tuple[int, ...] | None = None
        self._vectors: list[tuple[tuple[int, ...], Payload]] = []
        self._shadow: list[int] = []

    def observe(self, stream: str, payload: Payload) -> int:
        """Take a row of weights, or a vector, whose partial sums are then owed.

        Raises
        ------
        CheckError
            If a swap is taken while the next set is incomplete.
        """
        if stream == "i_weight":
            self._shadow.append(payload["weights"])
            return 0
        if payload["swap"]:
            self._resident = self._next_set()
        if self._resident is None:
            raise CheckError("a vector came before the first swap")
        self._vectors.append((self._resident, payload))
        return 1

    def _next_set(self) -> tuple[int, ...]:
        if len(self._shadow) != self._rows:
            raise CheckError(
                f"a swap was taken with {len(self._shadow)} of {self._rows} rows of weights loaded"
            )
        # The last row comes first.
        weights = tuple(reversed(self._shadow))
        self._shadow = []
        return weights

    def expect(self, count: int) -> Expected:
        """The next ``count`` vectors of partial sums."""
        vectors, self._vectors = self._vectors[:count], self._vectors[count:]
        payloads = [payload for _, payload in vectors]
        activations = unpack([p["activations"] for p in payloads], self._ports["i_activations"])
        addends = unpack([p["partial_sums"] for p in payloads], self._ports["i_partial_sums"])
        rows = activations.reshape(count, -1).astype(np.int8)
        values = addends.copy()
        for start, end in _runs([weights for weights, _ in vectors]):
            codes = self._matrix(vectors[start][0])
            sums = matmul(rows[start:end], codes, self._format)
            sums = sums + self._configuration.correction(codes)
            values[start:end] += sums.reshape(values[start:end].shape)
        values = narrow(values, self._configuration.width, Overflow.WRAP)

        def explain(index: int) -> str:
            weights, payload = vectors[index]
            return (
                f"{_hex(payload)} and weights {', '.join(f'{row:#x}' for row in weights)}: "
                f"activations {rows[index].tolist()}, "
                f"weights {self._format.to_units(self._matrix(weights)).tolist()}, "
                f"partial sums {addends[index].tolist()}"
            )

        return Expected(values, explain)

    def _matrix(self, weights: tuple[int, ...]) -> NDArray[np.uint8]:
        """Codes, shape (columns × outputs, rows × lanes), of a set."""
        codes = self._configuration.decode(unpack(weights, self._weights).astype(np.uint8))
        lanes = codes.shape[-1]
        by_output = np.moveaxis(codes.reshape(len(weights), -1, lanes), 0, 1)
        return by_output.reshape(by_output.shape[0], -1)

    def reset(self) -> None:
        """Forget the vectors under way and the set that is loaded; the resident set remains."""
        self._vectors = []
        self._shadow = []


class ProcessingElementModel(TileModel):
    """As a tile of one row, but partial sums come after their vector.

    A swap takes what was loaded last, also if it has been taken before.
    """

    def __init__(self, configuration: Configuration, ports: Mapping[str, Port]) -> None:
        super().__init__(configuration, ports)
        self._waiting: deque[tuple[tuple[int, ...], Payload]] = deque()

    def observe(self, stream: str, payload: Payload) -> int:
        """Take weights, a vector, or the partial sums of the oldest vector without them."""
        if stream == "i":
            if payload["swap"]:
                self._resident = (self._shadow[-1],)
            assert self._resident is not None, "the bench loads weights before it swaps"
            self._waiting.append((self._resident, payload))
            return 0
        if stream == "i_partial_sums":
            resident, vector = self._waiting.popleft()
            self._vectors.append((resident, vector | payload))
            return 1
        return super().observe(stream, payload)

    def reset(self) -> None:
        """Forget the vectors under way."""
        super().reset()
        self._waiting.clear()


class FusedModel:
    """Partial sums plus products of 4-bit or of INT8 weights, and the weights' correction.

    A swap takes what was loaded last.

    Parameters
    ----------
    configuration : Configuration
    ports : mapping of str to Port
        Those of the design.
    """

    def __init__(self, configuration: Configuration, ports: Mapping[str, Port]) -> None:
        self._configuration = configuration
        self._ports = ports
        self._loaded: Payload | None = None
        self._resident: Payload | None = None
        self._waiting: deque[tuple[Payload, Payload]] = deque()
        self._vectors: list[tuple[Payload, Payload]] = []

    def observe(self, stream: str, payload: Payload) -> int:
        """Take weights, a vector, or the partial sums of the oldest vector without them."""
        if stream == "i_weight":
            self._loaded = payload
            return 0
        if stream == "i_partial_sums":
            resident, vector = self._waiting.popleft()
            self._vectors.append((resident, vector | payload))
            return 1
        if payload["swap"]:
            self._resident = self._loaded
        assert self._resident is not None, "the bench loads weights before it swaps"
        self._waiting.append((self._resident, payload))
        return 0

    def expect(self, count: int) -> Expected:
        """The next ``count`` vectors of partial sums."""
        vectors, self._vectors = self._vectors[:count], self._vectors[count:]
        words = [payload["partial_sums"] for _, payload in vectors]
        values = unpack(words, self._ports["i_partial_sums"])
        for start, end in _runs([weights for weights, _ in vectors]):
            format, codes = self._decode(vectors[start][0])
            payloads = [payload for _, payload in vectors[start:end]]
            activations = self._activations(format, payloads).astype(np.int8)
            sums = matmul(activations, codes, format).astype(np.int64)
            units = self._configuration.units // format.units_per_step
            values[start:end] += sums * units + self._configuration.correction(codes, format)
        values = narrow(values, self._configuration.width, Overflow.WRAP)

        def explain(index: int) -> str:
            weights, payload = vectors[index]
            format, codes = self._decode(weights)
            return (
                f"{_hex(payload)} and {_hex(weights)}: "
                f"activations {self._activations(format, [payload])[0].tolist()}, "
                f"{format.name} weights {format.to_units(codes).tolist()}"
            )

        return Expected(values, explain)

    def _decode(self, weights: Payload) -> tuple[Format, NDArray[np.uint8]]:
        """Format and codes, shape (outputs, products), of a set."""
        format = INT8 if weights["int8"] else self._configuration.format
        nibbles = unpack([weights["weights"]], self._ports["i_weights"])[0].astype(np.uint8)
        return format, self._configuration.decode(nibbles, format)

    def _activations(self, format: Format, payloads: Sequence[Payload]) -> NDArray[np.int64]:
        """The activations of vectors, shape (vectors, products)."""
        words = [payload["activations"] for payload in payloads]
        lanes = unpack(words, self._ports["i_activations"])
        return lanes[:, :: lanes.shape[1] // self._configuration.products(format)]

    def reset(self) -> None:
        """Forget the vectors under way; weights remain."""
        self._vectors = []
        self._waiting.clear()


def _runs(items: Sequence[object]) -> list[tuple[int, int]]:
    """Start and end of each run of items that are the same object."""
    changes = [i for i in range(1, len(items)) if items[i] is not items[i - 1]]
    return list(zip([0, *changes], [*changes, len(items)], strict=True))


def _hex(payload: Payload) -> str:
    return ", ".join(f"{field} {value:#x}" for field, value in payload.items())
