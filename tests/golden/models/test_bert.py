"""The encoder against one written element by element, in float64 with Python's own functions."""

import json
import math
import sys

import numpy as np
import pytest
import safetensors.numpy as safetensors
import tokenizers

from dintmac.golden.models.bert import Bert, BertConfig, gelu, mean_embedding
from dintmac.golden.models.folder import load_bert, load_model, load_tokenizer
from dintmac.golden.models.transformer import softmax

SETTINGS = {
    "model_type": "bert",
    "vocab_size": 11,
    "hidden_size": 6,
    "intermediate_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 7,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-5,
    "hidden_act": "gelu",
}
CONFIG = BertConfig.from_dict(SETTINGS)
TOKENS = np.array([3, 1, 10, 0, 3], dtype=np.int64)


def random_tensors(seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in CONFIG.tensor_shapes().items()
    }


def reference_linear(tensors, name, rows):
    weight, bias = tensors[f"{name}.weight"].tolist(), tensors[f"{name}.bias"].tolist()
    return [
        [
            sum(x * w for x, w in zip(row, ws, strict=True)) + b
            for ws, b in zip(weight, bias, strict=True)
        ]
        for row in rows
    ]


def reference_norm(tensors, name, rows):
    gain, shift = tensors[f"{name}.weight"].tolist(), tensors[f"{name}.bias"].tolist()
    normed = []
    for row in rows:
        mean = sum(row) / len(row)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + 1e-5)
        normed.append(
            [(x - mean) / deviation * g + s for x, g, s in zip(row, gain, shift, strict=True)]
        )
    return normed


def added(rows, others):
    return [[a + b for a, b in zip(r, o, strict=True)] for r, o in zip(rows, others, strict=True)]


def reference_attention(tensors, prefix, rows):
    query, key, value = (
        reference_linear(tensors, f"{prefix}.self.{name}", rows)
        for name in ("query", "key", "value")
    )
    joined = [[0.0] * 6 for _ in rows]
    for head in range(3):
        part = (2 * head, 2 * head + 1)
        for i in range(len(rows)):
            scores = [
                sum(query[i][c] * key[j][c] for c in part) / math.sqrt(2) for j in range(len(rows))
            ]
            powers = [math.exp(score) for score in scores]
            for c in part:
                weighted = sum(p * value[j][c] for j, p in enumerate(powers))
                joined[i][c] = weighted / sum(powers)
    return reference_linear(tensors, f"{prefix}.output.dense", joined)


def reference_forward(tensors, tokens, layers):
    names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    words, positions, kinds = (tensors[f"embeddings.{n}.weight"].tolist() for n in names)
    rows = [
        [w + p + k for w, p, k in zip(words[t], positions[i], kinds[0], strict=True)]
        for i, t in enumerate(tokens.tolist())
    ]
    rows = reference_norm(tensors, "embeddings.LayerNorm", rows)
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}"
        attended = reference_attention(tensors, f"{prefix}.attention", rows)
        norm = f"{prefix}.attention.output.LayerNorm"
        rows = reference_norm(tensors, norm, added(rows, attended))
        inner = reference_linear(tensors, f"{prefix}.intermediate.dense", rows)
        inner = [[x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in row] for row in inner]
        outer = reference_linear(tensors, f"{prefix}.output.dense", inner)
        rows = reference_norm(tensors, f"{prefix}.output.LayerNorm", added(rows, outer))
    return rows


@pytest.mark.parametrize("layers", [0, 1, 2, None])
@pytest.mark.parametrize("length", [1, 5])
def test_equals_the_element_by_element_encoder(layers, length):
    tensors = random_tensors()
    states = Bert(CONFIG, tensors).forward(TOKENS[:length], layers=layers)
    assert states.dtype == np.float32
    expected = reference_forward(tensors, TOKENS[:length], 2 if layers is None else layers)
    np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-4)


