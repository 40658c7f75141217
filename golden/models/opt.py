"""The forward pass of OPT in NumPy, float32.

The model is that of Zhang et al., *OPT: Open Pre-trained Transformer Language Models* (2022), with
the names of Hugging Face for its tensors: norms before the blocks, or after them as in the one
with 350 million parameters, whose embeddings are also projected. The head is tied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dintmac.golden.checks import check_int
from dintmac.golden.models.transformer import (
    CausalModel,
    Floats,
    Observer,
    Tokens,
    causal_attention,
    layer_norm,
    read_flag,
    read_optional,
    read_sizes,
    split_heads,
)

_CONFIG_KEYS = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "intermediate": "ffn_dim",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "positions": "max_position_embeddings",
}
#: Positions are counted from here in the table of position embeddings.
_FIRST_POSITION = 2
_EPSILON = 1e-5
_PREFIX = "model.decoder"


@dataclass(frozen=True)
class OptConfig:
    """Sizes and variants of OPT.

    Parameters
    ----------
    vocabulary, hidden, intermediate, layers, heads, positions : int
        Positive; ``heads`` divides ``hidden``.
    embedding : int
        Width of the embeddings, projected to ``hidden`` if it is another.
    norm_first : bool
        Whether norms come before the blocks, with one at the end, or after them.
    biases, norm_gains : bool
        Whether linear layers have biases, and norms gains and biases.
    last_norm : bool
        Whether there is a norm before the head.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    positions: int
    embedding: int
    norm_first: bool = True
    biases: bool = True
    norm_gains: bool = True
    last_norm: bool = True

    def __post_init__(self) -> None:
        for field in (*_CONFIG_KEYS, "embedding"):
            check_int(field, getattr(self, field), 1, 1 << 31)
        if self.hidden % self.heads:
            raise ValueError(
                f"heads must divide the hidden size of {self.hidden}, not {self.heads}"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> OptConfig:
        """The configuration in a Hugging Face ``config.json``.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or has a wrong value, or a setting is not implemented.
        """
        for key, value in (("activation_function", "relu"), ("tie_word_embeddings", True)):
            if settings.get(key, value) != value:
                raise ValueError(f"{key} must be {value!r}, not {settings[key]!r}")
        sizes = read_sizes(settings, _CONFIG_KEYS)
        norm_first = read_flag(settings, "do_layer_norm_before", True)
        return cls(
            **sizes,
            embedding=read_optional(settings, "word_embed_proj_dim", sizes["hidden"]),
            norm_first=norm_first,
            biases=read_flag(settings, "enable_bias", True),
            norm_gains=read_flag(settings, "layer_norm_elementwise_affine", True),
            last_norm=norm_first and not read_flag(settings, "_remove_final_layer_norm", False),
        )

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that the forward pass reads."""
        hidden = self.hidden
        shapes: dict[str, tuple[int, ...]] = {
            f"{_PREFIX}.embed_tokens.weight": (self.vocabulary, self.embedding),
            f"{_PREFIX}.embed_positions.weight": (self.positions + _FIRST_POSITION, hidden),
        }
        if self.embedding != hidden:
            shapes[f"{_PREFIX}.project_in.weight"] = (hidden, self.embedding)
            shapes[f"{_PREFIX}.project_out.weight"] = (self.embedding, hidden)
        norms = [f"{_PREFIX}.final_layer_norm"] if self.last_norm else []
        for layer in range(self.layers):
            prefix = f"{_PREFIX}.layers.{layer}"
            norms += [f"{prefix}.self_attn_layer_norm", f"{prefix}.final_layer_norm"]
            linears = {f"self_attn.{p}_proj": (hidden, hidden) for p in ("q", "k", "v", "out")}
            linears |= {"fc1": (self.intermediate, hidden), "fc2": (hidden, self.intermediate)}
            for name, shape in linears.items():
                shapes[f"{prefix}.{name}.weight"] = shape
                if self.biases:
                    shapes[f"{prefix}.{name}.bias"] = shape[:1]
        if self.norm_gains:
            for name in norms:
                shapes |= {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}
        return shapes


class Opt(CausalModel):
    """OPT; its parameters are those of ``Transformer``."""

    def __init__(self, config: OptConfig, tensors: Mapping[str, Floats]) -> None:
        super().__init__(config, tensors)
        self._config = config

    @property
    def config(self) -> OptConfig:
        """Sizes and variants."""
        return self._config

    def layer_prefix(self, layer: int) -> str:
        """What the names of the tensors of a layer begin with."""
        return f"{_PREFIX}.layers.{layer}"

    def linear_groups(self, layer: int) -> list[tuple[str, ...]]:
        """Linear layers that read the same inputs, in the order of the forward pass."""
        prefix = self.layer_prefix(layer)
        query, key, value, out = (f"{prefix}.self_attn.{p}_proj" for p in ("q", "k", "v", "out"))
        return [(query, key, value), (out,), (f"{prefix}.fc1",), (f"{prefix}.fc2",)]

    def folds(self, layer: int) -> dict[tuple[str, ...], str]:
        """Norms before a block feed nothing else, and a ReLU passes positive scales on."""
        prefix = self.layer_prefix(layer)
        attention, out, inner, outer = self.linear_groups(layer)
        folds = {out: f"{prefix}.self_attn.v_proj", outer: f"{prefix}.fc1"}
        if self._config.norm_first and self._config.norm_gains:
            folds[attention] = f"{prefix}.self_attn_layer_norm"
            folds[inner] = f"{prefix}.final_layer_norm"
        return folds

    def embed(self, tokens: Tokens) -> Floats:
        """Inputs of the first layer."""
        states = self._tensors[f"{_PREFIX}.embed_tokens.weight"][tokens]
        if self._config.embedding != self._config.hidden:
            states = states @ self._tensors[f"{_PREFIX}.project_in.weight"].T
        positions = self._tensors[f"{_PREFIX}.embed_positions.weight"][_FIRST_POSITION:]
        return np.asarray(states + positions[: len(tokens)], dtype=np.float32)

    def run_layer(self, layer: int, states: Floats, observe: Observer) -> Floats:
        """Outputs of a layer for one sequence."""
        prefix = self.layer_prefix(layer)
        states = self._block(
            f"{prefix}.self_attn_layer_norm",
            states,
            lambda inner: self._attention(f"{prefix}.self_attn", inner, observe),
        )
        return self._block(
            f"{prefix}.final_layer_norm",
            states,
            lambda inner: self.linear(
                f"{prefix}.fc2",
                np.maximum(self.linear(f"{prefix}.fc1", inner, observe), 0),
                observe,
            ),
        )

    def logits(self, states: Floats) -> Floats:
        """Scores of the next tokens."""
        if self._config.last_norm:
            states = self._norm(f"{_PREFIX}.final_layer_norm", states)
        if self._config.embedding != self._config.hidden:
            states = states @ self._tensors[f"{_PREFIX}.project_out.weight"].T
        return np.asarray(states @ self._tensors[f"{_PREFIX}.embed_tokens.weight"].T)

    def _block(self, norm: str, states: Floats, block: Callable[[Floats], Floats]) -> Floats:
        """A block with its norm and the residual round it."""
        if self._config.norm_first:
            return states + block(self._norm(norm, states))
        return self._norm(norm, states + block(states))

    def _attention(self, prefix: str, states: Floats, observe: Observer) -> Floats:
        query, key, value = (
            split_heads(self.linear(f"{prefix}.{p}_proj", states, observe), self._config.heads)
            for p in ("q", "k", "v")
        )
        return self.linear(f"{prefix}.out_proj", causal_attention(query, key, value), observe)

    def _norm(self, name: str, states: Floats) -> Floats:
        gain, bias = self.optional(f"{name}.weight"), self.optional(f"{name}.bias")
        return layer_norm(states, gain, bias, _EPSILON)
