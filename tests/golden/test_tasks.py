"""The two commands on folders, with tiny models and a tokenizer of words."""

import json

import numpy as np
import pytest

from dintmac.golden import tasks
from dintmac.golden.export import read_model
from dintmac.golden.formats import DINT4, INT8
from dintmac.golden.models.bert import BertConfig
from dintmac.golden.models.folder import load_model
from dintmac.golden.models.llama import LlamaConfig
from dintmac.golden.recipe import Method, Recipe

safetensors = pytest.importorskip("safetensors.numpy")
tokenizers = pytest.importorskip("tokenizers")

WORDS = ["the", "a", "cat", "dog", "sees", "runs", "to", "house", "and", "red", "blue", "big"]
WORDS += [".", "?"]
SIZES = {
    "vocab_size": 15,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
SETTINGS = {
    "llama": SIZES | {"model_type": "llama"},
    "bert": SIZES | {"model_type": "bert", "type_vocab_size": 2, "layer_norm_eps": 1e-12},
}


@pytest.fixture(params=["llama", "bert"])
def folder(request, tmp_path):
    settings = SETTINGS[request.param]
    config = {"llama": LlamaConfig, "bert": BertConfig}[request.param].from_dict(settings)
    rng = np.random.default_rng(0)
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(settings))
    tensors = {
        name: (rng.standard_normal(shape) / 4 + ("orm" in name)).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    safetensors.save_file(tensors, path / "model.safetensors")
    vocabulary = {word: i for i, word in enumerate(["[UNK]", *WORDS])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path / "tokenizer.json"))
    for name in ("calibration", "evaluation"):
        lines = [" ".join(rng.choice(WORDS, 8)) for _ in range(12)]
        (tmp_path / name).write_text("\n".join(lines) + "\n\n")
    item = {"question": "the cat sees ?", "choices": ["a dog", "house"], "answer": 0}
    (tmp_path / "questions").write_text(json.dumps(item))
    return path


def test_evaluates_recipes_against_full_precision(folder, tmp_path):
    recipes = {"dint4": Recipe(grid=DINT4), "int8": Recipe(grid=INT8, scaling=Method.AQAS)}
    done = []
    rows = tasks.evaluate(
        folder,
        recipes,
        tmp_path / "calibration",
        tmp_path / "evaluation",
        questions=tmp_path / "questions",
        length=16,
        count=4,
        progress=lambda *numbers: done.append(numbers),
    )
    assert list(rows) == ["full precision", "dint4", "int8"]
    assert done == [(1, 2), (2, 2)]
    assert rows["int8"]["y"] < rows["dint4"]["y"]
    if "cosine" in rows["dint4"]:
        assert rows["dint4"]["cosine"] < rows["int8"]["cosine"] < 1.0001
        assert rows["full precision"]["cosine"] == pytest.approx(1)
    else:
        assert rows["full precision"]["divergence"] == 0
        assert rows["int8"]["divergence"] < rows["dint4"]["divergence"]
        assert {row["accuracy"] for row in rows.values()} <= {0.0, 1.0}


def test_quantizes_into_a_folder(folder, tmp_path):
    done = []
    arguments = (folder, tmp_path / "out", Recipe(grid=INT8), tmp_path / "calibration")
    tasks.quantize(*arguments, length=16, progress=lambda *numbers: done.append(numbers))
    assert done == [(1, 2), (2, 2)]
    model = load_model(folder)
    tokens = np.arange(10, dtype=np.int64)
    exact, found = model.forward(tokens), read_model(tmp_path / "out", model).forward(tokens)
    assert 0 < np.sum((exact - found) ** 2) / np.sum(exact**2) < 0.01


def test_the_seed_decides_the_windows(folder, tmp_path):
    model = load_model(folder)

    def read(seed):
        found = tasks.read_sequences(
            model, folder, tmp_path / "calibration", length=8, count=3, seed=seed
        )
        return [tokens.tolist() for tokens in found]

    assert read(1) == read(1)
    if isinstance(model, tasks.CausalModel):
        assert read(1) != read(2)
        assert [len(tokens) for tokens in read(1)] == [8, 8, 8]


@pytest.mark.parametrize("folder", ["llama"], indirect=True)
def test_refuses_bad_input_with_one_sentence(folder, tmp_path):
    model = load_model(folder)
    with pytest.raises(FileNotFoundError, match="text must be a file, not "):
        tasks.read_tokens(model, folder, tmp_path / "absent")
    (tmp_path / "empty").write_text("\n \n")
    with pytest.raises(ValueError, match="text must not be empty: "):
        tasks.read_tokens(model, folder, tmp_path / "empty")
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["model"]["vocab"]["cat"] = 15
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    (tmp_path / "text").write_text("the cat")
    message = "tokenizer must have at most the 15 tokens of the model, not a token 15"
    with pytest.raises(ValueError, match=message):
        tasks.read_tokens(model, folder, tmp_path / "text")
