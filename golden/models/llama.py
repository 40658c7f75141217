"""The forward pass of LLaMA 1, 2 and 3 in NumPy, float32.

The model is that of Touvron et al., *LLaMA: Open and Efficient Foundation Language Models* (2023),
and its successors, with the names of Hugging Face for its tensors: RMSNorm, rotary embeddings
(Su et al., 2021), SwiGLU, grouped-query attention, a tied or untied head.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_int, check_member, check_positive
from dintmac.golden.models.transformer import (
    CausalModel,
    Floats,
    Observer,
    Tokens,
    causal_attention,
    read_flag,
    read_optional,
    read_sizes,
    split_heads,
)

_CONFIG_KEYS = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "positions": "max_position_embeddings",
}
#: Kinds of rotary embeddings, and the parameters that each needs.
ROTARY_KINDS = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
#: Numbers that some kinds may have, positive where they are neither 0 nor null.
_ROTARY_NUMBERS = (
    *("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"),
    "original_max_position_embeddings",
)
#: Kinds that go beyond the positions of the configuration, by their factor.
STRETCHING_KINDS = ("linear", "dynamic")


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and variants of LLaMA.

    Parameters
    ----------
    vocabulary, hidden, intermediate, layers, heads, positions : int
        Positive; ``positions`` before rotary embeddings of ``STRETCHING_KINDS`` stretch them.
    shared_heads : int
        Number of keys and values; it divides ``heads``.
    head_size : int
        Width of a head, even.
    epsilon : float
        Added to the mean square in the norms.
    theta : float
        Base of the rotary embeddings, above 1.
    rotary : mapping
        ``rope_type``, one of ``ROTARY_KINDS``, and its parameters, named as by Hugging Face.
    tied, attention_biases, mlp_biases : bool
        Whether the head is the embedding, and which linear layers have biases.
    """

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    positions: int
    shared_heads: int
    head_size: int
    epsilon: float = 1e-6
    theta: float = 10_000.0
    rotary: Mapping[str, Any] = field(default_factory=dict)
    tied: bool = False
    attention_biases: bool = False
    mlp_biases: bool = False

    def __post_init__(self) -> None:
        for name in (*_CONFIG_KEYS, "shared_heads", "head_size"):
            check_int(name, getattr(self, name), 1, 1 << 31)
        check_positive("epsilon", self.epsilon)
        check_positive("rope_theta", self.theta)
        if self.theta <= 1:
            raise ValueError(f"rope_theta must be above 1, not {self.theta}")
        if self.heads % self.shared_heads:
            raise ValueError(
                f"shared_heads must divide the {self.heads} heads, not {self.shared_heads}"
            )
        if self.head_size % 2:
            raise ValueError(f"head_size must be even, not {self.head_size}")
        kind = self.rotary.get("rope_type", "default")
        if kind not in ROTARY_KINDS:
            raise ValueError(f"rope_type must be one of {', '.join(ROTARY_KINDS)}, not {kind!r}")
        missing = [name for name in ROTARY_KINDS[kind] if name not in self.rotary]
        if missing:
            raise ValueError(f"rotary embeddings of type {kind} must have {', '.join(missing)}")
        given = [name for name in _ROTARY_NUMBERS if self.rotary.get(name) not in (None, 0)]
        for name in (*ROTARY_KINDS[kind], *given):
            check_positive(f"{name} of rotary embeddings", self.rotary[name])
        check_member("truncate", self.rotary.get("truncate", True), bool)
        if kind == "llama3" and self.rotary["low_freq_factor"] >= self.rotary["high_freq_factor"]:
            raise ValueError("low_freq_factor must be less than high_freq_factor")
        if kind == "dynamic" and self.head_size == 2:
            raise ValueError("head_size must be above 2 with dynamic rotary embeddings, not 2")

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> LlamaConfig:
        """The configuration in a Hugging Face ``config.json``.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or has a wrong value, or a setting is not implemented.
        """
        if settings.get("hidden_act", "silu") != "silu":
            raise ValueError(f"hidden_act must be 'silu', not {settings['hidden_act']!r}")
        sizes = read_sizes(settings, _CONFIG_KEYS)
        rotary = _rotary(settings)
        return cls(
            **sizes,
            shared_heads=read_optional(settings, "num_key_value_heads", sizes["heads"]),
            head_size=read_optional(settings, "head_dim", sizes["hidden"] // sizes["heads"]),
            epsilon=settings.get("rms_norm_eps", 1e-6),
            theta=rotary["rope_theta"],
            rotary=rotary,
            tied=read_flag(settings, "tie_word_embeddings", False),
            attention_biases=read_flag(settings, "attention_bias", False),
            mlp_biases=read_flag(settings, "mlp_bias", False),
        )

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that the forward pass reads."""
        hidden, inner = self.hidden, self.intermediate
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.vocabulary, hidden),
            "model.norm.weight": (hidden,),
        }
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocabulary, hidden)
        queries, keys = self.heads * self.head_size, self.shared_heads * self.head_size
        attention = {
            "q_proj": (queries, hidden),
            "k_proj": (keys, hidden),
            "v_proj": (keys, hidden),
            "o_proj": (hidden, queries),
        }
        mlp = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden)}
        mlp["down_proj"] = (hidden, inner)
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            for norm in ("input_layernorm", "post_attention_layernorm"):
                shapes[f"{prefix}.{norm}.weight"] = (hidden,)
            blocks = (
                ("self_attn", attention, self.attention_biases),
                ("mlp", mlp, self.mlp_biases),
            )
            for block, linears, biases in blocks:
                for name, shape in linears.items():
                    shapes[f"{prefix}.{block}.{name}.weight"] = shape
                    if biases:
                        shapes[f"{prefix}.{block}.{name}.bias"] = shape[:1]
        return shapes


def _rotary(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the rotary embeddings with one name for each, as transformers makes them."""
    # Version 5 of transformers has a new name for the whole; "type" is the oldest of the kind.
    found = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    check_member("rope_parameters", found, dict)
    rotary = {
        "rope_type": found.get("type", "default"),
        "rope_theta": settings.get("rope_theta", 10_000.0),
        "partial_rotary_factor": settings.get("partial_rotary_factor", 1.0),
        "original_max_position_embeddings": settings["max_position_embeddings"],
        **found,
    }
    if "original_max_position_embeddings" in settings:
        rotary["original_max_position_embeddings"] = settings["original_max_position_embeddings"]
    if rotary["partial_rotary_factor"] not in (None, 1):
        raise ValueError(
            f"partial_rotary_factor must be 1, not {rotary['partial_rotary_factor']!r}"
        )
    return rotary


class Llama(CausalModel):
    """LLaMA; its parameters are those of ``Transformer``."""

    def __init__(self, config: LlamaConfig, tensors: Mapping[str, Floats]) -> None:
        super().__init__(config, tensors)
        self._config = config

    @property
    def config(self) -> LlamaConfig:
        """Sizes and variants."""
        return self._config

    @property
    def positions(self) -> int:
        """Greatest length of a sequence, to which some rotary embeddings stretch the model."""
        rotary = self._config.rotary
        if rotary.get("rope_type") not in STRETCHING_KINDS:
            return self._config.positions
        return int(self._config.positions * rotary["factor"])

    def layer_prefix(self, layer: int) -> str:
        """What the names of the tensors of a layer begin with."""
        return f"model.layers.{layer}"

    def linear_groups(self, layer: int) -> list[tuple[str, ...]]:
        """Linear layers that read the same inputs, in the order of the forward pass."""
        prefix = self.layer_prefix(layer)
        query, key, value, out = (f"{prefix}.self_attn.{p}_proj" for p in "qkvo")
        gate, up, down = (f"{prefix}.mlp.{p}_proj" for p in ("gate", "up", "down"))
        return [(query, key, value), (out,), (gate, up), (down,)]

    def folds(self, layer: int) -> dict[tuple[str, ...], str]:
        """Values that several heads share cannot be scaled for each of them."""
        prefix = self.layer_prefix(layer)
        attention, out, inner, down = self.linear_groups(layer)
        folds = {
            attention: f"{prefix}.input_layernorm",
            inner: f"{prefix}.post_attention_layernorm",
            down: f"{prefix}.mlp.up_proj",
        }
        if self._config.shared_heads == self._config.heads:
            folds[out] = f"{prefix}.self_attn.v_proj"
        return folds

    def embed(self, tokens: Tokens) -> Floats:
        """Inputs of the first layer."""
        return self._tensors["model.embed_tokens.weight"][tokens]

    def run_layer(self, layer: int, states: Floats, observe: Observer) -> Floats:
        """Outputs of a layer for one sequence."""
        prefix = self.layer_prefix(layer)
        attended = self._norm(f"{prefix}.input_layernorm", states)
        states = states + self._attention(f"{prefix}.self_attn", attended, observe)
        inner = self._norm(f"{prefix}.post_attention_layernorm", states)
        gate = self.linear(f"{prefix}.mlp.gate_proj", inner, observe)
        up = self.linear(f"{prefix}.mlp.up_proj", inner, observe)
        return states + self.linear(f"{prefix}.mlp.down_proj", silu(gate) * up, observe)

    def logits(self, states: Floats) -> Floats:
        """Scores of the next tokens."""
        name = "model.embed_tokens.weight" if self._config.tied else "lm_head.weight"
        return np.asarray(self._norm("model.norm", states) @ self._tensors[name].T)

    def _attention(self, prefix: str, states: Floats, observe: Observer) -> Floats:
        config = self._config
        counts = {"q": config.heads, "k": config.shared_heads, "v": config.shared_heads}
        query, key, value = (
            split_heads(self.linear(f"{prefix}.{p}_proj", states, observe), count)
            for p, count in counts.items()
        )
        cosine, sine = rotary_embedding(config, len(states))
        query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
        return self.linear(f"{prefix}.o_proj", causal_attention(query, key, value), observe)

    def _norm(self, name: str, states: Floats) -> Floats:
        square = np.square(states).mean(axis=-1, keepdims=True)
        unit: Floats = states / np.sqrt(square + np.float32(self._config.epsilon))
        return unit * self._tensors[f"{name}.weight"]


def silu(values: Floats) -> Floats:
    """x / (1 + e^−x), float32, same shape."""
    # The bound keeps the exponential finite; beyond it the result is 0 to float32.
    return np.asarray(values / (1 + np.exp(-np.maximum(values, -80))), dtype=np.float32)


def rotate(states: Floats, cosine: Floats, sine: Floats) -> Floats:
    """Turn each pair of features (i, i + size / 2) of each head by the angles of its token.

    Parameters
    ----------
    states : float32 array, shape (heads, tokens, size)
    cosine, sine : float32 arrays, shape (tokens, size / 2)

    Returns
    -------
    float32 array, shape (heads, tokens, size).
    """
    first, second = np.split(states, 2, axis=-1)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return np.concatenate(turned, axis=-1)


def rotary_embedding(config: LlamaConfig, length: int) -> tuple[Floats, Floats]:
    """Cosines and sines of the angles of each token; float32, shape (length, head_size / 2).

    The kinds are those of Hugging Face: ``linear`` (position interpolation), ``dynamic`` (NTK by
    length), ``yarn`` (Peng et al., 2023) and ``llama3`` (by wavelength).
    """
    rotary, size, theta = config.rotary, config.head_size, config.theta
    kind = rotary.get("rope_type", "default")
    if kind == "dynamic" and length > config.positions:
        stretch = rotary["factor"] * (length / config.positions - 1) + 1
        theta *= stretch ** (size / (size - 2))
    frequencies = theta ** -(np.arange(0, size, 2) / size)
    amplitude = 1.0
    if kind == "linear":
        frequencies = frequencies / rotary["factor"]
    elif kind == "llama3":
        frequencies = _llama3_frequencies(frequencies, config)
    elif kind == "yarn":
        frequencies = _yarn_frequencies(frequencies, config)
        amplitude = _yarn_amplitude(rotary)
    angles = np.outer(np.arange(length), frequencies)
    cosine, sine = amplitude * np.cos(angles), amplitude * np.sin(angles)
    return cosine.astype(np.float32), sine.astype(np.float32)


def _original_positions(config: LlamaConfig) -> int:
    """Positions of the model before its rotary embeddings were stretched."""
    return config.rotary.get("original_max_position_embeddings") or config.positions


def _llama3_frequencies(
    frequencies: NDArray[np.float64], config: LlamaConfig
) -> NDArray[np.float64]:
    """Long waves are stretched by the factor, short ones stay, those between are blended."""
    rotary, original = config.rotary, _original_positions(config)
    low, high = float(rotary["low_freq_factor"]), float(rotary["high_freq_factor"])
    turns = original * frequencies / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    blended: NDArray[np.float64] = frequencies * (kept + (1 - kept) / float(rotary["factor"]))
    return blended


def _yarn_frequencies(frequencies: NDArray[np.float64], config: LlamaConfig) -> NDArray[np.float64]:
    """As above, with a ramp over the numbers of the features in place of the wavelengths."""
    rotary, size = config.rotary, config.head_size
    original = _original_positions(config)

    def feature(turns: float) -> float:
        return size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(config.theta))

    low, high = feature(rotary.get("beta_fast") or 32), feature(rotary.get("beta_slow") or 1)
    if rotary.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    width = (high - low) or 0.001
    ramp = np.clip((np.arange(size // 2) - low) / width, 0, 1)
    blended: NDArray[np.float64] = frequencies * ((1 - ramp) + ramp / float(rotary["factor"]))
    return blended


def _yarn_amplitude(rotary: Mapping[str, Any]) -> float:
    """What cosines and sines are multiplied by."""
    given = rotary.get("attention_factor")
    if given is not None:
        return float(given)
    stretch = 0.1 * math.log(max(rotary["factor"], 1))
    scale, all_scale = rotary.get("mscale"), rotary.get("mscale_all_dim")
    if scale and all_scale:
        return float((scale * stretch + 1) / (all_scale * stretch + 1))
    return stretch + 1


def load_llama2c(path: Path) -> Llama:
    """The model in a Llama2.c checkpoint (the first version of its format, ``.bin``).

    Its rotary embeddings turn neighbouring features; the rows of queries and keys are reordered
    so that they are those of :func:`rotate`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such checkpoint, or truncated.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint must be a file, not {path}")
    with path.open("rb") as file:
        header = file.read(28)
    if len(header) < 28:
        raise ValueError(f"{path} must be a Llama2.c checkpoint: its header is incomplete")
    hidden, inner, layers, heads, shared, vocabulary, positions = struct.unpack("<7i", header)
    smallest = min(hidden, inner, layers, heads, shared, abs(vocabulary), positions)
    if smallest < 1 or hidden % (2 * heads) or heads % shared:
        raise ValueError(f"{path} must be a Llama2.c checkpoint: its sizes make no sense")
    size = hidden // heads
    config = LlamaConfig(
        *(abs(vocabulary), hidden, inner, layers, heads, positions, shared, size),
        epsilon=1e-5,
        # A negative vocabulary says that the head is not the embedding.
        tied=vocabulary > 0,
    )
    parts: dict[str, tuple[int, ...]] = {
        "model.embed_tokens": (abs(vocabulary), hidden),
        "input_layernorm": (layers, hidden),
        "self_attn.q_proj": (layers, hidden, hidden),
        "self_attn.k_proj": (layers, shared * size, hidden),
        "self_attn.v_proj": (layers, shared * size, hidden),
        "self_attn.o_proj": (layers, hidden, hidden),
        "post_attention_layernorm": (layers, hidden),
        "mlp.gate_proj": (layers, inner, hidden),
        "mlp.down_proj": (layers, hidden, inner),
        "mlp.up_proj": (layers, inner, hidden),
        "model.norm": (hidden,),
        "angles": (2, positions, size // 2),
    }
    if not config.tied:
        parts["lm_head"] = (abs(vocabulary), hidden)
    values = np.fromfile(path, dtype="<f4", offset=28)
    if values.size != sum(math.prod(shape) for shape in parts.values()):
        raise ValueError(f"{path} must be complete: it has another length than its sizes say")
    return Llama(config, _llama2c_tensors(values, parts, size))


def _llama2c_tensors(
    values: Floats, parts: Mapping[str, tuple[int, ...]], size: int
) -> dict[str, Floats]:
    """The tensors of a checkpoint with the names of Hugging Face."""
    tensors: dict[str, Floats] = {}
    start = 0
    for name, shape in parts.items():
        part = values[start : start + math.prod(shape)].reshape(shape)
        start += part.size
        if name.endswith(("q_proj", "k_proj")):
            pairs = part.reshape(shape[0], -1, size // 2, 2, shape[2])
            part = pairs.swapaxes(2, 3).reshape(shape)
        if name.startswith(("model", "lm_head")):
            tensors[f"{name}.weight"] = part
        elif name != "angles":
            tensors |= {f"model.layers.{i}.{name}.weight": p for i, p in enumerate(part)}
    return tensors
