"""The command line as a user runs it, in a process of its own."""

import gzip
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from dintmac.cli import main, prove
from dintmac.cli.parser import parse
from dintmac.golden.formats import Format
from dintmac.synth.liberty import find_libraries

SMALL_TILE = ["--lanes", "2", "--outputs", "1", "--rows", "2", "--columns", "2", "--depth", "64"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def dintmac(tmp_path, cache):
    """Runs ``dintmac`` in an empty folder, with a cache that the whole session shares."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "dintmac", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"DINTMAC_CACHE": str(cache)} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def ge():
    (library,) = find_libraries(["ge"])
    return library


@pytest.fixture
def here(tmp_path, cache, monkeypatch, capsys):
    """As ``dintmac``, but in this process: for what ends soon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DINTMAC_CACHE", str(cache))

    def run(*arguments):
        try:
            status = main([*map(str, arguments)])
        except SystemExit as end:  # As --help ends.
            status = end.code
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


def workload(path, rng, **replaced):
    """A workload file of a small product, with some arrays replaced."""
    arrays = {
        "activations": rng.integers(-128, 128, (5, 6)).astype(np.int8),
        "weights": rng.integers(0, 16, (3, 6)).astype(np.uint8),
        "format": np.array("dint4"),
    }
    np.savez(path, **{k: v for k, v in (arrays | replaced).items() if v is not None})
    return path


def assert_refused(done, sentence, folder):
    """Exit 2 with one sentence on standard error, and nothing written."""
    assert done.returncode == 2, done.stderr
    assert re.search(sentence, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("dintmac: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert not list(folder.rglob("*.partial"))
    assert not (folder / "build").exists()


def test_help_names_every_verb_and_every_option_has_help(here):
    overview = here("--help").stdout
    for verb in ("report", "simulate", "verilog", "prove", "quantize", "evaluate", "doctor"):
        assert re.search(rf"(?m)^    {verb} ", overview)
        done = here(verb, "--help")
        assert done.returncode == 0
        for option in re.findall(r"(?m)^  (--\w+)(?: [\w.|]+)?$", done.stdout):
            assert re.search(rf"{option}(?: [\w.|]+)?\n? +\S", done.stdout), option


def test_verilog_writes_the_module_and_its_port_map(dintmac, tmp_path):
    done = dintmac("verilog", "tile", *SMALL_TILE, "--format", "int4", "-o", "t.v")
    assert done.returncode == 0, done.stderr
    description = json.loads((tmp_path / "t.json").read_text())
    assert description["module"] == "tile"
    assert description["format"] == "INT4"
    assert description["parameters"]["rows"] == 2
    assert "module tile (" in (tmp_path / "t.v").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "t.v"]


@pytest.mark.slow
def test_verilog_says_which_architecture_it_took_and_what_a_smaller_one_asks_for(dintmac):
    done = dintmac("verilog", "mac", "-o", "mac.v")
    assert done.stdout.splitlines() == [
        "mac.v: module mac, architecture digits",
        "mac.json: port map",
        "smaller: --architecture nr4sd, which asks for encoded weights and a corrected bias "
        "(--weights writes them)",
    ]
    done = dintmac("verilog", "mac", "--format", "dint5", "-o", "mac.v")
    assert "--architecture digits_folded, which asks for a corrected bias (" in done.stdout
    done = dintmac("verilog", "mac", "--architecture", "nr4sd", "-o", "mac.v")
    sentence = "nr4sd asks for encoded weights and a corrected bias: see the head of the file"
    assert done.stdout.splitlines()[-1] == sentence


@pytest.mark.slow
def test_verilog_writes_images_of_weights_and_no_others_stay(dintmac, tmp_path):
    rng = np.random.default_rng(1)
    path = workload(tmp_path / "w.npz", rng, bias=np.arange(3))
    command = ["verilog", "tile", *SMALL_TILE, "--architecture", "nr4sd", "-o", "t.v"]
    done = dintmac(*command, "--weights", path)
    assert done.returncode == 0, done.stderr
    names = ["t.activations.hex", "t.biases.hex", "t.expected.hex", "t.json", "t.v"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*names, "t.weights.hex", "w.npz"]
    assert "t.biases.hex: bias less correction, for sums to begin with\n" in done.stdout
    workload(path, rng, activations=None)
    assert dintmac(*command, "--weights", path).returncode == 0
    names = ["t.biases.hex", "t.json", "t.v", "t.weights.hex"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*names, "w.npz"]
    assert dintmac(*command).returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "t.v", "w.npz"]


def test_verilog_writes_nothing_if_an_image_cannot_be_written(dintmac, tmp_path):
    path = workload(tmp_path / "w.npz", np.random.default_rng(1))
    (tmp_path / "t.expected.hex").mkdir()
    done = dintmac("verilog", "tile", *SMALL_TILE, "-o", "t.v", "--weights", path)
    assert_refused(done, "t.expected.hex", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.expected.hex", "w.npz"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tile", "-o", "/dev/null"], "output must be a file beside which weights go, not '/dev/n"),
        (
            ["fused", "-o", "t.v"],
            "must be for a design of one weight format, not for fused",
        ),
        (["mac", "--depth", "4", "-o", "t.v"], "depth must be at least 6"),
        (["mac", "--format", "int4", "-o", "t.v"], "its format is dINT4, not INT4"),
    ],
)
@pytest.mark.slow
def test_weights_that_do_not_suit_end_with_one_sentence(dintmac, tmp_path, arguments, sentence):
    path = workload(tmp_path / "w.npz", np.random.default_rng(1))
    assert_refused(dintmac("verilog", *arguments, "--weights", path), sentence, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["w.npz"]


def test_verilog_takes_stages_and_adders(dintmac, tmp_path):
    options = ["--tree-register", "2", "--fast-adder", "1", "--double-buffered", "0"]
    done = dintmac("verilog", "tile", *SMALL_TILE, *options, "-o", "tile.v")
    assert done.returncode == 0, done.stderr
    description = json.loads((tmp_path / "tile.json").read_text())
    assert description["latency_cycles"] == 5
    expected = {"tree_register": 2, "fast_adder": 1, "double_buffered": 0}
    assert description["parameters"].items() >= expected.items()


@pytest.mark.slow
def test_simulate_passes_the_bench_of_a_design(dintmac):
    done = dintmac("simulate", "mac", "--depth", 16, "--simulator", "amaranth", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"] is True
    assert len(result["tests"]) > 5


@pytest.mark.slow
def test_simulate_writes_a_waveform(dintmac, tmp_path):
    done = dintmac(
        "simulate", "mac", "--depth", 16, "--simulator", "amaranth", "--waveform", "mac.vcd"
    )
    assert done.returncode == 0, done.stderr
    assert "$enddefinitions" in (tmp_path / "mac.vcd").read_text()
    assert "mac_dint4_digits_d16, architecture digits, the default of dINT4, on" in done.stdout


def test_simulate_runs_a_workload_and_says_what_it_took(dintmac, tmp_path):
    path = workload(tmp_path / "w.npz", np.random.default_rng(1))
    options = ["--workload", path, "--simulator", "amaranth", "--architecture", "nr4sd"]
    done = dintmac("simulate", "tile", *SMALL_TILE, *options)
    assert done.returncode == 0, done.stderr
    assert ", architecture nr4sd, amaranth" in done.stdout
    assert re.search(r"15 of 15 outputs match", done.stdout)
    assert re.search(r"\d+ cycles", done.stdout)
    assert re.search(r"utilisation \d", done.stdout)


@pytest.mark.slow
def test_report_measures_checks_and_writes_everything(dintmac, tmp_path):
    done = dintmac("report", "--quick", "--design", "mac")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "build" / "report"
    report = json.loads((folder / "report.json").read_text())
    found = {
        (r["configuration"]["format"], r["library"], r["check"]["method"])
        for r in report["records"]
    }
    assert found == {(format, "ge", "simulated") for format in ("INT8", "INT4", "dINT4")}
    assert {p.suffix for p in folder.iterdir()} >= {".json", ".md", ".html", ".png"}
    ratio = next(
        r
        for r in report["ratios"]
        if (r["candidate"]["format"], r["baseline"]["format"]) == ("dINT4", "INT8")
        and r["strongest"]
    )
    int8, dint4 = (
        min(r["area"] for r in report["records"] if r["configuration"]["format"] == format)
        for format in ("INT8", "dINT4")
    )
    assert ratio["ratio"] == pytest.approx(int8 / dint4)
    assert "dINT4" in done.stdout


@pytest.mark.slow
def test_report_prints_json_that_equals_the_file(dintmac, tmp_path):
    done = dintmac("report", "--quick", "--design", "mac", "--json", "--output", "out")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "report.json").read_text())


