"""Prepared weights, and operands to try them with, as files that Verilog reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.formats import ACTIVATION_MAX, ACTIVATION_MIN
from dintmac.golden.matmul import matmul
from dintmac.golden.workload import Layer
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.ports import Image, Port
from dintmac.hdl.verilog import Export
from dintmac.sim.passes import plan
from dintmac.sim.vectors import pack

__all__ = ["IMAGES", "images_of"]

#: Names of all images, which their files end with.
IMAGES = ("weights", "biases", "activations", "expected")


def images_of(export: Export, layer: Layer, stem: str) -> tuple[Image, ...]:
    """What a design takes of a layer, in the order of its passes.

    A matrix that is larger than the design is cut into blocks, with zeros beyond its end: those of
    K by ``rows × lanes``, those of N by ``columns × outputs``. All blocks of N take a block of K
    before the next block of K begins, and begin with the sums of the one before it.

    - ``weights``: for each block of K, for each block of N, what is stored of its codes. A tile
      takes its rows one after the other, the last one first.
    - ``biases``: for each block of N what its sums begin with: the bias less the correction of all
      weights. In designs that sums begin in with zero it is added to what comes out.
    - ``activations``: for each block of K all vectors. Only if the layer has activations.
    - ``expected``: for each block of N the sums of all vectors. Likewise.

    Parameters
    ----------
    export : Export
    layer : Layer
    stem : str
        Begins the names of the files: ``<stem>.weights.hex``.

    Raises
    ------
    ValueError
        If the design takes no prepared weights, the layer does not suit it
        (:func:`dintmac.sim.passes.plan`), or a sum with its bias does not fit.
    """
    configuration = export.configuration
    if len(configuration.weight_formats) > 1:
        raise ValueError(
            f"weights must be for a design of one weight format, not for {configuration.design}"
        )
    cut = plan(layer, configuration)
    ports = {port.name: port for port in export.ports}
    weights = next(port for port in export.ports if port.name.endswith("weights"))
    sums = ports.get("o_partial_sums") or ports["o_sum"]
    starts = ports.get("i_partial_sums", sums)
    _check_room(layer, sums.element_bits)
    codes = np.array(
        [[cut.weights(k, n) for n in range(cut.output_blocks)] for k in range(cut.depth_blocks)]
    )
    by_row = ["row (the last first)"] * ("rows" in configuration.parameters)
    begin = cut.blocks(layer.bias) - _correction(configuration, codes)
    add = "to be added to sums" if starts is sums else "for sums to begin with"

    def image(
        name: str, meaning: str, port: Port, axes: Sequence[str], values: NDArray[Any]
    ) -> Image:
        shape = values.shape[: len(axes)]
        words = pack(values.reshape(-1, *port.shape), port)
        return Image(f"{stem}.{name}.hex", port, tuple(axes), shape, meaning, tuple(words))

    found = [
        image(
            "weights",
            "weights, as stored",
            weights,
            ["block of K", "block of N", *by_row],
            configuration.encode(codes[:, :, ::-1]),
        ),
        image(
            "biases",
            f"bias less correction, {add}",
            starts,
            ["block of N"],
            narrow(begin, sums.element_bits, Overflow.WRAP),
        ),
    ]
    if layer.activations is not None:
        products = matmul(layer.activations, layer.weights, layer.format)
        found += [
            image(
                "activations",
                "activations to try",
                ports["i_activations"],
                ["block of K", "vector"],
                np.array([cut.activations(k) for k in range(cut.depth_blocks)]),
            ),
            image(
                "expected",
                "sums of these activations",
                sums,
                ["block of N", "vector"],
                cut.blocks(products + layer.bias),
            ),
        ]
    return tuple(found)


def _correction(configuration: Configuration, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What sums are too large by, shape (blocks of N, columns, outputs).

    Parameters
    ----------
    configuration : Configuration
    codes : uint8 array, shape (blocks of K, blocks of N, rows, columns, outputs, lanes)
    """
    by_sum = np.transpose(codes, (1, 3, 4, 0, 2, 5))
    passes = by_sum.reshape(*by_sum.shape[:4], -1)
    total: NDArray[np.int64] = configuration.correction(passes).sum(axis=-1)
    return total


def _check_room(layer: Layer, bits: int) -> None:
    """Refuse a bias with which a sum of products of any activations does not fit."""
    units = layer.format.to_units(layer.weights).astype(np.int64)
    bounds = np.sort([units * ACTIVATION_MIN, units * ACTIVATION_MAX], axis=0).sum(axis=-1)
    for output, (low, high, bias) in enumerate(zip(*bounds, layer.bias, strict=True)):
        if bias + low < -1 << bits - 1 or bias + high >= 1 << bits - 1:
            raise ValueError(
                f"bias must leave room for products in {bits} bits, which {bias} of output "
                f"{output} does not"
            )
