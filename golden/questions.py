"""Multiple-choice questions, answered by the likelihood of each choice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dintmac.golden.checks import check_int
from dintmac.golden.evaluate import log_softmax
from dintmac.golden.models.transformer import CausalModel, Floats, Tokens, Transformer


@dataclass(frozen=True)
class Question:
    """A prompt with the texts that may follow it, and the number of the right one."""

    prompt: str
    choices: tuple[str, ...]
    answer: int


def read_questions(path: Path) -> list[Question]:
    """Questions in a JSONL file, one a line, in the form of one of the common tasks.

    - MMLU: ``question``, ``choices`` (a list), ``answer`` (a number)
    - ARC, OpenBookQA: ``question`` or ``question_stem``, ``choices`` (``text`` and ``label``, two
      lists), ``answerKey``
    - HellaSwag: ``ctx``, ``endings``, ``label``
    - PIQA: ``goal``, ``sol1``, ``sol2``, ``label``
    - BoolQ: ``passage``, ``question``, ``answer`` (true or false)

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no questions, or a line is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"questions must be a JSONL file, not {path}")
    lines = path.read_text(encoding="utf-8").splitlines()
    questions = [
        _read(f"{path}, line {i}", line) for i, line in enumerate(lines, 1) if line.strip()
    ]
    if not questions:
        raise ValueError(f"{path} must have at least one question")
    return questions


def _read(where: str, line: str) -> Question:
    try:
        found = _question(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{where} must have question, choices and answer: {error}") from error
    check_int(f"answer in {where}", found.answer, 0, len(found.choices) - 1)
    return found


def _question(item: Mapping[str, Any]) -> Question:
    """A question in the form of the task that its keys are of."""
    if "endings" in item:
        return Question(str(item["ctx"]), tuple(map(str, item["endings"])), int(item["label"]))
    if "goal" in item:
        solutions = (str(item["sol1"]), str(item["sol2"]))
        return Question(_asked(item["goal"]), solutions, int(item["label"]))
    if "passage" in item:
        asked = f"{item['passage']}\n{_asked(item['question'])}"
        return Question(asked, ("no", "yes"), int(item["answer"]))
    if "answerKey" in item:
        text, choices = item.get("question", item.get("question_stem")), item["choices"]
        answer = list(choices["label"]).index(item["answerKey"])
        return Question(_asked(text), tuple(map(str, choices["text"])), answer)
    return Question(_asked(item["question"]), tuple(map(str, item["choices"])), item["answer"])


def _asked(text: object) -> str:
    return f"Question: {text}\nAnswer:"


class Questions:
    """Questions of one file: the ``accuracy`` of choices by log-likelihood per character.

    Each choice is appended to the prompt after a space, and the prompt to so many solved ones, the
    first of the others. What does not fit into the model is cut off in front.

    Parameters
    ----------
    questions : sequence of Question
    tokenize : callable
        From text to int64 tokens, not truncated.
    positions : int
        Greatest length of a sequence.
    shots : int
        Solved questions before each one, 0 up to all others.

    Raises
    ------
    ValueError
        If ``shots`` is out of range.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        tokenize: Callable[[str], Tokens],
        *,
        positions: int,
        shots: int = 0,
    ) -> None:
        check_int("shots", shots, 0, len(questions) - 1)
        self._questions = questions
        self._sequences: list[Tokens] = []
        #: Tokens of each choice, at the end of its sequence.
        self._counts: list[int] = []
        for number, question in enumerate(questions):
            others = [*questions[:number], *questions[number + 1 :]][:shots]
            prompt = "".join(f"{q.prompt} {q.choices[q.answer]}\n\n" for q in others)
            prompt += question.prompt
            length = len(tokenize(prompt))
            for choice in question.choices:
                whole = tokenize(f"{prompt} {choice}")
                self._counts.append(min(max(len(whole) - length, 1), positions - 1))
                self._sequences.append(whole[-positions:])

    @property
    def sequences(self) -> Sequence[Tokens]:
        """A sequence for each choice of each question."""
        return self._sequences

    def scores(
        self, model: Transformer, states: Sequence[Floats], exact: Sequence[Floats]
    ) -> dict[str, float]:
        """``accuracy``, 0 to 1."""
        assert isinstance(model, CausalModel)
        likelihoods = [
            self._likelihood(model, number, found) for number, found in enumerate(states)
        ]
        ends = np.cumsum([0, *(len(question.choices) for question in self._questions)])
        right = 0
        for question, (begin, end) in zip(self._questions, pairwise(ends), strict=True):
            lengths = np.maximum([len(choice) for choice in question.choices], 1)
            right += int(np.argmax(likelihoods[begin:end] / lengths)) == question.answer
        return {"accuracy": right / len(self._questions)}

    def _likelihood(self, model: CausalModel, number: int, states: Floats) -> float:
        """Log-likelihood of a choice after its prompt."""
        count = self._counts[number]
        rows = log_softmax(model.logits(states[-count - 1 : -1]))
        tokens = self._sequences[number][-len(rows) :]
        return float(rows[np.arange(len(rows)), tokens].sum(dtype=np.float64))
