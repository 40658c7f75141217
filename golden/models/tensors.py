"""Tensors of ``*.safetensors`` files, read when they are asked for.

The package ``safetensors`` gives NumPy no bfloat16, in which most large models come, and its
reader holds a whole file. The format is a JSON header and plain arrays: the files are mapped into
memory here, and a tensor becomes float32 when it is used, so that a model may be larger than it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.inputs import load_object, parse_object

Floats = NDArray[np.float32]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
#: As in the package safetensors, so that a header that is none does not fill the memory.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class _Entry:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class TensorFiles(Mapping[str, Floats]):
    """The tensors of ``*.safetensors`` files, as float32.

    Parameters
    ----------
    paths : iterable of Path
        The files, such as the shards of one model.
    rename : callable
        From the name of a tensor in its file to that under which it is asked for.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is truncated or of another format, or a name occurs twice.
    """

    def __init__(self, paths: Iterable[Path], rename: Callable[[str], str] = str) -> None:
        self._entries: dict[str, _Entry] = {}
        for path in paths:
            for stored, entry in _read_header(path).items():
                name = rename(stored)
                if name in self._entries:
                    first = self._entries[name].path.name
                    raise ValueError(f"{path} must not have the tensor {name}, as {first} has it")
                self._entries[name] = entry

    @classmethod
    def of_model(cls, folder: Path, rename: Callable[[str], str] = str) -> Self:
        """The tensors of the model in a folder.

        Its files are those that ``model.safetensors.index.json`` lists, each with the tensors
        that it lists for it; without such an index ``model.safetensors``; without both all
        ``*.safetensors``.

        Raises
        ------
        FileNotFoundError
            If there is no file, or one that the index lists is missing.
        ValueError
            As for the class, and if the index is of another format or lists a tensor for a file
            that does not have it.
        """
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            return cls._of_index(index, rename)
        single = folder / "model.safetensors"
        paths = [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"model folder must have a .safetensors file: {folder}")
        return cls(paths, rename)

    @classmethod
    def _of_index(cls, index: Path, rename: Callable[[str], str]) -> Self:
        listed = load_object(index).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(f, str) for f in listed.values()):
            raise ValueError(f"{index} must have a weight_map from tensors to files")
        paths = {file: index.parent / file for file in sorted(set(listed.values()))}
        for path in paths.values():
            if not path.is_file():
                raise FileNotFoundError(f"{path} must be there, as {index.name} lists it")
        found = cls(paths.values(), rename)
        for name, file in listed.items():
            entry = found._entries.get(rename(name))
            if entry is None or entry.path != paths[file]:
                raise ValueError(f"{paths[file]} must have the tensor {name}, as {index.name} says")
        return found

    def __getitem__(self, name: str) -> Floats:
        """A tensor, read and converted anew each time."""
        stored = self._stored(name)
        if self._entries[name].dtype == "BF16":  # The upper half of a float32.
            return (stored.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # What is too large for float32 becomes infinite.
            return stored.astype(np.float32)

    def __contains__(self, name: object) -> bool:
        """Whether there is a tensor of this name, without reading it."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it.

        Raises
        ------
        ValueError
            If it holds no floating-point numbers that are read here.
        """
        return self._readable(name).shape

    def dtypes(self) -> list[str]:
        """The element types of the tensors, as safetensors calls them, in alphabetical order."""
        return sorted({entry.dtype for entry in self._entries.values()})

    def equal(self, one: str, other: str) -> bool:
        """Whether two tensors have the same shape and the same bytes; read row by row."""
        if self.shape(one) != self.shape(other):
            return False
        rows = zip(self._stored(one), self._stored(other), strict=True)
        return all(a.tobytes() == b.tobytes() for a, b in rows)

    def _stored(self, name: str) -> NDArray[Any]:
        """A tensor as it is in its file."""
        entry = self._readable(name)
        dtype = _DTYPES[entry.dtype]
        return np.memmap(entry.path, dtype, mode="r", offset=entry.start, shape=entry.shape)

    def _readable(self, name: str) -> _Entry:
        """Where a tensor is, if it can be read."""
        entry = self._entries[name]
        if entry.dtype not in _DTYPES:
            raise ValueError(f"{name} must be of {', '.join(_DTYPES)}, not of {entry.dtype}")
        return entry


def _read_header(path: Path) -> dict[str, _Entry]:
    """Where the tensors of a file are."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise ValueError(f"{path} must be a safetensors file: its header is incomplete")
        content = file.read(length)
    try:
        header = parse_object(content)
        header.pop("__metadata__", None)
        found = {name: _entry(path, 8 + length, name, item) for name, item in header.items()}
        end = _end(found, 8 + length)
    except ValueError as error:
        raise ValueError(f"{path} must be a safetensors file: {error}") from error
    if end < size:
        raise ValueError(f"{path} must end with its tensors, not {size - end} bytes after them")
    for name, entry in found.items():
        if entry.end > size:
            raise ValueError(f"{path} must be complete: it ends within the tensor {name}")
    return found


def _entry(path: Path, base: int, name: str, item: object) -> _Entry:
    """A tensor of a header."""
    match item:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]}:
            entry = _Entry(path, dtype, tuple(shape), base + start, base + end)
        case _:
            raise ValueError(f"the tensor {name} must have dtype, shape and data_offsets")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"the tensor {name} must have whole numbers as its shape, not {shape}")
    if dtype in _DTYPES and prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != end - start:
        raise ValueError(f"the tensor {name} has another size than its shape")
    return entry


def _end(entries: Mapping[str, _Entry], base: int) -> int:
    """Where the data ends; as in the package safetensors, there is nothing between tensors."""
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != base or entry.end < base:
            raise ValueError(f"the tensor {name} must begin where the one before it ends")
        base = entry.end
    return base
