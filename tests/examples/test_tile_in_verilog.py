"""The bench that was written from exported files alone, run as its README says."""

import re
import subprocess
from pathlib import Path

import pytest

from dintmac.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "tile_in_verilog"

pytestmark = pytest.mark.needs("icarus")


@pytest.fixture
def layer(tmp_path, monkeypatch):
    """The layer of the README, in the current folder."""
    monkeypatch.chdir(tmp_path)
    commands = (EXAMPLE / "README.md").read_text("utf-8")
    exec(re.search(r"python -c '\n(.*?)'\n", commands, re.DOTALL)[1], {})
    return tmp_path / "layer.npz"


def exported(layer, architecture, double_buffered):
    options = ["--architecture", architecture, "--double-buffered", str(double_buffered)]
    command = ["verilog", "tile", *options, "--weights", str(layer), "-o", "tile.v"]
    assert main(command) == 0


def run_bench():
    compiled = ["iverilog", "-g2005", "-Wall", "-o", "bench", str(EXAMPLE / "bench.v"), "tile.v"]
    done = subprocess.run(compiled, capture_output=True, text=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(["vvp", "bench"], capture_output=True, text=True, encoding="utf-8")
    return done.stdout.strip()


@pytest.mark.parametrize("double_buffered", [0, 1])
@pytest.mark.parametrize("architecture", ["digits", "digits_folded", "nr4sd"])
@pytest.mark.slow
def test_every_sum_is_right(layer, architecture, double_buffered):
    exported(layer, architecture, double_buffered)
    assert run_bench() == "PASSED: 800 sums are right, 0 wrong"


@pytest.mark.slow
def test_without_the_correction_sums_are_wrong(layer):
    """The biases of an architecture that is not folded are those of the layer."""
    exported(layer, "digits", 1)
    plain = Path("tile.biases.hex").read_text("utf-8")
    exported(layer, "digits_folded", 1)
    Path("tile.biases.hex").write_text(plain, "utf-8")
    right = int(re.fullmatch(r"FAILED: (\d+) sums are right, \d+ wrong", run_bench())[1])
    # What is right is beyond the last output, where all weights are zeros.
    assert right == 2 * 40
