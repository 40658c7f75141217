"""How good a quantized model is, against the same model in full precision or against text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_int
from dintmac.golden.linear import Linear, QuantizedLinear
from dintmac.golden.models.bert import mean_embedding
from dintmac.golden.models.transformer import CausalModel, Floats, Tokens, Transformer
from dintmac.golden.scaling import squared_norm


@dataclass(frozen=True)
class LayerError:
    """Squared error of the outputs of a linear layer, relative to the squared outputs.

    The parts are of the weights alone, as in ``split_error``, on the inputs of full precision.
    """

    #: Of weights and activations together: y.
    total: float
    #: Of the weights that were not rounded to zero.
    rounding: float
    #: Of those that were.
    underflow: float
    #: Share of weights that are not zero and were rounded to it.
    underflowed: float


class _Sums:
    """Sums of squares of a layer over all sequences."""

    def __init__(self) -> None:
        self.values = np.zeros(4)
        self.underflowed = 0.0

    def relative(self) -> tuple[float, float, float]:
        """Total error and its parts, relative to the outputs."""
        outputs, total, rounding, underflow = self.values.tolist()
        outputs = outputs or 1.0
        return total / outputs, rounding / outputs, underflow / outputs


def layer_errors(
    model: Transformer, linears: Mapping[str, Linear], sequences: Sequence[Tokens]
) -> dict[str, LayerError]:
    """Errors of linear layers, each on the inputs that it has in the model in full precision.

    Parameters
    ----------
    model : Transformer
        In full precision.
    linears : mapping of name to linear layer
        With explicit scales; a scale that is folded elsewhere would be missing here. The parts of
        the error are those of a ``QuantizedLinear``, and 0 for others.
    sequences : sequence of int64 arrays, shape (length,)

    Returns
    -------
    dict of name to LayerError.
    """
    sums: dict[str, _Sums] = {name: _Sums() for name in linears}
    parts: dict[str, tuple[Floats, Floats]] = {}

    def observe(name: str, inputs: Floats) -> None:
        if name not in linears:
            return
        exact = model.float_linear(name)
        bias = 0 if exact.bias is None else exact.bias
        reference = inputs @ exact.weight.T
        error = linears[name](inputs) - bias - reference
        squares = [squared_norm(reference), squared_norm(error), 0.0, 0.0]
        linear = linears[name]
        if isinstance(linear, QuantizedLinear):
            if name not in parts:
                _forget_others(parts, model, name)
                parts[name] = _parts(exact.weight, linear, sums[name])
            squares[2:] = [squared_norm(inputs @ part.T) for part in parts[name]]
        sums[name].values += squares

    model.states(sequences, observe=observe)
    return {
        name: LayerError(*found.relative(), underflowed=found.underflowed)
        for name, found in sums.items()
    }


def _forget_others(parts: dict[str, tuple[Floats, Floats]], model: Transformer, name: str) -> None:
    """Keep the parts of one layer of the model at a time."""
    (prefix,) = (
        p for p in map(model.layer_prefix, range(model.layers)) if name.startswith(f"{p}.")
    )
    for other in [other for other in parts if not other.startswith(f"{prefix}.")]:
        del parts[other]


def _parts(weight: Floats, linear: QuantizedLinear, sums: _Sums) -> tuple[Floats, Floats]:
    """Rounding and underflow of weights, with the scale of the inputs taken back."""
    values = linear.weight.dequantize()
    if linear.input_scale is not None:
        values = values / linear.input_scale
    if linear.columns is not None:
        values[:, linear.columns.channels] = linear.columns.weight
    lost = (weight != 0) & (values == 0)
    sums.underflowed = float(lost.mean())
    error = (values - weight).astype(np.float32)
    return np.where(lost, 0, error), np.where(lost, error, 0)


def cosines(
    model: Transformer, quantized: Transformer, sequences: Sequence[Tokens]
) -> NDArray[np.float64]:
    """Cosine of the mean embedding of each sequence to that of the model in full precision."""
    pairs = zip(model.states(sequences), quantized.states(sequences), strict=True)
    return np.array([float(mean_embedding(a) @ mean_embedding(b)) for a, b in pairs])


@dataclass(frozen=True)
class TextScore:
    """How well a causal model predicts a text."""

    #: Exponential of the mean negative log-likelihood of a token.
    perplexity: float
    #: Mean Kullback-Leibler divergence from the model in full precision, in nats; 0 without one.
    divergence: float
    #: Tokens that were scored.
    tokens: int


def score_text(
    model: CausalModel,
    tokens: Tokens,
    *,
    context: int,
    stride: int | None = None,
    reference: CausalModel | None = None,
) -> TextScore:
    """Perplexity of a text, and the divergence from a reference.

    As in common practice: windows of ``context`` tokens begin every ``stride`` tokens, and each
    scores the tokens that no window before it has, with all that the window has before them.

    Parameters
    ----------
    model : CausalModel
    tokens : int64 array, shape (length,)
        The text.
    context : int
        Tokens in a window, 2 up to the positions of the model.
    stride : int, optional
        1 to ``context``; ``context`` by default.
    reference : CausalModel, optional
        The model in full precision.

    Returns
    -------
    TextScore

    Raises
    ------
    ValueError
        If the text has less than two tokens, or ``context`` or ``stride`` is out of range.
    """
    if len(tokens) < 2:
        raise ValueError(f"text must have at least two tokens, not {len(tokens)}")
    check_int("context", context, 2, model.positions)
    step = context if stride is None else stride
    check_int("stride", step, 1, context)
    windows = list(_windows(len(tokens), context, step))
    sequences = [tokens[begin:end] for begin, end, _ in windows]
    states = model.states(sequences)
    expected = None if reference is None else reference.states(sequences)
    loss = divergence = count = 0.0
    for i, (begin, end, first) in enumerate(windows):
        rows = slice(first - begin - 1, end - begin - 1)
        found = log_softmax(model.logits(states[i][rows]))
        loss -= float(found[np.arange(end - first), tokens[first:end]].sum(dtype=np.float64))
        count += end - first
        if reference is not None and expected is not None:
            exact = log_softmax(reference.logits(expected[i][rows]))
            divergence += float((np.exp(exact) * (exact - found)).sum(dtype=np.float64))
    return TextScore(float(np.exp(loss / count)), max(divergence / count, 0.0), int(count))


def _windows(length: int, context: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end, and the first token that is scored, of each window."""
    scored = 1
    for begin in range(0, length, stride):
        end = min(begin + context, length)
        if scored < end:
            first = max(scored, begin + 1)
            yield begin, end, first
            scored = end
        if end == length:
            return


