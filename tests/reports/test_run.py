"""Reports that are made by a call."""

import re
from pathlib import Path

import numpy as np
import pytest

import dintmac
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.yosys import Yosys
from dintmac.synth import measure as room
from dintmac.synth.liberty import find_libraries

SMALL = Path(__file__).parents[1] / "synth" / "small.lib"


@pytest.fixture
def asked(monkeypatch):
    """What a report would measure: nothing is measured."""

    class AskedError(Exception):
        pass

    def measure_all(jobs, *, data, workers, progress):
        raise AskedError(jobs, data, workers)

    monkeypatch.setattr("dintmac.reports.run.measure_all", measure_all)

    def call(*arguments, **options):
        with pytest.raises(AskedError) as caught:
            dintmac.report(*arguments, **options)
        return caught.value.args

    return call


@pytest.mark.slow
def test_a_call_measures_compares_and_writes(tmp_path, monkeypatch):
    done = []
    report = dintmac.report(
        tmp_path / "out",
        designs=["mac"],
        quick=True,
        jobs=1,
        progress=lambda *numbers: done.append(numbers[:2]),
    )
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert [r.configuration.format for r in report.records] == ["INT8", "INT4", "dINT4"]
    assert {r.library for r in report.records} == {"ge"}
    assert {(r.baseline.format, r.candidate.format) for r in report.ratios} == {
        ("INT8", "INT4"),
        ("INT8", "dINT4"),
        ("INT4", "dINT4"),
    }
    assert report.tools == room.tools()
    assert dintmac.read_report(tmp_path / "out" / "report.json") == report
    # From the cache: nothing is written, no hardware is built, and no script of Yosys runs.
    monkeypatch.setattr(Yosys, "run", lambda *arguments: pytest.fail("Yosys runs"))
    monkeypatch.setattr(Configuration, "create", lambda self: pytest.fail("hardware is built"))
    assert dintmac.report(designs=["mac"], quick=True) == report


def test_designs_and_formats_are_measured_once_each(asked):
    jobs, data, _ = asked(
        designs=["mac", "mac"], formats=["macs", "int8", "INT8"], libraries=["ge"]
    )
    assert len(jobs) == len({configuration.name for configuration, _, _ in jobs})
    assert list(data) == ["INT8", *(f"dINT{bits}" for bits in range(8, 2, -1)), "INT4", "FP4"]


def test_targets_are_for_libraries_that_state_delays(asked):
    jobs, _, _ = asked(
        designs=["mac"],
        formats=["int4"],
        libraries=["ge", str(SMALL)],
        target_delays_ns=[2.0, 1.0, 2.0],
    )
    targets = {}
    for _, library, target in jobs:
        targets.setdefault(library.name, set()).add(target)
    assert targets == {"ge": {None}, "small": {None, 1.0, 2.0}}


def test_what_is_left_alone_is_noted(asked, tmp_path):
    (ge,) = find_libraries(["ge"])
    path = tmp_path / "mine.lib"
    text = ge.paths[0].read_text("utf-8")
    pins = 'pin(A) { direction : input; } pin(Y) { direction : output; function : "!A"; }'
    path.write_text(f"{text[: text.rindex('}')]} cell(NOAREA) {{ {pins} }} }}")
    notes = []
    asked(libraries=[str(path)], note=notes.append)
    assert len(notes) == 1
    assert re.match(r"mine: .*NOAREA", notes[0])


def workload(path, format):
    rng = np.random.default_rng(1)
    np.savez(
        path,
        activations=rng.integers(-128, 128, (5, 6)).astype(np.int8),
        weights=rng.integers(0, 16, (3, 6)).astype(np.uint8),
        format=np.array(format),
    )
    return path


def test_energy_is_measured_on_the_workloads_that_are_given(asked, tmp_path):
    path = workload(tmp_path / "w.npz", "dint4")
    _, data, _ = asked(libraries=["ge"], workloads=[path])
    assert {name: one.source for name, one in data.items()} == {"dINT4": "w"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs must be positive, not 0"),
        ({"quick": True, "growth": True}, "quick must come without libraries and growth"),
        ({"quick": True, "libraries": ["ge"]}, "quick must come without libraries and growth"),
        ({"libraries": ["ge"], "designs": ["core"]}, "design must be one of"),
        ({"libraries": ["ge"], "formats": ["int9"]}, "format must be .*, not 'int9'"),
        (
            {"libraries": ["ge"], "target_delays_ns": [1.0]},
            "target delay must go with a library that states delays, but ge does not",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        dintmac.report(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_is_refused_before_anything_is_measured(tmp_path):
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(ValueError, match="output must be a folder, not the file"):
        dintmac.report(path, libraries=["ge"])
    assert path.read_text() == "mine"
