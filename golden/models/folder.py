"""Models in Hugging Face folders: ``config.json``, ``*.safetensors`` and ``tokenizer.json``.

The package that reads tokenizers comes with the extra ``dintmac[models]`` and is imported when it
is needed.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.models.bert import Bert, BertConfig
from dintmac.golden.models.llama import Llama, LlamaConfig, load_llama2c
from dintmac.golden.models.opt import Opt, OptConfig
from dintmac.golden.models.tensors import TensorFiles
from dintmac.golden.models.transformer import Transformer

AnyConfig = TypeVar("AnyConfig")

#: Parts of names that tensors have where a model was saved with another head, or long ago, and
#: what these are here; for each architecture.
_OTHER_NAMES = {
    "bert": {r"^bert\.": "", r"\.gamma$": ".weight", r"\.beta$": ".bias"},
    "llama": {},
    "opt": {r"^decoder\.": "model.decoder."},
}


def load_bert(folder: Path) -> Bert:
    """The BERT encoder in a folder; weights of other float types become float32.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is corrupt, or the model is no BERT or incomplete.
    """
    settings = _read_json(folder / "config.json")
    return Bert(BertConfig.from_dict(settings), dict(_tensors(folder, "bert")))


def load_model(path: Path) -> Transformer:
    """The model in a Hugging Face folder, or in a Llama2.c checkpoint.

    Tensors are read when they are used, of any float type, and become float32.

    Parameters
    ----------
    path : Path
        A folder, or a file called ``*.bin``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is corrupt, the architecture is unknown, or the model is incomplete.
    """
    if path.suffix == ".bin" and path.is_file():
        return load_llama2c(path)
    if not (path / "config.json").is_file() and (path / "quantization.json").is_file():
        raise ValueError(
            f"model must be the original one; {path} holds codes, for dintmac evaluate --quantized"
        )
    settings = _read_json(path / "config.json")
    kind = settings.get("model_type")
    if kind not in ("bert", "llama", "opt"):
        raise ValueError(f"model_type must be bert, llama or opt, not {kind!r}")
    tensors = _tensors(path, kind)
    if kind == "bert":
        return Bert(_config(BertConfig.from_dict, path, settings), tensors)
    if kind == "llama":
        return Llama(_config(LlamaConfig.from_dict, path, settings), tensors)
    return Opt(_config(OptConfig.from_dict, path, settings), tensors)


def _config(
    read: Callable[[Mapping[str, Any]], AnyConfig], folder: Path, settings: Mapping[str, Any]
) -> AnyConfig:
    """A configuration; an error names the file."""
    try:
        return read(settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} must describe the model: {error}") from error


def _tensors(folder: Path, kind: str) -> TensorFiles:
    """The tensors in a folder, with the names that its architecture has here."""

    def rename(name: str) -> str:
        for pattern, usual in _OTHER_NAMES[kind].items():
            name = re.sub(pattern, usual, name)
        return name

    return TensorFiles(folder, rename)


def load_tokenizer(folder: Path, *, length: int) -> Callable[[str], NDArray[np.int64]]:
    """The tokenizer in a folder: from a sentence to token numbers, at most ``length`` of them.

    Special tokens are added, padding is not.

    Parameters
    ----------
    folder : Path
    length : int
        Positive; what is beyond is cut off.

    Returns
    -------
    callable from str to int64 array, shape (tokens,).

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
