"""Quantization of whole models, on tiny random ones."""

import tracemalloc

import numpy as np
import pytest

from dintmac.golden.evaluation.metrics import Text, cosines, layer_errors, measure
from dintmac.golden.formats import DINT4, FP4, INT4, INT8, integer
from dintmac.golden.models.llama import Llama, LlamaConfig
from dintmac.golden.models.opt import Opt, OptConfig
from dintmac.golden.quantization.activations import ActivationScheme, Calibration
from dintmac.golden.quantization.grids import NF4
from dintmac.golden.quantization.linear import FloatLinear, IntegerLinear
from dintmac.golden.quantization.recipe import Method, Recipe, quantize_layers, quantize_model
from dintmac.golden.quantization.weights import (
    Granularity,
    ScaleSearch,
    quantize_weights,
    split_error,
)

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


@pytest.mark.slow
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


def rare_outliers():
    """Inputs of which one row in 4,096 reaches 25 times as far in two channels, and weights."""
    rng = np.random.default_rng(2)
    inputs = rng.standard_normal((16_384, 16)) * np.exp(rng.standard_normal(16) / 2)
    inputs[np.ix_([1501, 6002, 9503, 13006], [2, 9])] *= 25
    weights = [rng.standard_t(4, (rows, 16)) for rows in (20, 12)]
    return inputs.astype(np.float32), [matrix.astype(np.float32) for matrix in weights]


@pytest.mark.parametrize(
    ("grid", "search", "scheme"),
    [
        (INT8, ScaleSearch.ABSMAX, ActivationScheme()),
        (DINT4, ScaleSearch.MSE, ActivationScheme()),
        (DINT4, ScaleSearch.ABSMAX, ActivationScheme(symmetric=False)),
        (INT8, ScaleSearch.MSE, ActivationScheme(dynamic=True)),
        (INT8, ScaleSearch.ABSMAX, ActivationScheme(method=Calibration.PERCENTILE)),
    ],
)
def test_aqas_is_never_worse_than_no_scaling_on_all_of_16384_inputs(grid, search, scheme):
    recipe = Recipe(grid=grid, search=search, activations=scheme, scaling=Method.AQAS)
    outliers, weights = rare_outliers()
    # Where channels are equal but for rare outliers, scaling has little to gain.
    equal = np.sign(outliers) * np.where(np.abs(outliers) > 12, np.float32(30), np.float32(1))
    for inputs in (outliers, equal):
        scale = recipe.find_scale(inputs, weights)
        scaled, unscaled = recipe.errors(inputs, weights, [scale, None])
        assert scaled <= unscaled


def test_outputs_of_all_inputs_are_never_in_memory_together():
    rng = np.random.default_rng(7)
    inputs = rng.standard_normal((16_384, 16)).astype(np.float32)
    weights = [rng.standard_normal((512, 16)).astype(np.float32)]
    tracemalloc.start()
    Recipe(scaling=Method.AQAS).find_scale(inputs, weights)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.5 * (inputs @ weights[0].T).nbytes


def test_errors_of_scales_are_those_of_the_quantized_layers():
    inputs, weights = rare_outliers()
    recipe = Recipe(grid=INT4, outlier=20.0, search=ScaleSearch.MSE)
    scale = np.exp(np.random.default_rng(4).standard_normal(16))
    expected = 0.0
    for matrix in weights:
        (layer,) = recipe.quantize_linears([FloatLinear(matrix)], inputs, scale)
        exact = inputs.astype(float) @ matrix.T.astype(float)
        expected += np.sum((layer(inputs) - exact) ** 2) / np.sum(exact**2)
    assert recipe.errors(inputs, weights, [scale]) == pytest.approx(expected, rel=1e-3)


def causal_model_with_outliers():
    """A LLaMA with channels that are 20 to 35 times as large as others, made up for in weights."""
    sizes = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    config = LlamaConfig.from_dict(SIZES | sizes | {"max_position_embeddings": 256})
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in config.tensor_shapes().items():
        spread = 1 if "embed" in name else 1 / np.sqrt(shape[-1])
        values = np.ones(shape) if "norm" in name else spread * rng.standard_normal(shape)
        tensors[name] = values.astype(np.float32)
    qkv = [f"self_attn.{name}_proj" for name in "qkv"]
    for source, factors, readers in (
        ("input_layernorm", {3: 20, 17: 35}, qkv),
        ("post_attention_layernorm", {3: 20, 17: 35}, ["mlp.gate_proj", "mlp.up_proj"]),
        ("mlp.up_proj", {5: 30, 20: 30}, ["mlp.down_proj"]),
    ):
        for channel, factor in factors.items():
            tensors[f"model.layers.0.{source}.weight"][channel] *= factor
            for reader in readers:
                tensors[f"model.layers.0.{reader}.weight"][:, channel] /= factor
    return Llama(config, tensors)


@pytest.mark.slow
def test_aqas_is_better_than_smoothquant_on_a_causal_model_with_activation_outliers():
    decoder, rng = causal_model_with_outliers(), np.random.default_rng(1)
    calibration, held_out = ([rng.integers(0, 60, 256) for _ in range(n)] for n in (64, 4))

    def errors(method):
        recipe = Recipe(grid=INT8, scaling=method)
        (layer,) = quantize_layers(decoder, recipe, calibration, fold=False)
        for sequences in (calibration, held_out):
            found = layer_errors(decoder, layer.linears, sequences)
            yield [sum(found[n].total for n in group) for group in decoder.linear_groups(0)]

    none, smoothquant, aqas = (
        np.array(list(errors(method))) for method in (Method.NONE, Method.SMOOTHQUANT, Method.AQAS)
    )
    assert (aqas[0] <= none[0]).all()
    assert (aqas.sum(axis=1) < 0.8 * smoothquant.sum(axis=1)).all()
    assert (smoothquant.sum(axis=1) < 0.1 * none.sum(axis=1)).all()
