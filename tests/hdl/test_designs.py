# amaranth: UnusedElaboratable=no
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.designs import DEFAULTS, DESIGNS, OPTIONS, Configuration, built_architectures

SMALL = {
    "mac": {"depth": 16},
    "dot": {"depth": 16, "lanes": 2},
    "pe": {"depth": 16, "lanes": 2, "outputs": 2},
    "tile": {"depth": 16, "lanes": 2, "outputs": 2, "rows": 2, "columns": 3},
    "fused": {"depth": 16, "lanes": 2, "outputs": 2},
}


@pytest.mark.parametrize("design", DESIGNS)
def test_builds_with_all_its_parameters(design):
    architecture = "fused" if design == "fused" else "digits"
    component = Configuration(design, DINT4, architecture, SMALL[design]).build()
    assert component.format is DINT4
    assert {name: getattr(component, name) for name in SMALL[design]} == SMALL[design]


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_is_built_in_all_its_architectures_but_behavioural(design):
    names = built_architectures(design, INT4)
    for name in names:
        assert Configuration(design, INT4, name, SMALL[design]).architecture == name
    assert Configuration(design, INT4, "", SMALL[design]).architecture == names[0]
    assert ("nr4sd" in names) == (design != "fused")
    assert "behavioural" not in names


def test_latency_is_the_designs_own():
    latencies = [Configuration(d, DINT4, "", SMALL[d]).build().latency for d in DESIGNS]
    assert latencies == [2, 2, 2, 5, 2]


def test_what_is_left_out_takes_its_default():
    configuration = Configuration("dot", INT8, "", {"lanes": 2})
    assert configuration.architecture == "booth"
    assert configuration.parameters == {"depth": DEFAULTS["dot"]["depth"], "lanes": 2}
    assert configuration.name == "dot_int8_booth_d4096_l2"


def test_a_configuration_has_the_same_name_in_any_order_of_parameters():
    one = Configuration("dot", INT8, "", {"lanes": 2, "depth": 8})
    other = Configuration("dot", INT8, "", {"depth": 8, "lanes": 2})
    assert one == other
    assert one.name == other.name


def test_refuses_unknown_names():
    with pytest.raises(ValueError, match=r"design must be one of .*, tile, fused, not 'core'"):
        Configuration("core", DINT4)
    with pytest.raises(ValueError, match=r"pe has no carry_save; it has .*, double_buffered"):
        Configuration("pe", DINT4, "", {"carry_save": 1})
    with pytest.raises(ValueError, match="mac has no lanes; it has depth, "):
        Configuration("mac", DINT4, "", {"lanes": 4})
    with pytest.raises(ValueError, match="architecture of fused must be fused, not 'digits'"):
        Configuration("fused", DINT4, "digits")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("value", [0, -3])
def test_refuses_sizes_that_are_not_positive(design, value):
    for name in SMALL[design]:
        with pytest.raises(ValueError, match=f"{name} must be positive, not {value}"):
            Configuration(design, DINT4, "", SMALL[design] | {name: value}).build()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("value", ["4", 4.0, True])
def test_refuses_sizes_that_are_no_ints(design, value):
    for name in SMALL[design]:
        with pytest.raises(TypeError, match=f"{name} must be an int, not {value!r}"):
            Configuration(design, DINT4, "", SMALL[design] | {name: value}).build()


@pytest.mark.parametrize(("design", "least"), [("dot", 2), ("pe", 2), ("tile", 4), ("fused", 2)])
def test_refuses_a_depth_below_one_pass(design, least):
    with pytest.raises(ValueError, match=f"depth must be at least {least}, .*, not 1"):
        Configuration(design, DINT4, "", SMALL[design] | {"depth": 1}).build()


@pytest.mark.parametrize("design", DESIGNS)
def test_refuses_a_depth_beyond_the_integers_of_the_golden_model(design):
    sizes = SMALL[design] | {"depth": 1 << 32}
    Configuration(design, DINT4, "", sizes).build()
    with pytest.raises(ValueError, match="depth must be at most 4294967296, not 4294967297"):
        Configuration(design, DINT4, "", sizes | {"depth": (1 << 32) + 1}).build()


@pytest.mark.parametrize("design", DESIGNS)
def test_refuses_a_format_that_is_none(design):
    with pytest.raises(TypeError, match="format must be a Format, not 'dint4'"):
        DESIGNS[design](format="dint4", **SMALL[design])


# Options


STAGED = [design for design in DESIGNS if OPTIONS[design]]


@pytest.mark.parametrize("design", STAGED)
def test_every_stage_adds_a_cycle(design):
    def latency(**options):
        return Configuration(design, DINT4, "digits", SMALL[design] | options).build().latency

    least = latency()
    assert latency(operand_register=1) == least + 1
    assert latency(tree_register=2) == latency(tree_register=64) == least + 1
    assert latency(operand_register=1, tree_register=1, fast_adder=1) == least + 2
    if "carry_save" in OPTIONS[design]:
        assert latency(carry_save=1, tree_register=2) == least + 2


def test_options_that_have_their_defaults_are_left_out():
    plain = Configuration("pe", DINT4)
    assert plain == Configuration("pe", DINT4, "", OPTIONS["pe"])
    assert plain.parameters == DEFAULTS["pe"]


def test_the_name_spells_options_out():
    options = {"double_buffered": 0, "tree_register": 2, "lanes": 8}
    configuration = Configuration("pe", DINT4, "digits", options)
    assert configuration.name == "pe_dint4_digits_d4096_l8_o4_tree_register2_double_buffered0"


@pytest.mark.parametrize("design", DESIGNS)
def test_refuses_flags_that_are_neither_0_nor_1(design):
    for name in OPTIONS[design].keys() - {"tree_register"}:
        with pytest.raises(ValueError, match=f"{name} must be 0 or 1, not 2"):
            Configuration(design, DINT4, "", SMALL[design] | {name: 2}).build()
        with pytest.raises(TypeError, match=f"{name} must be an int, not '1'"):
            Configuration(design, DINT4, "", SMALL[design] | {name: "1"}).build()


@pytest.mark.parametrize("design", STAGED)
def test_refuses_a_tree_register_of_no_number_of_rows(design):
    with pytest.raises(ValueError, match="tree_register must not be negative, not -1"):
        Configuration(design, DINT4, "", SMALL[design] | {"tree_register": -1}).build()
    with pytest.raises(TypeError, match=r"tree_register must be an int, not 2\.0"):
        Configuration(design, DINT4, "", SMALL[design] | {"tree_register": 2.0}).build()


@pytest.mark.parametrize("option", ["tree_register", "fast_adder", "carry_save"])
def test_refuses_to_shape_adders_that_the_synthesis_tool_makes(option):
    message = "tree_register, fast_adder and carry_save must be 0 with behavioural"
    with pytest.raises(ValueError, match=message):
        Configuration("dot", DINT4, "behavioural", SMALL["dot"] | {option: 1}).build()


def test_a_processing_element_may_have_64_lanes_and_16_outputs():
    sizes = {"lanes": 64, "outputs": 16}
    element = Configuration("pe", DINT4, "digits_folded", sizes).build()
    assert (element.lanes, element.outputs) == (64, 16)
