"""Quantized folders: what is written is what is read, and what the hardware would run."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy as safetensors

from dintmac.golden.evaluation.comparison import compare
from dintmac.golden.evaluation.export import QuantizedFolder, read_model, write_model
from dintmac.golden.evaluation.metrics import Text
from dintmac.golden.formats import DINT4, dint
from dintmac.golden.models.opt import Opt, OptConfig
from dintmac.golden.quantization.activations import ActivationScheme
from dintmac.golden.quantization.grids import NF4
from dintmac.golden.quantization.recipe import Method, Recipe, quantize_layers, quantize_model
from dintmac.golden.quantization.weights import Granularity

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


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES,
        Recipe(scaling=Method.AQAS, gptq=True, granularity=Granularity.GROUP, group_size=8),
    ],
)
def test_a_folder_is_measured_as_its_recipe_is(tmp_path, recipe):
    write_model(tmp_path, MODEL, recipe, SEQUENCES)
    text = Text(RNG.integers(0, 30, 60), context=20)
    full, (alone,) = compare(MODEL, [QuantizedFolder(tmp_path, MODEL)], [], [text])
    both, (packed, made) = compare(
        MODEL, [QuantizedFolder(tmp_path, MODEL), recipe], SEQUENCES, [text]
    )
    assert (full, alone) == (both, packed)
    for name, error in made.errors.items():
        found = packed.errors[name]
        # What is folded rounds elsewhere.
        assert found.total == pytest.approx(error.total, rel=1e-3)
        assert found.rounding == pytest.approx(error.rounding, rel=1e-4)
        assert found.underflow == pytest.approx(error.underflow, rel=1e-4)
        assert found.underflowed == error.underflowed
    for name, value in made.scores.items():
        assert packed.scores[name] == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("granularity", [Granularity.TENSOR, Granularity.CHANNEL])
def test_without_folding_the_function_is_the_same(tmp_path, granularity, asymmetric):
    recipe = Recipe(
        scaling=Method.SMOOTHQUANT,
        granularity=granularity,
        asymmetric=asymmetric,
        signed_scale=not asymmetric,
    )
    write_model(tmp_path, MODEL, recipe, SEQUENCES)
    folder, linears = QuantizedFolder(tmp_path, MODEL), {}
    for layer in range(MODEL.layers):
        assert folder.layer(layer).folded
        linears |= folder.layer(layer).unfolded(MODEL.folds(layer))
    folded = read_model(tmp_path, MODEL).forward(SEQUENCES[0])
    explicit = MODEL.replaced(linears=linears).forward(SEQUENCES[0])
    # A tie may fall on the other side, and no more than that.
    assert np.mean(np.abs(folded - explicit) < 1e-4 * np.abs(folded).max()) > 0.5
    assert np.sum((folded - explicit) ** 2) < 1e-3 * np.sum(folded**2)


def test_a_folder_says_how_it_was_made(tmp_path):
    recipe = Recipe(scaling=Method.AQAS, gptq=True, granularity=Granularity.GROUP, group_size=8)
    settings = write_model(tmp_path, MODEL, recipe, SEQUENCES)
    assert settings["activations"] == "min-max"
    variant = QuantizedFolder(tmp_path, MODEL).variant
    assert (variant.method, variant.format) == ("aqas+gptq", "dINT4")
    assert (variant.granularity, variant.search) == ("group8", "absmax")
    assert variant.recipe(Recipe()) == recipe


def test_integer_layers_take_the_codes_of_a_folder(tmp_path):
    write_model(tmp_path, MODEL, RECIPES[0], SEQUENCES)
    text, folder = Text(SEQUENCES[0], context=20), QuantizedFolder(tmp_path, MODEL)
    _, (fake,) = compare(MODEL, [folder], [], [text])
    _, (exact,) = compare(MODEL, [folder], [], [text], integer=True)
    assert exact.errors == fake.errors
    for name, value in exact.scores.items():
        assert value == pytest.approx(fake.scores[name], rel=1e-2)


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
        (Recipe(grid=NF4), "format of a folder must be int2 to int8, .* not NF4"),
        (Recipe(activations=None), "activations of a folder must have a static range, not none"),
        (
            Recipe(activations=ActivationScheme(dynamic=True)),
            "activations of a folder must have a static range, not dynamic",
        ),
        (Recipe(rank=2), "method of a folder must have no rank and no outliers"),
        (Recipe(outlier=6.0), "method of a folder must have no rank and no outliers"),
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
    with pytest.raises(ValueError, match="must describe the tensors beside it: 'method'"):
        read_model(tmp_path / "out", MODEL)


def test_refuses_a_folder_of_another_model(tmp_path):
    write_model(tmp_path / "out", MODEL, RECIPES[0], SEQUENCES)
    for config in (OptConfig(30, 16, 32, 2, 4, 20, 16), OptConfig(30, 16, 24, 3, 4, 20, 16)):
        shapes = config.tensor_shapes()
        other = Opt(config, {name: np.ones(s, dtype=np.float32) for name, s in shapes.items()})
        with pytest.raises(ValueError, match="quantized folder must be of this model, not of ano"):
            QuantizedFolder(tmp_path / "out", other)


def test_refuses_a_folder_that_lacks_a_part(tmp_path):
    write_model(tmp_path, MODEL, RECIPES[0], SEQUENCES)
    safetensors.save_file({"x": np.ones(1)}, tmp_path / "layer-0.safetensors")
    with pytest.raises(ValueError, match=r"json must describe the tensors beside it: .*codes"):
        QuantizedFolder(tmp_path, MODEL).layer(0)
    (tmp_path / "layer-0.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="must be a safetensors file: its header is incomplete"):
        QuantizedFolder(tmp_path, MODEL)
    (tmp_path / "layer-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"must have layer-1\.safetensors: "):
        QuantizedFolder(tmp_path, MODEL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_scale": "0.1"}, "activation_scale must be a number, not '0.1'"),
        ({"activation_scale": 0.0}, r"activation_scale must be positive and finite, not 0\.0"),
        ({"activation_scale": float("nan")}, "activation_scale must be positive and finite, not n"),
        ({"activation_zero_point": 1.5}, r"activation_zero_point must be an int, not 1\.5"),
        ({"activation_zero_point": 10**30}, "activation_zero_point must be -128 to 127, not 1000"),
        ({"shape": [16, 1e400]}, "quantized folder must be of this model, not of another"),
        ({"shape": None}, "json must describe the tensors beside it: "),
    ],
)
def test_refuses_a_description_that_is_none(tmp_path, change, message):
    write_model(tmp_path / "out", MODEL, RECIPES[0], SEQUENCES)
    path = tmp_path / "out" / "quantization.json"
    settings = json.loads(path.read_text())
    settings["layers"]["model.decoder.layers.0.fc1"] |= change
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=message):
        QuantizedFolder(tmp_path / "out", MODEL).layer(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.replace('"dint4"', '"nf4"'), "beside it: NF4 has no packed codes"),
        (lambda c: c.replace('"dint4"', '"dint5"'), "json must describe the tensors beside it: "),
        (lambda c: f"[{c}]", "json must be a JSON object: it is a list"),
        (lambda c: c.encode("utf-16"), r"quantization\.json must be in UTF-8: "),
    ],
)
def test_refuses_settings_that_do_not_fit(tmp_path, change, message):
    write_model(tmp_path / "out", MODEL, RECIPES[0], SEQUENCES)
    path = tmp_path / "out" / "quantization.json"
    content = change(path.read_text())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        QuantizedFolder(tmp_path / "out", MODEL).layer(0)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    message = "quantized model cannot be written to .*/out: No space left on device"
    with pytest.raises(OSError, match=message):
        write_model(tmp_path / "out", MODEL, RECIPES[0], SEQUENCES)
    assert not list(tmp_path.iterdir())
