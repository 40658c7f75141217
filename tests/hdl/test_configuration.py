# amaranth: UnusedElaboratable=no
import pickle

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.dot_product import DotProduct
from dintmac.hdl.fused import FusedProcessingElement
from dintmac.hdl.pe import ProcessingElement
from dintmac.hdl.tile import WeightStationaryTile

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
    configuration = Configuration(design, DINT4, architecture, SMALL[design])
    assert isinstance(configuration.create(), DESIGNS[design].component)
    assert configuration.format is DINT4
    sizes = {name: getattr(configuration.sizes, name) for name in SMALL[design]}
    assert sizes == configuration.parameters == SMALL[design]


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_is_built_in_all_its_architectures_but_behavioural(design):
    names = DESIGNS[design].built_architectures(INT4)
    for name in names:
        assert Configuration(design, INT4, name, SMALL[design]).architecture == name
    assert Configuration(design, INT4, "", SMALL[design]).architecture == names[0]
    assert ("nr4sd" in names) == (design != "fused")
    assert "behavioural" not in names


def test_latency_is_the_designs_own():
    latencies = [Configuration(d, DINT4, "", SMALL[d]).latency for d in DESIGNS]
    assert latencies == [2, 2, 2, 5, 2]


def test_what_is_left_out_takes_its_default():
    configuration = Configuration("dot", INT8, "", {"lanes": 2})
    assert configuration.architecture == "booth"
    assert configuration.parameters == {"depth": DESIGNS["dot"].defaults["depth"], "lanes": 2}
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
    with pytest.raises(ValueError, match="architecture of dINT4 must be fused, not 'digits'"):
        Configuration("fused", DINT4, "digits")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("value", [0, -3])
def test_refuses_sizes_that_are_not_positive(design, value):
    for name in SMALL[design]:
        with pytest.raises(ValueError, match=f"{name} must be positive, not {value}"):
            Configuration(design, DINT4, "", SMALL[design] | {name: value})


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("value", ["4", 4.0, True])
def test_refuses_sizes_that_are_no_ints(design, value):
    for name in SMALL[design]:
        with pytest.raises(TypeError, match=f"{name} must be an int, not {value!r}"):
            Configuration(design, DINT4, "", SMALL[design] | {name: value})


@pytest.mark.parametrize(("design", "least"), [("dot", 2), ("pe", 2), ("tile", 4), ("fused", 2)])
def test_refuses_a_depth_below_one_pass(design, least):
    with pytest.raises(ValueError, match=f"depth must be at least {least}, .*, not 1"):
        Configuration(design, DINT4, "", SMALL[design] | {"depth": 1})


@pytest.mark.parametrize("design", DESIGNS)
def test_refuses_a_depth_beyond_the_integers_of_the_golden_model(design):
    sizes = SMALL[design] | {"depth": 1 << 32}
    Configuration(design, DINT4, "", sizes)
    with pytest.raises(ValueError, match="depth must be at most 4294967296, not 4294967297"):
        Configuration(design, DINT4, "", sizes | {"depth": (1 << 32) + 1})


@pytest.mark.parametrize("design", DESIGNS)
def test_refuses_a_format_that_is_none(design):
    with pytest.raises(TypeError, match="format must be a Format, not 'dint4'"):
        Configuration(design, "dint4", "", SMALL[design])


# Options


STAGED = [design for design in DESIGNS if DESIGNS[design].stages]


@pytest.mark.parametrize("design", STAGED)
def test_every_stage_adds_a_cycle(design):
    def latency(**options):
        return Configuration(design, DINT4, "digits", SMALL[design] | options).latency

    least = latency()
    assert latency(operand_register=1) == least + 1
    assert latency(tree_register=2) == latency(tree_register=64) == least + 1
    assert latency(operand_register=1, tree_register=1, fast_adder=1) == least + 2
    if "carry_save" in DESIGNS[design].stages:
        assert latency(carry_save=1, tree_register=2) == least + 2


