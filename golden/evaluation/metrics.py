"""How good a quantized model is, against the same model in full precision or against text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_int
from dintmac.golden.models.bert import mean_embedding
from dintmac.golden.models.transformer import CausalModel, Floats, Tokens, Transformer
from dintmac.golden.quantization.linear import Linear, QuantizedLinear, squared_norm

#: Rows of logits that are in memory at a time: vocabularies are large.
LOGITS = 512


@dataclass(frozen=True)
class LayerError:
    """Squared error of the outputs of a linear layer, relative to the squared outputs.

    The parts are of the weights alone, as in ``split_error``, on the inputs of full precision.

    Attributes
    ----------
    total : float
        Of weights and activations together: y.
    rounding : float
        Of the weights that were not rounded to zero.
    underflow : float
        Of those that were.
    underflowed : float
        Share of weights that are not zero and were rounded to it.
    """

    total: float
    rounding: float
    underflow: float
    underflowed: float


class ErrorMeter:
    """Sums up the errors of linear layers on the inputs that they have in full precision.

    Parameters
    ----------
    model : Transformer
        In full precision.
    linears : mapping of name to linear layer
        With explicit scales; a scale that is folded elsewhere would be missing here. The parts of
        the error are those of a ``QuantizedLinear``, and 0 for others.
    """

    def __init__(self, model: Transformer, linears: Mapping[str, Linear]) -> None:
        self._model = model
        self._linears = linears
        self._sums = {name: np.zeros(4) for name in linears}
        self._underflowed = dict.fromkeys(linears, 0.0)
        self._parts: dict[str, tuple[Floats, Floats]] = {}

    def observe(self, name: str, inputs: Floats) -> None:
        """Take the inputs of a linear layer, float32, shape (tokens, K), into account."""
        if name not in self._linears:
            return
        exact, linear = self._model.float_linear(name), self._linears[name]
        bias = 0 if exact.bias is None else exact.bias
        reference = inputs @ exact.weight.T
        error = linear(inputs) - bias - reference
        squares = [squared_norm(reference), squared_norm(error), 0.0, 0.0]
        if isinstance(linear, QuantizedLinear):
            if name not in self._parts:
                _forget_others(self._parts, self._model, name)
                rounding, underflow, self._underflowed[name] = _parts(exact.weight, linear)
                self._parts[name] = (rounding, underflow)
            squares[2:] = [squared_norm(inputs @ part.T) for part in self._parts[name]]
        self._sums[name] += squares

    def errors(self) -> dict[str, LayerError]:
        """The errors so far, relative to the outputs."""
        found = {}
        for name, sums in self._sums.items():
            total, rounding, underflow = (sums[1:] / (sums[0] or 1.0)).tolist()
            found[name] = LayerError(total, rounding, underflow, self._underflowed[name])
        return found


def layer_errors(
    model: Transformer, linears: Mapping[str, Linear], sequences: Sequence[Tokens]
) -> dict[str, LayerError]:
    """Errors of linear layers, each on the inputs that it has in the model in full precision.

    Parameters
    ----------
    model, linears
        As for :class:`ErrorMeter`.
    sequences : sequence of int64 arrays, shape (length,)

    Returns
    -------
    dict of name to LayerError.
    """
    meter = ErrorMeter(model, linears)
    model.states(sequences, observe=meter.observe)
    return meter.errors()


def _forget_others(parts: dict[str, tuple[Floats, Floats]], model: Transformer, name: str) -> None:
    """Keep the parts of one layer of the model at a time."""
    (prefix,) = (
        p for p in map(model.layer_prefix, range(model.layers)) if name.startswith(f"{p}.")
    )
    for other in [other for other in parts if not other.startswith(f"{prefix}.")]:
        del parts[other]


def _parts(weight: Floats, linear: QuantizedLinear) -> tuple[Floats, Floats, float]:
    """Rounding and underflow of weights, with the scale of the inputs taken back.

    The last is the share of weights that underflow.
    """
    values = linear.weight.dequantize()
    if linear.input_scale is not None:
        values = values / linear.input_scale
    if linear.columns is not None:
        values[:, linear.columns.channels] = linear.columns.weight
    lost = (weight != 0) & (values == 0)
    error = (values - weight).astype(np.float32)
    return np.where(lost, 0, error), np.where(lost, error, 0), float(lost.mean())


class Measure(Protocol):
    """Something to measure of a model: sequences to run, and what their hidden states say.

    All measures of a model run through its layers together, so that each layer is read once.
    """

    @property
    def sequences(self) -> Sequence[Tokens]:
        """The sequences, int64, shape (length,)."""

    def scores(
        self, model: Transformer, states: Sequence[Floats], exact: Sequence[Floats]
    ) -> dict[str, float]:
        """Results by name.

        Parameters
        ----------
        model : Transformer
            What makes logits of hidden states.
        states : sequence of float32 arrays, shape (length, hidden)
            Hidden states after the last layer, quantized.
        exact : sequence of float32 arrays, shape (length, hidden)
            The same in full precision.
        """


class Embeddings:
    """Mean embeddings of sentences: their ``cosine`` to those in full precision, the mean of all.

    Parameters
    ----------
    sequences : sequence of int64 arrays, shape (length,)
    """

    def __init__(self, sequences: Sequence[Tokens]) -> None:
        self._sequences = sequences

    @property
    def sequences(self) -> Sequence[Tokens]:
        """The sentences."""
        return self._sequences

    def scores(
        self, model: Transformer, states: Sequence[Floats], exact: Sequence[Floats]
    ) -> dict[str, float]:
        """``cosine``, −1 to 1."""
        return {"cosine": float(np.mean(_cosines(states, exact)))}


def cosines(
    model: Transformer, quantized: Transformer, sequences: Sequence[Tokens]
) -> NDArray[np.float64]:
    """Cosine of the mean embedding of each sequence to that of the model in full precision.

    Parameters
    ----------
    model, quantized : Transformer
        In full precision, and the same with other linear layers.
    sequences : sequence of int64 arrays, shape (length,)

    Returns
    -------
    float64 array, shape (sequences,), −1 to 1.
    """
    return _cosines(quantized.states(sequences), model.states(sequences))


def _cosines(states: Sequence[Floats], exact: Sequence[Floats]) -> NDArray[np.float64]:
    pairs = zip(states, exact, strict=True)
    return np.array([float(mean_embedding(a) @ mean_embedding(b)) for a, b in pairs])


class Text:
    """A text in windows: ``perplexity``, and the ``divergence`` from full precision.

    As in common practice: windows of ``context`` tokens begin every ``stride`` tokens, and each
    scores the tokens that no window before it has, with all that the window has before them.

    Parameters
    ----------
    tokens : int64 array, shape (length,)
        The text.
    context : int
        Tokens in a window, at least 2.
    stride : int, optional
        1 to ``context``; ``context`` by default.

    Raises
    ------
    ValueError
        If the text has less than two tokens, or ``context`` or ``stride`` is out of range.
    """

    def __init__(self, tokens: Tokens, *, context: int, stride: int | None = None) -> None:
        if len(tokens) < 2:
            raise ValueError(f"text must have at least two tokens, not {len(tokens)}")
        check_int("context", context, 2, 1 << 31)
        step = context if stride is None else stride
        check_int("stride", step, 1, context)
        self._tokens = tokens
        self._windows = list(_windows(len(tokens), context, step))

    @property
    def sequences(self) -> Sequence[Tokens]:
        """The windows."""
        return [self._tokens[begin:end] for begin, end, _ in self._windows]

    @property
    def scored(self) -> int:
        """Tokens that are scored."""
        return sum(end - first for _, end, first in self._windows)

    def scores(
        self, model: Transformer, states: Sequence[Floats], exact: Sequence[Floats]
    ) -> dict[str, float]:
        """``perplexity``, and ``divergence``, the mean of Kullback and Leibler's, in nats."""
        assert isinstance(model, CausalModel)
        loss = divergence = 0.0
        for window, found, expected in zip(self._windows, states, exact, strict=True):
            begin, end, first = window
            for start in range(first, end, LOGITS):
                stop = min(start + LOGITS, end)
                rows = slice(start - begin - 1, stop - begin - 1)
                chosen = log_softmax(model.logits(found[rows]))
                right = log_softmax(model.logits(expected[rows]))
                loss -= float(chosen[np.arange(stop - start), self._tokens[start:stop]].sum())
                divergence += float((np.exp(right) * (right - chosen)).sum(dtype=np.float64))
        return {
            "perplexity": float(np.exp(loss / self.scored)),
            "divergence": max(divergence / self.scored, 0.0),
        }


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


def measure(model: Transformer, quantized: Transformer, measured: Measure) -> dict[str, float]:
    """What a measure says of a quantized model.

    Parameters
    ----------
    model : Transformer
        In full precision.
    quantized : Transformer
        The same with other linear layers.
    measured : Measure

    Returns
    -------
    dict of float by name.

    Raises
    ------
    ValueError
        If a sequence is longer than the positions of the model, or a token not in its vocabulary.
    """
    states, exact = (m.states(measured.sequences) for m in (quantized, model))
    return measured.scores(model.resident_ends(), states, exact)
