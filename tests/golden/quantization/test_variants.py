"""Names of recipes stand for what they say."""

import pytest

from dintmac.golden.formats import DINT4, FP4, INT4
from dintmac.golden.quantization.grids import parse_grid
from dintmac.golden.quantization.recipe import Method, Recipe
from dintmac.golden.quantization.variants import MAC_FORMATS, Variant, variants
from dintmac.golden.quantization.weights import Granularity, ScaleSearch

BASE = Recipe(alpha=0.7)


@pytest.mark.parametrize(
    ("variant", "recipe"),
    [
        (Variant("none", "dint4"), Recipe(alpha=0.7, search=ScaleSearch.MSE)),
        (
            Variant("aqas+gptq", "int4", "group64", "absmax"),
            Recipe(
                grid=INT4,
                granularity=Granularity.GROUP,
                group_size=64,
                scaling=Method.AQAS,
                gptq=True,
                alpha=0.7,
            ),
        ),
        (
            Variant("smoothquant+rank16+outliers6.5", "FP4", "tensor", "absmax"),
            Recipe(
                grid=FP4,
                granularity=Granularity.TENSOR,
                scaling=Method.SMOOTHQUANT,
                rank=16,
                outlier=6.5,
                alpha=0.7,
            ),
        ),
    ],
)
def test_a_variant_is_a_recipe(variant, recipe):
    assert variant.recipe(BASE) == recipe


def test_a_table_has_all_combinations_once():
    found = variants(["none", "AQAS"], ["dint4", "DINT4"], ["channel", "group8"], ["mse"])
    assert found == [
        Variant("none", "dINT4", "channel", "mse"),
        Variant("aqas", "dINT4", "channel", "mse"),
        Variant("none", "dINT4", "group8", "mse"),
        Variant("aqas", "dINT4", "group8", "mse"),
    ]


def test_formats_of_macs_are_named_as_areas_are():
    assert (
        *("INT8", "dINT8", "dINT7", "dINT6", "dINT5", "dINT4", "dINT3", "INT4", "FP4"),
    ) == MAC_FORMATS
    assert all(parse_grid(name).name == name for name in MAC_FORMATS)
    assert DINT4.name in MAC_FORMATS


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (Variant("gptq+what", "int4"), "method must be none, or smoothquant, .* 'gptq\\+what'"),
        (Variant("aqas+awq", "int4"), r"method must have one scaling at most, not 'aqas\\+awq'"),
        (Variant("", "int4"), "method must be none, or .* not ''"),
        (Variant("none", "int9"), "format must be int2 to int8, .* not 'int9'"),
        (Variant("none", "int4", "row"), "granularity must be tensor, channel or, say, group64"),
        (Variant("none", "int4", "channel", "best"), "scales must be absmax or mse, not 'best'"),
    ],
)
def test_refuses_unknown_names_with_one_sentence(variant, message):
    with pytest.raises(ValueError, match=message.replace("\\\\", "\\")):
        variant.recipe(BASE)
