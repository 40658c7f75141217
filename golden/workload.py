"""Quantized matrix products, and the files that they are kept in."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_axes, describe
from dintmac.golden.files import write_files
from dintmac.golden.formats import Format, parse
from dintmac.golden.quantization.activations import calibrate
from dintmac.golden.quantization.weights import quantize_weights

__all__ = ["Layer", "Workload", "load", "load_layer", "quantized", "save"]


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
        _check_matrix("activations", self.activations, "int8")
        _check_matrix("weights", self.weights, "uint8")
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


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights, what the sums of their products begin with, and perhaps activations to try.

    Attributes
    ----------
    weights : uint8 array, shape (N, K)
        Codes of ``format``.
    format : Format
    bias : int64 array, shape (N,)
        In units of the sums: half steps for dINT and FP4, steps for integers.
    activations : int8 array, shape (M, K), or None

    Raises
    ------
    TypeError, ValueError
        If the arrays are not as above, or empty.
    """

    weights: NDArray[np.uint8]
    format: Format
    bias: NDArray[np.int64]
    activations: NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        if self.activations is None:
            _check_matrix("weights", self.weights, "uint8")
            self.format.check_codes(self.weights)
        else:
            Workload(self.activations, self.weights, self.format)
        check_array("bias", self.bias, "int64")
        if self.bias.shape != self.weights.shape[:1]:
            raise ValueError(
                f"bias must be one number for each of {len(self.weights)} rows of weights, "
                f"not of shape {self.bias.shape}"
            )


def _check_matrix(name: str, array: object, dtype: str) -> None:
    check_array(name, array, dtype)
    assert isinstance(array, np.ndarray)
    check_axes(name, array, 2)
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, as shape {array.shape} is")


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
    arrays = _arrays(path, "activations", "weights")
    try:
        return Workload(
            arrays["activations"],
            arrays["weights"],
            _format_of(arrays.get("format"), format),
            _word("source", arrays["source"]) if "source" in arrays else path.stem,
        )
    except (TypeError, ValueError) as error:
        raise type(error)(f"workload {path}: {error}") from error


def load_layer(path: Path, format: Format | None = None) -> Layer:
    """Read the ``weights`` of an ``.npz`` file, and ``bias`` and ``activations`` if they are there.

    A bias is of int32 or int64; without one sums begin with zero. ``format`` and errors are those
    of :func:`load`.
    """
    arrays = _arrays(path, "weights")
    try:
        weights = arrays["weights"]
        _check_matrix("weights", weights, "uint8")
        bias = arrays.get("bias", np.zeros(weights.shape[:1], dtype=np.int64))
        check_array("bias", bias, "int64", "int32")
        chosen = _format_of(arrays.get("format"), format)
        return Layer(weights, chosen, bias.astype(np.int64), arrays.get("activations"))
    except (TypeError, ValueError) as error:
        raise type(error)(f"workload {path}: {error}") from error


def _arrays(path: Path, *needed: str) -> dict[str, NDArray[Any]]:
    """The arrays of a workload or layer that are in a file, with those that are needed."""
    if not path.is_file():
        raise ValueError(f"workload {path} is not a file")
    known = {field.name for field in (*fields(Workload), *fields(Layer))}
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
            arrays = {name: archive[name] for name in archive.files if name in known}
        # NumPy, zipfile and zlib each raise what they like, with advice that does not fit here.
        except Exception as error:
            raise ValueError(f"workload {path} must be an .npz file of plain arrays") from error
    if missing := [name for name in needed if name not in arrays]:
        raise ValueError(f"workload {path} has no array named {' or '.join(missing)}")
    return arrays


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
