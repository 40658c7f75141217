"""Models in Hugging Face folders: ``config.json``, ``*.safetensors`` and ``tokenizer.json``.

The packages that read them come with the extra ``dintmac[models]`` and are imported when needed.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.models.bert import Bert, BertConfig, Floats


def load_bert(folder: Path) -> Bert:
    """The BERT encoder in a folder; weights of other float types become float32.

    Raises
    ------
    ModuleNotFoundError
        If the package ``safetensors`` is not installed.
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is corrupt, or the model is no BERT or incomplete.
    """
    settings = _read_json(folder / "config.json")
    return Bert(BertConfig.from_dict(settings), load_tensors(folder))


def load_tensors(folder: Path) -> dict[str, Floats]:
    """All floating-point tensors of the ``*.safetensors`` files in a folder, as float32.

    Raises
    ------
    ModuleNotFoundError
        If the package ``safetensors`` is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is corrupt.
    """
    package = _import("safetensors")
    load_file = _import("safetensors.numpy").load_file
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"model folder must have a .safetensors file: {folder}")
    tensors: dict[str, Floats] = {}
    for path in paths:
        try:
            loaded = load_file(path)
        except package.SafetensorError as error:
            raise ValueError(f"{path} must be a safetensors file: {error}") from error
        floats = {k: v for k, v in loaded.items() if np.issubdtype(v.dtype, np.floating)}
        tensors |= {name: tensor.astype(np.float32) for name, tensor in floats.items()}
    return tensors


def load_tokenizer(folder: Path, *, length: int) -> Callable[[str], NDArray[np.int64]]:
    """The tokenizer in a folder: from a sentence to token numbers, at most ``length`` of them.

    Special tokens are added, padding is not.

    Raises
    ------
    ModuleNotFoundError
        If the package ``tokenizers`` is not installed.
    FileNotFoundError
        If there is no ``tokenizer.json``.
    ValueError
        If it is corrupt.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"model folder must have a tokenizer.json: {folder}")
    package = _import("tokenizers")
    try:
        tokenizer = package.Tokenizer.from_file(str(path))
    except Exception as error:  # The package raises nothing more specific.
        raise ValueError(f"{path} must be a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    return lambda sentence: np.array(tokenizer.encode(sentence).ids, dtype=np.int64)


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    if not path.is_file():
        raise FileNotFoundError(f"model folder must have a {path.name}: {path.parent}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must be a JSON object")
    return content


def _import(name: str) -> Any:
    """A module of the extra ``models``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"reading a model needs the package {name.partition('.')[0]}: "
            "pip install 'dintmac[models]'",
            name=error.name,
        ) from error
