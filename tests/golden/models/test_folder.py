"""Model folders: names of tensors, tensors that are not read, tokenizers."""

import json

import numpy as np
import pytest
import safetensors.numpy as safetensors
import tokenizers

from dintmac.golden.models.folder import load_bert, load_model, load_tokenizer

TOKENS = np.array([3, 7, 7, 14, 0, 11], dtype=np.int64)
EMBEDDING = {
    "llama": "model.embed_tokens.weight",
    "opt": "model.decoder.embed_tokens.weight",
}


def change_tensors(folder, change):
    """Replace the tensors of a folder by what ``change`` makes of them."""
    path = folder / "model.safetensors"
    safetensors.save_file(change(safetensors.load_file(path)), path)


def add_tensors(folder, **shapes):
    added = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    change_tensors(folder, lambda tensors: tensors | added)


def change_settings(folder, **changed):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def renamed(change):
    return lambda tensors: {change(name): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("llama", lambda name: name.removeprefix("model.")),
        ("opt", lambda name: name.removeprefix("model.")),
        ("bert", lambda name: f"bert.{name}"),
        ("bert", lambda name: name.replace("Norm.weight", "Norm.gamma")),
        ("bert", lambda name: f"bert.{name}".replace("Norm.bias", "Norm.beta")),
    ],
)
def test_names_have_the_prefix_of_the_base_model_or_not(tiny_model, kind, change):
    folder = tiny_model(kind)
    expected = load_model(folder).forward(TOKENS)
    change_tensors(folder, renamed(change))
    np.testing.assert_array_equal(load_model(folder).forward(TOKENS), expected)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq"),
        ("llama", "layers.1.self_attn.rotary_emb.inv_freq"),
        ("llama", "rotary_emb.inv_freq"),
        ("opt", "decoder.version"),
        ("opt", "model.decoder.version"),
        ("bert", "embeddings.position_ids"),
        ("bert", "bert.embeddings.position_ids"),
        ("bert", "bert.pooler.dense.weight"),
        ("bert", "pooler.dense.bias"),
        ("bert", "cls.predictions.transform.LayerNorm.gamma"),
        ("bert", "cls.seq_relationship.weight"),
        ("bert", "classifier.weight"),
        ("bert", "qa_outputs.bias"),
    ],
)
def test_buffers_and_heads_of_tasks_are_not_read(tiny_model, kind, name):
    folder = tiny_model(kind)
    expected = load_model(folder).forward(TOKENS)
    add_tensors(folder, **{name: (4,)})
    np.testing.assert_array_equal(load_model(folder).forward(TOKENS), expected)


QWEN2 = [f"model.layers.0.self_attn.{p}_proj.bias" for p in "qkv"]


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("llama", QWEN2[:1], f"not {QWEN2[0]}: .*model"),
        ("llama", QWEN2, f"not {QWEN2[1]}, {QWEN2[0]}, {QWEN2[2]}: .*model"),
        ("llama", [*QWEN2, "y", "z"], f"not {QWEN2[1]}, {QWEN2[0]}, {QWEN2[2]} and 2 more: "),
        ("llama", ["model.layers.2.mlp.up_proj.weight"], "not model.layers.2.mlp.up_proj.weight: "),
        ("llama", ["score.weight"], "not score.weight: "),
        ("llama", ["embeddings.position_ids"], "not embeddings.position_ids: "),
        ("opt", ["model.decoder.project_in.weight"], "not model.decoder.project_in.weight: "),
        ("bert", ["lm_head.weight"], "not lm_head.weight: "),
        (
            "bert",
            ["encoder.layer.0.crossattention.self.query.weight"],
            "not encoder.layer.0.crossattention.self.query.weight: ",
        ),
    ],
)
def test_other_tensors_make_another_model_and_are_refused(tiny_model, kind, names, message):
    folder = tiny_model(kind)
    add_tensors(folder, **dict.fromkeys(names, (4,)))
    with pytest.raises(ValueError, match="model must have no tensors but those of .*" + message):
        load_model(folder)


