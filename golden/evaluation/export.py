"""Quantized models as folders: packed codes and scales, and a workload for each linear layer.

A folder has ``layer-0.safetensors`` …, one for each layer of the model, ``quantization.json``,
and ``workloads/*.npz``, which ``dintmac simulate`` runs. For a linear layer called ``name`` there
are the tensors ``name.codes`` (uint8, packed as in docs/dint.md, section 6.1), ``name.scale``
(float64, negative for the mirror image), and where they exist ``name.bias``, ``name.zero_point``,
and the scales of its input channels: ``name.input_scale``, by which the inputs are to be divided,
or ``name.folded_scale``, by which they have been, in the norm or the linear layer before. Norms
that scales were folded into come under their own names. Everything else is in the folder of the
original model.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_int, check_positive
from dintmac.golden.files import new_folder
from dintmac.golden.formats import FORMATS, Format, named
from dintmac.golden.inputs import load_object
from dintmac.golden.models.tensors import TensorFiles
from dintmac.golden.models.transformer import Floats, Tokens, Transformer
from dintmac.golden.packing import pack, unpack
from dintmac.golden.quantization.activations import AffineQuantizer
from dintmac.golden.quantization.linear import IntegerLinear, QuantizedLinear
from dintmac.golden.quantization.recipe import QuantizedLayer, Recipe, quantize_layers
from dintmac.golden.quantization.variants import Variant, variant_of
from dintmac.golden.quantization.weights import QuantizedTensor
from dintmac.golden.workload import Workload, save

#: Rows of activations in a workload.
WORKLOAD_TOKENS = 64

Arrays = dict[str, NDArray[Any]]


def write_model(
    folder: Path,
    model: Transformer,
    recipe: Recipe,
    sequences: Sequence[Tokens],
    *,
    progress: Callable[[int], None] = lambda layer: None,
) -> dict[str, Any]:
    """Quantize a model and write it, one layer at a time.

    The folder is empty until it is complete.

    Parameters
    ----------
    folder : Path
        It must not exist or be empty.
    model, recipe, sequences
        As in :func:`~dintmac.golden.quantization.recipe.quantize_layers`. The grid is a format of
        the hardware, activations are static, and there are no parts in floating point.
    progress : callable
        Called with the number of layers done.

    Returns
    -------
    dict, what ``quantization.json`` holds.

    Raises
    ------
    ModuleNotFoundError
        If the package ``safetensors`` is not installed.
    OSError
        If it cannot be written, such as on a full disk.
    ValueError
        If the folder is in use or another run is writing it, or the recipe has parts that a folder
        does not hold.
    """
    safetensors = _safetensors()
    scheme = recipe.activations
    if not isinstance(recipe.grid, Format):
        raise ValueError(
            f"format of a folder must be {named(FORMATS.values())}, not {recipe.grid.name}"
        )
    if scheme is None or scheme.dynamic:
        name = "none" if scheme is None else scheme.name
        raise ValueError(f"activations of a folder must have a static range, not {name}")
    if recipe.rank or recipe.outlier is not None:
        raise ValueError("method of a folder must have no rank and no outliers")
    quantized = quantize_layers(model, recipe, sequences)
    try:
        with new_folder(folder) as partial:
            return _write(partial, recipe, quantized, safetensors.save, progress)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"quantized model cannot be written to {folder}: {reason}") from error


def _write(
    folder: Path,
    recipe: Recipe,
    layers: Iterable[QuantizedLayer],
    save_tensors: Callable[[Arrays], bytes],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Write the files of a folder; returns what quantization.json holds."""
    (folder / "workloads").mkdir()
    described: dict[str, Any] = {}
    for layer, quantized in enumerate(layers):
        arrays: Arrays = dict(quantized.tensors)
        for name, linear in quantized.linears.items():
            arrays |= _arrays(name, linear, quantized.folded.get(name))
            described[name] = _description(linear, quantized.scaled_inputs(name))
            _write_workload(folder / "workloads" / f"{name}.npz", name, quantized)
        (folder / _shard(layer)).write_bytes(save_tensors(arrays))
        progress(layer + 1)
    assert recipe.activations is not None  # The caller has seen to it.
    settings = asdict(variant_of(recipe)) | {
        "format": recipe.grid.name.lower(),
        "activations": recipe.activations.name,
        "layers": described,
    }
    text = json.dumps(settings, indent=1, sort_keys=True)
    (folder / "quantization.json").write_text(text + "\n", encoding="utf-8")
    return settings


def _shard(layer: int) -> str:
    """The file of a layer of the model."""
    return f"layer-{layer}.safetensors"