@pytest.mark.slow
def test_front_joins_a_report_and_an_evaluation(dintmac, tmp_path):
    done = dintmac("report", "--quick", "--design", "mac", "--format", "fp4")
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "build" / "report" / "report.json").read_text())["records"]
    configurations = [r["configuration"] for r in records]
    assert {(c["format"], c["architecture"]) for c in configurations} == {
        ("FP4", "shift"),
        ("FP4", "shift_folded"),
    }
    error = {"total": 0.01, "rounding": 0.01, "underflow": 0.0, "underflowed": 0.0}
    variant = {"method": "none", "format": "FP4", "granularity": "channel", "search": "mse"}
    row = {"variant": variant, "error": error, "layers": {}, "scores": {"cosine": 0.95}}
    evaluation = {"model": "m", "settings": {}, "full_precision": {"cosine": 1.0}, "ranges": []}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation | {"rows": [row]}))
    done = dintmac("front", "--evaluation", "evaluation.json")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^FP4 .* shift(?:_folded)? +1.000 +5.000 +front +front", done.stdout, re.M)
    assert {p.name for p in (tmp_path / "build" / "front").iterdir()} == {"front.md", "front.png"}


@pytest.mark.slow
def test_prove_prints_a_line_for_each_proof(dintmac):
    done = dintmac("prove", "mac", "--format", "dint4", "--architecture", "digits")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    line = r"proved +[\d.]+ s  mac_dint4_digits_d4096: lane 0 \(SAT, 16 sets of codes\)"
    assert re.fullmatch(line, lines[1])
    assert lines[-1].endswith("mac_dint4_digits_d4096: control (PDR, 6 claims)")


