"""Quantization of whole models, on tiny random ones."""

import numpy as np
import pytest

from dintmac.golden.calibration import ActivationScheme
from dintmac.golden.evaluate import Text, cosines, layer_errors, measure
from dintmac.golden.formats import FP4, INT4, INT8, integer
from dintmac.golden.grids import NF4
from dintmac.golden.linear import IntegerLinear
from dintmac.golden.models.llama import Llama, LlamaConfig
from dintmac.golden.models.opt import Opt, OptConfig
from dintmac.golden.quantize import Granularity, ScaleSearch, quantize_weights, split_error
from dintmac.golden.recipe import Method, Recipe, quantize_layers, quantize_model
from dintmac.golden.scaling import output_error

SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
}
CONFIGS = {
    "opt": (Opt, OptConfig.from_dict(SIZES | {"ffn_dim": 24})),
    "opt 350m": (Opt, OptConfig.from_dict(SIZES | {"ffn_dim": 24, "do_layer_norm_before": False})),
    "llama": (Llama, LlamaConfig.from_dict(SIZES | {"intermediate_size": 24})),
    "llama grouped": (
        Llama,
        LlamaConfig.from_dict(SIZES | {"intermediate_size": 24, "num_key_value_heads": 2}),
    ),
}
RNG = np.random.default_rng(0)
SEQUENCES = [RNG.integers(0, 30, 20) for _ in range(6)]


def model(name):
    kind, config = CONFIGS[name]
    rng = np.random.default_rng(1)
    tensors = {
        name: (rng.standard_normal(shape) / 4 + ("norm" in name)).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    return kind(config, tensors)


def names(decoder):
    groups = [group for layer in range(2) for group in decoder.linear_groups(layer)]
    return [name for group in groups for name in group]


def difference(decoder, quantized):
    exact, found = (np.concatenate(m.states(SEQUENCES)) for m in (decoder, quantized))
    return np.sum((exact - found) ** 2) / np.sum(exact**2)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("method", Method)
def test_folded_scales_do_what_explicit_ones_do(name, method):
    decoder, recipe = model(name), Recipe(grid=INT8, scaling=method)
    folded = quantize_model(decoder, recipe, SEQUENCES)
    explicit = quantize_model(decoder, recipe, SEQUENCES, fold=False)
    assert difference(decoder, folded) < 3e-3
    assert difference(explicit, folded) < 0.1 * difference(decoder, folded)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(scaling=Method.AQAS, gptq=True, search=ScaleSearch.MSE),
        Recipe(granularity=Granularity.GROUP, group_size=8, scaling=Method.SMOOTHQUANT),
        Recipe(activations=ActivationScheme(dynamic=True, symmetric=False)),
    ],
)
def test_the_model_in_integers_is_the_fake_quantized_one(recipe):
    decoder = model("llama grouped")
    layers = list(quantize_layers(decoder, recipe, SEQUENCES))
    tensors = {k: v for layer in layers for k, v in layer.tensors.items()}
    linears = {k: v for layer in layers for k, v in layer.linears.items()}
    assert list(linears) == names(decoder)
    # Layer by layer on the same inputs: a code that flips at a tie would go through a whole model.
    fake = decoder.replaced(linears=linears, tensors=tensors)
    seen = {}
    fake.forward(SEQUENCES[0], observe=seen.__setitem__)
    for name, linear in linears.items():
        exact, expected = IntegerLinear(linear)(seen[name]), linear(seen[name])
        np.testing.assert_allclose(exact, expected, atol=1e-5 * np.abs(expected).max())


def test_each_part_of_a_recipe_lowers_the_error():
    decoder = model("opt")

    def error(**options):
        linears = {}
        recipe = Recipe(**{"search": ScaleSearch.MSE} | options)
        for layer in quantize_layers(decoder, recipe, SEQUENCES, fold=False):
            linears |= layer.linears
        errors = layer_errors(decoder, linears, SEQUENCES)
        return np.mean([e.total for e in errors.values()])

    plain = error()
    assert error(gptq=True) < 0.8 * plain
    assert error(rank=4) < 0.8 * plain
    assert error(scaling=Method.AQAS) < plain
    assert error(grid=NF4, signed_scale=False) < plain
    assert error(asymmetric=True, signed_scale=False) < plain
    assert error(activations=None) < plain
    assert error(outlier=1.0) < 0.8 * plain


