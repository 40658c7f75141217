"""What the transformers of this project have in common: layers that are run one after another.

Linear layers are pluggable, the tensors of a layer are read when it runs, and all sequences go
through a layer before the next one is read, so that a model may be larger than memory.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_axes, check_int, check_member, check_real
from dintmac.golden.models.tensors import TensorFiles
from dintmac.golden.quantization.linear import FloatLinear, Linear

Floats = NDArray[np.float32]
Tokens = NDArray[np.int64]

#: Called with the name of a linear layer and its inputs, float32, shape (tokens, features).
Observer = Callable[[str, Floats], None]


def read_sizes(settings: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, int]:
    """Sizes in a ``config.json``.

    Parameters
    ----------
    settings : mapping
        What the file holds.
    keys : mapping of str to str
        Of each size its name here, and its key in the file.

    Returns
    -------
    dict of positive int by the name here.

    Raises
    ------
    TypeError
        If a size is no int.
    ValueError
        If one is missing or not positive.
    """
    missing = [key for key in keys.values() if key not in settings]
    if missing:
        raise ValueError(f"configuration must have {', '.join(missing)}")
    for key in keys.values():
        check_int(key, settings[key], 1, 1 << 31)
    return {name: settings[key] for name, key in keys.items()}


def read_flag(settings: Mapping[str, Any], key: str, default: bool) -> bool:
    """What a ``config.json`` says of a key: true or false, ``default`` if nothing.

    Raises
    ------
    TypeError
        If it says anything else, such as "false".
    """
    value = settings.get(key, default)
    check_member(key, value, bool)
    return bool(value)


def read_optional(settings: Mapping[str, Any], key: str, default: Any) -> Any:
    """What a ``config.json`` says of a key, ``default`` if nothing or null."""
    value = settings.get(key)
    return default if value is None else value


class Config(Protocol):
    """Sizes that every transformer has."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""

    @property
    def layers(self) -> int:
        """Number of layers."""

    @property
    def positions(self) -> int:
        """Greatest length of a sequence."""

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that the forward pass reads."""


class Transformer(ABC):
    """A stack of layers on embedded tokens.

    Parameters
    ----------
    config : Config
        Its sizes.
    tensors : mapping of name to float32 array
        At least those of ``config.tensor_shapes()``; weights are (outputs, inputs).

    Raises
    ------
    TypeError
        If a tensor is not a float32 array.
    ValueError
        If a tensor is missing or has another shape.
    """

    def __init__(self, config: Config, tensors: Mapping[str, Floats]) -> None:
        for name, shape in config.tensor_shapes().items():
            if name not in tensors:
                raise ValueError(f"model must have the tensor {name}")
            if isinstance(tensors, TensorFiles):
                found = tensors.shape(name)
            else:
                check_array(name, tensors[name], "float32")
                found = tensors[name].shape
            if found != shape:
                raise ValueError(f"{name} must have shape {shape}, not {found}")
        self._sizes = config
        self._tensors = tensors
        self._linears: Mapping[str, Linear] = {}

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self._sizes.layers

    @property
    def positions(self) -> int:
        """Greatest length of a sequence."""
        return self._sizes.positions

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self._sizes.vocabulary

    @property
    def tensors(self) -> Mapping[str, Floats]:
        """The tensors by name."""
        return self._tensors

    def replaced(
        self,
        *,
        linears: Mapping[str, Linear] | None = None,
        tensors: Mapping[str, Floats] | None = None,
    ) -> Self:
        """The same model with some linear layers, or some tensors, replaced.

        Parameters
        ----------
        linears : mapping of name to linear layer, optional
            From float32 arrays of shape (tokens, K) to such of shape (tokens, N).
        tensors : mapping of name to float32 array, optional
            Of the shapes that they had.
        """
        other = copy.copy(self)
        other._linears = dict(self._linears) | dict(linears or {})
        if tensors:
            other._tensors = ChainMap(dict(tensors), self._tensors)  # type: ignore[arg-type]
        return other

    @abstractmethod
    def layer_prefix(self, layer: int) -> str:
        """What the names of the tensors of a layer begin with."""

    @abstractmethod
    def linear_groups(self, layer: int) -> list[tuple[str, ...]]:
        """Linear layers that read the same inputs, in the order of the forward pass."""

    @abstractmethod
    def folds(self, layer: int) -> dict[tuple[str, ...], str]:
        """Of the groups whose inputs can be scaled for free: the norm or linear layer to do it.

        The outputs of that layer are divided by the scale: its weight (its rows, if it is a
        linear layer) and its bias. Nothing else reads them.
        """

    @abstractmethod
    def embed(self, tokens: Tokens) -> Floats:
        """Inputs of the first layer, float32, shape (length, hidden)."""

    @abstractmethod
    def run_layer(self, layer: int, states: Floats, observe: Observer) -> Floats:
        """Outputs of a layer for one sequence.

        Parameters
        ----------
        layer : int
            0 to the number of layers less 1.
        states : float32 array, shape (length, hidden)
        observe : callable
            Called with name and inputs of each linear layer before it runs.

        Returns
        -------
        float32 array, shape (length, hidden).
        """

    def resident(self, layer: int) -> Self:
        """The same model with the tensors of a layer in memory.

        Raises
        ------
        ValueError
            If one of them is NaN or infinite.
        """
        prefix = self.layer_prefix(layer) + "."
        plugged = {f"{name}.weight" for name in self._linears}
        names = [n for n in self._sizes.tensor_shapes() if n.startswith(prefix)]
        return self._with_tensors(n for n in names if n not in plugged)

    def resident_ends(self) -> Self:
        """The same model with the tensors of no layer in memory: embeddings, last norm, head.

        Raises
        ------
        ValueError
            If one of them is NaN or infinite.
        """
        prefixes = tuple(f"{self.layer_prefix(layer)}." for layer in range(self.layers))
        return self._with_tensors(
            n for n in self._sizes.tensor_shapes() if not n.startswith(prefixes)
        )

    def _with_tensors(self, names: Iterable[str]) -> Self:
        tensors = {name: self._tensors[name] for name in names}
        for name, tensor in tensors.items():
            check_real(name, tensor)
        return self.replaced(tensors=tensors)

    def states(
        self,
        sequences: Sequence[Tokens],
        *,
        layers: int | None = None,
        observe: Observer | None = None,
    ) -> list[Floats]:
        """Hidden states of sequences, all of them through one layer before the next.

        Parameters
        ----------
        sequences : sequence of int64 arrays, shape (length,)
            Token numbers.
        layers : int, optional
            How many layers to run, 0 to all; all by default.
        observe : callable, optional
            Called with name and inputs of each linear layer before it runs.

        Returns
        -------
        list of float32 arrays, shape (length, hidden).

        Raises
        ------
        TypeError
            If the tokens are not an int64 array.
        ValueError
            If a sequence is empty or too long, a token is not in the vocabulary, or ``layers``
            is out of range.
        """
        for tokens in sequences:
            self.check_tokens(tokens)
        count = self.layers if layers is None else layers
        check_int("layers", count, 0, self.layers)
        ends = self.resident_ends()
        states = [ends.embed(tokens) for tokens in sequences]
        del ends
        for layer in range(count):
            model = self.resident(layer)
            states = [model.run_layer(layer, s, observe or ignore) for s in states]
        return states

    def forward(
        self, tokens: Tokens, *, layers: int | None = None, observe: Observer | None = None
    ) -> Floats:
        """Hidden states of one sequence; as :meth:`states`."""
        (states,) = self.states([tokens], layers=layers, observe=observe)
        return states

    def check_tokens(self, tokens: Tokens) -> None:
        """Refuse what is no sequence of tokens of this model.

        Raises
        ------
        TypeError, ValueError
            As :meth:`states`.
        """
        check_array("tokens", tokens, "int64")
        check_axes("tokens", tokens, 1)
        check_int("length of the sequence", len(tokens), 1, self.positions)
        if tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise ValueError(f"tokens must be 0 to {self.vocabulary - 1}, not {tokens}")

    def linear(self, name: str, inputs: Floats, observe: Observer) -> Floats:
        """Outputs of the linear layer of this name, the plugged-in one if there is one.

        Parameters
        ----------
        name : str
        inputs : float32 array, shape (tokens, K)
        observe : callable
            Called with both before the layer runs.

        Returns
        -------
        float32 array, shape (tokens, N).
        """
        observe(name, inputs)
        if name in self._linears:
            return self._linears[name](inputs)
        return self.float_linear(name)(inputs)

    def float_linear(self, name: str) -> FloatLinear:
        """The linear layer of this name in floating point."""
        return FloatLinear(self._tensors[f"{name}.weight"], self.optional(f"{name}.bias"))

    def linear_shape(self, name: str) -> tuple[int, ...]:
        """(outputs, inputs) of the linear layer of this name, without reading it."""
        return self._sizes.tensor_shapes()[f"{name}.weight"]

    def optional(self, name: str) -> Floats | None:
        """A tensor that not all models have."""
        return self._tensors[name] if name in self._sizes.tensor_shapes() else None


class CausalModel(Transformer):
    """A transformer that predicts the next token."""

    @abstractmethod
    def logits(self, states: Floats) -> Floats:
        """Scores of the next tokens, not normalised, from hidden states of the last layer.

        Parameters
        ----------
        states : float32 array, shape (length, hidden)

        Returns
        -------
        float32 array, shape (length, vocabulary).
        """


def ignore(name: str, inputs: Floats) -> None:
    """The observer that observes nothing."""


def softmax(scores: Floats) -> Floats:
    """Exponentials along the last axis that add up to 1; float32, same shape."""
    powers: Floats = np.exp(scores - scores.max(axis=-1, keepdims=True))
    total: Floats = powers.sum(axis=-1, keepdims=True)
    return powers / total


def causal_attention(query: Floats, key: Floats, value: Floats) -> Floats:
    """Attention of each token to itself and those before.

    Parameters
    ----------
    query : float32 array, shape (heads, tokens, size)
    key, value : float32 arrays, shape (shared, tokens, size)
        ``shared`` divides ``heads``: neighbouring heads share a key and a value.

    Returns
    -------
    float32 array, shape (tokens, heads · size).
    """
    repeats = len(query) // len(key)
    key, value = np.repeat(key, repeats, axis=0), np.repeat(value, repeats, axis=0)
    scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
    later = np.triu(np.ones(scores.shape[1:], dtype=np.bool_), 1)
    mixed: Floats = softmax(np.where(later, np.float32(-np.inf), scores)) @ value
    return mixed.transpose(1, 0, 2).reshape(query.shape[1], -1)


def split_heads(states: Floats, heads: int) -> Floats:
    """(tokens, heads · size) to (heads, tokens, size)."""
    return states.reshape(len(states), heads, -1).transpose(1, 0, 2)


def layer_norm(states: Floats, gain: Floats | None, bias: Floats | None, epsilon: float) -> Floats:
    """States of mean 0 and variance 1, times the gain, plus the bias."""
    centred = states - states.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    unit: Floats = centred / np.sqrt(variance + np.float32(epsilon))
    if gain is not None:
        unit = unit * gain
    return unit if bias is None else unit + bias
