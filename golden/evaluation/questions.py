"""Multiple-choice questions, answered by the likelihood of each choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from dintmac.golden.checks import check_int, check_member
from dintmac.golden.evaluation.metrics import log_softmax
from dintmac.golden.inputs import load_text, parse_object
from dintmac.golden.models.folder import Encoding
from dintmac.golden.models.transformer import CausalModel, Floats, Tokens, Transformer


@dataclass(frozen=True)
class Question:
    """A prompt with the texts that may follow it, and the number of the right one.

    Parameters
    ----------
    prompt : str
        It may be empty if there is an ending.
    choices : tuple of str
        None of them is blank.
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

    def __post_init__(self) -> None:
        if not self.choices or not all(choice.strip() for choice in self.choices):
            raise ValueError("choices must be texts that are not blank")
        check_int("answer", self.answer, 0, len(self.choices) - 1)
        if not (self.prompt.strip() or self.ending):
            raise ValueError("prompt must not be blank")

    def text(self, choice: str) -> str:
        """The prompt with a choice, after a space, and the ending."""
        return f"{self.prompt} {choice}".lstrip() + self.ending

    def scored(self, choice: str) -> str:
        """The part of the text whose likelihood counts."""
        return self.ending or choice


def read_questions(path: Path) -> list[Question]:
    """Questions in a JSONL file, one a line, in the form of one of the common tasks.

    Lines end at ``\\n`` alone: other line ends, such as U+2028, may be part of a text.

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
    lines = load_text("questions", path).split("\n")
    return [_read(f"{path}, line {i}", line) for i, line in enumerate(lines, 1) if line.strip()]


def _read(where: str, line: str) -> Question:
    try:
        return _question(parse_object(line))
    except KeyError as error:
        raise ValueError(f"{where} must be a question with a key {error}") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} must be a question: {error}") from error


def _question(item: Mapping[str, Any]) -> Question:
    """A question in the form of the task that its keys are of."""
    if "endings" in item:
        choices = _texts("endings", item["endings"])
        return Question(_text("ctx", item["ctx"]), choices, _number("label", item["label"]))
    if "goal" in item:
        solutions = tuple(_text(key, item[key]) for key in ("sol1", "sol2"))
        return Question(_asked("goal", item), solutions, _number("label", item["label"]))
    if "passage" in item:
        asked = f"{_text('passage', item['passage'])}\n{_asked('question', item)}"
        check_member("answer", item["answer"], bool)
        return Question(asked, ("no", "yes"), int(item["answer"]))
    if "answerKey" in item:
        asked = _asked("question" if "question" in item else "question_stem", item)
        return Question(asked, *_keyed(item["choices"], item["answerKey"]))
    if "sentence" in item:
        before, gap, ending = _text("sentence", item["sentence"]).partition("_")
        if not gap or "_" in ending:
            raise ValueError("sentence must have one _")
        options = tuple(_text(key, item[key]) for key in ("option1", "option2"))
        answer = _number("answer", item["answer"]) - 1
        return Question(before.rstrip(), options, answer, ending=ending.rstrip())
    choices, answer = _texts("choices", item["choices"]), _number("answer", item["answer"])
    if "subject" in item:
        subject = _text("subject", item["subject"])
        return _lettered(_text("question", item["question"]), choices, answer, subject)
    return Question(_asked("question", item), choices, answer)


def _keyed(choices: Mapping[str, Any], key: object) -> tuple[tuple[str, ...], int]:
    """Choices with labels, of which one is the key, and the number of the right one."""
    check_member("choices", choices, dict)
    texts, labels = _texts("text", choices["text"]), _texts("label", choices["label"])
    if len(texts) != len(labels):
        raise ValueError(f"label must have as many items as text, {len(texts)}, not {len(labels)}")
    right = _text("answerKey", key)
    if right not in labels:
        raise ValueError(f"answerKey must be one of {', '.join(labels)}, not {right!r}")
    return texts, labels.index(right)


def _lettered(question: str, choices: Sequence[str], answer: int, subject: str) -> Question:
    """A question of MMLU in its usual form."""
    check_int("number of choices", len(choices), 1, len(ascii_uppercase))
    letters = tuple(ascii_uppercase[: len(choices)])
    listed = [f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True)]
    header = (
        "The following are multiple choice questions (with answers) about "
        f"{subject.replace('_', ' ')}.\n\n"
    )
    prompt = "\n".join([question.strip(), *listed, "Answer:"])
    return Question(prompt, letters, answer, header=header)


def _asked(key: str, item: Mapping[str, Any]) -> str:
    return f"Question: {_text(key, item[key])}\nAnswer:"


def _text(key: str, value: object) -> str:
    """A text; a number stands for its digits."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{key} must be a text, not {value!r}")
    text = str(value)
    text.encode()  # Half a surrogate pair is no text, though JSON can hold one.
    return text


