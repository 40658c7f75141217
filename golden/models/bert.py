"""The forward pass of a BERT encoder in NumPy, float32, one sequence at a time.

The model is that of Devlin et al., *BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding* (2019), with the names of Hugging Face for its tensors. As there is no
padding, there are no masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_int, check_positive
from dintmac.golden.models.transformer import (
    Floats,
    Observer,
    Transformer,
    layer_norm,
    read_sizes,
    softmax,
    split_heads,
)

#: Field of the configuration of each size, and its key in config.json.
_CONFIG_KEYS = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "positions": "max_position_embeddings",
    "token_types": "type_vocab_size",
}
#: Settings with one value that this forward pass implements.
_FIXED_SETTINGS = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


@dataclass(frozen=True)
class BertConfig:
    """Sizes of an encoder.

    Parameters
    ----------
    vocabulary, hidden, intermediate, layers, heads, positions, token_types : int
        Positive; ``heads`` divides ``hidden``.
    epsilon : float
        Added to the variance in layer normalization.

    Raises
    ------
    TypeError
        If a size is not an int.
    ValueError
        If a size is not positive, or ``heads`` does not divide ``hidden``.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    positions: int
    token_types: int
    epsilon: float

    def __post_init__(self) -> None:
        for field in _CONFIG_KEYS:
            check_int(field, getattr(self, field), 1, 1 << 31)
        check_positive("epsilon", self.epsilon)
        if self.hidden % self.heads:
            raise ValueError(
                f"heads must divide the hidden size of {self.hidden}, not {self.heads}"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> BertConfig:
        """The configuration in a Hugging Face ``config.json``.

        Raises
        ------
        TypeError, ValueError
            If the model is no BERT, a key is missing or has a wrong value, or a setting is not
            implemented.
        """
        if settings.get("model_type") != "bert":
            raise ValueError(f"model_type must be 'bert', not {settings.get('model_type')!r}")
        for key, value in _FIXED_SETTINGS.items():
            if settings.get(key, value) != value:
                raise ValueError(f"{key} must be {value!r}, not {settings[key]!r}")
        sizes = read_sizes(settings, _CONFIG_KEYS)
        return cls(epsilon=settings.get("layer_norm_eps", 1e-12), **sizes)

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that the forward pass reads."""
        hidden = self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocabulary, hidden),
            "embeddings.position_embeddings.weight": (self.positions, hidden),
            "embeddings.token_type_embeddings.weight": (self.token_types, hidden),
        }
        norms = ["embeddings.LayerNorm"]
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}"
            norms += [f"{prefix}.attention.output.LayerNorm", f"{prefix}.output.LayerNorm"]
            for name, (outputs, inputs) in self._linear_shapes(prefix).items():
                shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        for name in norms:
            shapes |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
        return shapes

    def linear_names(self) -> list[str]:
        """Names of the linear layers of the encoder, in the order of the forward pass."""
        prefixes = [f"encoder.layer.{layer}" for layer in range(self.layers)]
        return [name for prefix in prefixes for name in self._linear_shapes(prefix)]

    def _linear_shapes(self, prefix: str) -> dict[str, tuple[int, int]]:
        """(outputs, inputs) of the linear layers of an encoder layer."""
        square = (self.hidden, self.hidden)
        return {
            f"{prefix}.attention.self.query": square,
            f"{prefix}.attention.self.key": square,
            f"{prefix}.attention.self.value": square,
            f"{prefix}.attention.output.dense": square,
            f"{prefix}.intermediate.dense": (self.intermediate, self.hidden),
            f"{prefix}.output.dense": (self.hidden, self.intermediate),
        }


class Bert(Transformer):
    """A BERT encoder; its parameters are those of :class:`Transformer`."""

    def __init__(self, config: BertConfig, tensors: Mapping[str, Floats]) -> None:
        super().__init__(config, tensors)
        self._config = config

    @property
    def config(self) -> BertConfig:
        """Sizes of the encoder."""
        return self._config

    def layer_prefix(self, layer: int) -> str:
        """What the names of the tensors of a layer begin with."""
        return f"encoder.layer.{layer}"

    def linear_groups(self, layer: int) -> list[tuple[str, ...]]:
        """Linear layers that read the same inputs, in the order of the forward pass."""
        query, key, value, *others = self._config.linear_names()[6 * layer : 6 * layer + 6]
        return [(query, key, value), *((name,) for name in others)]

    def folds(self, layer: int) -> dict[tuple[str, ...], str]:
        """The values scale the inputs of the output of attention; norms feed the residual too."""
        prefix = f"encoder.layer.{layer}.attention"
        return {(f"{prefix}.output.dense",): f"{prefix}.self.value"}

    def embed(self, tokens: NDArray[np.int64]) -> Floats:
        """Inputs of the first layer."""
        words = self._tensors["embeddings.word_embeddings.weight"][tokens]
        positions = self._tensors["embeddings.position_embeddings.weight"][: len(tokens)]
        kind = self._tensors["embeddings.token_type_embeddings.weight"][0]
        return self._norm("embeddings.LayerNorm", words + positions + kind)

    def run_layer(self, layer: int, states: Floats, observe: Observer) -> Floats:
        """Outputs of a layer for one sequence."""
        prefix = self.layer_prefix(layer)
        attended = self._attention(f"{prefix}.attention", states, observe)
        states = self._norm(f"{prefix}.attention.output.LayerNorm", states + attended)
        inner = gelu(self.linear(f"{prefix}.intermediate.dense", states, observe))
        outer = self.linear(f"{prefix}.output.dense", inner, observe)
        return self._norm(f"{prefix}.output.LayerNorm", states + outer)

    def _attention(self, prefix: str, states: Floats, observe: Observer) -> Floats:
        query, key, value = (
            split_heads(self.linear(f"{prefix}.self.{name}", states, observe), self._config.heads)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
        mixed = softmax(scores) @ value
        joined = mixed.transpose(1, 0, 2).reshape(states.shape)
        return self.linear(f"{prefix}.output.dense", joined, observe)

    def _norm(self, name: str, states: Floats) -> Floats:
        gain, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return layer_norm(states, gain, bias, self._config.epsilon)


def mean_embedding(states: Floats) -> Floats:
    """Mean of hidden states, of length 1 or zero; float32, shape (hidden,)."""
    mean = states.mean(axis=0)
    return np.asarray(mean / (np.linalg.norm(mean) or 1), dtype=np.float32)


def gelu(values: Floats) -> Floats:
    """x · Φ(x), with Φ the normal distribution; float32, same shape, within 1e-6 · (1 + |x|).

    The error function is formula 7.1.26 of Abramowitz and Stegun, *Handbook of Mathematical
    Functions*, in float64: its error of 1.5e-7 is that of float32, and NumPy has none of its own.
    """
    x = values.astype(np.float64)
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    polynomial = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + coefficient) * t
    erf = np.copysign(1 - polynomial * np.exp(-z * z), x)
    return np.asarray(x / 2 * (1 + erf), dtype=np.float32)