def test_biases_of_attention_are_read_where_the_configuration_has_them(tiny_model):
    folder = tiny_model("llama", attention_bias=True)
    biased = load_model(folder).forward(TOKENS)
    names = [f"model.layers.{i}.self_attn.{p}_proj.bias" for i in range(2) for p in "qkvo"]
    change_tensors(folder, lambda t: t | {n: np.zeros_like(t[n]) for n in names})
    plain = load_model(folder).forward(TOKENS)
    assert not np.allclose(biased, plain)
    change_tensors(folder, lambda t: {n: v for n, v in t.items() if n not in names})
    with pytest.raises(ValueError, match=r"model must have the tensor .*\.q_proj\.bias"):
        load_model(folder)
    change_settings(folder, attention_bias=False)
    np.testing.assert_array_equal(load_model(folder).forward(TOKENS), plain)


@pytest.mark.parametrize("kind", ["llama", "opt"])
def test_a_tied_head_may_be_there_if_it_is_the_embedding(tiny_model, kind):
    folder = tiny_model(kind, tie_word_embeddings=True)
    expected = load_model(folder).forward(TOKENS)
    embedding = EMBEDDING[kind]
    change_tensors(folder, lambda t: t | {"lm_head.weight": t[embedding].copy()})
    np.testing.assert_array_equal(load_model(folder).forward(TOKENS), expected)
    change_tensors(folder, lambda t: t | {"lm_head.weight": t[embedding] + 1})
    message = f"lm_head.weight must equal {embedding}, as tie_word_embeddings says: .*model"
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def as_float8(folder):
    """The values do not matter: one byte each for the projections of attention."""
    path = folder / "model.safetensors"
    tensors = safetensors.load_file(path)
    bytes_ = {n: t.astype(np.uint8) if "self_attn" in n else t for n, t in tensors.items()}
    safetensors.save_file(bytes_, path)
    path.write_bytes(path.read_bytes().replace(b'"dtype":"U8"', b'"dtype":"F8"'))
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b'"F8"', b'"F8_E4M3"').rstrip()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
            "model must be the original one, not quantized: .*config.json has a "
            "quantization_config, and its tensors are of F32, F8_E4M3",
        ),
        ({}, "self_attn.q_proj.weight must be of F64, F32, F16, BF16, not of F8_E4M3"),
        (
            {"quantization_config": None},
            "self_attn.q_proj.weight must be of F64, F32, F16, BF16, not of F8_E4M3",
        ),
    ],
)
def test_a_model_that_is_quantized_already_is_refused_with_its_dtype(tiny_model, settings, message):
    folder = tiny_model("llama")
    as_float8(folder)
    change_settings(folder, **settings)
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_files_may_begin_with_a_byte_order_mark(tiny_model):
    folder = tiny_model("llama")
    expected = load_tokenizer(folder, length=9)("the red cat").tokens
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert load_model(folder).layers == 2
    np.testing.assert_array_equal(load_tokenizer(folder, length=9)("the red cat").tokens, expected)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_other_encodings_are_refused(tiny_model, name):
    folder = tiny_model("llama")
    (folder / name).write_bytes((folder / name).read_text().encode("utf-16"))
    with pytest.raises(ValueError, match=f"{name} must be in UTF-8: .*{name}"):
        load_tokenizer(folder, length=9) if name == "tokenizer.json" else load_model(folder)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("llama", {"tie_word_embeddings": "false"}, "tie_word_embeddings must be of type bool"),
        ("llama", {"attention_bias": None}, "attention_bias must be of type bool, not None"),
        ("llama", {"rms_norm_eps": "1e-5"}, "epsilon must be a number, not '1e-5'"),
        ("llama", {"rms_norm_eps": float("nan")}, "epsilon must be positive and finite, not nan"),
        ("llama", {"rope_theta": float("inf")}, "rope_theta must be positive and finite, not inf"),
        ("llama", {"rope_theta": 1}, "rope_theta must be above 1, not 1"),
        ("llama", {"rope_theta": None}, "rope_theta must be a number, not None"),
        ("llama", {"vocab_size": 15.0}, r"vocab_size must be an int, not 15\.0"),
        ("llama", {"num_hidden_layers": True}, "num_hidden_layers must be an int, not True"),
        ("llama", {"num_key_value_heads": "2"}, "shared_heads must be an int, not '2'"),
        ("llama", {"num_key_value_heads": 0}, "shared_heads must be 1 to 2147483648, not 0"),
        ("llama", {"head_dim": []}, r"head_size must be an int, not \[\]"),
        ("llama", {"rms_norm_eps": 1e300}, r"epsilon must be positive and finite, not 1e\+300"),
        ("llama", {"rope_scaling": 7}, "rope_parameters must be of type dict, not 7"),
        ("llama", {"partial_rotary_factor": 0.5}, r"partial_rotary_factor must be 1, not 0\.5"),
        ("llama", {"model_type": ["llama"]}, r"model_type must be .* not \['llama'\]"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act must be 'silu', not 'gelu'"),
        ("opt", {"do_layer_norm_before": 0}, "do_layer_norm_before must be of type bool, not 0"),
        ("opt", {"_remove_final_layer_norm": "no"}, "_remove_final_layer_norm must be of type bo"),
        ("opt", {"word_embed_proj_dim": ""}, "embedding must be an int, not ''"),
        ("opt", {"tie_word_embeddings": False}, "tie_word_embeddings must be True, not False"),
        ("bert", {"is_decoder": True}, "is_decoder must be False, not True"),
        ("bert", {"add_cross_attention": True}, "add_cross_attention must be False, not True"),
        ("bert", {"layer_norm_eps": 0}, "epsilon must be positive and finite, not 0"),
    ],
)
def test_says_what_is_wrong_with_a_configuration(tiny_model, kind, settings, message):
    folder = tiny_model(kind)
    change_settings(folder, **settings)
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_a_bert_encoder_is_one(tiny_model):
    with pytest.raises(ValueError, match=r"model must be a BERT encoder: .*model"):
        load_bert(tiny_model("opt"))


