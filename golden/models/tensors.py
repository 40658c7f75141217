"""Tensors of ``*.safetensors`` files, read when they are asked for.

The package ``safetensors`` gives NumPy no bfloat16, in which most large models come, and its
reader holds a whole file. The format is a JSON header and plain arrays: the files are mapped into
memory here, and a tensor becomes float32 when it is used, so that a model may be larger than it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class _Entry:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int


class TensorFiles(Mapping[str, Floats]):
    """The floating-point tensors of the ``*.safetensors`` files in a folder, as float32.

    Parameters
    ----------
    folder : Path
        Its files may be the shards of one model.
    rename : callable
        From the name of a tensor in its file to that under which it is asked for.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is truncated or of another format.
    """

    def __init__(self, folder: Path, rename: Callable[[str], str] = str) -> None:
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"model folder must have a .safetensors file: {folder}")
        self._entries: dict[str, _Entry] = {}
        for path in paths:
            self._entries |= {rename(name): item for name, item in _read_header(path).items()}

    def __getitem__(self, name: str) -> Floats:
        """A tensor, read and converted anew each time."""
        entry = self._entries[name]
        stored = np.memmap(
            entry.path, _DTYPES[entry.dtype], mode="r", offset=entry.start, shape=entry.shape
        )
        if entry.dtype == "BF16":  # The upper half of a float32.
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it."""
        return self._entries[name].shape


def _read_header(path: Path) -> dict[str, _Entry]:
    """Where the floating-point tensors of a file are."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"{path} must be a safetensors file: its header is incomplete")
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            found = [_entry(path, 8 + length, name, item) for name, item in header.items()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} must be a safetensors file: {error}") from error
    for _, end, name in found:
        if end > size:
            raise ValueError(f"{path} must be complete: it ends within the tensor {name}")
    return {name: entry for entry, _, name in found if entry.dtype in _DTYPES}


def _entry(path: Path, base: int, name: str, item: Mapping[str, Any]) -> tuple[_Entry, int, str]:
    """A tensor of a header, and where it ends."""
    start, end = item["data_offsets"]
    if start < 0:
        raise ValueError(f"the tensor {name} begins before the data")
    shape, dtype = tuple(item["shape"]), item["dtype"]
    if dtype in _DTYPES and prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != end - start:
        raise ValueError(f"the tensor {name} has another size than its shape")
    return _Entry(path, dtype, shape, base + start), base + end, name
