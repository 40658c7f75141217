"""What a design computes while its energy is measured.

Operands come from a matrix product of real data, or of Gaussian data of the same kind. Every copy
of the design works on a part of it of its own, as the hardware would:

- ``mac`` and ``dot`` take new weights and new activations in each cycle and add up whole rows of
  the product, one after the other, without a pause;
- ``pe`` keeps its weights for :data:`VECTORS` vectors, which are successive rows of the
  activations; the next weights are loaded while the last of them goes in, and swapped with the
  first of the next. Partial sums are those that all lanes before it would have handed on;
- ``fused`` does the same, in the mode that the format of the data asks for;
- ``tile`` as well, with sums of all its rows; the next weights are loaded, a row a cycle, before
  the vector that swaps.

The copies are spread evenly over this period, so that every cycle has as much loading and swapping
as the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.formats import INT8, Format
from dintmac.golden.registry import Registry
from dintmac.golden.workload import Workload, load, quantized
from dintmac.hdl.configuration import Configuration

__all__ = [
    "STIMULI",
    "VECTORS",
    "Drive",
    "Inputs",
    "Stimulus",
    "gaussian",
    "measurable",
    "stimulus",
    "workloads_of",
]

#: Vectors that a processing element multiplies with one set of weights.
VECTORS = 128

#: Gaussian data: tokens, products in a sum, and sums, as in a small attention layer.
_SHAPE = (160, 384, 384)
_SEED = 1

Inputs = dict[str, NDArray[np.integer[Any]]]


def gaussian(format: Format) -> Workload:
    """160 × 384 activations and 384 × 384 weights, normally distributed, always the same."""
    rng = np.random.default_rng(_SEED)
    tokens, depth, outputs = _SHAPE
    activations, weights = rng.normal(size=(tokens, depth)), rng.normal(size=(outputs, depth))
    return quantized(activations, weights, format, "gaussian")


def workloads_of(paths: Sequence[Path], formats: Iterable[Format]) -> dict[str, Workload]:
    """Workloads by the name of their format: those of files, or Gaussian ones if there are none.

    Raises
    ------
    TypeError, ValueError
        If a file is no workload, two are of one format, or one is of a format that is neither
        among ``formats`` nor INT8, which is a mode of ``fused`` as well.
    """
    if not paths:
        return {format.name: gaussian(format) for format in formats}
    measured = {INT8.name, *(format.name for format in formats)}
    found: dict[str, Path] = {}
    data: dict[str, Workload] = {}
    for path in paths:
        workload = load(path)
        name = workload.format.name
        if name not in measured:
            raise ValueError(f"workload {path} is of {name}, which is not measured")
        if name in found:
            raise ValueError(f"workloads {found[name]} and {path} are both of {name}")
        found[name], data[name] = path, workload
    return data


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Inputs of a design, cycle by cycle.

    Attributes
    ----------
    warm_up : int
        Cycles before the registers hold what they would in long operation.
    products : int
        Products in a sum of a cycle.
    sums : int
        Sums of a cycle.
    """

    workload: Workload
    configuration: Configuration
    copies: int
    warm_up: int
    products: int
    sums: int

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of a cycle."""
        return self.products * self.sums

    def cycles(self, count: int) -> Iterator[Inputs]:
        """Values of every input port in ``warm_up + count`` cycles, each of shape (copies, …)."""
        inputs = STIMULI[self.configuration.design].inputs
        return (inputs(self, cycle) for cycle in range(self.warm_up + count))


@dataclass(frozen=True)
class Drive:
    """How a design is driven.

    Attributes
    ----------
    inputs : function
        ``(stimulus, cycle) -> Inputs``.
    begin : function
        ``(configuration, workload) -> int``: cycles until all that goes in is as in long operation.
    """

    inputs: Callable[[Stimulus, int], Inputs]
    begin: Callable[[Configuration, Workload], int]


def measurable(configuration: Configuration) -> bool:
    """Whether there are stimuli for a design.

    There are none for those without double buffers, and for tiles that take longer than
    :data:`VECTORS` vectors to load and to swap a set of weights.
    """
    sizes, stages = configuration.sizes, configuration.stages
    is_quick = 2 * sizes.rows + sizes.columns + 2 <= VECTORS
    return configuration.design in STIMULI and is_quick and bool(stages.double_buffered)


def stimulus(workload: Workload, configuration: Configuration, copies: int) -> Stimulus:
    """How copies of a design share a matrix product.

    Raises
    ------
    ValueError
        If the design takes no weights of the format, the design is not measurable, or the product
        has fewer columns than the design adds products, fewer rows than it has outputs, or sums
        longer than its depth.
    """
    if not measurable(configuration):
        raise ValueError(
            "energy must be measured of a design with double buffers and few rows, "
            f"not of {configuration.name}"
        )
    if workload.format not in configuration.weight_formats:
        raise ValueError(
            f"the workload must be {configuration.format.name} as the design is, "
            f"not {workload.format.name}"
        )
    products, sums = configuration.products(workload.format), configuration.sizes.sums
    outputs, depth = workload.weights.shape
    if outputs < sums or not products <= depth <= configuration.sizes.depth:
        raise ValueError(
            f"weights must fill the design and not exceed its depth, not have shape "
            f"{workload.weights.shape}"
        )
    begin = STIMULI[configuration.design].begin(configuration, workload)
    warm_up = begin + configuration.latency
    return Stimulus(workload, configuration, copies, warm_up, products, sums)


def _spread(stimulus: Stimulus, period: int) -> NDArray[np.int64]:
    """Where in a period each copy begins."""
    return np.arange(stimulus.copies) * period // stimulus.copies


# MAC and dot product


def _dot_product_begin(configuration: Configuration, workload: Workload) -> int:
    """Whole sums."""
    return workload.depth // configuration.sizes.lanes + 1


def _dot_product_inputs(stimulus: Stimulus, cycle: int) -> Inputs:
    """One row of activations and one of weights after the other, ``lanes`` products a cycle."""
    workload, lanes = stimulus.workload, stimulus.products
    blocks = workload.weights.shape[1] // lanes
    turn, block = np.divmod(cycle + _spread(stimulus, blocks), blocks)
    # A copy's own rows: each output of its token in turn.
    copy = np.arange(stimulus.copies)
    token = copy % len(workload.activations)
    output = (copy // len(workload.activations) + turn) % len(workload.weights)
    columns = block[:, np.newaxis] * lanes + np.arange(lanes)
    flag = np.ones(stimulus.copies, dtype=np.uint8)
    return {
        "rst": flag * (cycle == 0),
        "i_valid": flag,
        "o_ready": flag,
        "i_first": (block == 0).astype(np.uint8),
        "i_last": (block == blocks - 1).astype(np.uint8),
        "i_activations": workload.activations[token[:, np.newaxis], columns],
        "i_weights": stimulus.configuration.encode(
            workload.weights[output[:, np.newaxis], columns]
        ),
    }


# Processing elements and tiles


def _element_begin(configuration: Configuration, workload: Workload) -> int:
    """Load and swap."""
    return 2


def _element_inputs(stimulus: Stimulus, cycle: int) -> Inputs:
    position = _spread(stimulus, VECTORS) + cycle
    configuration, format = stimulus.configuration, stimulus.workload.format
    phase = position % VECTORS
    flag = np.ones(stimulus.copies, dtype=np.uint8)
    weights = _element_weights(stimulus, position + 1)
    activations = _element_activations(stimulus, position)
    modes: Inputs = {}
    if len(configuration.weight_formats) > 1:
        modes["i_int8"] = flag * (format == INT8)
    return {
        **modes,
        "rst": flag * (cycle == 0),
        "enable": flag,
        "i_valid": flag,
        "load": ((phase == VECTORS - 1) | (cycle == 0)).astype(np.uint8),
        "i_swap": ((phase == 0) | (cycle == 1)).astype(np.uint8),
        "i_weights": configuration.encode(weights, format),
        "i_activations": configuration.lane_activations(activations, format),
        # A vector's partial sums come when the products are to be added to them.
        "i_partial_sums": _element_partial_sums(
            stimulus, np.maximum(position - configuration.latency + 1, 0)
        ),
    }


def _tile_begin(configuration: Configuration, workload: Workload) -> int:
    """A set for all copies, and then each one's next."""
    return 3 * configuration.sizes.rows + 1 + configuration.latency


