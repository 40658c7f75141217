"""Quantized matrix products, and the files that they are kept in."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.calibration import calibrate
from dintmac.golden.checks import check_array, check_axes, describe
from dintmac.golden.files import write_files
from dintmac.golden.formats import Format, parse
from dintmac.golden.quantize import quantize_weights

__all__ = ["Workload", "load", "quantized", "save"]


@dataclass(frozen=True, eq=False)
class Workload:
    """Operands of a matrix product, ``activations @ weights.T``.

    Attributes
    ----------
    activations : int8 array, shape (M, K)
    weights : uint8 array, shape (N, K)
        Codes of ``format``.
    format : Format
    source : str
        Where the numbers come from, for people and records.

    Raises
    ------
    TypeError, ValueError
        If the arrays are not as above, or empty.
    """

    activations: NDArray[np.int8]
    weights: NDArray[np.uint8]
    format: Format
    source: str = ""

    def __post_init__(self) -> None:
        check_array("activations", self.activations, "int8")
        check_array("weights", self.weights, "uint8")
        for name, array in (("activations", self.activations), ("weights", self.weights)):
            check_axes(name, array, 2)
            if array.size == 0:
                raise ValueError(f"{name} must not be empty, as shape {array.shape} is")
        if self.activations.shape[1] != self.weights.shape[1]:
            raise ValueError(
                "activations and weights must have the same number of columns, "
                f"not {self.activations.shape[1]} and {self.weights.shape[1]}"
            )
        self.format.check_codes(self.weights)

    @property
    def depth(self) -> int:
        """Products in a sum, K."""
        return int(self.activations.shape[1])

    @property
    def products(self) -> int:
        """Multiply-accumulate operations, M × N × K."""
        return self.activations.size * len(self.weights)

    @property
    def sha256(self) -> str:
        """Hash of both arrays and the format."""
        digest = hashlib.sha256(self.format.name.encode())
        for array in (self.activations, self.weights):
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def quantized(
    activations: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]],
    format: Format,
    source: str = "",
) -> Workload:
    """A workload of real numbers.

    Activations are INT8 with one symmetric scale; weights have a scale for each output, such that
    the greatest magnitude is the greatest of the format, of the sign with the smaller error
    (docs/dint.md, section 3).

    Parameters
    ----------
    activations : floating-point array, shape (M, K)
    weights : floating-point array, shape (N, K)
    format : Format
    source : str
        As of :class:`Workload`.
    """
    quantizer = calibrate([activations], symmetric=True)
    codes = quantize_weights(weights, format, signed_scale=True).codes
    return Workload(quantizer.quantize(activations), codes, format, source)


def load(path: Path, format: Format | None = None) -> Workload:
    """Read an ``.npz`` file: ``activations``, ``weights`` and perhaps ``format`` and ``source``.

    Parameters
    ----------
    path : Path
    format : Format, optional
        What the weights' codes mean; the file's own ``format`` (a string such as ``dint4``) if
        None.

    Raises
    ------
    TypeError, ValueError
        If the file is missing or is not as above, with its name.
    """
    if not path.is_file():
        raise ValueError(f"workload {path} is not a file")
    arrays = _arrays(path)
    missing = [name for name in ("activations", "weights") if name not in arrays]
    if missing:
        raise ValueError(f"workload {path} has no array named {' or '.join(missing)}")
    try:
        return Workload(
            arrays["activations"],
            arrays["weights"],
            _format_of(arrays.get("format"), format),
            _word("source", arrays["source"]) if "source" in arrays else path.stem,
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"workload {path}: {error}") from error


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a workload that are in a file."""
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            names = [field.name for field in fields(Workload) if field.name in archive.files]
            return {name: archive[name] for name in names}
        # NumPy, zipfile and zlib each raise what they like, with advice that does not fit here.
        except Exception as error:
            raise ValueError(f"workload {path} must be an .npz file of plain arrays") from error


def _format_of(stored: NDArray[Any] | None, format: Format | None) -> Format:
    own = None if stored is None else parse(_word("format", stored))
    if own is None and format is None:
        raise ValueError("it names no format, so one must be given")
    if own is not None and format is not None and own != format:
        raise ValueError(f"its format is {own.name}, not {format.name}")
    chosen = own or format
    assert chosen is not None
    return chosen


def _word(name: str, stored: NDArray[Any]) -> str:
    """The text that an array is."""
    if not isinstance(stored, np.ndarray) or stored.dtype.kind != "U" or stored.ndim:
        raise TypeError(f"{name} must be a single string, not {describe(stored)}")
    return str(stored)


def save(path: Path, workload: Workload) -> None:
    """Write a file that :func:`load` reads; it appears when it is complete."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        activations=workload.activations,
        weights=workload.weights,
        format=workload.format.name.lower(),
        source=workload.source,
    )
    write_files({path: buffer.getvalue()})
