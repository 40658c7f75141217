"""Scores of causal models against their definitions, on a model whose probabilities are known."""

import json

import numpy as np
import pytest

from dintmac.golden.evaluate import (
    Question,
    log_softmax,
    multiple_choice,
    read_questions,
    score_text,
)
from dintmac.golden.models.llama import Llama, LlamaConfig

CONFIG = LlamaConfig(12, 8, 12, 1, 2, 10, 2, 4)
RNG = np.random.default_rng(0)
MODEL = Llama(
    CONFIG,
    {n: RNG.standard_normal(s).astype(np.float32) for n, s in CONFIG.tensor_shapes().items()},
)
OTHER = MODEL.replaced(tensors={"lm_head.weight": RNG.standard_normal((12, 8)).astype(np.float32)})
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
    score = score_text(MODEL, TEXT, context=context, stride=stride)
    assert score.tokens == len(losses)
    assert score.perplexity == pytest.approx(np.exp(np.mean(list(losses.values()))), rel=1e-4)
    # Windows that overlap score every token but the first of the text.
    assert stride == context or score.tokens == 32


def test_divergence_is_that_of_the_distributions():
    tokens = TEXT[:10]
    exact, found = log_probabilities(MODEL, tokens)[:-1], log_probabilities(OTHER, tokens)[:-1]
    expected = np.mean(np.sum(np.exp(exact) * (exact - found), axis=1))
    score = score_text(OTHER, tokens, context=10, reference=MODEL)
    assert score.divergence == pytest.approx(expected, rel=1e-4)
    assert score_text(MODEL, tokens, context=10, reference=MODEL).divergence == 0


def test_log_softmax_bears_large_scores():
    assert log_softmax(np.array([[1e4, -1e4]], dtype=np.float32)).tolist() == [[0.0, -2e4]]


def by_letters(text):
    return np.array([ord(c) % 12 for c in text], dtype=np.int64)


@pytest.mark.parametrize("shots", [0, 1])
def test_multiple_choice_takes_the_likeliest_answer_per_character(shots):
    questions = [Question("a b", ("x", "yz", "w"), i % 3) for i in range(6)]

    def likeliest(number):
        question = questions[number]
        shot = questions[1 if number == 0 else 0]
        solved = f"Question: a b\nAnswer: {shot.choices[shot.answer]}\n\n" if shots else ""
        scores = []
        for choice in question.choices:
            whole = by_letters(f"{solved}Question: a b\nAnswer: {choice}")[-10:]
            found, count = log_probabilities(MODEL, whole), len(choice) + 1
            rows = range(len(whole) - count - 1, len(whole) - 1)
            scores.append(sum(found[r, whole[r + 1]] for r in rows) / len(choice))
        return int(np.argmax(scores))

    expected = np.mean([likeliest(i) == q.answer for i, q in enumerate(questions)])
    assert multiple_choice(MODEL, by_letters, questions, shots=shots) == expected


def test_reads_questions_of_a_file(tmp_path):
    path = tmp_path / "q.jsonl"
    item = {"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}
    path.write_text(json.dumps(item) + "\n\n")
    assert read_questions(path) == [Question("2 + 2?", ("3", "4"), 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n", "q.jsonl must have at least one question"),
        ("{", "q.jsonl, line 1 must have question, choices and answer: "),
        ('{"question": "?"}', "q.jsonl, line 1 must have question, choices and answer: 'choices'"),
        (
            '{"question": "?", "choices": ["a"], "answer": 1}',
            "answer in .*line 1 must be 0 to 0, not 1",
        ),
    ],
)
def test_says_what_is_wrong_with_questions(tmp_path, content, message):
    (tmp_path / "q.jsonl").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_questions(tmp_path / "q.jsonl")


def test_refuses_bad_input_with_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="text must have at least two tokens, not 1"):
        score_text(MODEL, TEXT[:1], context=10)
    with pytest.raises(ValueError, match="context must be 2 to 10, not 11"):
        score_text(MODEL, TEXT, context=11)
    with pytest.raises(ValueError, match="stride must be 1 to 10, not 0"):
        score_text(MODEL, TEXT, context=10, stride=0)
    with pytest.raises(ValueError, match="shots must be 0 to 0, not 1"):
        multiple_choice(MODEL, by_letters, [Question("?", ("a",), 0)], shots=1)
    with pytest.raises(FileNotFoundError, match=r"questions must be a JSONL file, not "):
        read_questions(tmp_path / "absent")
