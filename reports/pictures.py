"""The pictures of README and documentation: what codes mean, and what a MAC is made of.

    python -m dintmac.reports.pictures

in the project's folder makes all of ``docs/pictures`` anew, from the formats and the hardware.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amaranth.hdl import Signal

from dintmac.golden.files import write_files
from dintmac.golden.formats import DINT4, FP4, INT4, INT8, Format
from dintmac.hdl.architectures import ARCHITECTURES
from dintmac.hdl.configuration import Configuration
from dintmac.reports.pages import render_picture

__all__ = ["PICTURES", "main", "picture"]

_DEPTH = 4096


def _strip(format: Format) -> dict[str, Any]:
    """Codes of a format by value: those that mean zero share a place."""
    values: dict[float, list[str]] = {}
    for code, half_steps in enumerate(format.half_steps.tolist()):
        values.setdefault(half_steps / 2, []).append(f"{code:0{format.bits}b}")
    denormals = {format.half_steps[code] / 2 for code in format.denormals or ()}
    marks = [
        {"value": value, "codes": codes, "denormal": value in denormals}
        for value, codes in sorted(values.items())
    ]
    return {"name": format.name, "marks": marks}


def _partial_product_bits(format: Format) -> int:
    architecture = ARCHITECTURES["nr4sd"]
    assert architecture.generator is not None
    operands = architecture.operands([Signal(8)])
    return len(architecture.generator(format, operands, [Signal(format.bits)]).bits)


def _sizes(format: Format) -> dict[str, int]:
    return {
        "weight": format.bits,
        "products": _partial_product_bits(format),
        "sum": format.accumulator_bits(_DEPTH),
    }


#: What each picture's template takes.
PICTURES: Mapping[str, Mapping[str, Any]] = {
    "codes": {"strips": [_strip(format) for format in (INT4, DINT4, FP4)]},
    "mac": {
        "narrow": _sizes(DINT4),
        "wide": _sizes(INT8),
        "depth": _DEPTH,
        "latency": Configuration("mac", DINT4).latency,
    },
}


def picture(name: str) -> str:
    """A picture as SVG."""
    return render_picture(name, PICTURES[name])


def main(folder: Path) -> None:
    """Make all pictures of a project's folder anew.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    pictures = folder / "docs" / "pictures"
    write_files({pictures / f"{name}.svg": picture(name) for name in PICTURES})


if __name__ == "__main__":
    main(Path())