def _tile_inputs(stimulus: Stimulus, cycle: int) -> Inputs:
    """Sets are loaded, from the last row to the first, in the cycles before they are swapped."""
    configuration = stimulus.configuration
    rows, lanes = configuration.sizes.rows, configuration.sizes.lanes
    copies = np.arange(stimulus.copies)
    flag = np.ones(stimulus.copies, dtype=np.uint8)
    # A first set is swapped in all copies at once, and stays until each has loaded its next whole.
    first_swap = rows + 1
    free = first_swap + configuration.latency
    spread = _spread(stimulus, VECTORS)
    position = spread + max(cycle, free + rows - 1)
    # Cycles since a set's first row: a row in each, then the swap.
    window = (spread + cycle + rows) % VECTORS
    begun = cycle - window >= free
    load, swap = begun & (window < rows), begun & (window == rows)
    wanted, row = spread + cycle + rows, (rows - 1 - window) % rows
    if cycle <= first_swap:
        load = np.full(stimulus.copies, 0 < cycle < first_swap)
        swap = np.full(stimulus.copies, cycle == first_swap)
        wanted, row = position, np.full(stimulus.copies, (rows - cycle) % rows)
    weights = _element_weights(stimulus, wanted)
    weights = configuration.encode(weights.reshape(*weights.shape[:2], rows, lanes))
    return {
        "rst": flag * (cycle == 0),
        "i_valid": flag * (cycle >= first_swap),
        "i_weight_valid": load.astype(np.uint8),
        "o_ready": flag,
        "i_swap": swap.astype(np.uint8),
        "i_weight_weights": weights[copies, :, row],
        "i_activations": _element_activations(stimulus, position),
        "i_partial_sums": _element_partial_sums(stimulus, position),
    }


