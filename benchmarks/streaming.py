"""Peak memory and time of a model of the size of LLaMA 7B, layer by layer.

A checkpoint of that shape with random weights in bfloat16, a shard for each layer, is written to
``--folder``, and quantized and evaluated by the command line, each in a process of its own. Time
grows with the number of layers and memory does not, which checkpoints of several depths show:

    pip install 'dintmac[models]'
    python benchmarks/streaming.py --layers 1 3 --method none --count 1 --length 256 --tokens 512
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.models.llama import LlamaConfig

SETTINGS = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
}


def bfloat16(values: NDArray[np.float32]) -> bytes:
    """The upper halves of float32 numbers."""
    return (values.view(np.uint32) >> 16).astype("<u2").tobytes()


def write_shard(path: Path, shapes: dict[str, tuple[int, ...]], rng: np.random.Generator) -> None:
    """Write tensors of normal values; norms are 1."""
    header, start = {}, 0
    for name, shape in shapes.items():
        end = start + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            values = np.ones(shape, np.float32)
            if len(shape) == 2:
                values = rng.standard_normal(shape, dtype=np.float32) / np.float32(64)
            file.write(bfloat16(values))


def write_model(folder: Path, layers: int) -> None:
    """Write a checkpoint with a tokenizer of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    settings = SETTINGS | {"num_hidden_layers": layers}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    shapes = LlamaConfig.from_dict(settings).tensor_shapes()
    rng = np.random.default_rng(0)
    for layer in range(layers):
        own = {n: s for n, s in shapes.items() if n.startswith(f"model.layers.{layer}.")}
        write_shard(folder / f"layer-{layer}.safetensors", own, rng)
    ends = {n: s for n, s in shapes.items() if not n.startswith("model.layers.")}
    write_shard(folder / "ends.safetensors", ends, rng)
    vocabulary = {"[UNK]": 0} | {f"w{i}": i for i in range(1, settings["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def write_words(path: Path, words: int, seed: int) -> None:
    """Write words of the tokenizer."""
    numbers = np.random.default_rng(seed).integers(1, SETTINGS["vocab_size"], words)
    path.write_text(" ".join(f"w{number}" for number in numbers), encoding="utf-8")


def run(*arguments: object) -> str:
    """Run a command line; returns time and peak memory, as it prints them itself."""
    print("dintmac", *arguments, flush=True)
    command = [sys.executable, "-m", "dintmac", *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    (cost,) = re.findall(r"\d+ s, peak memory \d+\.\d\d GiB", output)
    return cost


def measure(layers: int, options: argparse.Namespace) -> tuple[str, str]:
    """Time and peak memory of both verbs on a checkpoint of some depth, which is then removed."""
    folder: Path = options.folder
    model, calibration, text = folder / "model", folder / "calibration.txt", folder / "text.txt"
    write_model(model, layers)
    write_words(calibration, 4 * options.count * options.length, 1)
    write_words(text, options.tokens, 2)
    common = ["--calibration", calibration, "--count", options.count, "--length", options.length]
    common += ["--method", options.method, "--format", "dint4", "--scales", options.scales]
    quantized = run("quantize", model, "--output", folder / "quantized", *common)
    # Its row is that of the codes that have been written, and one more.
    common += ["--text", text, "--quantized", folder / "quantized"]
    evaluated = run("evaluate", model, "--output", folder / "evaluation", *common)
    shutil.rmtree(folder)
    return quantized, evaluated


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[1], help="32 are all of 7B")
    parser.add_argument("--folder", type=Path, default=Path("build/llama"), help="must not exist")
    parser.add_argument("--method", default="aqas+gptq")
    parser.add_argument("--scales", default="absmax")
    parser.add_argument("--count", type=int, default=4, help="calibration sequences")
    parser.add_argument("--length", type=int, default=2048, help="tokens in each, and in a window")
    parser.add_argument("--tokens", type=int, default=4096, help="of the text of evaluation")
    options = parser.parse_args()
    found = {layers: measure(layers, options) for layers in options.layers}
    print("| layers | quantize | evaluate |\n|---:|---|---|")
    for layers, costs in found.items():
        print(f"| {layers} |", " | ".join(costs), "|")
    return 0


if __name__ == "__main__":
    sys.exit(main())
