"""What is declared of parameters is what the documentation and the command line say."""

from pathlib import Path

import pytest

from dintmac.cli.parser import parse
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.parameters import PARAMETERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "hardware.md"
EVERY = pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=lambda p: p.name)


def defaults_of(parameter):
    """By design."""
    every = {name: design.defaults for name, design in DESIGNS.items()}
    return {n: d[parameter.name] for n, d in every.items() if parameter.name in d}


def row(parameter):
    """A line of the table."""
    defaults = defaults_of(parameter)
    designs = "all" if defaults.keys() == DESIGNS.keys() else ", ".join(defaults)
    values = list(defaults.values())
    shown = ", ".join(map(str, values if len(set(values)) > 1 else values[:1]))
    return f"| `{parameter.name}` | {designs} | {parameter.summary} | {shown} |"


@EVERY
def test_documentation_says_what_is_declared(parameter):
    assert row(parameter) in PAGE.read_text("utf-8").splitlines()


@EVERY
def test_the_command_line_says_what_is_declared(parameter, capsys):
    with pytest.raises(SystemExit):
        parse(["verilog", "--help"])
    option = f"--{parameter.name.replace('_', '-')} N {parameter.summary} (default: "
    said = ", ".join(f"{design} {value}" for design, value in defaults_of(parameter).items())
    assert f"{option}{said})" in " ".join(capsys.readouterr().out.split())


@EVERY
def test_defaults_are_values_and_others_are_refused(parameter):
    for value in defaults_of(parameter).values():
        parameter.check(value)
    with pytest.raises(ValueError, match=f"^{parameter.name} must .*, not -1$"):
        parameter.check(-1)
    with pytest.raises(TypeError, match=rf"^{parameter.name} must be an int, not 1\.5$"):
        parameter.check(1.5)


def test_every_parameter_is_one_of_a_design():
    assert PARAMETERS.keys() == {name for design in DESIGNS.values() for name in design.defaults}
