"""Forward passes against Hugging Face's ``transformers``, on tiny random models of each variant.

It runs where the extra ``dintmac[transformers]`` is installed.
"""

import contextlib
import json
from copy import deepcopy

import numpy as np
import pytest

from dintmac.golden.models.folder import load_model

with contextlib.suppress(ImportError):
    import torch
    import transformers

pytestmark = [pytest.mark.needs("transformers"), pytest.mark.filterwarnings("ignore")]

LLAMA = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
}
OPT = {
    "vocab_size": 50,
    "hidden_size": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
    "word_embed_proj_dim": 32,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "original_max_position_embeddings": 6,
}
#: Heads of 32 features, of which YaRN's ramp is a part.
WIDE = LLAMA | {"head_dim": 32}
CASES = {
    "llama": (LLAMA | {"num_key_value_heads": 4}),
    "llama grouped": LLAMA | {"num_key_value_heads": 2, "rms_norm_eps": 1e-5},
    "llama tied": LLAMA | {"num_key_value_heads": 1, "tie_word_embeddings": True},
    "llama wide heads": LLAMA | {"head_dim": 12, "attention_bias": True, "mlp_bias": True},
    "llama theta": LLAMA | {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "llama linear": LLAMA
    | {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    "llama dynamic": LLAMA
    | {
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    },
    "llama yarn": LLAMA | {"rope_parameters": YARN},
    "llama yarn untruncated": WIDE | {"rope_parameters": YARN | {"truncate": False}},
    "llama yarn mscale": WIDE
    | {"rope_parameters": YARN | {"mscale": 0.707, "mscale_all_dim": 2.0, "beta_fast": 4}},
    "llama yarn one mscale": WIDE | {"rope_parameters": YARN | {"mscale": 0.707}},
    "llama yarn attention factor": WIDE | {"rope_parameters": YARN | {"attention_factor": 0.8}},
    "llama yarn of all positions": WIDE
    | {"rope_parameters": {k: v for k, v in YARN.items() if not k.startswith("original")}},
    "llama yarn of few positions": WIDE
    | {"rope_parameters": YARN, "original_max_position_embeddings": 12},
    "llama yarn by its old name": WIDE
    | {"rope_scaling": {"type": "yarn", "factor": 4.0}, "rope_theta": 500.0},
    "llama 3": LLAMA | {"rope_parameters": LLAMA3},
    "llama 3 of all positions": WIDE
    | {"rope_parameters": {k: v for k, v in LLAMA3.items() if not k.startswith("original")}},
    "opt": OPT,
    "opt 350m": OPT | {"do_layer_norm_before": False, "word_embed_proj_dim": 16},
    "opt without biases": OPT | {"enable_bias": False, "layer_norm_elementwise_affine": False},
}
LENGTHS = {"llama linear": 96, "llama dynamic": 48}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(name, tmp_path):
    torch.manual_seed(0)
    kind = "Llama" if name.startswith("llama") else "OPT"
    # It writes into what it is given.
    config = getattr(transformers, f"{kind}Config")(**deepcopy(CASES[name]), initializer_range=0.3)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    # Settings as they are delivered, not as transformers writes them, with all that follows.
    settings = CASES[name] | {"model_type": kind.lower()}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ours = load_model(tmp_path)
    # All that the model can take: beyond the configuration where rotary embeddings are stretched.
    assert ours.positions == LENGTHS.get(name, 24)
    tokens = np.random.default_rng(0).integers(0, 50, ours.positions)
    with torch.no_grad():
        expected = model(torch.tensor(tokens)[None]).logits[0].numpy()
    logits = ours.logits(ours.forward(tokens))
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["opt", "llama tied"])
def test_a_model_without_its_head_is_the_same(tmp_path, name):
    torch.manual_seed(0)
    kind = "Llama" if name.startswith("llama") else "OPT"
    config = getattr(transformers, f"{kind}Config")(**CASES[name], initializer_range=0.3)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    model.save_pretrained(tmp_path / "whole")
    model.model.save_pretrained(tmp_path / "part")
    tokens = np.random.default_rng(0).integers(0, 50, 24)
    whole, part = (load_model(tmp_path / name).forward(tokens) for name in ("whole", "part"))
    np.testing.assert_array_equal(whole, part)


def test_bert_states_are_those_of_transformers(tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.3,
    )
    model = transformers.BertForMaskedLM(config).eval()
    model.save_pretrained(tmp_path)
    tokens = np.random.default_rng(0).integers(0, 50, 17)
    with torch.no_grad():
        expected = model.bert(torch.tensor(tokens)[None]).last_hidden_state[0].numpy()
    np.testing.assert_allclose(load_model(tmp_path).forward(tokens), expected, atol=1e-4)
