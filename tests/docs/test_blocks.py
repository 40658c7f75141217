"""Code blocks of the README and of docs run, those of a page in turn and in one folder.

A block that does not run has the reason in a comment before it, which Sybil reads.
"""

import gc
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from dintmac.cli.parser import parse

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [
    PROJECT / "README.md",
    *sorted(PROJECT.glob("docs/**/*.md")),
    *sorted(PROJECT.glob("examples/*/README.md")),
]


def run_in_shell(example):
    """Everything is installed already; what is on the path is what runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", f"pip() {{ :; }}\n{example.parsed}"]
    done = subprocess.run(
        command,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{example.path}, line {example.line}:\n{done.stderr}"


BLOCKS = Sybil([PythonCodeBlockParser(), CodeBlockParser("sh", run_in_shell), SkipParser()])


def fenced(page):
    """Language and text of each block of a page, of those without a language as well."""
    return re.findall(r"(?ms)^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"))


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny_model, shared_folder):
    """The current folder, with what the pages work on: examples, texts, a layer, a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DINTMAC_CACHE", str(shared_folder / "cache"))
    for name in ("benchmarks", "examples", "golden"):
        Path(name).symlink_to(PROJECT / name)
    Path("text.txt").symlink_to(PROJECT / "golden" / "texts" / "evaluation.txt")
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 16, (18, 20), dtype=np.uint8)
    activations = rng.integers(-128, 128, (40, 20), dtype=np.int8)
    np.savez("layer.npz", weights=weights, activations=activations, format="dint4")
    tiny_model("llama", hidden_size=64, intermediate_size=64, max_position_embeddings=2048)


# Pages make components to look at, of which Amaranth warns when they are collected.
@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
@pytest.mark.slow
def test_blocks_run(page, folder, need):
    def lacks(*tools):
        """Why a block does not run here, if a tool is missing and not required."""
        try:
            any(map(need, tools))
        except pytest.skip.Exception as missing:
            return str(missing)
        return ""

    document = BLOCKS.parse(page)
    document.namespace["lacks"] = lacks
    for example in document:
        try:
            example.evaluate()
        except SkipTest:
            continue
    document.namespace.clear()
    gc.collect()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_commands_have_the_options_that_they_are_written_with(page, folder):
    """Also of the blocks that do not run, but for lines with loops."""
    for block in re.findall(
        r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        for line in block.splitlines():
            if line.startswith("dintmac ") and "$(" not in line:
                parse(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_block_with_commands_says_that_it_is_one(page):
    """One without a language would never run; a synopsis names what is left out in capitals."""
    for language, text in fenced(page):
        assert language in ("python", "sh", "systemverilog", "")
        assert language or not re.match(r"(dintmac|pip|python|nox) [^A-Z]*$", text), text
