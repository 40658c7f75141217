"""Calibration at the length of the task."""

import numpy as np
import pytest

from dintmac.golden.models.llama import Llama, LlamaConfig
from dintmac.golden.quantization.slac import (
    ActivationRange,
    activation_ranges,
    calibration_batch,
    growth,
)

CONFIG = LlamaConfig(12, 8, 12, 1, 2, 32, 2, 4)
RNG = np.random.default_rng(0)
MODEL = Llama(
    CONFIG,
    {n: RNG.standard_normal(s).astype(np.float32) for n, s in CONFIG.tensor_shapes().items()},
)
TEXT = RNG.integers(0, 12, 100)


def test_windows_have_the_length_of_the_task_and_come_from_the_text():
    batch = calibration_batch(np.arange(100), 7, 50, np.random.default_rng(1))
    assert len(batch) == 50
    for window in batch:
        assert window.tolist() == list(range(window[0], window[0] + 7))
    assert len({int(window[0]) for window in batch}) > 20
    assert calibration_batch(np.arange(7), 7, 1, RNG)[0].tolist() == list(range(7))


def test_ranges_are_those_of_the_inputs_of_each_layer():
    ranges = activation_ranges(MODEL, TEXT, [4, 16], np.random.default_rng(2), budget=32)
    assert [r.length for r in ranges] == [4] * 7 + [16] * 7
    windows = calibration_batch(TEXT, 4, 8, np.random.default_rng(2))
    seen = {}
    for window in windows:
        MODEL.forward(window, observe=lambda n, x: seen.setdefault(n, []).append(x))
    for found in ranges[:7]:
        inputs = seen[found.layer]
        assert found.maximum == pytest.approx(max(np.abs(x).max() for x in inputs))
        assert found.mean_maximum == pytest.approx(np.mean([np.abs(x).max() for x in inputs]))
        assert found.rms == pytest.approx(np.sqrt(np.mean(np.square(inputs))), rel=1e-5)


def test_growth_is_the_median_ratio_of_the_ranges():
    ranges = [
        ActivationRange(layer, length, float(maximum), 0.0, 0.0)
        for layer, maxima in {"a": (1, 5, 2), "b": (2, 9, 6), "c": (1, 1, 1)}.items()
        for length, maximum in zip((8, 16, 32), maxima, strict=True)
    ]
    assert growth(ranges) == 2


def test_refuses_bad_input_with_one_sentence():
    with pytest.raises(ValueError, match="length of the windows must be 1 to 100, not 101"):
        calibration_batch(TEXT, 101, 1, RNG)
    with pytest.raises(ValueError, match="count of windows must be 1 to"):
        calibration_batch(TEXT, 10, 0, RNG)