def log_softmax(scores: Floats) -> Floats:
    """Logarithms of probabilities, float32, from scores along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class Question:
    """A question with its choices; the answer is one of their numbers."""

    text: str
    choices: tuple[str, ...]
    answer: int


def read_questions(path: Path) -> list[Question]:
    """Questions in a JSONL file: ``{"question": …, "choices": […], "answer": …}`` a line.

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
    questions = [_question(f"{path}, line {i}", ln) for i, ln in enumerate(lines, 1) if ln.strip()]
    if not questions:
        raise ValueError(f"{path} must have at least one question")
    return questions


def _question(where: str, line: str) -> Question:
    try:
        item: dict[str, Any] = json.loads(line)
        found = Question(str(item["question"]), tuple(map(str, item["choices"])), item["answer"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where} must have question, choices and answer: {error}") from error
    check_int(f"answer in {where}", found.answer, 0, len(found.choices) - 1)
    return found


def multiple_choice(
    model: CausalModel,
    tokenize: Callable[[str], Tokens],
    questions: Sequence[Question],
    *,
    shots: int = 0,
) -> float:
    """Share of questions whose answer has the greatest log-likelihood per character.

    A prompt is ``Question: …\\nAnswer:`` after so many solved ones, the first of the others; each
    choice is appended to it after a space. What does not fit is cut off in front.

    Parameters
    ----------
    model : CausalModel
    tokenize : callable
        From text to int64 tokens, not truncated.
    questions : sequence of Question
    shots : int
        Solved questions before each one, 0 up to all others.

    Returns
    -------
    float, 0 to 1.

    Raises
    ------
    ValueError
        If ``shots`` is out of range.
    """
    check_int("shots", shots, 0, len(questions) - 1)
    right = 0
    for number, question in enumerate(questions):
        others = [q for i, q in enumerate(questions) if i != number][:shots]
        solved = [f"{_prompt(q)} {q.choices[q.answer]}\n\n" for q in others]
        prompt = "".join(solved) + _prompt(question)
        scores = [
            _choice_score(model, tokenize(prompt), tokenize(f"{prompt} {c}")) / max(len(c), 1)
            for c in question.choices
        ]
        right += int(np.argmax(scores)) == question.answer
    return right / len(questions)


def _prompt(question: Question) -> str:
    return f"Question: {question.text}\nAnswer:"


def _choice_score(model: CausalModel, prompt: Tokens, whole: Tokens) -> float:
    """Log-likelihood of what comes after the prompt."""
    count = max(len(whole) - len(prompt), 1)
    window = whole[-model.positions :]
    rows = log_softmax(model.logits(model.forward(window)[-count - 1 : -1]))
    return float(rows[np.arange(len(rows)), window[-len(rows) :]].sum(dtype=np.float64))
