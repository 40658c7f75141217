"""Scores of causal models against their definitions, on a model whose probabilities are known."""

import numpy as np
import pytest

from dintmac.golden.evaluation import metrics
from dintmac.golden.evaluation.metrics import Embeddings, Text, cosines, log_softmax, measure
from dintmac.golden.models.llama import Llama, LlamaConfig

CONFIG = LlamaConfig(12, 8, 12, 1, 2, 10, 2, 4)
RNG = np.random.default_rng(0)
MODEL = Llama(
    CONFIG,
    {n: RNG.standard_normal(s).astype(np.float32) for n, s in CONFIG.tensor_shapes().items()},
)
DOWN = "model.layers.0.mlp.down_proj.weight"
OTHER = MODEL.replaced(tensors={DOWN: RNG.standard_normal((8, 12)).astype(np.float32)})
TEXT = RNG.integers(0, 12, 33)


def log_probabilities(model, tokens):
    logits = model.logits(model.forward(tokens)).astype(float)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize(("context", "stride"), [(10, 10), (10, 3), (7, 7), (10, 1), (2, 1)])
def test_perplexity_scores_each_token_once_with_what_its_window_has_before_it(context, stride):
    losses = {}
    for begin in range(0, 33, stride):
        window = TEXT[begin : begin + context]
        found = log_probabilities(MODEL, window)
        for i in range(1, len(window)):
            losses.setdefault(begin + i, -found[i - 1, window[i]])
    text = Text(TEXT, context=context, stride=stride)
    assert text.scored == len(losses)
    expected = np.exp(np.mean(list(losses.values())))
    assert measure(MODEL, MODEL, text)["perplexity"] == pytest.approx(expected, rel=1e-4)
    # Windows that overlap score every token but the first of the text.
    assert stride == context or text.scored == 32


def test_divergence_is_that_of_the_distributions():
    tokens = TEXT[:10]
    exact, found = log_probabilities(MODEL, tokens)[:-1], log_probabilities(OTHER, tokens)[:-1]
    expected = np.mean(np.sum(np.exp(exact) * (exact - found), axis=1))
    text = Text(tokens, context=10)
    assert measure(MODEL, OTHER, text)["divergence"] == pytest.approx(expected, rel=1e-4)
    assert measure(MODEL, MODEL, text)["divergence"] == 0


def test_few_logits_at_a_time_give_the_same_scores(monkeypatch):
    text = Text(TEXT, context=10, stride=3)
    whole = measure(MODEL, OTHER, text)
    monkeypatch.setattr(metrics, "LOGITS", 2)
    assert measure(MODEL, OTHER, text) == pytest.approx(whole, rel=1e-5)


def test_the_cosine_is_the_mean_of_all_sentences():
    sentences = [TEXT[:5], TEXT[5:15]]
    found = measure(MODEL, OTHER, Embeddings(sentences))["cosine"]
    assert found == pytest.approx(np.mean(cosines(MODEL, OTHER, sentences)))
    assert -1 < found < 1


def test_log_softmax_bears_large_scores():
    assert log_softmax(np.array([[1e4, -1e4]], dtype=np.float32)).tolist() == [[0.0, -2e4]]


def test_refuses_bad_input_with_one_sentence():
    with pytest.raises(ValueError, match="text must have at least two tokens, not 1"):
        Text(TEXT[:1], context=10)
    with pytest.raises(ValueError, match="context must be 2 to 2147483648, not 1"):
        Text(TEXT, context=1)
    with pytest.raises(ValueError, match="stride must be 1 to 10, not 0"):
        Text(TEXT, context=10, stride=0)
    with pytest.raises(ValueError, match="length of the sequence must be 1 to 10, not 11"):
        measure(MODEL, MODEL, Text(TEXT, context=11))
