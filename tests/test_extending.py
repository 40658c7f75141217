"""What the how-to pages say is enough to add a format, an architecture, a design, a simulator.

The files of each page are put into a package of their own, with the entry points of the page, and
are used by the commands of the page. Nothing of dintmac is changed.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOW_TO = Path(__file__).resolve().parents[1] / "docs" / "how-to"
FORMAT, ARCHITECTURE, DESIGN, SIMULATOR = (
    HOW_TO / f"add-{what}.md" for what in ("a-format", "an-architecture", "a-design", "a-simulator")
)


def blocks(page, language):
    fenced = re.findall(r"(?ms)^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"))
    return [text for found, text in fenced if found == language]


@pytest.fixture
def run(tmp_path):
    """Run a command or a program where the packages of some pages are installed."""

    def run(pages, *command):
        site = tmp_path / "site"
        metadata = site / "extension-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Name: extension\nVersion: 1.0\n", "utf-8")
        points = "\n".join(text for page in pages for text in blocks(page, ""))
        points = re.sub(r'project\.entry-points\."(.*)"', r"\1", points).replace('"', "")
        (metadata / "entry_points.txt").write_text(points, "utf-8")
        for language in ("python", "systemverilog"):
            for text in (text for page in pages for text in blocks(page, language)):
                name = re.match(r"(?:#|//) (\w+\.\w+)\n", text)[1]
                (site / name).write_text(text, "utf-8")
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def commands(page):
    """Those of a page, in turn."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return [["-m", *shlex.split(line)] for line in lines]


def check_commands(run, pages):
    for command in commands(pages[-1]):
        done = run(pages, *command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


@pytest.mark.slow
def test_a_format_from_outside(run, tmp_path):
    check_commands(run, [FORMAT])
    port_map = json.loads((tmp_path / "mac.json").read_text("utf-8"))
    (table,) = port_map["weights"]
    assert (table["format"], port_map["architecture"]) == ("PO4", "behavioural")
    assert table["values"] == [0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64]


def test_a_format_from_outside_is_quantized_to_packed_and_named(run):
    program = """\
import numpy as np
from dintmac.golden import formats, matmul, packing
from dintmac.golden.quantization import weights as quantize
po4 = formats.parse("PO4")
weights = np.random.default_rng(0).normal(size=(3, 8))
codes = quantize.quantize_weights(weights.astype(np.float32), po4).codes
assert np.array_equal(packing.unpack(packing.pack(codes, po4), po4, 8), codes)
activations = np.arange(-4, 4, dtype=np.int8)[np.newaxis]
expected = activations.astype(int) @ po4.decode(codes).astype(int).T
assert np.array_equal(matmul.matmul(activations, codes, po4), expected)
print(formats.named(formats.FORMATS.values()))
"""
    done = run([FORMAT], "-c", program)
    assert done.stdout == "int2 to int8, dint3 to dint8, fp4 or po4\n", done.stderr
    shown = run([FORMAT], "-m", "dintmac", "verilog", "--help").stdout
    assert "fp4 or po4" in " ".join(shown.split())


@pytest.mark.slow
def test_an_architecture_from_outside(run):
    """The bench has every pair of a code and an activation. It is the default of its format."""
    check_commands(run, [FORMAT, ARCHITECTURE])
    command = ["simulate", "mac", "--format", "po4", "--depth", "4", "--json"]
    result = json.loads(run([FORMAT, ARCHITECTURE], "-m", "dintmac", *command).stdout)
    assert (result["architecture"], result["passed"]) == ("po_shift", True)


@pytest.mark.slow
def test_a_design_from_outside(run, tmp_path):
    check_commands(run, [DESIGN])
    assert "module product (" in (tmp_path / "product.v").read_text("utf-8")
    port_map = json.loads((tmp_path / "product.json").read_text("utf-8"))
    assert port_map["summary"] == "Multiplies one weight by one activation a cycle."
    assert (port_map["latency_cycles"], port_map["accumulator_bits"]) == (1, 12)
    records = json.loads((tmp_path / "build" / "report" / "report.json").read_text("utf-8"))[
        "records"
    ]
    assert {record["configuration"]["design"] for record in records} == {"product"}
    # Every pair, and some more than once: each copy begins anew after a reset.
    assert all(record["check"]["vectors"] > 4096 for record in records)


def test_a_design_that_claims_nothing_is_not_proved(run):
    program = """\
from dintmac.cli import main
from dintmac.hdl.catalog import DESIGNS
DESIGNS.add("twin", DESIGNS["mac"])
raise SystemExit(main(["prove", "twin"]))
"""
    done = run([], "-c", program)
    assert (done.returncode, done.stdout) == (2, "")
    sentence = "twin has no assertions to prove: no entry point of dintmac.claims"
    assert done.stderr == f"dintmac: {sentence}\n"


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_a_simulator_from_outside(run, tmp_path, monkeypatch):
    done = run([SIMULATOR], *commands(SIMULATOR)[0])
    assert done.returncode == 2
    assert done.stderr == "dintmac: oss-icarus is not installed; set OSS_CAD_SUITE to it\n"
    programs = tmp_path / "suite" / "bin"
    programs.mkdir(parents=True)
    for name in ("iverilog", "vvp"):
        (programs / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("OSS_CAD_SUITE", str(tmp_path / "suite"))
    check_commands(run, [SIMULATOR])


def test_a_name_that_is_taken_is_refused(run):
    program = """\
from dintmac.golden.formats import FORMATS, INT4
try:
    FORMATS.add("int4", INT4)
except ValueError as error:
    print(error)
"""
    assert run([], "-c", program).stdout == "there is a format 'int4' already\n"