@pytest.mark.parametrize(
    ("arguments", "suiting"),
    [
        ("", "mac dot pe tile fused"),
        ("--format int8", "mac dot pe tile"),
        ("--format dint4 --architecture fused", "fused"),
        ("--carry-save 1", "mac dot"),
        ("fused", "fused"),
    ],
)
def test_prove_takes_the_designs_that_suit_unless_they_are_named(arguments, suiting):
    configurations = prove._configurations(parse(["prove", *arguments.split()]))
    designs = dict.fromkeys(configuration.design for configuration in configurations)
    assert list(designs) == suiting.split()


@pytest.mark.slow
def test_prove_takes_options_and_fused(dintmac):
    done = dintmac("prove", "fused", "mac", "--format", "int4", "--carry-save", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dintmac: fused has no carry_save; it has depth, lanes, outputs\n"
    done = dintmac("prove", "fused", "--format", "int4", "--json")
    (proof,) = json.loads(done.stdout)
    assert (proof["netlist"], proof["claim"]) == ("fused_int4_fused_d4096_l2_o1", "control")
    done = dintmac("prove", "mac", "--format", "int4", "--architecture", "digits", "--carry-save=1")
    assert done.stdout.endswith("mac_int4_digits_d4096_carry_save1: control (PDR, 6 claims)\n")


@pytest.mark.slow
def test_prove_prints_json(dintmac):
    done = dintmac("prove", "tile", "--format", "int4", "--architecture", "digits", "--json")
    (proof,) = json.loads(done.stdout)
    assert proof["netlist"] == "tile_int4_digits_d4096_l2_o1_r2_c2"
    assert (proof["claim"], proof["seconds"] > 0) == ("control", True)


@pytest.mark.slow
def test_prove_ends_with_1_and_the_counterexample_where_a_proof_fails(
    monkeypatch, capsys, tmp_path
):
    """The golden model takes another code for another value; no other process would know."""

    def one_by_one(function, items, workers, finish):
        for index, item in enumerate(items):
            finish(index, function(item))

    monkeypatch.setattr("dintmac.synth.workers.share_out", one_by_one)
    monkeypatch.setenv("DINTMAC_CACHE", str(tmp_path))
    monkeypatch.setattr(
        Format, "to_units", lambda format, codes, hardware=None: format.decode(codes) + 1
    )
    assert main(["prove", "mac", "--format", "int4", "--architecture", "digits"]) == 1
    assert re.search(r"the sum must be -?\d+, not -?\d+, for activ", capsys.readouterr().err)


@pytest.mark.slow
def test_a_library_of_several_files_with_cells_that_are_left_alone(dintmac, tmp_path, ge):
    cells = list(ge.facts)
    without_area = ge.text(cells[20:]).replace("cell (XOR2) {\n    area : 2.5;", "cell (XOR2) {")
    (tmp_path / "a.lib").write_text(ge.text(cells[:20]))
    (tmp_path / "b.lib").write_text(without_area)
    done = dintmac(
        *("prove", "mac", "--format", "dint4", "--architecture", "digits"),
        *("--library", "mine=a.lib,b.lib", "--dont-use", "CLKGATE", "--dont-use", "FA"),
    )
    said = "left alone, without an area above zero: XOR2"
    assert (done.returncode, done.stderr) == (0, f"dintmac: mine: {said}\n")
    findings = json.loads(dintmac("doctor", "--json", DINTMAC_LIBRARIES="b.lib").stdout)
    (library,) = (f for f in findings if f["name"] == "library b")
    assert library["found"] == f"{len(cells) - 20} cells; {said}"


@pytest.mark.slow
def test_doctor_finds_what_the_main_job_needs(dintmac):
    done = dintmac("doctor", "--json")
    assert done.returncode == 0, done.stderr
    findings = {f["name"]: f for f in json.loads(done.stdout)}
    assert findings["yosys"]["found"]
    assert findings["library ge"]["found"]
    for finding in findings.values():
        assert bool(finding["found"]) != bool(finding["remedy"])


@pytest.mark.slow
def test_doctor_says_how_to_install_what_is_missing(dintmac):
    findings = dintmac("doctor", "--json", PATH="").stdout
    icarus = next(f for f in json.loads(findings) if f["name"] == "icarus")
    assert (icarus["found"], icarus["remedy"]) == ("", "apt install iverilog")
    opensta = next(f for f in json.loads(findings) if f["name"] == "opensta")
    assert (opensta["found"], opensta["remedy"]) == ("", "apt install opensta")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["verilog", "mac", "--format", "dint9000", "-o", "x.v"], "format must be .* 'dint9000'"),
        (["verilog", "core", "-o", "x.v"], "design must be one of .* 'core'"),
        (["verilog", "mac", "--lanes", "4", "-o", "x.v"], "mac has no lanes"),
        (["verilog", "dot", "--lanes", "0", "-o", "x.v"], "lanes must be positive, not 0"),
        (["verilog", "mac", "--architecture", "booth", "-o", "x.v"], "architecture of dINT4 must"),
        (["verilog", "mac", "-o", "."], "output must be a Verilog file"),
        (["verilog", "mac", "-o", "no/such/x.v"], "No such file or directory"),
        (["prove", "core"], "design must be one of mac, dot, pe, tile, fused, not 'core'"),
        (["prove", "fused", "--format", "int8"], "format must be INT4 or dINT4, not INT8"),
        (["prove", "--architecture", "none"], "architecture of INT8 must be one of"),
        (["prove", "mac", "fused", "--carry-save", "1"], "fused has no carry_save"),
        (["prove", "mac", "--library", "no.lib"], "no.lib"),
        (["simulate", "mac", "--simulator", "spice"], "simulator must be one of"),
        (["simulate", "mac", "--seed", "-1"], "seed must not be negative"),
        (["simulate", "mac", "--waveform", "x.png"], "writes waveforms as"),
        (["simulate", "tile", "--workload", "missing.npz"], "missing.npz"),
        (["simulate", "mac", "--workload", "missing.npz"], "workload"),
        (["report", "--library", "nosuchlib"], "nosuchlib"),
        (["report", "--library", "missing.lib"], "missing.lib"),
        (["report", "--library", "mine=a.lib,missing.lib"], "'a.lib'"),
        (["report", "--quick", "--dont-use", "nosuch*"], "dont-use must match a cell of ge, not"),
        (["prove", "mac", "--dont-use", "INV"], "has no inverter"),
        (["report", "--quick", "--design", "core"], "design must be one of"),
        (["report", "--quick", "--jobs", "0"], "jobs must be positive"),
        (["report", "--quick", "--format", "fp5"], "format must be .* or fp4, not 'fp5'"),
        (["front"], "No such file or directory: build/report/report.json"),
        (["report", "--quick", "--target-delay", "1"], "target delay must go with a library that"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_end_with_one_sentence(here, tmp_path, arguments, sentence):
    assert_refused(here(*arguments), sentence, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: VERB"),
        (["simulate", "mac", "--format", ""], "argument --format: must not be empty"),
        (["verilog", "mac", "-o", ""], "argument -o/--output: must not be empty"),
        (["verilog", "mac", "--module=", "-o", "x.v"], "argument --module: must not be empty"),
        (["report", "--quick", "--output", ""], "argument --output: must not be empty"),
        (["report", "--quick", "--format", ""], "argument --format: must not be empty"),
        (["verilog", "mac", "--depth", "9" * 23, "-o", "x.v"], "depth must be at most 4294967296"),
        (
            ["simulate", "tile", "--workload", "a", "--workload", "b"],
            "argument --workload: can be given only once",
        ),
        (["verilog", "mac", "-o", "x.v", "--output", "y.v"], "--output: can be given only once"),
        (["report", "--quick", "--jobs", "1", "--jobs=2"], "--jobs: can be given only once"),
        (["report", "--quick", "--library", "ge"], "quick must come without libraries and growth"),
        (
            ["report", "--quick", "--workload", "a.npz", "--workload", "b.npz"],
            r"a\.npz and b\.npz are both of",
        ),
        (
            ["report", "--quick", "--format", "fp4", "--workload", "a.npz"],
            "a.npz is of dINT4, which is not",
        ),
        (["simulate", "tile", "--workload", "a.npz", "--seed", "1"], "seed is that of the bench"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_itself_ends_with_one_sentence(here, tmp_path, arguments, sentence):
    for name in ("a.npz", "b.npz"):
        workload(tmp_path / name, np.random.default_rng(1))
    assert_refused(here(*arguments), sentence, tmp_path)


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"activations": np.zeros((5, 6), np.float32)}, "activations must be .*int8, not float32"),
        ({"activations": np.zeros((5, 7), np.int8)}, "7"),
        ({"activations": np.zeros(6, np.int8)}, "activations must have"),
        ({"weights": np.full((3, 6), 16, np.uint8)}, "dINT4 codes must be 0 to 15, not 16"),
        ({"weights": np.zeros((3, 6), np.int8)}, "uint8"),
        ({"weights": None}, "weights"),
        ({"format": np.array("dint9000")}, "dint9000"),
    ],
    ids=["float", "shapes", "vector", "codes", "int8", "missing", "format"],
)
def test_wrong_workloads_end_with_one_sentence(here, tmp_path, replaced, sentence):
    path = workload(tmp_path / "w.npz", np.random.default_rng(1), **replaced)
    assert_refused(here("simulate", "tile", *SMALL_TILE, "--workload", path), sentence, tmp_path)


