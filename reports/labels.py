"""Names and numbers as every table, plot and sentence prints them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from dintmac.synth.ratios import Ratio, Side
from dintmac.synth.records import PARALLEL, Power, RecordedConfiguration

__all__ = [
    "DASH",
    "case",
    "change",
    "design_title",
    "energy_per_mac",
    "listed",
    "mark",
    "netlist",
    "number",
    "plural",
    "short_case",
    "short_title",
    "times",
    "times_of",
]

#: What has a design and its parameters.
Sized: TypeAlias = RecordedConfiguration | Ratio

#: Stands where there is no value.
DASH = "—"

_TITLES = {"mac": "MAC", "dot": "dot product", "pe": "processing element", "tile": "tile"}


def design_title(of: Sized) -> str:
    """A design and its sizes, such as ``dot product, 16 lanes, depth 4096``."""
    parameters = of.parameters
    sizes = [plural(parameters[n], n.removesuffix("s")) for n in PARALLEL if n in parameters]
    others = [
        _option(name, value) for name, value in sorted(parameters.items()) if name not in PARALLEL
    ]
    return ", ".join([_TITLES.get(of.design, of.design), *sizes, *others])


def case(ratio: Ratio) -> str:
    """Where a ratio was measured, but for the library."""
    title = design_title(ratio)
    return title if ratio.delay_ns is None else f"{title}, {number(ratio.delay_ns)} ns"


def short_title(of: Sized) -> str:
    """A design and its sizes for a crowded axis, such as ``pe 16×4``; options by their names."""
    parameters = of.parameters
    sizes = "×".join(str(parameters[name]) for name in PARALLEL if name in parameters)
    options = [
        _option(name, value)
        for name, value in sorted(parameters.items())
        if name not in (*PARALLEL, "depth")
    ]
    return " ".join([of.design, *([sizes] if sizes else []), *options])


def short_case(ratio: Ratio) -> str:
    """Where a ratio was measured, for a crowded place, but for the library."""
    title = short_title(ratio)
    return title if ratio.delay_ns is None else f"{title}, {number(ratio.delay_ns)} ns"


def _option(name: str, value: int) -> str:
    if (name, value) == ("double_buffered", 0):
        return "single-buffered"
    return f"{name.replace('_', ' ')} {value}"


def netlist(side: RecordedConfiguration | Side) -> str:
    """What a ratio is taken of, such as ``INT8 booth``."""
    return f"{side.format} {side.architecture}"


def number(value: float | None) -> str:
    """A measured value: four digits or all before the point, a dash where there is none."""
    if value is None:
        return DASH
    magnitude = abs(value)
    decimals = 0 if magnitude >= 1000 else 1 if magnitude >= 100 else 2 if magnitude >= 1 else 3
    return f"{value:z,.{decimals}f}".replace("-", "−")


def times(ratio: float) -> str:
    """A ratio, such as ``1.65×``."""
    return f"{ratio:.2f}×"


def change(ratio: float) -> str:
    """How much more a ratio is than one, such as ``+6.3 %``."""
    return f"{100 * (ratio - 1):+.1f} %".replace("-", "−")


def mark(is_extrapolated: bool) -> str:
    """What follows an energy, or a ratio of energies, much of which is extrapolated: ``†``."""
    return " †" if is_extrapolated else ""


def times_of(ratio: Ratio) -> str:
    """A ratio with its mark, such as ``1.65×`` or ``1.65× †``."""
    return times(ratio.ratio) + mark(ratio.extrapolated)


def energy_per_mac(power: Power | None) -> str:
    """An energy in fJ with its mark; a dash where there is none."""
    if power is None:
        return DASH
    return number(power.energy_per_mac_fj) + mark(power.is_extrapolated)


def listed(names: Iterable[str], last: str = "and") -> str:
    """Names in a sentence, such as ``a, b and c``."""
    *firsts, end = names
    return f"{', '.join(firsts)} {last} {end}" if firsts else end


def plural(value: int, one: str, many: str = "") -> str:
    """A count of things, such as ``4 designs``."""
    return f"{value} {one if value == 1 else many or one + 's'}"
