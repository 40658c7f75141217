"""Names of recipes, as the command line and the tables have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from dintmac.golden.formats import FP4, INT4, INT8, dint
from dintmac.golden.quantization.grids import parse_grid
from dintmac.golden.quantization.recipe import Method, Recipe
from dintmac.golden.quantization.weights import Granularity, ScaleSearch

#: Formats whose MACs are compared by area; NF4, whose levels are no small integers, has none.
MAC_FORMATS = (INT8.name, *(dint(bits).name for bits in range(8, 2, -1)), INT4.name, FP4.name)


def named_formats(names: Iterable[str]) -> list[str]:
    """Names of formats, where ``macs`` has stood for all of :data:`MAC_FORMATS`."""
    return [one for name in names for one in (MAC_FORMATS if name == "macs" else [name])]


@dataclass(frozen=True)
class Variant:
    """What differs between the rows of a table.

    Parameters
    ----------
    method : str
        ``none``, or parts joined by ``+``: at most one scaling (``smoothquant``, ``awq``,
        ``aqas``), ``gptq``, ``rank`` with a number (a low-rank correction) and ``outliers`` with
        a number (channels that reach this magnitude stay in 16 bits).
    format : str
        A grid, as :func:`~dintmac.golden.quantization.grids.parse_grid` takes it.
    granularity : str
        ``tensor``, ``channel``, or ``group`` with a number: which weights share a scale.
    search : str
        ``absmax`` or ``mse``: how the magnitude of a scale is chosen.
    """

    method: str
    format: str
    granularity: str = "channel"
    search: str = "mse"

    def recipe(self, base: Recipe) -> Recipe:
        """The recipe of this name, with everything else as ``base`` has it.

        Raises
        ------
        ValueError
            If a name is unknown, or the parts do not go together.
        """
        changes: dict[str, Any] = {
            "grid": parse_grid(self.format),
            "search": _member("scales", self.search, ScaleSearch),
        }
        return replace(base, **changes, **_granularity(self.granularity), **_method(self.method))


def variant_of(recipe: Recipe) -> Variant:
    """The names of a recipe: :meth:`Variant.recipe` gives it back."""
    parts = [] if recipe.scaling is Method.NONE else [recipe.scaling.value]
    parts += ["gptq"] if recipe.gptq else []
    parts += [f"rank{recipe.rank}"] if recipe.rank else []
    parts += [] if recipe.outlier is None else [f"outliers{recipe.outlier:g}"]
    size = "" if recipe.group_size is None else recipe.group_size
    return Variant(
        "+".join(parts) or Method.NONE.value,
        recipe.grid.name,
        f"{recipe.granularity.value}{size}",
        recipe.search.value,
    )


def variants(
    methods: Iterable[str],
    formats: Iterable[str],
    granularities: Iterable[str],
    searches: Iterable[str],
) -> list[Variant]:
    """All combinations, methods varying fastest; names in their usual spelling.

    Raises
    ------
    ValueError
        If a format is unknown.
    """
    formats = [parse_grid(name).name for name in formats]
    lower: Callable[[str], str] = str.lower
    axes = (formats, map(lower, granularities), map(lower, searches), map(lower, methods))
    found = [Variant(m, f, g, s) for f, g, s, m in product(*axes)]
    return list(dict.fromkeys(found))


def _member(name: str, value: str, kind: Any) -> Any:
    """The member of an enumeration that has a value."""
    try:
        return kind(value)
    except ValueError:
        choices = " or ".join(member.value for member in kind)
        raise ValueError(f"{name} must be {choices}, not {value!r}") from None


def _granularity(name: str) -> dict[str, Any]:
    if found := re.fullmatch(r"group(\d+)", name):
        return {"granularity": Granularity.GROUP, "group_size": int(found[1])}
    if name not in ("tensor", "channel"):
        raise ValueError(f"granularity must be tensor, channel or, say, group64, not {name!r}")
    return {"granularity": Granularity(name), "group_size": None}


def _method(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in name.split("+"):
        key, value = _part(part, name)
        if key in found:
            raise ValueError(f"method must have one {key} at most, not {name!r}")
        found[key] = value
    return found


def _part(part: str, name: str) -> tuple[str, Any]:
    """Field and value of a recipe that a part of a method stands for."""
    if part in {method.value for method in Method}:
        return "scaling", Method(part)
    if part == "gptq":
        return "gptq", True
    if found := re.fullmatch(r"rank(\d+)", part):
        return "rank", int(found[1])
    if found := re.fullmatch(r"outliers(\d+(?:\.\d+)?)", part):
        return "outlier", float(found[1])
    raise ValueError(
        "method must be none, or smoothquant, awq, aqas, gptq, rank16 or outliers6 "
        f"joined by +, not {name!r}"
    )
