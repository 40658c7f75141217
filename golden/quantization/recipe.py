"""From a model and calibration sequences to quantized layers, one layer of the model at a time."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_int, check_member, check_positive
from dintmac.golden.formats import DINT4
from dintmac.golden.models.transformer import Floats, Tokens, Transformer
from dintmac.golden.quantization.activations import ActivationScheme, in_batches
from dintmac.golden.quantization.gptq import gptq, hessian
from dintmac.golden.quantization.grids import Grid, check_grid, check_shiftable
from dintmac.golden.quantization.linear import (
    FloatLinear,
    QuantizedLinear,
    float_columns,
    low_rank_correction,
    output_errors,
)
from dintmac.golden.quantization.scaling import Family, rank_scales, smoothquant_scale
from dintmac.golden.quantization.weights import (
    Granularity,
    QuantizedTensor,
    ScaleSearch,
    quantize_weights,
)

#: So many of the best scales are compared with no scaling on all inputs.
FINALISTS = 3

#: Scales of the input channels of linear layers that read the same inputs; None for no scaling.
Scales = Mapping[tuple[str, ...], NDArray[np.float64] | None]


class Method(enum.Enum):
    """How the scales of input channels are chosen."""

    #: They are 1.
    NONE = "none"
    #: SmoothQuant with the α of the recipe.
    SMOOTHQUANT = "smoothquant"
    #: The least error of the outputs with the weights quantized.
    AWQ = "awq"
    #: The least error of the outputs with weights and activations quantized.
    AQAS = "aqas"


@dataclass(frozen=True)
class Recipe:
    """How a model is quantized.

    Parameters
    ----------
    grid : Format or Codebook
        What the weights are rounded to.
    granularity, group_size, search, signed_scale, asymmetric
        As in :func:`~dintmac.golden.quantization.weights.quantize_weights`.
    activations : ActivationScheme, optional
        How the inputs of linear layers are quantized; None leaves them in floating point.
    scaling : Method
        How the scales of input channels are chosen.
    alpha : float
        Of SmoothQuant.
    gptq : bool
        Whether the weights are rounded by GPTQ.
    damping : float
        Of GPTQ and of the correction.
    rank : int
        Rank of a correction of the error of the weights; 0 for none.
    outlier : float, optional
        Magnitude from which input channels stay in 16 bits; None quantizes all.
    """

    grid: Grid = DINT4
    granularity: Granularity = Granularity.CHANNEL
    group_size: int | None = None
    search: ScaleSearch = ScaleSearch.ABSMAX
    signed_scale: bool = True
    asymmetric: bool = False
    activations: ActivationScheme | None = field(default_factory=ActivationScheme)
    scaling: Method = Method.NONE
    alpha: float = 0.5
    gptq: bool = False
    damping: float = 0.01
    rank: int = 0
    outlier: float | None = None

    def __post_init__(self) -> None:
        check_grid("grid", self.grid)
        check_member("scaling", self.scaling, Method)
        if self.asymmetric:
            check_shiftable("format with a zero point", self.grid)
        if self.asymmetric and self.signed_scale:
            raise ValueError("scales must be either signed or asymmetric, not both")
        check_int("rank", self.rank, 0, 1 << 31)
        for name, value in (("damping", self.damping), ("outlier", self.outlier)):
            if value is not None:
                check_positive(name, value)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be 0 to 1, not {self.alpha}")

    def quantize(self, weights: NDArray[np.floating]) -> QuantizedTensor:
        """Weights, floating point of shape (N, K), rounded plainly."""
        return quantize_weights(
            weights,
            self.grid,
            granularity=self.granularity,
            group_size=self.group_size,
            search=self.search,
            signed_scale=self.signed_scale,
            asymmetric=self.asymmetric,
        )

    def find_scale(self, inputs: Floats, weights: Sequence[Floats]) -> NDArray[np.float64] | None:
        """Scales of the channels that several layers read, or None for no scaling.

        Candidates are ranked with absmax scales of the weights, which cost a small part of the MSE
        search. The best few and no scaling are then compared on all inputs, with the layers as
        they will be but for GPTQ and the correction: what is found is never worse than no scaling.

        Parameters
        ----------
        inputs : float32 array, shape (M, K)
            Inputs in calibration.
        weights : sequence of float32 arrays, shape (N_i, K)
        """
        match self.scaling:
            case Method.NONE:
                return None
            case Method.SMOOTHQUANT:
                return smoothquant_scale(inputs, weights, self.alpha)
            case Method.AWQ:
                return self._search(inputs, weights, None, [Family.MEAN])
            case Method.AQAS:
                families = [Family.SMOOTH, Family.TWO_EXPONENTS]
                return self._search(inputs, weights, self.activations, families)

    def _search(
        self,
        inputs: Floats,
        weights: Sequence[Floats],
        scheme: ActivationScheme | None,
        families: Sequence[Family],
    ) -> NDArray[np.float64]:
        plain = replace(self, activations=scheme, gptq=False, rank=0)
        quick = replace(plain, search=ScaleSearch.ABSMAX)
        ranked = rank_scales(
            inputs, weights, lambda w: quick.quantize(w).dequantize(), scheme, families
        )
        finalists = [np.ones(inputs.shape[1]), *ranked[:FINALISTS]]
        return finalists[int(np.argmin(plain.errors(inputs, weights, finalists)))]

    def errors(
        self,
        inputs: Floats,
        weights: Sequence[Floats],
        scales: Sequence[NDArray[np.float64] | None],
    ) -> NDArray[np.float64]:
        """Relative squared errors of the outputs, y, that scales of the input channels lead to.

        Parameters
        ----------
        inputs : float32 array, shape (M, K)
            Inputs in calibration; the errors are those of all of them.
        weights : sequence of float32 arrays, shape (N_i, K)
        scales : sequence of float64 arrays, shape (K,), or None for no scaling

        Returns
        -------
        float64 array, one for each of ``scales``: the sum over the layers.
        """
        errors = np.zeros(len(scales))
        for exact in map(FloatLinear, weights):
            versions = [self.quantize_linears([exact], inputs, scale)[0] for scale in scales]
            errors += output_errors(exact, versions, inputs)
        return errors

    def quantize_linears(
        self,
        linears: Sequence[FloatLinear],
        inputs: Floats,
        scale: NDArray[np.float64] | None = None,
    ) -> list[QuantizedLinear]:
        """Linear layers that read the same inputs, quantized.

        Parameters
        ----------
        linears : one or more FloatLinear
        inputs : float32 array, shape (M, K)
            Inputs in calibration, not yet scaled.
        scale : float64 array, shape (K,), optional
            Scales of the input channels.
        """
        exact, plain = [], []
        for linear in linears:
            columns = None
            if self.outlier is not None:
                columns = float_columns(inputs, linear.weight, self.outlier)
            weight = linear.weight.astype(np.float64) if scale is None else linear.weight * scale
            if columns is not None:
                weight[:, columns.channels] = 0
            input_scale = None if scale is None else scale.astype(np.float32)
            exact.append(weight)
            plain.append(
                QuantizedLinear(
                    self.quantize(weight),
                    bias=linear.bias,
                    input_scale=input_scale,
                    columns=columns,
                )
            )
        if self.activations is not None:
            quantizer = self.activations.fit(plain[0].prepare(inputs))
            plain = [replace(linear, quantizer=quantizer) for linear in plain]
        if not (self.gptq or self.rank):
            return plain
        # Prepared and quantized, the inputs are the same for all.
        gram = _quantized_hessian(plain[0], inputs)
        return [self._corrected(*pair, gram) for pair in zip(plain, exact, strict=True)]

    def _corrected(
        self, linear: QuantizedLinear, exact: NDArray[np.floating], gram: NDArray[np.float64]
    ) -> QuantizedLinear:
        """A layer with GPTQ's rounding and the low-rank correction, as the recipe has them."""
        tensor, correction = linear.weight, None
        if self.gptq:
            tensor = gptq(exact, gram, tensor, damping=self.damping)
        if self.rank:
            error = exact - tensor.dequantize()
            correction = low_rank_correction(error, gram, self.rank, self.damping)
        return replace(linear, weight=tensor, correction=correction)