class QuantizedFolder:
    """What :func:`write_model` has written, read layer by layer.

    Parameters
    ----------
    folder : Path
    model : Transformer
        The original model.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ModuleNotFoundError
        If the package ``safetensors`` is not installed.
    ValueError
        If a file is corrupt, or the folder is of another model.
    """

    def __init__(self, folder: Path, model: Transformer) -> None:
        self._path = folder / "quantization.json"
        if not self._path.is_file():
            raise FileNotFoundError(f"quantized folder must have a quantization.json: {folder}")
        self._load = _safetensors().load_file
        self._groups = [model.linear_groups(layer) for layer in range(model.layers)]
        settings = load_object(self._path)
        with self._described():
            fields = ("method", "format", "granularity", "search")
            self._variant = Variant(*(settings[field] for field in fields))
            recipe = self._variant.recipe(Recipe())
            self._format, self._granularity = recipe.grid, recipe.granularity
            self._layers: dict[str, Any] = settings["layers"]
            found = {name: tuple(item["shape"]) for name, item in self._layers.items()}
        names = [name for groups in self._groups for group in groups for name in group]
        if found != {name: model.linear_shape(name) for name in names}:
            raise ValueError(f"quantized folder must be of this model, not of another: {folder}")
        shards = [folder / _shard(layer) for layer in range(model.layers)]
        for shard in shards:
            if not shard.is_file():
                raise FileNotFoundError(f"quantized folder must have {shard.name}: {folder}")
        TensorFiles(shards)  # Says what is wrong with the files, if anything is.

    @property
    def variant(self) -> Variant:
        """How the model was quantized."""
        return replace(self._variant, format=self._format.name)

    def layer(self, layer: int) -> QuantizedLayer:
        """A layer of the model; it comes without inputs.

        Raises
        ------
        ValueError
            If its file does not hold it.
        """
        arrays: Arrays = self._load(self._path.with_name(_shard(layer)))
        names = [name for group in self._groups[layer] for name in group]
        with self._described():
            linears = {name: self._linear(name, arrays) for name in names}
        tensors = {n: t for n, t in arrays.items() if n.rpartition(".")[0] not in linears}
        folded = {n: arrays[f"{n}.folded_scale"] for n in names if f"{n}.folded_scale" in arrays}
        return QuantizedLayer(linears, tensors, {}, folded)

    def _linear(self, name: str, arrays: Arrays) -> QuantizedLinear:
        """A linear layer from its tensors."""
        item = self._layers[name]
        if not isinstance(self._format, Format):
            raise ValueError(f"{self._format.name} has no packed codes")
        check_positive("activation_scale", item["activation_scale"])
        check_int("activation_zero_point", item["activation_zero_point"], -128, 127)
        codes = unpack(arrays[f"{name}.codes"], self._format, item["shape"][1])
        scale, zero = arrays[f"{name}.scale"], arrays.get(f"{name}.zero_point")
        quantizer = AffineQuantizer(
            np.array(item["activation_scale"], dtype=np.float64),
            np.array(item["activation_zero_point"], dtype=np.int64),
        )
        return QuantizedLinear(
            QuantizedTensor(codes, scale, self._format, self._granularity, zero),
            lambda values: quantizer,
            arrays.get(f"{name}.bias"),
            arrays.get(f"{name}.input_scale"),
        )

    @contextlib.contextmanager
    def _described(self) -> Iterator[None]:
        """What goes wrong within is the fault of quantization.json or of the tensors."""
        try:
            yield
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._path} must describe the tensors beside it: {error}"
            ) from error


def read_model(folder: Path, model: Transformer) -> Transformer:
    """A model with the quantized layers of a folder; as :class:`QuantizedFolder`."""
    quantized = QuantizedFolder(folder, model)
    for layer in map(quantized.layer, range(model.layers)):
        model = model.replaced(linears=layer.linears, tensors=layer.tensors)
    return model


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors.numpy")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a quantized model needs the package safetensors: pip install 'dintmac[models]'",
            name=error.name,
        ) from error


def _arrays(name: str, linear: QuantizedLinear, folded: NDArray[np.float64] | None) -> Arrays:
    """The tensors of a linear layer."""
    weight = linear.weight
    assert isinstance(weight.format, Format)  # The recipe has one.
    found: dict[str, NDArray[Any] | None] = {
        "codes": pack(weight.codes, weight.format),
        "scale": weight.scale,
        "zero_point": weight.zero_point,
        "bias": linear.bias,
        "input_scale": linear.input_scale,
        "folded_scale": folded,
    }
    return {f"{name}.{k}": np.ascontiguousarray(v) for k, v in found.items() if v is not None}


def _description(linear: QuantizedLinear, inputs: Floats) -> dict[str, Any]:
    """What the tensors do not say of a linear layer."""
    assert linear.quantizer is not None  # The recipe has activations.
    quantizer = linear.quantizer(inputs)
    return {
        "shape": list(linear.weight.shape),
        "activation_scale": float(quantizer.scale),
        "activation_zero_point": int(quantizer.zero_point),
    }


def _write_workload(path: Path, name: str, layer: QuantizedLayer) -> None:
    """Codes of a linear layer and of some of its inputs, for the simulation."""
    linear = layer.linears[name]
    if linear.weight.zero_point is not None or not isinstance(linear.weight.format, Format):
        return  # No design multiplies with a zero point.
    codes, _ = IntegerLinear(linear).codes(layer.scaled_inputs(name)[:WORKLOAD_TOKENS])
    save(path, Workload(codes, linear.weight.codes, linear.weight.format, name))
