"""Netlists with every stage, adder and way to hold weights equal the golden model."""

import pytest

from dintmac.synth.check import check

SIZES = {
    "mac": {"depth": 300},
    "dot": {"lanes": 3, "depth": 300},
    "pe": {"lanes": 3, "outputs": 2, "depth": 300},
    "tile": {"lanes": 2, "outputs": 1, "rows": 3, "columns": 2, "depth": 300},
}
STAGED = {"operand_register": 1, "tree_register": 2, "fast_adder": 1}


@pytest.mark.parametrize(
    ("design", "format", "architecture", "options"),
    [
        ("mac", "int4", "", {"tree_register": 64}),
        ("mac", "int8", "", {"carry_save": 1}),
        ("dot", "dint4", "", {"tree_register": 2}),
        ("dot", "int8", "pair", STAGED | {"carry_save": 1}),
        ("pe", "int4", "r4n", STAGED),
        ("dot", "dint4", "nr4sd", {"carry_save": 1}),
        ("pe", "int8", "fip", STAGED | {"double_buffered": 0}),
        ("pe", "dint4", "digits_folded", {"lanes": 1, "outputs": 16}),
        ("tile", "int4", "r4n", {"operand_register": 1}),
        ("tile", "dint4", "digits_folded", STAGED | {"double_buffered": 0}),
    ],
)
@pytest.mark.slow
def test_netlists_with_other_stages_and_adders_equal_the_golden_model(
    mapped, netlist_of, design, format, architecture, options
):
    configuration, netlist = mapped(design, format, architecture, **SIZES[design] | options)
    assert check(netlist_of(netlist), configuration).vectors > 1000
