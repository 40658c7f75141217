"""Multiple-choice questions, answered by the likelihood of each choice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from dintmac.golden.checks import check_int
from dintmac.golden.evaluate import log_softmax
from dintmac.golden.models.transformer import CausalModel, Floats, Tokens, Transformer


@dataclass(frozen=True)
class Question:
    """A prompt with the texts that may follow it, and the number of the right one.

    Parameters
    ----------
    prompt : str
    choices : tuple of str
    answer : int
    ending : str
        What follows every choice; if there is any, its likelihood decides, not that of the choice.
    header : str
        What comes before the first solved question.
    """

    prompt: str
    choices: tuple[str, ...]
    answer: int
    ending: str = ""
    header: str = ""

    def text(self, choice: str) -> str:
        """The prompt with a choice, after a space, and the ending."""
        return f"{self.prompt} {choice}".lstrip() + self.ending

    def scored(self, choice: str) -> str:
        """The part of the text whose likelihood counts."""
        return self.ending or choice


def read_questions(path: Path) -> list[Question]:
    """Questions in a JSONL file, one a line, in the form of one of the common tasks.

    - MMLU: ``subject``, ``question``, ``choices`` (a list), ``answer`` (a number); the choices are
      listed with letters, and a letter is the answer; without a subject the choices themselves are
    - ARC, OpenBookQA: ``question`` or ``question_stem``, ``choices`` (``text`` and ``label``, two
      lists), ``answerKey``
    - HellaSwag: ``ctx``, ``endings``, ``label``
    - PIQA: ``goal``, ``sol1``, ``sol2``, ``label``
    - BoolQ: ``passage``, ``question``, ``answer`` (true or false)
    - WinoGrande: ``sentence`` with a ``_``, ``option1``, ``option2``, ``answer`` ("1" or "2"); the
      rest of the sentence is scored after either option

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no questions, or a line is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"questions must be a JSONL file, not {path}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"questions must be in UTF-8: {path}") from error
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
    if "sentence" in item:
        before, after = str(item["sentence"]).split("_")
        options = (str(item["option1"]), str(item["option2"]))
        return Question(before.rstrip(), options, int(item["answer"]) - 1, ending=after)
    choices, answer = tuple(map(str, item["choices"])), item["answer"]
    if "subject" in item:
        return _lettered(str(item["question"]), choices, answer, str(item["subject"]))
    return Question(_asked(item["question"]), choices, answer)


def _lettered(question: str, choices: Sequence[str], answer: int, subject: str) -> Question:
    """A question of MMLU in its usual form."""
    letters = tuple(ascii_uppercase[: len(choices)])
    listed = [f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True)]
    header = (
        "The following are multiple choice questions (with answers) about "
        f"{subject.replace('_', ' ')}.\n\n"
    )
    prompt = "\n".join([question.strip(), *listed, "Answer:"])
    return Question(prompt, letters, answer, header=header)


def _asked(text: object) -> str:
    return f"Question: {text}\nAnswer:"


class Questions:
    """Questions of one file: the accuracy of choices by log-likelihood.

    Each choice is appended to the prompt after a space, and the prompt to so many solved ones, the
    first of the others. What does not fit into the model is cut off in front. The likeliest choice
    is taken, and the likeliest per character, as is usual where choices differ in length.

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
            solved = "".join(f"{q.text(q.choices[q.answer])}\n\n" for q in others)
            for choice in question.choices:
                text = question.header + solved + question.text(choice)
                given = text.removesuffix(question.scored(choice)).rstrip()
                whole, length = tokenize(text), len(tokenize(given))
                self._counts.append(min(max(len(whole) - length, 1), positions - 1))
                self._sequences.append(whole[-positions:])

    @property
    def sequences(self) -> Sequence[Tokens]:
        """A sequence for each choice of each question."""
        return self._sequences

    def scores(
        self, model: Transformer, states: Sequence[Floats], exact: Sequence[Floats]
    ) -> dict[str, float]:
        """``accuracy`` and ``accuracy_per_character``, 0 to 1."""
        assert isinstance(model, CausalModel)
        likelihoods = [
            self._likelihood(model, number, found) for number, found in enumerate(states)
        ]
        ends = np.cumsum([0, *(len(question.choices) for question in self._questions)])
        right = np.zeros(2)
        for question, (begin, end) in zip(self._questions, pairwise(ends), strict=True):
            found = np.array(likelihoods[begin:end])
            lengths = np.array([max(len(question.scored(c)), 1) for c in question.choices])
            taken = np.array([found.argmax(), (found / lengths).argmax()])
            right += taken == question.answer
        plain, per_character = (right / len(self._questions)).tolist()
        return {"accuracy": plain, "accuracy_per_character": per_character}

    def _likelihood(self, model: CausalModel, number: int, states: Floats) -> float:
        """Log-likelihood of a choice after its prompt."""
        count = self._counts[number]
        rows = log_softmax(model.logits(states[-count - 1 : -1]))
        tokens = self._sequences[number][-len(rows) :]
        return float(rows[np.arange(len(rows)), tokens].sum(dtype=np.float64))