def test_layer_errors_are_those_of_the_weights_without_activations():
    decoder, recipe = model("opt"), Recipe(grid=INT4, activations=None)
    linears = {}
    for layer in quantize_layers(decoder, recipe, SEQUENCES):
        linears |= layer.linears
    errors, seen = layer_errors(decoder, linears, SEQUENCES), {}
    decoder.states(SEQUENCES, observe=lambda n, x: seen.setdefault(n, []).append(x))
    for name, error in errors.items():
        weight = decoder.tensors[f"{name}.weight"]
        quantized = quantize_weights(weight, INT4, signed_scale=True)
        expected = split_error(weight, quantized, np.concatenate(seen[name]))
        assert error.total == pytest.approx(expected.total, rel=1e-3)
        assert error.rounding == pytest.approx(expected.rounding, rel=1e-3)
        assert error.underflow == pytest.approx(expected.underflow, rel=1e-3)
        assert error.underflowed == expected.underflowed


def test_the_same_recipe_gives_the_same_model():
    recipe = Recipe(scaling=Method.AQAS, gptq=True, rank=2)
    first, second = (quantize_model(model("llama"), recipe, SEQUENCES) for _ in range(2))
    np.testing.assert_array_equal(first.forward(SEQUENCES[0]), second.forward(SEQUENCES[0]))


def test_more_bits_are_nearer_to_full_precision():
    decoder = model("opt")
    int8, int4, int3 = (
        quantize_model(decoder, Recipe(grid=grid), SEQUENCES) for grid in (INT8, INT4, integer(3))
    )
    text = Text(np.concatenate(SEQUENCES), context=20)
    divergences = [measure(decoder, m, text)["divergence"] for m in (decoder, int8, int4, int3)]
    assert divergences == sorted(divergences)
    assert divergences[0] == 0 < divergences[1]
    assert np.mean(cosines(decoder, int8, SEQUENCES)) > np.mean(cosines(decoder, int4, SEQUENCES))


def test_progress_counts_the_layers():
    done = []
    quantize_model(model("opt"), Recipe(), SEQUENCES, progress=done.append)
    assert done == [1, 2]


def test_refuses_bad_input_with_one_sentence():
    decoder = model("opt")
    with pytest.raises(ValueError, match="calibration must have at least one sequence"):
        quantize_model(decoder, Recipe(), [])
    name = "model.decoder.layers.1.fc1.weight"
    spoiled = decoder.replaced(tensors={name: decoder.tensors[name] * np.float32(np.nan)})
    with pytest.raises(ValueError, match=f"{name} must be finite, not NaN or infinite"):
        quantize_model(spoiled, Recipe(), SEQUENCES)
    with pytest.raises(TypeError, match="grid must be a Format or a Codebook, not 'dint4'"):
        Recipe(grid="dint4")
    with pytest.raises(TypeError, match="scaling must be of type Method, not 'aqas'"):
        Recipe(scaling="aqas")
    with pytest.raises(ValueError, match=r"format with a zero point must be int2 .*, not NF4"):
        Recipe(grid=NF4, asymmetric=True, signed_scale=False)
    with pytest.raises(ValueError, match="format with a zero point must be int2 to int8 or dint3"):
        Recipe(grid=FP4, asymmetric=True, signed_scale=False)
    with pytest.raises(ValueError, match="scales must be either signed or asymmetric, not both"):
        Recipe(asymmetric=True)
    with pytest.raises(ValueError, match="rank must be 0 to 2147483648, not -1"):
        Recipe(rank=-1)
    with pytest.raises(ValueError, match=r"damping must be positive and finite, not 0\.0"):
        Recipe(damping=0.0)
    with pytest.raises(ValueError, match="outlier must be positive and finite, not -1"):
        Recipe(outlier=-1)
    with pytest.raises(ValueError, match=r"alpha must be 0 to 1, not 1\.5"):
        Recipe(alpha=1.5)


def test_with_mse_scales_aqas_is_not_worse_than_no_scaling_in_calibration():
    recipe = Recipe(scaling=Method.AQAS, search=ScaleSearch.MSE)

    def loss(inputs, weights, scale):
        def fake(matrix):
            return recipe.quantize(matrix).dequantize()

        return output_error(inputs, weights, scale, fake, recipe.activations)

    for seed in range(4):
        rng = np.random.default_rng(seed)
        inputs = rng.standard_normal((64, 12)).astype(np.float32)
        weights = [rng.standard_t(3, (8, 12)).astype(np.float32)]
        scale = recipe.find_scale(inputs, weights)
        assert loss(inputs, weights, scale) <= loss(inputs, weights, np.ones(12))
