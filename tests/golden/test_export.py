"""Quantized folders: what is written is what is read, and what the hardware would run."""

import json

import numpy as np
import pytest

from dintmac.golden.calibration import ActivationScheme
from dintmac.golden.export import read_model, write_model
from dintmac.golden.formats import DINT4, dint
from dintmac.golden.grids import NF4
from dintmac.golden.models.opt import Opt, OptConfig
from dintmac.golden.quantize import Granularity
from dintmac.golden.recipe import Method, Recipe, quantize_layers, quantize_model

pytest.importorskip("safetensors")

CONFIG = OptConfig(30, 16, 24, 2, 4, 20, 16)
RNG = np.random.default_rng(0)
MODEL = Opt(
    CONFIG,
    {
        name: (RNG.standard_normal(shape) / 4 + ("norm" in name)).astype(np.float32)
        for name, shape in CONFIG.tensor_shapes().items()
    },
)
SEQUENCES = [RNG.integers(0, 30, 20) for _ in range(4)]
RECIPES = [
    Recipe(scaling=Method.SMOOTHQUANT),
    Recipe(grid=dint(3), granularity=Granularity.GROUP, group_size=8),
    Recipe(asymmetric=True, signed_scale=False, activations=ActivationScheme(symmetric=False)),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_read_is_what_was_written(tmp_path, recipe):
    done = []
    write_model(tmp_path / "out", MODEL, recipe, SEQUENCES, progress=done.append)
    assert done == [1, 2]
    read, made = read_model(tmp_path / "out", MODEL), quantize_model(MODEL, recipe, SEQUENCES)
    np.testing.assert_array_equal(read.forward(SEQUENCES[0]), made.forward(SEQUENCES[0]))


def test_workloads_are_the_codes_of_the_quantized_model(tmp_path):
    write_model(tmp_path, MODEL, RECIPES[0], SEQUENCES)
    linears = {}
    for layer in quantize_layers(MODEL, RECIPES[0], SEQUENCES):
        linears |= layer.linears
    assert {path.stem for path in (tmp_path / "workloads").iterdir()} == set(linears)
    quantized, seen = read_model(tmp_path, MODEL), {}
    quantized.forward(SEQUENCES[0], layers=1, observe=seen.__setitem__)
    name = "model.decoder.layers.0.self_attn.q_proj"
    with np.load(tmp_path / "workloads" / f"{name}.npz") as workload:
        assert str(workload["format"]) == "dint4"
        np.testing.assert_array_equal(workload["weights"], linears[name].weight.codes)
        codes = linears[name].quantizer(seen[name]).quantize(seen[name])
        difference = workload["activations"][:20].astype(int) - codes
    # The norm with a folded scale rounds elsewhere: a tie may fall on the other side.
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.01


def test_writes_nothing_but_its_own_files(tmp_path):
    write_model(tmp_path, MODEL, RECIPES[0], SEQUENCES)
    names = {"layer-0.safetensors", "layer-1.safetensors", "quantization.json", "workloads"}
    assert {path.name for path in tmp_path.iterdir()} == names
    settings = json.loads((tmp_path / "quantization.json").read_text())
    assert settings["format"] == DINT4.name.lower()
    assert len(settings["layers"]) == 12


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(grid=NF4), "recipe to write must have a hardware format and static activations"),
        (Recipe(activations=None), "must have a hardware format and static activations"),
        (Recipe(rank=2), "recipe to write must have no correction and no outliers in 16 bits"),
    ],
)
def test_refuses_what_a_folder_does_not_hold(tmp_path, recipe, message):
    with pytest.raises(ValueError, match=message):
        write_model(tmp_path, MODEL, recipe, SEQUENCES)
    assert not list(tmp_path.iterdir())


def test_refuses_bad_folders_with_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output must be a new or empty folder, not "):
        write_model(tmp_path, MODEL, RECIPES[0], SEQUENCES)
    with pytest.raises(FileNotFoundError, match=r"must have a quantization\.json: "):
        read_model(tmp_path, MODEL)
    write_model(tmp_path / "out", MODEL, RECIPES[0], SEQUENCES)
    (tmp_path / "out" / "quantization.json").write_text('{"format": "dint4"}')
    with pytest.raises(ValueError, match="must describe the tensors beside it: 'granularity'"):
        read_model(tmp_path / "out", MODEL)
