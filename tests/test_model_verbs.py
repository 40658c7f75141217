"""``dintmac quantize`` and ``dintmac evaluate`` on tiny models, with all that may be wrong."""

import json
import os
import re
import signal
import struct
import sys
import time

import numpy as np
import pytest
import safetensors.numpy as safetensors

from dintmac.cli import console, entry, main
from dintmac.golden.evaluation import export
from dintmac.reports import evaluation

FAST = {"--length": 16, "--count": 4, "--scales": "absmax"}


@pytest.fixture
def model(tiny_model, monkeypatch, tmp_path):
    """A causal model, with the current folder beside it."""
    monkeypatch.chdir(tmp_path)
    return tiny_model("llama")


@pytest.fixture
def run(capsys):
    """Runs a command line: exit status, standard output and standard error."""

    def call(*arguments):
        status = main([*map(str, arguments)])
        return status, *capsys.readouterr()

    return call


def refused(call, sentence):
    """Exit 2, nothing on standard output, and one sentence on standard error."""
    status, output, error = call()
    assert (status, output) == (2, ""), error
    assert error.startswith("dintmac: ")
    assert len(error.splitlines()) == 1
    assert re.search(sentence, error), error


def quantize(run, folder, *options):
    usual = {"--output": "out", "--calibration": folder.parent / "calibration", "--length": 16}
    return run("quantize", folder, *unless_given({"--method": "none"} | usual, options))


def unless_given(usual, options):
    """Options, with the usual ones that are not among them."""
    added = [pair for pair in usual.items() if pair[0] not in options]
    return [*(word for pair in added for word in pair), *options]


def evaluate(run, folder, *options):
    """As it is called here, it takes a simple method unless the test says otherwise."""
    texts = {"--calibration": folder.parent / "calibration", "--text": folder.parent / "evaluation"}
    return run("evaluate", folder, *unless_given({"--method": "none"} | texts | FAST, options))


@pytest.mark.slow
def test_quantize_writes_a_folder_whose_workloads_run_on_the_tile(run, model, tmp_path):
    status, output, error = quantize(run, model, "--method", "smoothquant+gptq")
    assert (status, error) == (0, "")
    assert "4,352 weights of 14 linear layers in dint4" in output
    assert re.search(r"\d+ s, peak memory \d+\.\d\d GiB", output)
    path = tmp_path / re.search(r"--workload (\S+)", output)[1]
    status, output, _ = run(
        *("simulate", "tile", "--workload", path, "--simulator", "amaranth", "--lanes", 8),
        *("--outputs", 2, "--rows", 1, "--columns", 1, "--depth", 64),
    )
    assert status == 0
    assert "1,024 of 1,024 outputs match the golden model" in output


def test_quantize_prints_what_it_wrote(run, model, tmp_path):
    status, output, _ = quantize(run, model, "--method", "none", "--format", "dint3", "--json")
    assert status == 0
    settings = json.loads(output)
    assert settings == json.loads((tmp_path / "out" / "quantization.json").read_text())
    assert (settings["format"], settings["method"]) == ("dint3", "none")


@pytest.mark.slow
def test_evaluate_takes_what_quantize_wrote(run, model, tmp_path):
    quantize(run, model, "--method", "aqas+gptq", "--scales", "absmax", "--count", "4")
    status, output, error = evaluate_alone(run, model, "--quantized", "out", "--json")
    assert (status, error) == (0, "")
    (row,) = json.loads(output)["rows"]
    assert json.loads(output)["settings"].keys() == {
        *("quantized", "text", "text_tokens", "integer", "context", "stride", "questions", "shots"),
    }
    options = ["--quantized", "out", "--method", "aqas+gptq", "--format", "dint4", "--json"]
    packed, made = json.loads(evaluate(run, model, *options)[1])["rows"]
    assert packed == row
    for name in ("method", "format"):
        assert packed["variant"][name] == made["variant"][name]
    assert packed["error"] == pytest.approx(made["error"], rel=1e-3)
    text = (tmp_path / "build" / "evaluate" / "evaluate.md").read_text()
    assert "folders of packed codes: out" in text


