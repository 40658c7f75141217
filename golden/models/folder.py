"""Models in Hugging Face folders: ``config.json``, ``*.safetensors`` and ``tokenizer.json``.

The package that reads tokenizers comes with the extra ``dintmac[models]`` and is imported when it
is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.inputs import load_object, load_text
from dintmac.golden.models.bert import Bert, BertConfig
from dintmac.golden.models.llama import Llama, LlamaConfig, load_llama2c
from dintmac.golden.models.opt import Opt, OptConfig
from dintmac.golden.models.tensors import TensorFiles
from dintmac.golden.models.transformer import Config, Tokens, Transformer


@dataclass(frozen=True)
class _Kind:
    """How models of a type are read; as transformers does, but for what it only warns of."""

    model: Callable[[Any, TensorFiles], Transformer]
    config: Callable[[Mapping[str, Any]], Config]
    #: What the names of tensors begin with in some folders and not in others.
    prefix: str
    #: Tensors that a folder may have and that are not read.
    unread: str
    #: The tensor that a head has to equal where there is one that is not read.
    embedding: str = ""


_KINDS = {
    # The pooler and the heads of tasks come after the hidden states.
    "bert": _Kind(
        Bert,
        BertConfig.from_dict,
        "bert.",
        r"(^|\.)position_ids$|^(bert\.)?pooler\.|^(cls|classifier|qa_outputs)\.",
    ),
    # Frequencies follow from the configuration.
    "llama": _Kind(
        Llama,
        LlamaConfig.from_dict,
        "model.",
        r"(^|\.)rotary_emb\.inv_freq$",
        "model.embed_tokens.weight",
    ),
    "opt": _Kind(
        Opt,
        OptConfig.from_dict,
        "model.",
        r"^(model\.)?decoder\.version$",
        "model.decoder.embed_tokens.weight",
    ),
}
_HEAD = "lm_head.weight"
#: Ends of names that tensors of norms had long ago, and what they are now.
_OLD_ENDS = {".gamma": ".weight", ".beta": ".bias"}


def load_bert(folder: Path) -> Bert:
    """The BERT encoder in a folder, all of it in memory.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        As :func:`load_model`, or if the model is no BERT.
    """
    model = load_model(folder)
    if not isinstance(model, Bert):
        raise ValueError(f"model must be a BERT encoder: {folder}")
    return Bert(model.config, {name: model.tensors[name] for name in model.config.tensor_shapes()})


def load_model(path: Path) -> Transformer:
    """The model in a Hugging Face folder, or in a Llama2.c checkpoint.

    Tensors are read when they are used, of any float type, and become float32. Their files are
    those of :meth:`~dintmac.golden.models.tensors.TensorFiles.of_model`, with or without the
    prefix that transformers calls that of the base model.

    Parameters
    ----------
    path : Path
        A folder, or a file called ``*.bin``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is corrupt, the architecture is unknown, the model is incomplete or quantized,
        or it has tensors that its architecture does not read.
    """
    if path.suffix == ".bin" and path.is_file():
        return load_llama2c(path)
    if not (path / "config.json").is_file() and (path / "quantization.json").is_file():
        raise ValueError(
            f"model must be the original one; {path} holds codes, for dintmac evaluate --quantized"
        )
    settings = load_object(_file(path, "config.json"))
    name = settings.get("model_type")
    if name not in tuple(_KINDS):
        raise ValueError(f"model_type must be bert, llama or opt, not {name!r}")
    if settings.get("quantization_config"):
        dtypes = ", ".join(TensorFiles.of_model(path).dtypes())
        raise ValueError(
            "model must be the original one, not quantized: "
            f"{path / 'config.json'} has a quantization_config, and its tensors are of {dtypes}"
        )
    kind = _KINDS[name]
    try:
        config = kind.config(settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path / 'config.json'} must describe the model: {error}") from error
    shapes = config.tensor_shapes()
    tensors = TensorFiles.of_model(path, lambda stored: _name(stored, kind.prefix, shapes))
    model = kind.model(config, tensors)
    _check_unread(path, kind, tensors, shapes)
    return model


def _name(stored: str, prefix: str, known: Mapping[str, object]) -> str:
    """The name that a tensor has here, of the one in its file."""
    for old, usual in _OLD_ENDS.items():
        if stored.endswith(old):
            stored = stored.removesuffix(old) + usual
    names = (stored, prefix + stored, stored.removeprefix(prefix))
    return next((name for name in names if name in known), stored)


def _check_unread(
    folder: Path, kind: _Kind, tensors: TensorFiles, shapes: Mapping[str, object]
) -> None:
    """Refuse a folder with tensors that make another model of it than the one that is read."""
    unread = [name for name in tensors if name not in shapes and not re.search(kind.unread, name)]
    if _HEAD in unread and kind.embedding:
        if not tensors.equal(_HEAD, kind.embedding):
            raise ValueError(
                f"{_HEAD} must equal {kind.embedding}, as tie_word_embeddings says: {folder}"
            )
        unread.remove(_HEAD)
    if unread:
        others = f" and {len(unread) - 3} more" if len(unread) > 3 else ""
        raise ValueError(
            "model must have no tensors but those of its type and configuration, not "
            f"{', '.join(unread[:3])}{others}: {folder}"
        )


@dataclass(frozen=True, eq=False)
class Encoding:
    """A text as tokens.

    Parameters
    ----------
    tokens : int64 array, shape (tokens,)
    spans : int64 array, shape (tokens, 2)
        Where each token begins in the text and where it ends, in characters; 0 and 0 for special
        tokens that the tokenizer adds.
    """

    tokens: Tokens
    spans: NDArray[np.int64]

    def without_suffix(self) -> Encoding:
        """The same without special tokens after the text."""
        length = int(np.flatnonzero(self.spans[:, 1]).max(initial=-1)) + 1
        return Encoding(self.tokens[:length], self.spans[:length])


def load_tokenizer(folder: Path, *, length: int) -> Callable[[str], Encoding]:
    """The tokenizer in a folder: from a text to tokens, at most ``length`` of them.

    Special tokens are added, padding is not.

    Parameters
    ----------
    folder : Path
    length : int
        Positive; what is beyond is cut off.

    Raises
    ------
    ModuleNotFoundError
        If the package ``tokenizers`` is not installed.
    FileNotFoundError
        If there is no ``tokenizer.json``.
    ValueError
        If it is corrupt; also when a text is encoded.
    """
    path = _file(folder, "tokenizer.json")
    package = _import("tokenizers")
    text = load_text(path.name, path)
    with _blaming(path):
        tokenizer = package.Tokenizer.from_str(text)
        tokenizer.no_padding()
        tokenizer.enable_truncation(length)

    def encode(sentence: str) -> Encoding:
        with _blaming(path):
            found = tokenizer.encode(sentence)
        spans = np.array(found.offsets, dtype=np.int64).reshape(-1, 2)
        spans[np.array(found.special_tokens_mask, dtype=np.bool_)] = 0
        return Encoding(np.array(found.ids, dtype=np.int64), spans)

    return encode


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """What goes wrong in the package within is the fault of the tokenizer's file."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # A panic of the package is no Exception.
        raise ValueError(f"{path} must be a tokenizer: {error}") from error


def _file(folder: Path, name: str) -> Path:
    """A file of a model, which must be there."""
    if not (folder / name).is_file():
        raise FileNotFoundError(f"model folder must have a {name}: {folder}")
    return folder / name


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
