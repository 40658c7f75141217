# amaranth: UnusedElaboratable=no
"""All that fixes a piece of hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import Architecture, architecture_for
from dintmac.hdl.behaviour import Behaviour
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.parameters import PARAMETERS, Sizes, Stages
from dintmac.hdl.weight_table import WeightTable

__all__ = ["Configuration"]


@dataclass(frozen=True, init=False)
class Configuration:
    """A design with all that fixes its hardware, and what software has to know of that hardware.

    It is hashable and pickles. Nothing but :meth:`create` builds hardware.

    Parameters
    ----------
    design : str
        A name of :data:`~dintmac.hdl.catalog.DESIGNS`.
    format : Format
        Weight format; the 4-bit one of ``fused``, which takes INT8 as well.
    architecture : str
        Name of the multiplier architecture; the default of the design and format if empty.
    parameters : mapping of str to int
        Sizes and stages (:mod:`dintmac.hdl.parameters`). What is left out takes the design's
        default.

    Attributes
    ----------
    sizes : Sizes
    stages : Stages

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, a parameter is not one of the design's, or a value does not suit it.
    """

    design: str
    format: Format
    architecture: str
    sizes: Sizes
    stages: Stages

    def __init__(
        self,
        design: str,
        format: Format,
        architecture: str = "",
        parameters: Mapping[str, int] | None = None,
    ) -> None:
        chosen = DESIGNS.find(design)
        if not isinstance(format, Format):
            raise TypeError(f"format must be a Format, not {format!r}")
        for name, value in (parameters or {}).items():
            if name not in chosen.defaults:
                raise ValueError(f"{design} has no {name}; it has {', '.join(chosen.defaults)}")
            PARAMETERS[name].check(value)
        values = {**chosen.defaults, **(parameters or {})}
        sizes = {name: values[name] for name in chosen.sizes}
        stages = {name: values[name] for name in chosen.stages}
        name = architecture_for(format, architecture, chosen.architectures).name
        fixed = zip(
            ("design", "format", "architecture", "sizes", "stages"),
            (design, format, name, Sizes(**sizes), Stages(**stages)),
            strict=True,
        )
        for attribute, fact in fixed:
            object.__setattr__(self, attribute, fact)
        self._check()

    def _check(self) -> None:
        products = self.sizes.products
        if self.sizes.depth < products:
            raise ValueError(
                f"depth must be at least {products}, the products that one pass adds, "
                f"not {self.sizes.depth}"
            )
        stages = self.stages
        shapes_adders = stages.tree_register or stages.fast_adder or stages.carry_save
        if shapes_adders and not self.multiplier.makes_products:
            raise ValueError(
                f"tree_register, fast_adder and carry_save must be 0 with {self.architecture}, "
                "which leaves the adders to the synthesis tool"
            )
        DESIGNS[self.design].check(self)

    @property
    def parameters(self) -> dict[str, int]:
        """Sizes of the design, and those stages that are not the defaults."""
        design = DESIGNS[self.design]
        stages = {n: v for n, v in asdict(self.stages).items() if v != PARAMETERS[n].default}
        return {name: getattr(self.sizes, name) for name in design.sizes} | stages

    @property
    def name(self) -> str:
        """A name for files: design, format, architecture, sizes and stages."""
        parts = [self.design, self.format.name.lower(), self.architecture]
        for name, value in self.parameters.items():
            parts.append(f"{name[0] if hasattr(self.sizes, name) else name}{value}")
        return "_".join(parts)

    def replace(
        self,
        *,
        design: str | None = None,
        format: Format | None = None,
        architecture: str | None = None,
        parameters: Mapping[str, int] | None = None,
    ) -> Configuration:
        """The same but for what is given; what a design does not have is left out.

        Raises
        ------
        TypeError, ValueError
            As the constructor.
        """
        design = self.design if design is None else design
        kept = {**asdict(self.sizes), **asdict(self.stages)}
        kept = {name: kept[name] for name in DESIGNS.find(design).defaults}
        return Configuration(
            design,
            format or self.format,
            self.architecture if architecture is None else architecture,
            {**kept, **(parameters or {})},
        )

    # What software has to know

    @property
    def multiplier(self) -> Architecture:
        """The architecture itself."""
        return DESIGNS[self.design].architectures[self.architecture]

    @property
    def latency(self) -> int:
        """In cycles; what it is from and to is the design's."""
        return DESIGNS[self.design].latency(self)

    @property
    def width(self) -> int:
        """Bits of the accumulator or of a partial sum."""
        return self.multiplier.accumulator_bits(self.format, self.sizes.depth)

    @property
    def units(self) -> int:
        """Hardware units in a step."""
        return self.format.units_per_step

    @property
    def weight_formats(self) -> tuple[Format, ...]:
        """Formats of the weights that it takes, the first that of the hardware."""
        return self.multiplier.weight_formats(self.format)

    @property
    def weight_tables(self) -> tuple[WeightTable, ...]:
        """What it takes and makes of the codes, by format of the weights."""
        return tuple(self.multiplier.weight_tables(self.format, self.sizes.lanes))

    def products(self, weights: Format | None = None) -> int:
        """Products that a pass adds to a sum, of weights of the hardware's format by default.

        Raises
        ------
        ValueError
            If it takes no weights of that format.
        """
        weights = weights or self.format
        if weights not in self.weight_formats:
            names = " or ".join(format.name for format in self.weight_formats)
            raise ValueError(f"weights must be {names}, not {weights.name}")
        return self.sizes.products // self.multiplier.lanes_of_weight(self.format, weights)

    def encode(self, codes: NDArray[np.uint8], weights: Format | None = None) -> NDArray[np.uint8]:
        """What the hardware takes for codes.

        Parameters
        ----------
        codes : uint8, shape (…, products of an element)
        weights : Format, optional
            Of the codes; that of the hardware by default.

        Returns
        -------
        uint8, shape (…, lanes), of as many bits as codes of the hardware's format.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format, or not that many.
        """
        self._check_count("codes", codes, self.products(weights) // self.sizes.rows, weights)
        return self.multiplier.encode(self.format, codes, weights)

    def decode(self, stored: NDArray[np.uint8], weights: Format | None = None) -> NDArray[np.uint8]:
        """The codes of what the hardware has taken: the inverse of :meth:`encode`."""
        return self.multiplier.decode(self.format, stored, weights)

    def lane_activations(
        self, activations: NDArray[np.int8], weights: Format | None = None
    ) -> NDArray[np.int8]:
        """What lanes take of activations: each of them for all lanes of its weight.

        Parameters
        ----------
        activations : int8, shape (…, products of an element)
        weights : Format, optional
            Of the weights that they meet; that of the hardware by default.

        Returns
        -------
        int8, shape (…, lanes)

        Raises
        ------
        ValueError
            If they are not that many.
        """
        count = self.products(weights) // self.sizes.rows
        self._check_count("activations", activations, count, weights)
        return np.repeat(activations, self.sizes.lanes // count, axis=-1)

    def correction(
        self, codes: NDArray[np.uint8], weights: Format | None = None
    ) -> NDArray[np.int64]:
        """What the weights of a pass add to a sum besides their products.

        Parameters
        ----------
        codes : uint8, shape (…, products of a pass)
            Of all weights of a sum, those that fill up a tile included; not as they are stored.
        weights : Format, optional
            Of the codes; that of the hardware by default.

        Returns
        -------
        int64, shape (…), in hardware units; zero if the architecture is not a folded one.

        Raises
        ------
        TypeError, ValueError
            As :meth:`encode`.
        """
        self._check_count("codes", codes, self.products(weights), weights)
        lanes, weights = self.sizes.lanes, weights or self.format
        shape = self.sizes.rows, codes.shape[-1] // self.sizes.rows
        rows = codes.reshape(*codes.shape[:-1], *shape)
        constant = self.multiplier.constant_correction(self.format, lanes, weights)
        of_rows = self.multiplier.correction(self.format, rows, weights) + constant
        total: NDArray[np.int64] = of_rows.sum(axis=-1)
        return total

    def _check_count(
        self, name: str, values: NDArray[Any], count: int, weights: Format | None
    ) -> None:
        if values.shape[-1] != count:
            kind = (weights or self.format).name
            raise ValueError(f"{name} must be of {count} {kind} products, not {values.shape[-1]}")

    def create(self) -> Any:
        """A new component."""
        return DESIGNS[self.design].component(self)

    def behaviour(self, copies: int) -> Behaviour:
        """What so many copies of it do, cycle by cycle."""
        return DESIGNS[self.design].behaviour(self, copies)