def test_a_workload_that_is_no_archive_ends_with_one_sentence(here, tmp_path):
    path = tmp_path / "w.npz"
    path.write_text("not an archive")
    assert_refused(here("simulate", "tile", "--workload", path), "w.npz", tmp_path)


def test_a_workload_deeper_than_the_accumulator_ends_with_one_sentence(here, tmp_path):
    path = workload(tmp_path / "w.npz", np.random.default_rng(1))
    done = here("simulate", "tile", *SMALL_TILE[:-1], "4", "--workload", path)
    assert_refused(done, "depth must be at least 6", tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"library(x) { cell(A) {", b"\x00\x01\x02", gzip.compress(b"library(x) {}")[:-9], b""],
    ids=["truncated", "binary", "gzip", "empty"],
)
def test_a_corrupt_library_ends_with_one_sentence(here, tmp_path, content):
    path = tmp_path / "broken.lib"
    path.write_bytes(content)
    assert_refused(here("report", "--library", path), "broken", tmp_path)


def test_a_report_folder_that_is_a_file_is_left_as_it_was(here, tmp_path):
    path = tmp_path / "report"
    path.write_text("mine")
    done = here("report", "--quick", "--output", path)
    assert_refused(done, "report", tmp_path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["icarus", "verilator"])
def test_a_simulator_that_is_not_installed_ends_with_how_to_install_it(dintmac, tmp_path, name):
    done = dintmac("simulate", "mac", "--simulator", name, PATH="")
    assert_refused(done, "install it with: ", tmp_path)