def _quantized_hessian(linear: QuantizedLinear, inputs: Floats) -> NDArray[np.float64]:
    """XᵀX of the inputs of a linear layer as they are quantized; few of them at a time."""
    return sum(
        (hessian(linear.fake_inputs(some)) for some in in_batches(inputs)),
        np.zeros((inputs.shape[1], inputs.shape[1])),
    )


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """What became of a layer of a model.

    Parameters
    ----------
    linears : mapping of name to QuantizedLinear
    tensors : mapping of name to float32 array
        Tensors that have changed, as scales were folded into them.
    inputs : mapping of name to float32 array, shape (tokens, K)
        Inputs of the linear layers in calibration, before any scaling; empty if it is over.
    folded : mapping of name to float64 array, shape (K,)
        Scales that the inputs of a layer come with, as they are folded into what is before.
    """

    linears: Mapping[str, QuantizedLinear]
    tensors: Mapping[str, Floats]
    inputs: Mapping[str, Floats]
    folded: Mapping[str, NDArray[np.float64]]

    def scaled_inputs(self, name: str) -> Floats:
        """Inputs of a linear layer in calibration, as they come in the quantized model.

        Returns
        -------
        float32 array, shape (tokens, K).
        """
        inputs = self.inputs[name]
        if name in self.folded:
            inputs = np.asarray(inputs / self.folded[name], dtype=np.float32)
        return inputs

    def unfolded(self, folds: Mapping[tuple[str, ...], str]) -> dict[str, QuantizedLinear]:
        """The linear layers with explicit scales, as if nothing had been folded.

        Parameters
        ----------
        folds : mapping of group to name
            As :meth:`~dintmac.golden.models.transformer.Transformer.folds` has them.
        """
        linears = dict(self.linears)
        for group, target in folds.items():
            if group[0] not in self.folded:
                continue
            scale = self.folded[group[0]]
            for name in group:
                linears[name] = replace(linears[name], input_scale=scale.astype(np.float32))
            if target in linears:
                linears[target] = _with_outputs_times(linears[target], scale)
        return linears


