"""Linear layers that a model can be run with: float, fake-quantized, and exact integer.

The two quantized ones compute the same function of the same codes, one with real numbers and one
with the integers of the hardware; they differ by the rounding of floating point alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Requantizer
from dintmac.golden.checks import check_array
from dintmac.golden.formats import FORMATS, Format, named
from dintmac.golden.matmul import matmul
from dintmac.golden.quantization.activations import AffineQuantizer, QuantizerOf, in_batches
from dintmac.golden.quantization.weights import Granularity, QuantizedTensor

Floats = NDArray[np.float32]

#: A linear layer: from inputs, float32, shape (tokens, K), to outputs, float32, (tokens, N).
Linear = Callable[[Floats], Floats]

#: From activations, int8, shape (tokens, K), and codes of weights, uint8, shape (N, K), in a format
#: to their exact integer products, shape (tokens, N), in units of the format.
Multiply = Callable[[NDArray[np.int8], NDArray[np.uint8], Format], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class FloatLinear:
    """``x Wᵀ + b`` in float32.

    Parameters
    ----------
    weight : float32 array, shape (N, K)
    bias : float32 array, shape (N,), optional
    """

    weight: Floats
    bias: Floats | None = None

    def __call__(self, inputs: Floats) -> Floats:
        """Outputs, float32, shape (tokens, N)."""
        return _with_bias(inputs @ self.weight.T, self.bias)


@dataclass(frozen=True, eq=False)
class FloatColumns:
    """Input channels that are kept in 16 bits, as LLM.int8 does (Dettmers et al., 2022).

    Parameters
    ----------
    channels : int64 array, shape (C,)
        Which they are.
    weight : float16 array, shape (N, C)
        The weights that read them.
    """

    channels: NDArray[np.int64]
    weight: NDArray[np.float16]

    def __call__(self, inputs: Floats) -> Floats:
        """What these channels contribute to the outputs."""
        halves = inputs[:, self.channels].astype(np.float16)
        outputs: Floats = halves.astype(np.float32) @ self.weight.astype(np.float32).T
        return outputs


@dataclass(frozen=True, eq=False)
class LowRank:
    """A correction ``x Bᵀ Aᵀ`` of few ranks that makes up for the error of quantized weights.

    Parameters
    ----------
    left : float32 array, shape (N, R)
    right : float32 array, shape (R, K)
    """

    left: Floats
    right: Floats

    def __call__(self, inputs: Floats) -> Floats:
        """What the correction adds to the outputs."""
        inner: Floats = inputs @ self.right.T
        outputs: Floats = inner @ self.left.T
        return outputs


@dataclass(frozen=True, eq=False)
class QuantizedLinear:
    """A quantized layer, and its outputs as fake quantization has them.

    Parameters
    ----------
    weight : QuantizedTensor of shape (N, K)
        The weights, times ``input_scale``.
    quantizer : callable, optional
        The quantizer of scaled inputs; None leaves them as they are.
    bias : float32 array, shape (N,), optional
    input_scale : float32 array, shape (K,), optional
        The inputs are divided by it first; None if that is folded into what comes before.
    columns : FloatColumns, optional
        Channels in 16 bits; the weights of these are 0 in ``weight``. They come unscaled.
    correction : LowRank, optional
        It acts on the quantized inputs.
    """

    weight: QuantizedTensor
    quantizer: QuantizerOf | None = None
    bias: Floats | None = None
    input_scale: Floats | None = None
    columns: FloatColumns | None = None
    correction: LowRank | None = None

    def __call__(self, inputs: Floats) -> Floats:
        """Outputs, float32, shape (tokens, N)."""
        values = self.fake_inputs(inputs)
        return self._finish(inputs, values, values @ self._dequantized.T)

    @cached_property
    def _dequantized(self) -> Floats:
        return self.weight.dequantize().astype(np.float32)

    def prepare(self, inputs: Floats) -> Floats:
        """The inputs as they are quantized: scaled, without the channels in 16 bits.

        Both are float32 arrays of shape (tokens, K).
        """
        if self.columns is not None:
            inputs = inputs.copy()
            inputs[:, self.columns.channels] = 0
        if self.input_scale is None:
            return inputs
        return np.asarray(inputs / self.input_scale, dtype=np.float32)

    def fake_inputs(self, inputs: Floats) -> Floats:
        """The inputs as the weights meet them: prepared, quantized and back.

        Both are float32 arrays of shape (tokens, K).
        """
        values = self.prepare(inputs)
        if self.quantizer is None:
            return values
        quantizer = self.quantizer(values)
        return quantizer.dequantize(quantizer.quantize(values)).astype(np.float32)

    def _finish(self, inputs: Floats, values: Floats, outputs: Floats) -> Floats:
        if self.columns is not None:
            outputs = outputs + self.columns(inputs)
        if self.correction is not None:
            outputs = outputs + self.correction(values)
        return _with_bias(outputs, self.bias)


class IntegerLinear:
    """A quantized layer as the hardware computes it.

    Activations are multiplied as INT8 codes with weights in units, sums are exact, and a zero
    point of the activations is subtracted as an integer. Without ``output`` the sums are then
    scaled to real numbers. With it they are requantized (docs/dint.md, section 5), with the bias
    added to them as an integer; the real numbers are those of the INT8 results.

    Parameters
    ----------
    layer : QuantizedLinear
        Its weights are in a format of the hardware without a zero point, its inputs are
        quantized, and there are neither channels in 16 bits nor a correction.
    output : AffineQuantizer, optional
        Of shape (): what the outputs are requantized to. Inputs then have a static scale, and
        weights a scale per tensor or channel.
    multiply : callable
        What makes the products: the golden model, or hardware.

    Raises
    ------
    ValueError
        If the hardware does not have the grid of the weights, or a part of the layer.
    """

    def __init__(
        self,
        layer: QuantizedLinear,
        output: AffineQuantizer | None = None,
        *,
        multiply: Multiply = matmul,
    ) -> None:
        if not isinstance(layer.weight.format, Format):
            raise ValueError(
                f"format of an integer layer must be {named(FORMATS.values())}, "
                f"not {layer.weight.format.name}"
            )
        if layer.weight.zero_point is not None:
            raise ValueError("weights of an integer layer must not have a zero point")
        if layer.quantizer is None:
            raise ValueError("inputs of an integer layer must be quantized")
        if layer.columns is not None or layer.correction is not None:
            raise ValueError("integer layer must have no columns or correction in floating point")
        if output is not None and layer.weight.granularity is Granularity.GROUP:
            raise ValueError("weights must have a scale per tensor or channel to be requantized")
        self._layer = layer
        self._output = output
        self._multiply = multiply

    @property
    def layer(self) -> QuantizedLinear:
        """The quantized layer."""
        return self._layer

    def codes(self, inputs: Floats) -> tuple[NDArray[np.int8], AffineQuantizer]:
        """INT8 codes of float32 inputs, both of shape (tokens, K), and their quantizer."""
        assert self._layer.quantizer is not None  # The constructor has seen to it.
        values = self._layer.prepare(inputs)
        quantizer = self._layer.quantizer(values)
        return quantizer.quantize(values), quantizer

    def __call__(self, inputs: Floats) -> Floats:
        """Outputs, float32, shape (tokens, N)."""
        codes, quantizer = self.codes(inputs)
        weight = self._layer.weight
        unit = weight.unit_scale()
        if self._output is not None:
            return self._requantized(codes, quantizer, self._output)
        outputs = np.zeros((len(codes), weight.shape[0]))
        for group in range(unit.shape[1]):
            outputs += self._sums(codes, quantizer, group) * unit[:, group]
        return _with_bias((outputs * quantizer.scale).astype(np.float32), self._layer.bias)

    def _sums(
        self, codes: NDArray[np.int8], quantizer: AffineQuantizer, group: int
    ) -> NDArray[np.int64]:
        """Exact sums over the channels of a group, less the zero point of the activations."""
        weight = self._layer.weight
        channels = slice(group * weight.group_size, (group + 1) * weight.group_size)
        format = weight.format
        assert isinstance(format, Format)  # The constructor has seen to it.
        part = np.ascontiguousarray(weight.codes[:, channels])
        sums = self._multiply(np.ascontiguousarray(codes[:, channels]), part, format)
        totals = format.to_units(part).sum(axis=1, dtype=np.int64)
        less: NDArray[np.int64] = sums.astype(np.int64) - quantizer.zero_point * totals
        return less

    def _requantized(
        self, codes: NDArray[np.int8], quantizer: AffineQuantizer, output: AffineQuantizer
    ) -> Floats:
        if quantizer.scale.shape != ():
            raise ValueError("inputs must have a static scale to be requantized")
        sums = self._sums(codes, quantizer, 0)
        unit = np.broadcast_to(self._layer.weight.unit_scale()[:, 0], sums.shape[1])
        real = unit * quantizer.scale
        if self._layer.bias is not None:
            sums += np.rint(self._layer.bias / real).astype(np.int64)
        results = np.empty(sums.shape, dtype=np.int8)
        zero = int(output.zero_point)
        for channel, scale in enumerate(real / output.scale):
            results[:, channel] = Requantizer.from_scale(float(scale), zero_point=zero)(
                sums[:, channel]
            )
        return output.dequantize(results).astype(np.float32)


def output_errors(
    exact: Linear, quantized: Sequence[Linear], inputs: Floats
) -> NDArray[np.float64]:
    """Squared errors of the outputs of layers, relative to the squared outputs; on all inputs.

    Parameters
    ----------
    exact : linear layer
    quantized : sequence of linear layers
        What it may be replaced with.
    inputs : float32 array, shape (M, K)
        Few of them are worked on at a time.

    Returns
    -------
    float64 array, one for each of ``quantized``.
    """
    errors, energy = np.zeros(len(quantized)), 0.0
    for some in in_batches(inputs):
        reference = exact(some)
        energy += squared_norm(reference)
        errors += [squared_norm(layer(some) - reference) for layer in quantized]
    return errors / (energy or 1.0)


def squared_norm(values: NDArray[np.floating]) -> float:
    """Sum of squares."""
    return float(np.vdot(values, values))


def float_columns(inputs: Floats, weight: Floats, threshold: float = 6.0) -> FloatColumns | None:
    """The channels that LLM.int8 would keep in 16 bits: those that reach a threshold.

    Parameters
    ----------
    inputs : float32 array, shape (M, K)
        Inputs in calibration.
    weight : float32 array, shape (N, K)
    threshold : float, positive
        Magnitude from which a channel is an outlier.

    Returns
    -------
    FloatColumns, or None if there are no such channels.

    Raises
    ------
    TypeError
        If ``weight`` is not a float32 array.
    ValueError
        If the threshold is not positive.
    """
    check_array("weight", weight, "float32")
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, not {threshold}")
    channels = np.flatnonzero(np.abs(inputs).max(axis=0) >= threshold)
    if not len(channels):
        return None
    return FloatColumns(channels.astype(np.int64), weight[:, channels].astype(np.float16))


def low_rank_correction(
    error: NDArray[np.floating], hessian: NDArray[np.float64], rank: int, damping: float = 0.01
) -> LowRank:
    """The matrix of a rank that lowers the output error of weights the most.

    With H + damping = L Lᵀ, the best approximation of Δ in the norm ``Δ H Δᵀ`` is that of Δ L by
    its greatest singular values, times L⁻¹.

    Parameters
    ----------
    error : floating-point array, shape (N, K)
        Δ: exact weights less quantized ones.
    hessian : float64 array, shape (K, K)
        XᵀX of the inputs.
    rank : int
        1 to the lesser of N and K.
    damping : float
        So much of the mean of the diagonal is added to the diagonal.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        If ``rank`` is out of range.
    """
    if not 1 <= rank <= min(error.shape):
        raise ValueError(f"rank must be 1 to {min(error.shape)}, not {rank}")
    added = damping * (np.diag(hessian).mean() or 1.0)
    lower = np.linalg.cholesky(hessian + added * np.eye(len(hessian)))
    left, singular, right = np.linalg.svd(error @ lower, full_matrices=False)
    left = left[:, :rank] * singular[:rank]
    right = np.linalg.solve(lower.T, right[:rank].T).T
    return LowRank(left.astype(np.float32), right.astype(np.float32))


def _with_bias(outputs: Floats, bias: Floats | None) -> Floats:
    return outputs if bias is None else outputs + bias