def test_observes_the_inputs_of_every_linear_layer_in_order():
    tensors = random_tensors()
    seen = {}
    Bert(CONFIG, tensors).forward(TOKENS, observe=seen.__setitem__)
    assert list(seen) == CONFIG.linear_names()
    assert len(seen) == 12
    for name, inputs in seen.items():
        assert inputs.shape == (5, tensors[f"{name}.weight"].shape[1])
    embedded = reference_forward(tensors, TOKENS, 0)
    np.testing.assert_allclose(seen["encoder.layer.0.attention.self.key"], embedded, atol=1e-5)
    after_one = reference_forward(tensors, TOKENS, 1)
    np.testing.assert_allclose(seen["encoder.layer.1.attention.self.query"], after_one, atol=1e-4)


def test_observes_only_the_layers_that_run():
    seen = {}
    Bert(CONFIG, random_tensors()).forward(TOKENS, layers=1, observe=seen.__setitem__)
    assert list(seen) == CONFIG.linear_names()[:6]


def test_sentence_embedding_is_the_normalized_mean():
    model = Bert(CONFIG, random_tensors())
    mean = model.forward(TOKENS).mean(axis=0)
    np.testing.assert_allclose(
        mean_embedding(model.forward(TOKENS)), mean / np.sqrt(np.sum(mean**2)), rtol=1e-5
    )


def test_the_embedding_of_zeros_is_zero():
    assert mean_embedding(np.zeros((3, 6), np.float32)).tolist() == [0.0] * 6


def test_gelu_is_that_of_the_error_function():
    values = np.linspace(-8, 8, 10_001, dtype=np.float32)
    expected = np.array([x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in values.tolist()])
    assert (np.abs(gelu(values) - expected) <= 1e-6 * (1 + np.abs(values))).all()


def test_softmax_bears_large_scores():
    powers = softmax(np.array([[1e4, 1e4, -1e4]], dtype=np.float32))
    assert powers.tolist() == [[0.5, 0.5, 0.0]]


def without(name):
    tensors = random_tensors()
    del tensors[name]
    return tensors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: BertConfig.from_dict(SETTINGS | {"model_type": "opt"}),
            ValueError,
            "model_type must be 'bert', not 'opt'",
        ),
        (
            lambda: BertConfig.from_dict(SETTINGS | {"hidden_act": "relu"}),
            ValueError,
            "hidden_act must be 'gelu', not 'relu'",
        ),
        (
            lambda: BertConfig.from_dict({"model_type": "bert", "vocab_size": 3}),
            ValueError,
            "configuration must have hidden_size, intermediate_size, num_hidden_layers",
        ),
        (
            lambda: BertConfig.from_dict(SETTINGS | {"num_attention_heads": 4}),
            ValueError,
            "heads must divide the hidden size of 6, not 4",
        ),
        (
            lambda: BertConfig.from_dict(SETTINGS | {"hidden_size": "6"}),
            TypeError,
            "hidden_size must be an int, not '6'",
        ),
        (
            lambda: Bert(CONFIG, without("encoder.layer.1.output.dense.bias")),
            ValueError,
            "model must have the tensor encoder.layer.1.output.dense.bias",
        ),
        (
            lambda: Bert(
                CONFIG, random_tensors() | {"embeddings.LayerNorm.bias": np.zeros(5, np.float32)}
            ),
            ValueError,
            r"embeddings.LayerNorm.bias must have shape \(6,\), not \(5,\)",
        ),
        (
            lambda: Bert(CONFIG, random_tensors() | {"embeddings.LayerNorm.bias": np.zeros(6)}),
            TypeError,
            "embeddings.LayerNorm.bias must be an array of float32, not float64",
        ),
        (
            lambda: Bert(CONFIG, random_tensors()).forward(TOKENS.astype(np.int32)),
            TypeError,
            "tokens must be an array of int64, not int32",
        ),
        (
            lambda: Bert(CONFIG, random_tensors()).forward(TOKENS[:0]),
            ValueError,
            "length of the sequence must be 1 to 7, not 0",
        ),
        (
            lambda: Bert(CONFIG, random_tensors()).forward(TOKENS + 1),
            ValueError,
            r"tokens must be 0 to 10, not \[ 4  2 11  1  4\]",
        ),
        (
            lambda: Bert(CONFIG, random_tensors()).forward(TOKENS, layers=3),
            ValueError,
            "layers must be 0 to 2, not 3",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.fixture
def folder(tmp_path):
    """A folder with a model in two files, one of them in half precision."""
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    tensors = random_tensors()
    names = sorted(tensors)
    halves = {name: tensors[name].astype(np.float16) for name in names[:9]}
    safetensors.save_file(halves, tmp_path / "model-1.safetensors")
    rest = {name: tensors[name] for name in names[9:]}
    positions = {"embeddings.position_ids": np.arange(7)}
    safetensors.save_file(rest | positions, tmp_path / "model-2.safetensors")
    return tmp_path


def test_reads_a_model_from_all_files_of_a_folder(folder):
    model = load_bert(folder)
    expected = random_tensors()
    assert model.config == CONFIG
    assert set(model.tensors) == set(expected)
    for i, name in enumerate(sorted(expected)):
        dtype = np.float16 if i < 9 else np.float32
        np.testing.assert_array_equal(model.tensors[name], expected[name].astype(dtype))


def test_reads_the_names_of_a_model_with_a_head_and_of_old_versions(folder):
    expected = load_bert(folder).forward(TOKENS)
    for path in folder.glob("*.safetensors"):
        tensors = {
            f"bert.{n}".replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): t
            for n, t in safetensors.load_file(path).items()
        }
        safetensors.save_file(tensors, path)
    np.testing.assert_array_equal(load_bert(folder).forward(TOKENS), expected)
    np.testing.assert_array_equal(load_model(folder).forward(TOKENS), expected)