def quantize_layers(
    model: Transformer, recipe: Recipe, sequences: Sequence[Tokens], *, fold: bool = True
) -> Iterator[QuantizedLayer]:
    """Quantize a model, layer by layer; only one of them is in memory at a time.

    Calibration runs the model in floating point.

    Parameters
    ----------
    model : Transformer
    recipe : Recipe
    sequences : sequence of int64 arrays, shape (length,)
        Token numbers for calibration.
    fold : bool
        Whether scales are folded into the norm or linear layer before, where the architecture
        allows; otherwise they all stay explicit.

    Yields
    ------
    QuantizedLayer of each layer of the model, in order.

    Raises
    ------
    ValueError
        If there are no sequences, or a weight is NaN or infinite.
    """
    if not sequences:
        raise ValueError("calibration must have at least one sequence")
    states = model.states(sequences, layers=0)
    for layer in range(model.layers):
        resident = model.resident(layer)
        inputs, states = calibration_inputs(resident, layer, states)
        scales = find_scales(resident, layer, recipe, inputs)
        yield quantize_layer(resident, layer, recipe, inputs, scales, fold=fold)


def quantize_model(
    model: Transformer,
    recipe: Recipe,
    sequences: Sequence[Tokens],
    *,
    fold: bool = True,
    progress: Callable[[int], None] = lambda layer: None,
) -> Transformer:
    """The model with quantized linear layers; parameters as in :func:`quantize_layers`.

    ``progress`` is called with the number of layers done.
    """
    linears: dict[str, QuantizedLinear] = {}
    tensors: dict[str, Floats] = {}
    for done, layer in enumerate(quantize_layers(model, recipe, sequences, fold=fold), 1):
        linears |= layer.linears
        tensors |= layer.tensors
        progress(done)
    return model.replaced(linears=linears, tensors=tensors)


def calibration_inputs(
    model: Transformer, layer: int, states: Sequence[Floats]
) -> tuple[dict[str, Floats], list[Floats]]:
    """Inputs of the linear layers of a layer of the model, and its outputs.

    Parameters
    ----------
    model : Transformer
    layer : int
        0 to the number of layers less 1.
    states : sequence of float32 arrays, shape (length, hidden)
        Inputs of the layer, for each sequence.

    Returns
    -------
    tuple of
        dict of name to float32 array, shape (tokens of all sequences, K); linear layers that read
        the same inputs share one array. List of float32 arrays, shape (length, hidden).
    """
    seen: dict[str, list[Floats]] = {}

    def observe(name: str, inputs: Floats) -> None:
        seen.setdefault(name, []).append(inputs)

    outputs = [model.run_layer(layer, s, observe) for s in states]
    joined: dict[str, Floats] = {}
    for group in model.linear_groups(layer):
        # The parts are given up one group after another: together they are as large as the whole.
        parts = [seen.pop(name) for name in group]
        joined |= dict.fromkeys(group, np.concatenate(parts[0]))
    return joined, outputs