def evaluate_alone(run, folder, *options):
    """Without anything that is of calibration."""
    text = folder.parent / "evaluation"
    return run("evaluate", folder, "--text", text, "--context", 16, *options)


def test_evaluate_refuses_codes_that_are_no_model_of_its_own(run, model, tmp_path):
    quantize(run, model)
    refused(lambda: evaluate_alone(run, tmp_path / "out"), "model must be the original one; .*out")
    quantized = ["--quantized", model]
    refused(lambda: evaluate_alone(run, model, *quantized), r"must have a quantization\.json: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_quantize_leaves_nothing(
    own_signals, model, tmp_path, monkeypatch, capsys, number
):
    def interrupt(path, workload):
        assert list(tmp_path.glob(".out-*/out/*"))
        os.kill(os.getpid(), number)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dintmac", *map(str, arguments)])
        return entry(), *capsys.readouterr()

    monkeypatch.setattr(export, "save", interrupt)
    assert quantize(run, model) == (130, "", "dintmac: interrupted\n")
    names = {"calibration", "evaluation", "model", "questions"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_with_a_zero_point_there_are_no_workloads(run, model, tmp_path):
    status, output, _ = quantize(run, model, "--asymmetric", "--affine", "--method", "none")
    assert status == 0
    assert "--workload" not in output
    assert not list((tmp_path / "out" / "workloads").iterdir())


@pytest.mark.slow
def test_evaluate_compares_all_combinations_and_writes_everything(run, model, tmp_path):
    options = ["--method", "none", "--method", "gptq", "--format", "INT8", "--format", "fp4"]
    options += ["--granularity", "channel", "--granularity", "group8", "--ranges"]
    status, output, error = evaluate(run, model, *options, "--questions", "questions")
    assert (status, error) == (0, "")
    folder = tmp_path / "build" / "evaluate"
    content = json.loads((folder / "evaluate.json").read_text())
    variants = [row["variant"] for row in content["rows"]]
    assert [(v["format"], v["method"], v["granularity"]) for v in variants] == [
        (format, method, granularity)
        for format in ("INT8", "FP4")
        for granularity in ("channel", "group8")
        for method in ("none", "gptq")
    ]
    scores = {"perplexity", "divergence", "accuracy", "accuracy_per_character"}
    assert all(row["scores"].keys() == scores for row in content["rows"])
    assert {r["length"] for r in content["ranges"]} == {1, 4, 16}
    assert {path.suffix for path in folder.iterdir()} == {".json", ".md", ".png"}
    assert "perplexity" in output
    assert re.search(r"\d+ s, peak memory \d+\.\d\d GiB\. Written to build/evaluate", output)


def test_the_formats_of_macs_come_as_one_record_each(run, tiny_model):
    status, output, _ = evaluate(
        run, tiny_model("bert"), "--method", "none", "--format", "macs", "--json"
    )
    assert status == 0
    rows = {row["variant"]["format"]: row for row in json.loads(output)["rows"]}
    assert list(rows) == [
        *("INT8", "dINT8", "dINT7", "dINT6", "dINT5", "dINT4", "dINT3", "INT4", "FP4"),
    ]
    errors = [rows[f"dINT{bits}"]["error"]["rounding"] for bits in range(8, 2, -1)]
    assert errors == sorted(errors)
    assert all(-1 <= row["scores"]["cosine"] <= 1 for row in rows.values())


@pytest.mark.slow
def test_evaluate_gives_the_same_bytes_again(run, model):
    first, second = (
        evaluate(run, model, "--method", "aqas+gptq", "--format", "dint4", "--json")
        for _ in range(2)
    )
    assert first == second


def test_options_reach_the_recipe(run, model, monkeypatch):
    monkeypatch.setattr(evaluation, "draw", lambda *panels, **options: b"")

    def rows(*options):
        _, output, _ = evaluate(run, model, *options, "--method", "smoothquant", "--json")
        return json.loads(output)

    plain = rows()
    assert plain["settings"]["activations"] == "min-max"
    for options, name in (
        (["--activations", "dynamic", "--affine"], "dynamic, affine"),
        (["--activations", "percentile", "--percentile", "99"], "percentile 99"),
        (["--activations", "mse"], "mse"),
        (["--activations", "none"], "none"),
    ):
        found = rows(*options)
        assert found["settings"]["activations"] == name
        assert found["rows"][0]["error"] != plain["rows"][0]["error"]
    for options in (["--positive-scales"], ["--asymmetric"], ["--alpha", "0.9"], ["--seed", "3"]):
        assert rows(*options)["rows"][0]["error"] != plain["rows"][0]["error"]
    assert rows("--context", "8")["settings"]["context"] == 8
    overlapping = rows("--context", "8", "--stride", "2")
    assert overlapping["settings"]["stride"] == 2
    assert overlapping["full_precision"] != plain["full_precision"]
    exact = rows("--integer")
    assert exact["settings"]["integer"] is True


def test_a_llama2c_checkpoint_takes_the_tokenizer_beside_it(run, model):
    hidden, inner, layers, heads, words, positions = 16, 24, 2, 4, 15, 32
    sizes = struct.pack("<7i", hidden, inner, layers, heads, heads, words, positions)
    in_layers = layers * (2 * hidden + 4 * hidden**2 + 3 * hidden * inner)
    count = in_layers + hidden * (words + 1) + positions * hidden // heads
    values = np.random.default_rng(0).standard_normal(count).astype("<f4") / 4
    (model / "tiny.bin").write_bytes(sizes + values.tobytes())
    calibration = model.parent / "calibration"
    common = ["--calibration", calibration, "--length", 8, "--method", "none", "--json"]
    status, output, _ = run("evaluate", model / "tiny.bin", "--text", calibration, *common)
    assert status == 0
    found = json.loads(output)
    assert found["model"] == "tiny.bin"
    assert found["rows"][0]["scores"]["divergence"] > 0
    assert run("quantize", model / "tiny.bin", "--output", "out", *common)[0] == 0


def test_a_sentence_file_comes_with_the_package(run, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tiny_model("bert")
    status, output, _ = run("evaluate", folder, "--method", "none", "--format", "dint4", "--json")
    assert status == 0
    settings = json.loads(output)["settings"]
    assert (settings["calibration"], settings["text"]) == ("calibration.txt", "evaluation.txt")


def spoil(path, change):
    path.write_bytes(change(path.read_bytes()))


def tensors_of(folder):
    return safetensors.load_file(folder / "model.safetensors")


def without_a_tensor(folder):
    tensors = tensors_of(folder)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    safetensors.save_file(tensors, folder / "model.safetensors")


def with_nan(name):
    def change(folder):
        tensors = tensors_of(folder)
        tensors[name][0] = np.nan
        safetensors.save_file(tensors, folder / "model.safetensors")

    return change


def with_setting(**changed):
    def change(folder):
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(settings | changed))

    return change


def with_a_larger_vocabulary(folder):
    settings = json.loads((folder / "tokenizer.json").read_text())
    settings["model"]["vocab"] |= {"cat": 90}
    (folder / "tokenizer.json").write_text(json.dumps(settings))


def with_a_tensor(name):
    def change(folder):
        tensors = tensors_of(folder) | {name: np.ones(16, np.float32)}
        safetensors.save_file(tensors, folder / "model.safetensors")

    return change


def with_an_index(**listed):
    def change(folder):
        content = json.dumps({"metadata": {}, "weight_map": listed})
        (folder / "model.safetensors.index.json").write_text(content)

    return change


SHARD = "model.safetensors"
BIAS = "model.layers.0.self_attn.q_proj.bias"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: spoil(f / SHARD, lambda c: c[:-9]), "complete: it ends within the tensor "),
        (lambda f: spoil(f / SHARD, lambda c: c[:40]), "safetensors file: its header is incompl"),
        (lambda f: spoil(f / SHARD, lambda c: b""), "safetensors file: its header is incomplete"),
        (lambda f: spoil(f / SHARD, lambda c: b"PK\3\4" * 99), "safetensors file: its header"),
        (
            lambda f: spoil(f / SHARD, lambda c: struct.pack("<Q", 3) + b"[1]" + c),
            "must be a safetensors file: ",
        ),
        (lambda f: (f / SHARD).unlink(), r"model folder must have a \.safetensors file: "),
        (with_a_tensor(BIAS), f"must have no tensors but those of its type .*, not {BIAS}: "),
        (
            with_setting(quantization_config={"quant_method": "fp8"}),
            "must be the original one, not quantized: .*config.json .* its tensors are of F32",
        ),
        (with_an_index(x=SHARD), "model.safetensors must have the tensor x, as .*index.json says"),
        (with_an_index(x="y.safetensors"), "y.safetensors must be there, as .*index.json lists it"),
        (
            lambda f: spoil(f / "config.json", lambda c: c.decode().encode("utf-16")),
            "config.json must be in UTF-8: ",
        ),
        (without_a_tensor, "model must have the tensor model.layers.1.mlp.up_proj.weight"),
        (
            with_setting(intermediate_size=25),
            r"model.layers.0.mlp.gate_proj.weight must have shape \(25, 16\), not \(24, 16\)",
        ),
        (with_setting(model_type="gpt2"), "model_type must be bert, llama or opt, not 'gpt2'"),
        (with_setting(hidden_size="16"), "hidden_size must be an int, not '16'"),
        (with_setting(num_attention_heads=0), "num_attention_heads must be 1 to 2147483648, not 0"),
        (
            with_setting(rope_scaling=7),
            "config.json must describe the model: rope_parameters must be of type dict, not 7",
        ),
        (
            with_setting(rope_scaling={"type": "linear", "factor": 0}),
            "factor of rotary embeddings must be positive and finite, not 0",
        ),
        (
            with_setting(rms_norm_eps="x"),
            "config.json must describe the model: epsilon must be a number, not 'x'",
        ),
        (lambda f: (f / "config.json").unlink(), "model folder must have a config.json: "),
        (lambda f: (f / "config.json").write_text("{"), "config.json must be a JSON object: "),
        (lambda f: (f / "tokenizer.json").unlink(), "must have a tokenizer.json: "),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json must be a tokenizer: "),
        (
            with_a_larger_vocabulary,
            "tokenizer must have at most the 15 tokens of the model, not a token 90",
        ),
        (
            with_nan("model.layers.1.mlp.up_proj.weight"),
            "model.layers.1.mlp.up_proj.weight must be finite, not NaN or infinite",
        ),
        (with_nan("model.embed_tokens.weight"), "model.embed_tokens.weight must be finite"),
        (with_nan("lm_head.weight"), "lm_head.weight must be finite"),
        (
            lambda f: (f.parent / "calibration").write_text(" \n\n"),
            "text must not be empty: .*calibration",
        ),
        (lambda f: (f.parent / "calibration").unlink(), "text must be a file, not .*calibration"),
        (lambda f: (f.parent / "calibration").write_bytes(b"\xff\xfe\0"), "text must be in UTF-8"),
    ],
)
@pytest.mark.parametrize("verb", [quantize, evaluate])
def test_a_bad_model_or_text_ends_with_one_sentence(run, model, tmp_path, verb, change, sentence):
    change(model)
    refused(lambda: verb(run, model), sentence)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "build").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("verb", [quantize, evaluate])
