# amaranth: UnusedElaboratable=no
import pytest

from dintmac.golden.formats import DINT4, INT8
from dintmac.hdl.designs import DEFAULTS, DESIGNS, Configuration

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
    with pytest.raises(ValueError, match="mac has no lanes; it has depth"):
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
def test_refuses_a_format_that_is_none(design):
    with pytest.raises(TypeError, match="format must be a Format, not 'dint4'"):
        DESIGNS[design](format="dint4", **SMALL[design])
