"""Decoders: what does not need transformers to be seen; test_transformers.py has the numbers."""

import struct

import numpy as np
import pytest

from dintmac.golden.models.folder import load_model
from dintmac.golden.models.llama import Llama, LlamaConfig, load_llama2c, rotary_embedding
from dintmac.golden.models.opt import Opt, OptConfig

OPT = {
    "vocab_size": 30,
    "hidden_size": 16,
    "ffn_dim": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
}
LLAMA = {
    "vocab_size": 30,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
}
TOKENS = np.array([3, 7, 7, 29, 0, 11], dtype=np.int64)


def model(kind, config_kind, settings):
    config = config_kind.from_dict(settings)
    rng = np.random.default_rng(0)
    tensors = {
        name: (rng.standard_normal(shape) / 4 + ("norm" in name)).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return kind(config, tensors)


MODELS = {
    "opt": model(Opt, OptConfig, OPT),
    "opt 350m": model(Opt, OptConfig, OPT | {"do_layer_norm_before": False}),
    "llama": model(Llama, LlamaConfig, LLAMA),
    "llama grouped": model(Llama, LlamaConfig, LLAMA | {"num_key_value_heads": 2}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_token_does_not_see_those_after_it(name):
    decoder = MODELS[name]
    whole, part = decoder.forward(TOKENS), decoder.forward(TOKENS[:4])
    np.testing.assert_allclose(whole[:4], part, atol=1e-5)
    assert decoder.logits(whole).shape == (6, 30)


@pytest.mark.parametrize("name", MODELS)
def test_groups_are_all_linear_layers_and_read_the_same_inputs(name):
    decoder, seen = MODELS[name], {}
    decoder.forward(TOKENS, observe=seen.__setitem__)
    groups = [group for layer in range(2) for group in decoder.linear_groups(layer)]
    assert [linear for group in groups for linear in group] == list(seen)
    for group in groups:
        for linear in group:
            assert seen[linear] is seen[group[0]]


@pytest.mark.parametrize("name", MODELS)
def test_folding_scales_the_inputs_and_nothing_else(name):
    decoder, before, after = MODELS[name], {}, {}
    decoder.forward(TOKENS, observe=before.__setitem__)
    for group, target in decoder.folds(1).items():
        scale = np.exp(np.random.default_rng(1).standard_normal(before[group[0]].shape[1]))
        tensors = {}
        for kind in ("weight", "bias"):
            tensor = decoder.optional(f"{target}.{kind}")
            if tensor is not None:
                divisor = scale[:, None] if tensor.ndim == 2 else scale
                tensors[f"{target}.{kind}"] = (tensor / divisor).astype(np.float32)
        for linear in group:
            weight = tensors.get(f"{linear}.weight", decoder.tensors[f"{linear}.weight"])
            tensors[f"{linear}.weight"] = (weight * scale).astype(np.float32)
        folded = decoder.replaced(tensors=tensors)
        states = folded.forward(TOKENS, observe=after.__setitem__)
        np.testing.assert_allclose(after[group[0]], before[group[0]] / scale, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(states, decoder.forward(TOKENS), rtol=1e-3, atol=1e-3)


def test_plugged_in_layers_take_the_place_of_the_float_ones():
    decoder = MODELS["opt"]
    name = "model.decoder.layers.1.fc2"
    zero = decoder.replaced(linears={name: lambda inputs: np.zeros((len(inputs), 16), np.float32)})
    assert not np.allclose(zero.forward(TOKENS), decoder.forward(TOKENS))
    same = zero.replaced(linears={name: decoder.float_linear(name)})
    np.testing.assert_array_equal(same.forward(TOKENS), decoder.forward(TOKENS))


def test_all_sequences_at_once_are_each_on_its_own():
    decoder = MODELS["llama grouped"]
    both = decoder.states([TOKENS, TOKENS[:2]])
    for states, tokens in zip(both, (TOKENS, TOKENS[:2]), strict=True):
        np.testing.assert_array_equal(states, decoder.forward(tokens))


def test_dynamic_rotary_embedding_stretches_beyond_the_positions():
    rotary = {"rope_type": "dynamic", "factor": 2.0}
    config = LlamaConfig.from_dict(LLAMA | {"rope_scaling": rotary})
    plain = LlamaConfig.from_dict(LLAMA)
    within, expected = rotary_embedding(config, 20)[1], rotary_embedding(plain, 20)[1]
    np.testing.assert_array_equal(within, expected)
    # NTK: θ' = θ (s L / L₀ − (s − 1))^(d / (d − 2)) with s = 2, L = 40, L₀ = 20, d = 4.
    theta = 10_000 * 3.0**2
    angles = np.outer(np.arange(40), [1.0, theta**-0.5])
    np.testing.assert_allclose(rotary_embedding(config, 40)[1], np.sin(angles), atol=1e-6)


#: What YaRN makes of 8 frequencies in transformers 5.24, for θ = 10,000, 64 positions × 4.
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
FREQUENCIES = [1, 0.23717082, 0.05, 0.0079056947, 0.0025, 0.00079056947, 0.00025, 0.000079056947]
UNTRUNCATED = [1, 0.19858353, 0.02559525, *FREQUENCIES[3:]]


@pytest.mark.parametrize(
    ("settings", "frequencies", "amplitude"),
    [
        ({}, FREQUENCIES, 1.138629436111989),
        ({"truncate": False}, UNTRUNCATED, 1.138629436111989),
        ({"mscale": 0.707, "mscale_all_dim": 2.0}, FREQUENCIES, 0.8596620741567499),
        ({"mscale": 0.707}, FREQUENCIES, 1.138629436111989),
        ({"mscale": 0.707, "mscale_all_dim": 0.0}, FREQUENCIES, 1.138629436111989),
        ({"attention_factor": 0.8, "mscale": 2, "mscale_all_dim": 3}, FREQUENCIES, 0.8),
        ({"factor": 0.5}, None, 1.0),
    ],
)
def test_yarn_is_that_of_transformers(settings, frequencies, amplitude):
    config = LlamaConfig.from_dict(LLAMA | {"head_dim": 16, "rope_scaling": YARN | settings})
    cosine, sine = rotary_embedding(config, 4)
    np.testing.assert_allclose(np.hypot(cosine, sine), amplitude, rtol=1e-6)
    if frequencies is not None:
        np.testing.assert_allclose(np.arctan2(sine, cosine)[1], frequencies, rtol=1e-5)


@pytest.mark.parametrize("kind", ["yarn", "llama3"])
def test_the_positions_before_stretching_are_those_of_the_configuration(kind):
    bands = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rotary = {"rope_type": kind, "factor": 4.0, **bands}

    def cosines(settings, rotary):
        settings = LLAMA | {"head_dim": 16, "max_position_embeddings": 64} | settings
        return rotary_embedding(LlamaConfig.from_dict(settings | {"rope_scaling": rotary}), 4)[0]

    own = cosines({}, rotary | {"original_max_position_embeddings": 64})
    np.testing.assert_array_equal(cosines({}, rotary), own)
    first = cosines({}, rotary | {"original_max_position_embeddings": 500})
    assert not np.array_equal(first, own)
    beside = {"original_max_position_embeddings": 500}
    np.testing.assert_array_equal(
        cosines(beside, rotary | {"original_max_position_embeddings": 64}), first
    )


def write_llama2c(path, decoder, vocabulary, shared=4):
    """A checkpoint as llama2.c's export has it: neighbouring features turn together."""
    values = [np.asarray(decoder.tensors["model.embed_tokens.weight"])]
    parts = ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    parts += ("self_attn.o_proj", "post_attention_layernorm")
    parts += ("mlp.gate_proj", "mlp.down_proj", "mlp.up_proj")
    for part in parts:
        for layer in range(2):
            tensor = decoder.tensors[f"model.layers.{layer}.{part}.weight"]
            if part.endswith(("q_proj", "k_proj")):
                heads = len(tensor) // 4
                tensor = tensor.reshape(heads, 2, 2, 16).swapaxes(1, 2).reshape(tensor.shape)
            values.append(tensor)
    values += [decoder.tensors["model.norm.weight"], np.zeros((2, 20, 2))]
    if vocabulary < 0:
        values.append(decoder.tensors["lm_head.weight"])
    flat = np.concatenate([v.ravel() for v in values]).astype("<f4")
    header = struct.pack("<7i", 16, 24, 2, 4, shared, vocabulary, 20)
    path.write_bytes(header + flat.tobytes())


@pytest.mark.parametrize(("tied", "shared"), [(False, 4), (True, 4), (False, 2)])
def test_reads_a_llama2c_checkpoint(tmp_path, tied, shared):
    settings = {"tie_word_embeddings": tied, "rms_norm_eps": 1e-5, "num_key_value_heads": shared}
    expected = model(Llama, LlamaConfig, LLAMA | settings)
    path = tmp_path / "model.bin"
    write_llama2c(path, expected, 30 if tied else -30, shared)
    found = load_model(path)
    states = found.forward(TOKENS)
    np.testing.assert_array_equal(states, expected.forward(TOKENS))
    np.testing.assert_array_equal(found.logits(states), expected.logits(states))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"hidden_act": "gelu"}),
            "hidden_act must be 'silu', not 'gelu'",
        ),
        (
            lambda f: LlamaConfig.from_dict({}),
            "configuration must have vocab_size, hidden_size, intermediate_size",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"num_key_value_heads": 3}),
            "shared_heads must divide the 4 heads, not 3",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"head_dim": 5}),
            "head_size must be even, not 5",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"rope_scaling": {"type": "su"}}),
            "rope_type must be one of default, linear, dynamic, yarn, llama3, not 'su'",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"rope_scaling": {"type": "linear"}}),
            "rotary embeddings of type linear must have factor",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"rope_scaling": YARN | {"mscale": "1"}}),
            "mscale of rotary embeddings must be a number, not '1'",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"rope_scaling": YARN | {"beta_fast": -1}}),
            "beta_fast of rotary embeddings must be positive and finite, not -1",
        ),
        (
            lambda f: LlamaConfig.from_dict(
                LLAMA | {"rope_scaling": YARN | {"attention_factor": []}}
            ),
            r"attention_factor of rotary embeddings must be a number, not \[\]",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"rope_scaling": YARN | {"factor": None}}),
            "factor of rotary embeddings must be a number, not None",
        ),
        (
            lambda f: LlamaConfig.from_dict(LLAMA | {"rope_scaling": YARN | {"truncate": "no"}}),
            "truncate must be of type bool, not 'no'",
        ),
        (
            lambda f: LlamaConfig.from_dict(
                LLAMA
                | {
                    "rope_scaling": {
                        "rope_type": "llama3",
                        "factor": 8,
                        "low_freq_factor": 4,
                        "high_freq_factor": 4,
                    }
                }
            ),
            "low_freq_factor must be less than high_freq_factor",
        ),
        (
            lambda f: LlamaConfig.from_dict(
                LLAMA | {"head_dim": 2, "rope_scaling": {"type": "dynamic", "factor": 2}}
            ),
            "head_size must be above 2 with dynamic rotary embeddings, not 2",
        ),
        (
            lambda f: OptConfig.from_dict(OPT | {"activation_function": "gelu"}),
            "activation_function must be 'relu', not 'gelu'",
        ),
        (lambda f: OptConfig.from_dict({}), "configuration must have vocab_size, hidden_size"),
        (
            lambda f: OptConfig.from_dict(OPT | {"num_attention_heads": 3}),
            "heads must divide the hidden size of 16, not 3",
        ),
        (
            lambda f: ((f / "config.json").write_text('{"model_type": "gpt2"}'), load_model(f)),
            "model_type must be bert, llama or opt, not 'gpt2'",
        ),
        (
            lambda f: ((f / "m.bin").write_bytes(b"12"), load_model(f / "m.bin")),
            "must be a Llama2.c checkpoint: its header is incomplete",
        ),
        (
            lambda f: ((f / "m.bin").write_bytes(bytes(40)), load_model(f / "m.bin")),
            "must be a Llama2.c checkpoint: its sizes make no sense",
        ),
        (
            lambda f: ((f / "m.bin").write_bytes(b"PK\3\4" * 9), load_model(f / "m.bin")),
            "must be a Llama2.c checkpoint: its sizes make no sense",
        ),
        (
            lambda f: (
                (f / "m.bin").write_bytes(struct.pack("<7i", 16, 24, 2, 4, 4, 30, 20) + bytes(8)),
                load_model(f / "m.bin"),
            ),
            "must be complete: it has another length than its sizes say",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(tmp_path, read, message):
    with pytest.raises((TypeError, ValueError), match=message):
        read(tmp_path)


def test_a_checkpoint_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="checkpoint must be a file, not "):
        load_llama2c(tmp_path / "absent.bin")