def test_options_that_have_their_defaults_are_left_out():
    plain = Configuration("pe", DINT4)
    assert plain == Configuration("pe", DINT4, "", DESIGNS["pe"].defaults)
    assert plain.parameters == DESIGNS["pe"].sizes


def test_the_name_spells_options_out():
    options = {"double_buffered": 0, "tree_register": 2, "lanes": 8}
    configuration = Configuration("pe", DINT4, "digits", options)
    assert configuration.name == "pe_dint4_digits_d4096_l8_o4_tree_register2_double_buffered0"


@pytest.mark.parametrize("design", DESIGNS)
def test_refuses_flags_that_are_neither_0_nor_1(design):
    for name in set(DESIGNS[design].stages) - {"tree_register"}:
        with pytest.raises(ValueError, match=f"{name} must be 0 or 1, not 2"):
            Configuration(design, DINT4, "", SMALL[design] | {name: 2})
        with pytest.raises(TypeError, match=f"{name} must be an int, not '1'"):
            Configuration(design, DINT4, "", SMALL[design] | {name: "1"})


@pytest.mark.parametrize("design", STAGED)
def test_refuses_a_tree_register_of_no_number_of_rows(design):
    with pytest.raises(ValueError, match="tree_register must not be negative, not -1"):
        Configuration(design, DINT4, "", SMALL[design] | {"tree_register": -1})
    with pytest.raises(TypeError, match=r"tree_register must be an int, not 2\.0"):
        Configuration(design, DINT4, "", SMALL[design] | {"tree_register": 2.0})


@pytest.mark.parametrize("option", ["tree_register", "fast_adder", "carry_save"])
def test_refuses_to_shape_adders_that_the_synthesis_tool_makes(option):
    message = "tree_register, fast_adder and carry_save must be 0 with behavioural"
    with pytest.raises(ValueError, match=message):
        Configuration("dot", DINT4, "behavioural", SMALL["dot"] | {option: 1})


def test_a_processing_element_may_have_64_lanes_and_16_outputs():
    sizes = {"lanes": 64, "outputs": 16}
    element = Configuration("pe", DINT4, "digits_folded", sizes).create()
    assert element.i_weights.shape().length == 16
    assert element.i_activations.shape().length == 64


# What software asks


def test_a_configuration_hashes_and_pickles():
    one = Configuration("pe", DINT4, "", {"tree_register": 2})
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert {one: "it"}[again] == "it"


def test_sizes_that_a_design_does_not_have_are_one():
    mac = Configuration("mac", DINT4)
    assert (mac.sizes.lanes, mac.sizes.products, mac.sizes.sums) == (1, 1, 1)
    tile = Configuration("tile", DINT4, "", SMALL["tile"])
    assert (tile.sizes.products, tile.sizes.sums) == (4, 6)


def test_what_software_asks_builds_no_hardware(monkeypatch):
    for component in (DotProduct, ProcessingElement, WeightStationaryTile, FusedProcessingElement):
        monkeypatch.setattr(component, "__init__", None)
    for design in DESIGNS:
        configuration = Configuration(design, DINT4, "", SMALL[design])
        products = configuration.products()
        codes = np.zeros((3, products), dtype=np.uint8)
        assert configuration.latency > 0
        assert configuration.width >= DINT4.accumulator_bits(16)
        assert configuration.units == 2
        assert configuration.correction(codes).shape == (3,)
        lanes = codes[:, : configuration.sizes.lanes]
        assert configuration.decode(configuration.encode(lanes)).tolist() == lanes.tolist()
        assert configuration.weight_tables[0].format == DINT4


def test_another_design_or_architecture_of_the_same_sizes():
    tile = Configuration("tile", DINT4, "nr4sd", SMALL["tile"] | {"double_buffered": 0})
    element = tile.replace(design="pe")
    sizes = {name: SMALL["tile"][name] for name in ("depth", "lanes", "outputs")}
    assert element == Configuration("pe", DINT4, "nr4sd", sizes | {"double_buffered": 0})
    assert tile.replace(architecture="digits").parameters == tile.parameters
