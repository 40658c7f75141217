"""Recipes side by side: the same figures as one by one, with a layer in memory at a time."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import safetensors.numpy as safetensors

from dintmac.golden.evaluation.comparison import compare
from dintmac.golden.evaluation.metrics import Text, layer_errors, measure
from dintmac.golden.formats import INT4
from dintmac.golden.models.folder import load_model
from dintmac.golden.models.llama import LlamaConfig
from dintmac.golden.models.tensors import TensorFiles
from dintmac.golden.quantization.recipe import Method, Recipe, quantize_layers

RNG = np.random.default_rng(0)
CALIBRATION = [RNG.integers(0, 20, 16) for _ in range(3)]
TEXT = Text(RNG.integers(0, 20, 50), context=16)
RECIPES = [
    Recipe(scaling=Method.SMOOTHQUANT),
    Recipe(scaling=Method.SMOOTHQUANT, gptq=True, rank=2),
    Recipe(grid=INT4),
]


def model(folder, layers, hidden=16):
    """A random model that is read from files."""
    settings = {
        "model_type": "llama",
        "vocab_size": 20,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": 16,
    }
    shapes = LlamaConfig.from_dict(settings).tensor_shapes()
    rng = np.random.default_rng(1)
    tensors = {n: rng.standard_normal(s).astype(np.float32) / 4 for n, s in shapes.items()}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    safetensors.save_file(tensors, folder / "model.safetensors")
    return load_model(folder)


def test_finds_what_each_recipe_gives_alone(tmp_path):
    exact = model(tmp_path / "m", 2)
    full, outcomes = compare(exact, RECIPES, CALIBRATION, [TEXT])
    assert full == measure(exact, exact, TEXT)
    for recipe, outcome in zip(RECIPES, outcomes, strict=True):
        linears = {}
        for layer in quantize_layers(exact, recipe, CALIBRATION, fold=False):
            linears |= layer.linears
        assert outcome.errors == layer_errors(exact, linears, TEXT.sequences)
        assert outcome.scores == measure(exact, exact.replaced(linears=linears), TEXT)


def test_reads_each_tensor_of_a_layer_once_for_all_recipes(tmp_path, monkeypatch):
    exact, read, get = model(tmp_path / "m", 3), Counter(), TensorFiles.__getitem__

    def count(self, name):
        read[name] += 1
        return get(self, name)

    monkeypatch.setattr(TensorFiles, "__getitem__", count)
    compare(exact, RECIPES, CALIBRATION, [TEXT])
    layers = {name: n for name, n in read.items() if name.startswith("model.layers.")}
    assert set(layers) == {n for n in exact.tensors if n.startswith("model.layers.")}
    assert set(layers.values()) == {1}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_layers(tmp_path):
    def peak(layers):
        exact = model(tmp_path / str(layers), layers, hidden=64)
        tracemalloc.start()
        compare(exact, RECIPES, CALIBRATION, [TEXT])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # What is imported and cached on the way does not count.
    assert peak(6) < 1.2 * peak(2)


def test_calibration_must_have_sequences(tmp_path):
    with pytest.raises(ValueError, match="calibration must have at least one sequence"):
        compare(model(tmp_path / "m", 1), RECIPES, [], [TEXT])