def test_a_missing_package_ends_with_how_to_install_it(run, model, monkeypatch, verb):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    refused(lambda: verb(run, model), r"needs the package tokenizers: pip install 'dintmac\[mod")


def test_writing_needs_a_package_too(run, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    refused(lambda: quantize(run, model), "quantized model needs the package safetensors: pip ins")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--method", "awq+what"], "method must be none, or .* not 'awq\\+what'"),
        (["--format", "int9"], "format must be int2 to int8, .* not 'int9'"),
        (["--granularity", "group7"], "group_size must divide the inner axis of 16, not 7"),
        (["--granularity", "row"], "granularity must be tensor, channel or, say, group64"),
        (["--scales", "best"], "scales must be absmax or mse, not 'best'"),
        (["--activations", "int4"], "activations must be min-max, .* not 'int4'"),
        (["--activations", "percentile", "--percentile", "9"], "percentile must be above 50"),
        (["--alpha", "2"], r"alpha must be 0 to 1, not 2\.0"),
        (["--damping", "0"], r"damping must be positive and finite, not 0\.0"),
        (["--damping", "inf"], "damping must be positive and finite, not inf"),
        (["--damping", "nan"], "damping must be positive and finite, not nan"),
        (["--alpha", "nan"], "alpha must be 0 to 1, not nan"),
        (["--percentile", "99"], "percentile must come with activations percentile"),
        (["--activations", "none", "--affine"], "affine must come with activations that are quan"),
        (["--format", ""], "argument --format: must not be empty"),
        (["--method", ""], "argument --method: must not be empty"),
        (["--granularity", ""], "argument --granularity: must not be empty"),
        (["--scales", ""], "argument --scales: must not be empty"),
        (["--activations", ""], "argument --activations: must not be empty"),
        (["--length", "0"], "length must be 1 to 2147483648, not 0"),
        (["--count", "0"], "count must be 1 to 2147483648, not 0"),
        (["--seed", "-1"], "seed must be 0 to .*, not -1"),
    ],
)
@pytest.mark.parametrize("verb", [quantize, evaluate])
def test_bad_options_end_with_one_sentence(run, model, verb, options, sentence):
    refused(lambda: verb(run, model, *options), sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--context", "1"], "context must be 2 to 2147483648, not 1"),
        (["--context", "8", "--stride", "9"], "stride must be 1 to 8, not 9"),
        (["--shots", "1"], "shots must come with questions"),
        (["--questions", "latin"], "questions must be in UTF-8: latin"),
        (["--text", "latin"], "text must be in UTF-8: latin"),
        (["--questions", "evaluation"], "evaluation, line 1 must be a question: Expecting value"),
        (["--questions", "absent"], "questions must be a file, not absent"),
        (["--questions", "questions", "--shots", "1"], "shots must be 0 to 0, not 1"),
        (["--output", "questions"], "output must be a folder, not the file"),
        (["--integer", "--format", "nf4"], "format of an integer layer must be int2 .*, not NF4"),
        (["--asymmetric", "--format", "nf4"], "format with a zero point must be int2 .*, not NF4"),
    ],
)
def test_bad_options_of_evaluate_end_with_one_sentence(run, model, tmp_path, options, sentence):
    (tmp_path / "latin").write_bytes("Füße".encode("latin-1"))
    refused(lambda: evaluate(run, model, *options), sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format", "nf4"], "format of a folder must be int2 to int8, .* not NF4"),
        (["--activations", "dynamic"], "activations of a folder must have a static range, not dyn"),
        (["--method", "rank2"], "method of a folder must have no rank and no outliers"),
        (["--output", "model"], "output must be a new or empty folder, not model"),
    ],
)
def test_what_a_folder_does_not_hold_ends_with_one_sentence(run, model, options, sentence):
    refused(lambda: quantize(run, model, *options), sentence)


def wait_until(condition):
    """The thread that shows the bar must have its turn."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end


def test_a_bar_appears_after_a_while_and_only_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    with console.counter("counting") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with console.counter("counting") as progress:
        progress(1, 2)
        wait_until(lambda: "counting" in capsys.readouterr().err)
    capsys.readouterr()
    monkeypatch.setattr(console, "PATIENCE", 60.0)
    with console.counter("counting") as progress:
        progress(1, 2)
    assert "counting" not in capsys.readouterr().err
