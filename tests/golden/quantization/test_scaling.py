"""Scaling of channels: the families by hand, the search by brute force, and its purpose."""

import numpy as np
import pytest

from dintmac.golden.formats import DINT4
from dintmac.golden.quantization import scaling as module
from dintmac.golden.quantization.activations import ActivationScheme
from dintmac.golden.quantization.scaling import Family, rank_scales, smoothquant_scale
from dintmac.golden.quantization.weights import quantize_weights

SCHEME = ActivationScheme()


def fake(weights):
    return quantize_weights(weights, DINT4, signed_scale=True).dequantize()


def layer(seed=0, tokens=300, depth=48):
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.standard_normal(depth) / 2)
    inputs = (rng.standard_normal((tokens, depth)) * spread).astype(np.float32)
    weights = [rng.standard_t(5, (n, depth)).astype(np.float32) for n in (24, 40)]
    return inputs, weights


def with_outliers(inputs, weights):
    """The same function, with three channels of inputs 20 times as large."""
    factors = np.ones(inputs.shape[1], dtype=np.float32)
    factors[[3, 17, 30]] = 20
    return inputs * factors, [matrix / factors for matrix in weights]


def loss(inputs, weights, scale, scheme=SCHEME, seen=None):
    """Error of the outputs by its definition; ``seen`` are the inputs that ranges are those of."""
    scaled, seen = (
        (x / scale).astype(np.float32) for x in (inputs, inputs if seen is None else seen)
    )
    total = 0.0
    if scheme is not None:
        quantizer = scheme.fit(seen)(scaled)
        scaled = quantizer.dequantize(quantizer.quantize(scaled))
    for matrix in weights:
        exact = inputs.astype(float) @ matrix.T.astype(float)
        total += np.sum((scaled @ fake(matrix * scale).T - exact) ** 2) / np.sum(exact**2)
    return total


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_smoothquant_is_its_formula_up_to_a_factor(alpha):
    inputs, weights = layer()
    scale = smoothquant_scale(inputs, weights, alpha)
    largest = np.maximum(*(np.abs(matrix).max(axis=0) for matrix in weights))
    expected = np.abs(inputs).max(axis=0) ** alpha / largest ** (1 - alpha)
    np.testing.assert_allclose(scale, expected / np.exp(np.log(expected).mean()), rtol=1e-5)


def test_a_channel_without_inputs_or_weights_is_left_alone():
    inputs, weights = layer()
    inputs[:, 5] = 0
    for matrix in weights:
        matrix[:, 5] = 0
    assert smoothquant_scale(inputs, weights)[5] == 1
    ranked = rank_scales(np.zeros_like(inputs), weights, fake, SCHEME)
    assert all((scale == 1).all() for scale in ranked if scale[0] == 1)
    assert any((scale == 1).all() for scale in ranked)


@pytest.mark.parametrize("families", [[Family.SMOOTH], [Family.MEAN], list(Family)])
@pytest.mark.parametrize("scheme", [None, SCHEME, ActivationScheme(dynamic=True)])
def test_candidates_are_ranked_by_the_error_of_the_outputs(monkeypatch, families, scheme):
    monkeypatch.setattr(module, "ALPHAS", np.array([0.0, 0.5, 1.0]))
    monkeypatch.setattr(module, "ALPHAS_OF_TWO", np.array([0.25, 0.75]))
    inputs, weights = layer(1)
    ranked = rank_scales(inputs, weights, fake, scheme, families)
    largest = np.abs(inputs).max(axis=0), np.abs(np.concatenate(weights)).max(axis=0)
    mean = np.abs(inputs).mean(axis=0)
    pairs = []
    if Family.SMOOTH in families:
        pairs += [(largest[0], a, 1 - a) for a in (0, 0.5, 1)]
    if Family.MEAN in families:
        pairs += [(mean, a, 0) for a in (0, 0.5, 1)]
    if Family.TWO_EXPONENTS in families:
        pairs += [(largest[0], a, b) for a in (0.25, 0.75) for b in (0.25, 0.75)]
    expected = sorted(loss(inputs, weights, a**p / largest[1] ** q, scheme) for a, p, q in pairs)
    found = [loss(inputs, weights, scale, scheme) for scale in ranked]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_ranges_and_maxima_are_those_of_all_inputs():
    rng = np.random.default_rng(2)
    inputs, weights = layer(2, tokens=5000)
    # Rows that are no part of the ranking reach much further, each in a channel of its own.
    chosen = module._spaced(len(inputs), module.RANKING_ROWS)
    rows = rng.choice(np.setdiff1d(np.arange(len(inputs)), chosen), inputs.shape[1], replace=False)
    inputs[rows, np.arange(inputs.shape[1])] *= 1 + 20 * rng.random(inputs.shape[1])
    ranked = rank_scales(inputs, weights, fake, SCHEME, [Family.SMOOTH])
    few = inputs[chosen]
    for scale, alpha in ((smoothquant_scale(inputs, weights, a), a) for a in module.ALPHAS):
        assert any(np.allclose(scale, other) for other in ranked), alpha
    losses = [loss(few, weights, scale, seen=inputs) for scale in ranked]
    np.testing.assert_allclose(losses, sorted(losses), rtol=1e-3)


def test_injected_outlier_channels_are_scaled_away():
    inputs, weights = with_outliers(*layer())
    best, *_ = rank_scales(inputs, weights, fake, SCHEME)
    error = loss(inputs, weights, best)
    assert error <= 0.3 * loss(inputs, weights, np.ones(48))
    assert error < loss(inputs, weights, smoothquant_scale(inputs, weights))
    # The channels that were made larger are the ones that are made smaller again.
    assert set(np.argsort(best)[-3:]) == {3, 17, 30}


def test_the_joint_loss_is_what_matters():
    inputs, weights = with_outliers(*layer())
    (joint, *_), (weights_only, *_) = (
        rank_scales(inputs, weights, fake, scheme) for scheme in (SCHEME, None)
    )
    assert loss(inputs, weights, joint) < loss(inputs, weights, weights_only)


X, W = layer()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: smoothquant_scale(X, W, 1.5), ValueError, "alpha must be 0 to 1, not 1.5"),
        (
            lambda: smoothquant_scale(X, [W[0][:, :5]]),
            ValueError,
            r"weights must have shape \(N, 48\), not \(24, 5\)",
        ),
        (lambda: smoothquant_scale(X[0], W), ValueError, "inputs must have 2 axes"),
        (lambda: smoothquant_scale(X * np.nan, W), ValueError, "inputs must be finite"),
        (
            lambda: rank_scales(X[:0], W, fake, SCHEME),
            ValueError,
            "scaling must see at least one input and one layer",
        ),
        (
            lambda: rank_scales(X, W, fake, SCHEME, ["smooth"]),
            TypeError,
            "family must be of type Family, not 'smooth'",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
