"""Multiple choice against its definition, on a model whose probabilities are known."""

import json

import numpy as np
import pytest

from dintmac.golden.evaluate import measure
from dintmac.golden.models.llama import Llama, LlamaConfig
from dintmac.golden.questions import Question, Questions, read_questions

CONFIG = LlamaConfig(12, 8, 12, 1, 2, 10, 2, 4)
RNG = np.random.default_rng(0)
MODEL = Llama(
    CONFIG,
    {n: RNG.standard_normal(s).astype(np.float32) for n, s in CONFIG.tensor_shapes().items()},
)


def log_probabilities(tokens):
    logits = MODEL.logits(MODEL.forward(tokens)).astype(float)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def by_letters(text):
    return np.array([ord(c) % 12 for c in text], dtype=np.int64)


def accuracy(questions, shots=0):
    measured = Questions(questions, by_letters, positions=10, shots=shots)
    return measure(MODEL, MODEL, measured)


@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize("score", ["accuracy", "accuracy_per_character"])
def test_takes_the_likeliest_answer(shots, score):
    questions = [Question("a b:", ("x", "yz", "w"), i % 3) for i in range(6)]

    def likeliest(number):
        question = questions[number]
        shot = questions[1 if number == 0 else 0]
        solved = f"a b: {shot.choices[shot.answer]}\n\n" if shots else ""
        scores = []
        for choice in question.choices:
            whole = by_letters(f"{solved}a b: {choice}")[-10:]
            found, count = log_probabilities(whole), len(choice) + 1
            rows = range(len(whole) - count - 1, len(whole) - 1)
            length = 1 if score == "accuracy" else len(choice)
            scores.append(sum(found[r, whole[r + 1]] for r in rows) / length)
        return int(np.argmax(scores))

    expected = np.mean([likeliest(i) == q.answer for i, q in enumerate(questions)])
    assert accuracy(questions, shots)[score] == expected


def test_an_ending_is_what_is_scored():
    question = Question("a", ("x", "yz"), 0, ending=" b")

    def likelihood(choice):
        whole = by_letters(f"a {choice} b")
        found = log_probabilities(whole)
        return sum(found[r, whole[r + 1]] for r in (-3, -2))

    expected = float(likelihood("x") > likelihood("yz"))
    assert accuracy([question]) == {"accuracy": expected, "accuracy_per_character": expected}


def test_a_header_comes_before_the_solved_questions():
    asked, header = [], "About sums.\n\n"
    questions = [Question(f"{i} + 1?", ("a",), 0, header=header) for i in range(2)]

    def tokenize(text):
        asked.append(text)
        return by_letters(text)

    Questions(questions, tokenize, positions=10, shots=1)
    assert f"{header}1 + 1? a\n\n0 + 1? a" in asked
    assert f"{header}1 + 1? a\n\n0 + 1?" in asked


def test_a_choice_longer_than_the_model_is_cut_off_in_front():
    assert accuracy([Question("a", ("x" * 20, "y"), 1)])["accuracy"] in (0.0, 1.0)


HEADER = "The following are multiple choice questions (with answers) about high school.\n\n"
ASKED = "Question: 2 + 2?\nAnswer:"


@pytest.mark.parametrize(
    ("item", "question"),
    [
        (
            {"question": "2 + 2?", "choices": ["3", "4"], "answer": 1},
            Question(ASKED, ("3", "4"), 1),
        ),
        (
            {"subject": "high_school", "question": "2 + 2?", "choices": ["3", "4"], "answer": 1},
            Question("2 + 2?\nA. 3\nB. 4\nAnswer:", ("A", "B"), 1, header=HEADER),
        ),
        (
            {"sentence": "The _ runs.", "option1": "cat", "option2": "tree", "answer": "1"},
            Question("The", ("cat", "tree"), 0, ending=" runs."),
        ),
        (
            {"sentence": "_ runs.", "option1": "Tim", "option2": "Tom", "answer": "2"},
            Question("", ("Tim", "Tom"), 1, ending=" runs."),
        ),
        (
            {
                "question": "2 + 2?",
                "choices": {"text": ["3", "4"], "label": ["A", "B"]},
                "answerKey": "B",
            },
            Question(ASKED, ("3", "4"), 1),
        ),
        (
            {
                "question_stem": "2 + 2?",
                "choices": {"text": ["4"], "label": ["A"]},
                "answerKey": "A",
            },
            Question(ASKED, ("4",), 0),
        ),
        ({"ctx": "He", "endings": ["runs", "is"], "label": "1"}, Question("He", ("runs", "is"), 1)),
        (
            {"goal": "2 + 2?", "sol1": "3", "sol2": "4", "label": 1},
            Question(ASKED, ("3", "4"), 1),
        ),
        (
            {"passage": "Sums.", "question": "2 + 2?", "answer": True},
            Question(f"Sums.\n{ASKED}", ("no", "yes"), 1),
        ),
    ],
    ids=[
        "plain",
        "mmlu",
        "winogrande",
        "blank first",
        "arc",
        "openbookqa",
        "hellaswag",
        "piqa",
        "boolq",
    ],
)
def test_reads_questions_in_the_form_of_the_common_tasks(tmp_path, item, question):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(item) + "\n\n")
    assert read_questions(path) == [question]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n", "q.jsonl must have at least one question"),
        ("{", "q.jsonl, line 1 must have question, choices and answer: "),
        (
            '{"sentence": "?", "option1": "a", "option2": "b", "answer": "1"}',
            "q.jsonl, line 1 must have question, choices and answer: ",
        ),
        ("[]", "q.jsonl, line 1 must have question, choices and answer: "),
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
    with pytest.raises(ValueError, match="shots must be 0 to 0, not 1"):
        accuracy([Question("?", ("a",), 0)], shots=1)
    with pytest.raises(FileNotFoundError, match=r"questions must be a JSONL file, not "):
        read_questions(tmp_path / "absent")
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"questions must be in UTF-8: .*latin"):
        read_questions(tmp_path / "latin")