def _blocks(
    stimulus: Stimulus, position: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and first column of the weights that each copy holds."""
    lanes, outputs = stimulus.products, stimulus.sums
    rows, columns = (
        stimulus.workload.weights.shape[0] // outputs,
        stimulus.workload.weights.shape[1] // lanes,
    )
    # Copies begin at different depths, and stay at one, as the rows of a tile do.
    copy = np.arange(stimulus.copies)
    return (copy // columns + position // VECTORS) % rows * outputs, copy % columns * lanes


def _tokens(stimulus: Stimulus, position: NDArray[np.int64]) -> NDArray[np.int64]:
    tokens = len(stimulus.workload.activations)
    return (np.arange(stimulus.copies) * 7 + position) % tokens


def _element_weights(stimulus: Stimulus, position: NDArray[np.int64]) -> NDArray[np.uint8]:
    first_row, first_column = _blocks(stimulus, position)
    rows = first_row[:, np.newaxis] + np.arange(stimulus.sums)
    columns = first_column[:, np.newaxis] + np.arange(stimulus.products)
    weights: NDArray[np.uint8]
    weights = stimulus.workload.weights[rows[:, :, np.newaxis], columns[:, np.newaxis]]
    return weights


def _element_activations(stimulus: Stimulus, position: NDArray[np.int64]) -> NDArray[np.int8]:
    _, first_column = _blocks(stimulus, position)
    columns = first_column[:, np.newaxis] + np.arange(stimulus.products)
    tokens = _tokens(stimulus, position)[:, np.newaxis]
    activations: NDArray[np.int8] = stimulus.workload.activations[tokens, columns]
    return activations


def _element_partial_sums(stimulus: Stimulus, position: NDArray[np.int64]) -> NDArray[np.int64]:
    """What the elements before have added, less the corrections that are still to come."""
    workload, products = stimulus.workload, stimulus.products
    configuration = stimulus.configuration
    first_row, first_column = _blocks(stimulus, position)
    rows = first_row[:, np.newaxis] + np.arange(stimulus.sums)
    columns = workload.depth // products
    blocks = workload.weights[:, : columns * products].reshape(-1, columns, products)
    corrections = configuration.correction(blocks, workload.format)
    units = workload.format.to_units(workload.weights, configuration.format).astype(np.int64)
    before = np.arange(workload.depth) < first_column[:, np.newaxis]
    activations = workload.activations[_tokens(stimulus, position)] * before.astype(np.int64)
    sums = np.einsum("ck,cok->co", activations, units[rows])
    to_come = corrections[:, ::-1].cumsum(axis=1)[:, ::-1]
    sums -= to_come[rows, first_column[:, np.newaxis] // products]
    return narrow(sums, configuration.width, Overflow.WRAP)


_DOT_PRODUCT = Drive(_dot_product_inputs, _dot_product_begin)
_ELEMENT = Drive(_element_inputs, _element_begin)

#: How designs are driven, by name.
STIMULI: Registry[Drive] = Registry(
    "stimulus",
    "stimuli",
    {
        "mac": _DOT_PRODUCT,
        "dot": _DOT_PRODUCT,
        "pe": _ELEMENT,
        "fused": _ELEMENT,
        "tile": Drive(_tile_inputs, _tile_begin),
    }.items(),
)
