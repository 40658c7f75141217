"""Scaling of channels: the families by hand, the search by brute force, and its purpose."""

import numpy as np
import pytest

from dintmac.golden import scaling as module
from dintmac.golden.calibration import ActivationScheme
from dintmac.golden.formats import DINT4
from dintmac.golden.quantize import quantize_weights
from dintmac.golden.scaling import Family, output_error, search_scale, smoothquant_scale

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


def loss(inputs, weights, scale, scheme=SCHEME):
    return output_error(inputs, weights, scale, fake, scheme)


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
    assert (search_scale(np.zeros_like(inputs), weights, fake, SCHEME).scale == 1).all()


def test_error_of_the_outputs_is_its_definition():
    inputs, weights = layer()
    scale = smoothquant_scale(inputs, weights)
    scaled = (inputs / scale).astype(np.float32)
    quantizer = SCHEME.fit(scaled)(scaled)
    expected = 0.0
    for matrix in weights:
        outputs = quantizer.dequantize(quantizer.quantize(scaled)) @ fake(matrix * scale).T
        exact = inputs.astype(float) @ matrix.T.astype(float)
        expected += np.sum((outputs - exact) ** 2) / np.sum(exact**2)
    assert loss(inputs, weights, scale) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("families", [[Family.SMOOTH], [Family.MEAN], list(Family)])
@pytest.mark.parametrize("scheme", [None, SCHEME, ActivationScheme(dynamic=True)])
def test_is_the_best_of_all_candidates_if_all_inputs_and_outputs_rank_them(
    monkeypatch, families, scheme
):
    monkeypatch.setattr(module, "RANKING_ROWS", 10**6)
    monkeypatch.setattr(module, "RANKING_OUTPUTS", 10**6)
    monkeypatch.setattr(module, "ALPHAS", np.array([0.0, 0.5, 1.0]))
    monkeypatch.setattr(module, "ALPHAS_OF_TWO", np.array([0.25, 0.75]))
    inputs, weights = layer(1)
    found = search_scale(inputs, weights, fake, scheme, families)
    largest = np.abs(inputs).max(axis=0), np.abs(np.concatenate(weights)).max(axis=0)
    mean = np.abs(inputs).mean(axis=0)
    pairs = []
    if Family.SMOOTH in families:
        pairs += [(largest[0], a, 1 - a) for a in (0, 0.5, 1)]
    if Family.MEAN in families:
        pairs += [(mean, a, 0) for a in (0, 0.5, 1)]
    if Family.TWO_EXPONENTS in families:
        pairs += [(largest[0], a, b) for a in (0.25, 0.75) for b in (0.25, 0.75)]
    losses = [loss(inputs, weights, a**p / largest[1] ** q, scheme) for a, p, q in pairs]
    identity = loss(inputs, weights, np.ones(48), scheme)
    assert found.loss == pytest.approx(min(*losses, identity), rel=1e-3)
    assert found.unscaled_loss == pytest.approx(identity)


@pytest.mark.parametrize("seed", range(5))
def test_is_never_worse_than_no_scaling(seed):
    inputs, weights = layer(seed)
    # Of equal channels none of the candidates is better by more than chance.
    inputs = np.sign(inputs)
    found = search_scale(inputs, weights, fake, SCHEME)
    assert found.loss <= found.unscaled_loss == loss(inputs, weights, np.ones(48))
    assert found.loss == loss(inputs, weights, found.scale)


def test_injected_outlier_channels_are_scaled_away():
    inputs, weights = with_outliers(*layer())
    found = search_scale(inputs, weights, fake, SCHEME)
    assert found.loss <= 0.3 * found.unscaled_loss
    assert found.loss < loss(inputs, weights, smoothquant_scale(inputs, weights))
    # The channels that were made larger are the ones that are made smaller again.
    assert set(np.argsort(found.scale)[-3:]) == {3, 17, 30}


def test_the_joint_loss_is_what_matters():
    inputs, weights = with_outliers(*layer())
    joint = search_scale(inputs, weights, fake, SCHEME)
    weights_only = search_scale(inputs, weights, fake, None)
    assert joint.loss < loss(inputs, weights, weights_only.scale)


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
            lambda: search_scale(X[:0], W, fake, SCHEME),
            ValueError,
            "scaling must see at least one input and one layer",
        ),
        (
            lambda: search_scale(X, W, fake, SCHEME, ["smooth"]),
            TypeError,
            "family must be of type Family, not 'smooth'",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