def special_tokenizer(folder, template):
    """A tokenizer of words with ``<s>`` and ``</s>`` round a text, as the template has them."""
    words = {"<s>": 0, "</s>": 1, "?": 2, "a": 3, "b": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder, length=99)


def test_an_encoding_knows_where_in_the_text_its_tokens_are(tmp_path):
    found = special_tokenizer(tmp_path, "<s> $A </s>")("a é😀b b </s>")
    assert found.tokens.tolist() == [0, 3, 2, 2, 4, 4, 1, 1]
    assert [tuple(span) for span in found.spans.tolist()] == [
        *((0, 0), (0, 1), (2, 3), (3, 4), (4, 5), (6, 7), (8, 12), (0, 0))
    ]


@pytest.mark.parametrize(
    ("template", "text", "tokens"),
    [
        ("$A </s>", "a b", [3, 4]),
        ("<s> $A </s>", "a b", [0, 3, 4]),
        ("<s> $A </s> </s>", "a </s>", [0, 3, 1]),
        ("$A", "a", [3]),
        ("<s> $A </s>", "", []),
    ],
)
def test_without_suffix_special_tokens_after_the_text_are_left_out(
    tmp_path, template, text, tokens
):
    assert special_tokenizer(tmp_path, template)(text).without_suffix().tokens.tolist() == tokens


def test_a_tokenizer_that_fails_at_a_text_is_named(tmp_path):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="?"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"tokenizer\.json must be a tokenizer: .*Missing \[UNK\]"):
        load_tokenizer(tmp_path, length=9)("b")


def test_a_tokenizer_that_panics_is_named(tmp_path, capfd):
    special_tokenizer(tmp_path, "<s> $A")
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    content["post_processor"]["special_tokens"] = {}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"tokenizer\.json must be a tokenizer: "):
        load_tokenizer(tmp_path, length=9)("a")