def test_reads_a_tokenizer_without_padding_and_cuts_long_sentences(tmp_path):
    words = {"[UNK]": 0, "a": 1, "b": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokenize = load_tokenizer(tmp_path, length=3)
    tokens = tokenize("a c").tokens
    assert tokens.dtype == np.int64
    assert tokens.tolist() == [1, 0]
    assert tokenize("a b a b").tokens.tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda f: (f / "config.json").unlink(),
            FileNotFoundError,
            "model folder must have a config.json: ",
        ),
        (
            lambda f: (f / "config.json").write_text("{"),
            ValueError,
            "config.json must be a JSON object: ",
        ),
        (
            lambda f: (f / "config.json").write_text("[]"),
            ValueError,
            "config.json must be a JSON object: it is a list",
        ),
        (
            lambda f: [path.unlink() for path in f.glob("*.safetensors")],
            FileNotFoundError,
            "model folder must have a .safetensors file: ",
        ),
        (
            lambda f: (f / "model-1.safetensors").write_bytes(b"nothing"),
            ValueError,
            "model-1.safetensors must be a safetensors file: ",
        ),
        (
            lambda f: (f / "model-1.safetensors").unlink(),
            ValueError,
            "model must have the tensor embeddings.",
        ),
    ],
)
def test_says_what_is_wrong_with_a_folder(folder, spoil, error, message):
    spoil(folder)
    with pytest.raises(error, match=message):
        load_bert(folder)


def test_says_what_is_wrong_with_a_tokenizer(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model folder must have a tokenizer\.json: "):
        load_tokenizer(tmp_path, length=8)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json must be a tokenizer: "):
        load_tokenizer(tmp_path, length=8)


def test_names_the_extra_when_a_package_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "tokenizer.json").write_text("{}")
    message = r"needs the package tokenizers: pip install 'dintmac\[models\]'"
    with pytest.raises(ModuleNotFoundError, match=message):
        load_tokenizer(tmp_path, length=8)
