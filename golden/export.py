"""Quantized models as folders: packed codes and scales, and a workload for each linear layer.

A folder has ``layer-0.safetensors`` …, one for each layer of the model, ``quantization.json``,
and ``workloads/*.npz``, which ``dintmac simulate`` runs. For a linear layer called ``name`` there
are the tensors ``name.codes`` (uint8, packed as in docs/dint.md, section 6.1), ``name.scale``
(float64, negative for the mirror image), and where they exist ``name.bias``, ``name.input_scale``
and ``name.zero_point``; norms that scales were folded into come under their own names. Everything
else is in the folder of the original model.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.calibration import AffineQuantizer
from dintmac.golden.formats import Format
from dintmac.golden.grids import parse_grid
from dintmac.golden.linear import IntegerLinear, QuantizedLinear
from dintmac.golden.models.tensors import TensorFiles
from dintmac.golden.models.transformer import Floats, Tokens, Transformer
from dintmac.golden.packing import pack, unpack
from dintmac.golden.quantize import Granularity, QuantizedTensor
from dintmac.golden.recipe import QuantizedLayer, Recipe, quantize_layers
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

    The folder appears when it is complete.

    Parameters
    ----------
    folder : Path
        It must not exist or be empty.
    model, recipe, sequences
        As in :func:`~dintmac.golden.recipe.quantize_layers`. The grid is a format of the hardware,
        activations are static, and there are no parts in floating point.
    progress : callable
        Called with the number of layers done.

    Returns
    -------
    dict, what ``quantization.json`` holds.

    Raises
    ------
    ModuleNotFoundError
        If the package ``safetensors`` is not installed.
    ValueError
        If the folder is in use, or the recipe has parts that a folder does not hold.
    """
    save_file = _save_file()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"output must be a new or empty folder, not {folder}")
    scheme = recipe.activations
    if not isinstance(recipe.grid, Format) or scheme is None or scheme.dynamic:
        raise ValueError("recipe to write must have a hardware format and static activations")
    if recipe.rank or recipe.outlier is not None:
        raise ValueError("recipe to write must have no correction and no outliers in 16 bits")
    # resolve: the current folder cannot be replaced under the name of a dot.
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        partial = Path(temporary) / folder.name
        settings = _write(partial, model, recipe, sequences, save_file, progress)
        partial.replace(folder)
    return settings


def _write(
    folder: Path,
    model: Transformer,
    recipe: Recipe,
    sequences: Sequence[Tokens],
    save_file: Any,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Write the files of a folder; returns what quantization.json holds."""
    (folder / "workloads").mkdir(parents=True)
    described: dict[str, Any] = {}
    for layer, quantized in enumerate(quantize_layers(model, recipe, sequences)):
        arrays: Arrays = dict(quantized.tensors)
        for name, linear in quantized.linears.items():
            arrays |= _arrays(name, linear)
            described[name] = _description(linear, quantized.scaled_inputs(name))
            _write_workload(folder / "workloads" / f"{name}.npz", name, quantized)
        save_file(arrays, folder / f"layer-{layer}.safetensors")
        progress(layer + 1)
    settings = {
        "format": recipe.grid.name.lower(),
        "granularity": recipe.granularity.value,
        "layers": described,
        "scaling": recipe.scaling.value,
    }
    text = json.dumps(settings, indent=1, sort_keys=True)
    (folder / "quantization.json").write_text(text + "\n", encoding="utf-8")
    return settings


def read_model(folder: Path, model: Transformer) -> Transformer:
    """A model with the quantized layers of a folder.

    Parameters
    ----------
    folder : Path
        As :func:`write_model` wrote it.
    model : Transformer
        The original model.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is corrupt.
    """
    path = folder / "quantization.json"
    if not path.is_file():
        raise FileNotFoundError(f"quantized folder must have a quantization.json: {folder}")
    load_file = importlib.import_module("safetensors.numpy").load_file
    arrays: Arrays = {}
    TensorFiles(folder)  # Says what is wrong with the files, if anything is.
    for shard in folder.glob("layer-*.safetensors"):
        arrays |= load_file(shard)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        format = parse_grid(settings["format"])
        granularity = Granularity(settings["granularity"])
        linears = {
            name: _linear(name, item, arrays, format, granularity)
            for name, item in settings["layers"].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must describe the tensors beside it: {error}") from error
    kept = {n: t for n, t in arrays.items() if n.rpartition(".")[0] not in linears}
    return model.replaced(linears=linears, tensors=kept)


def _save_file() -> Any:
    try:
        return importlib.import_module("safetensors.numpy").save_file
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "writing a model needs the package safetensors: pip install 'dintmac[models]'",
            name=error.name,
        ) from error


def _arrays(name: str, linear: QuantizedLinear) -> Arrays:
    """The tensors of a linear layer."""
    weight = linear.weight
    assert isinstance(weight.format, Format)  # The recipe has one.
    found: dict[str, NDArray[Any] | None] = {
        "codes": pack(weight.codes, weight.format),
        "scale": weight.scale,
        "zero_point": weight.zero_point,
        "bias": linear.bias,
        "input_scale": linear.input_scale,
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


def _linear(
    name: str, item: Any, arrays: Arrays, format: Any, granularity: Granularity
) -> QuantizedLinear:
    """A linear layer from its tensors."""
    codes = unpack(arrays[f"{name}.codes"], format, item["shape"][1])
    scale, zero = arrays[f"{name}.scale"], arrays.get(f"{name}.zero_point")
    quantizer = AffineQuantizer(
        np.array(item["activation_scale"], dtype=np.float64),
        np.array(item["activation_zero_point"], dtype=np.int64),
    )
    return QuantizedLinear(
        QuantizedTensor(codes, scale, format, granularity, zero),
        lambda values: quantizer,
        arrays.get(f"{name}.bias"),
        arrays.get(f"{name}.input_scale"),
    )


def _write_workload(path: Path, name: str, layer: QuantizedLayer) -> None:
    """Codes of a linear layer and of some of its inputs, for the simulation."""
    linear = layer.linears[name]
    if linear.weight.zero_point is not None or not isinstance(linear.weight.format, Format):
        return  # No design multiplies with a zero point.
    codes, _ = IntegerLinear(linear).codes(layer.scaled_inputs(name)[:WORKLOAD_TOKENS])
    save(path, Workload(codes, linear.weight.codes, linear.weight.format, name))