def find_scales(
    model: Transformer, layer: int, recipe: Recipe, inputs: Mapping[str, Floats]
) -> Scales:
    """The scales of a recipe for each group of linear layers that read the same inputs.

    Parameters
    ----------
    model : Transformer
    layer : int
    recipe : Recipe
    inputs : mapping of name to float32 array, shape (tokens, K)
        As :func:`calibration_inputs` has them.

    Returns
    -------
    dict of group to positive float64 array, shape (K,), or None for no scaling.
    """
    return {
        group: recipe.find_scale(
            inputs[group[0]], [model.tensors[f"{name}.weight"] for name in group]
        )
        for group in model.linear_groups(layer)
    }


def quantize_layer(
    model: Transformer,
    layer: int,
    recipe: Recipe,
    inputs: Mapping[str, Floats],
    scales: Scales,
    *,
    fold: bool,
) -> QuantizedLayer:
    """Quantize the linear layers of a layer of a model.

    Parameters
    ----------
    model : Transformer
    layer : int
    recipe : Recipe
    inputs : mapping of name to float32 array, shape (tokens, K)
        Inputs of the linear layers in calibration.
    scales : mapping of group to float64 array, shape (K,), or None
        As :func:`find_scales` has them.
    fold : bool
        As in :func:`quantize_layers`.
    """
    groups = model.linear_groups(layer)
    folded: dict[str, Floats] = {}
    free = model.folds(layer) if fold else {}
    for group, target in free.items():
        scale = scales[group]
        if scale is not None:
            folded |= _folded(model, target, scale)
    changed = model.replaced(tensors=folded)
    linears: dict[str, QuantizedLinear] = {}
    folded_scales: dict[str, NDArray[np.float64]] = {}
    for group in groups:
        scale = scales[group]
        exact = [changed.float_linear(name) for name in group]
        quantized = recipe.quantize_linears(exact, inputs[group[0]], scale)
        if scale is not None and group in free:
            quantized = [replace(linear, input_scale=None) for linear in quantized]
            folded_scales |= dict.fromkeys(group, scale)
        linears |= dict(zip(group, quantized, strict=True))
    norms = {name: t for name, t in folded.items() if name.rpartition(".")[0] not in linears}
    return QuantizedLayer(linears, norms, inputs, folded_scales)


def _folded(model: Transformer, target: str, scale: NDArray[np.float64]) -> dict[str, Floats]:
    """The tensors of a norm or linear layer whose outputs are divided by a scale."""
    folded = {}
    for kind in ("weight", "bias"):
        tensor = model.optional(f"{target}.{kind}")
        if tensor is not None:
            divisor = scale[:, np.newaxis] if tensor.ndim == 2 else scale
            folded[f"{target}.{kind}"] = (tensor / divisor).astype(np.float32)
    return folded


def _with_outputs_times(linear: QuantizedLinear, scale: NDArray[np.float64]) -> QuantizedLinear:
    """A linear layer whose outputs are multiplied by a scale, shape (N,); its codes stay."""
    weight, bias = linear.weight, linear.bias
    if weight.granularity is Granularity.TENSOR:
        weight = _by_channel(weight)
    weight = replace(weight, scale=weight.scale * scale[:, np.newaxis])
    if bias is not None:
        bias = (bias * scale).astype(np.float32)
    return replace(linear, weight=weight, bias=bias)


def _by_channel(weight: QuantizedTensor) -> QuantizedTensor:
    """Weights with one scale for all as weights with a scale for each output."""
    zero_point = weight.zero_point
    if zero_point is not None:
        zero_point = np.repeat(zero_point, len(weight.codes), axis=0)
    scale = np.repeat(weight.scale, len(weight.codes), axis=0)
    return replace(weight, granularity=Granularity.CHANNEL, scale=scale, zero_point=zero_point)