def _texts(key: str, value: object) -> tuple[str, ...]:
    """A list of texts."""
    check_member(key, value, list)
    assert isinstance(value, list)  # For the type checker: check_member has refused others.
    return tuple(_text(key, item) for item in value)


def _number(key: str, value: object) -> int:
    """A whole number, or its digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    check_int(key, value, 0, 1 << 31)
    assert isinstance(value, int)  # For the type checker: check_int has refused others.
    return value


class Questions:
    """Questions of one file: the accuracy of choices by log-likelihood.

    Each choice is appended to the prompt after a space, and the prompt to so many solved ones, the
    first of the others. What does not fit into the model is cut off in front. The likeliest choice
    is taken, and the likeliest per character, as is usual where choices differ in length.

    A token counts that begins after the prompt, such as the space before a choice, or holds
    characters of the choice, perhaps with the end of the prompt. Special tokens that the tokenizer
    adds do not count.

    Parameters
    ----------
    questions : sequence of Question
    tokenize : callable
        From text to its tokens, not truncated.
    positions : int
        Greatest length of a sequence, at least 2.
    shots : int
        Solved questions before each one, 0 up to all others.

    Raises
    ------
    ValueError
        If ``positions`` or ``shots`` is out of range, or a choice has no token but the first.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        tokenize: Callable[[str], Encoding],
        *,
        positions: int,
        shots: int = 0,
    ) -> None:
        check_int("positions", positions, 2, 1 << 31)
        check_int("shots", shots, 0, len(questions) - 1)
        self._questions = questions
        self._sequences: list[Tokens] = []
        self._begins: list[int] = []
        for number, question in enumerate(questions):
            others = [*questions[:number], *questions[number + 1 :]][:shots]
            solved = "".join(f"{q.text(q.choices[q.answer])}\n\n" for q in others)
            for choice in question.choices:
                text = question.header + solved + question.text(choice)
                found = tokenize(text).without_suffix()
                begin = _first_scored(text, question.scored(choice), found)
                cut = max(len(found.tokens) - positions, 0)
                self._sequences.append(found.tokens[cut:])
                self._begins.append(max(begin - cut, 1))

    @property
    def sequences(self) -> Sequence[Tokens]:
        """A sequence for each choice of each question."""
        return self._sequences

    @property
    def begins(self) -> Sequence[int]:
        """Of each sequence the number of the first token that is scored; all after it are."""
        return self._begins

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
        begin, tokens = self._begins[number], self._sequences[number]
        rows = log_softmax(model.logits(states[begin - 1 : -1]))
        return float(rows[np.arange(len(rows)), tokens[begin:]].sum(dtype=np.float64))


def _first_scored(text: str, scored: str, encoding: Encoding) -> int:
    """Number of the first token that counts of a text that ends with what is scored."""
    prompt = len(text.removesuffix(scored).rstrip())
    choice = len(text) - len(scored.lstrip())
    begins, ends = encoding.spans.T
    found = np.flatnonzero((begins >= prompt) | (ends > choice))
    # Nothing says how likely the first token of all is.
    first = int(max(found.min(initial=len(begins)), 1))
    if first >= len(begins):
        raise ValueError(f"choices must have tokens after the prompt, unlike {scored!r}")
    return first
