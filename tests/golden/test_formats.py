"""Formats against their definition, written with Python's fractions."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden.formats import (
    DINT,
    DINT4,
    FLOAT,
    FORMATS,
    FP4,
    INT4,
    INT8,
    Format,
    dint,
    integer,
    named,
    nearest,
    parse,
)


def values(format: Format) -> list[Fraction]:
    """Value of each code in steps, from the text of the specification."""
    if format == FP4:
        return [sign * e2m1(code) for sign in (1, -1) for code in range(8)]
    wrap = [Fraction(c if c < format.codes // 2 else c - format.codes) for c in range(format.codes)]
    if format.is_dint:
        half = format.codes // 2
        wrap[half], wrap[half + 1] = Fraction(1, 2), Fraction(-1, 2)
    return wrap


def e2m1(code: int) -> Fraction:
    """An exponent code e of 1 … 3 is 2^(e − 1) (1 + m / 2), 0 is m / 2."""
    exponent, mantissa = divmod(code, 2)
    return 2 ** (exponent - 1) * (1 + Fraction(mantissa, 2)) if exponent else Fraction(mantissa, 2)


def nearest_code(steps: Fraction, format: Format) -> int:
    """Code of the nearest value, of two the one of greater magnitude: a search through all."""
    table = values(format)
    return min(range(format.codes), key=lambda c: (abs(table[c] - steps), -abs(table[c])))


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda f: f.name)
def test_decodes_every_code_as_defined(format):
    codes = np.arange(format.codes, dtype=np.uint8)
    assert format.decode(codes).tolist() == [2 * v for v in values(format)]
    units = format.to_units(codes)
    assert units.dtype == np.int16
    assert units.tolist() == [format.units_per_step * v for v in values(format)]


def test_the_formats_are_all_that_can_be_made():
    expected = [integer(b) for b in range(2, 9)] + [dint(b) for b in range(3, 9)] + [FP4]
    assert list(FORMATS.values()) == expected


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda f: f.name)
def test_every_value_encodes_to_its_own_code(format):
    steps = np.array([float(v) for v in values(format)])
    expected = list(range(format.codes))
    if format == FP4:
        expected[8] = 0  # −0
    assert format.encode(steps).tolist() == expected


def test_minus_zero_is_never_chosen():
    codes = FP4.encode(np.array([-0.0, 0.0, -0.1, 0.1, -1e-300]))
    assert not codes.any()
    assert FP4.decode(np.array([8], dtype=np.uint8))[0] == 0


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.slow
def test_encodes_every_quarter_step_to_the_nearest_value_and_ties_away_from_zero(format):
    eighths = range(8 * (format.minimum - 3), 8 * (format.maximum + 3) + 1)
    steps = np.array([e / 8 for e in eighths])
    assert format.encode(steps).tolist() == [nearest_code(Fraction(e, 8), format) for e in eighths]


@given(
    steps=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=20),
    format=st.sampled_from(list(FORMATS.values())),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_encodes_any_finite_float_to_the_nearest_value(steps, format, dtype):
    codes = format.encode(np.array(steps, dtype=dtype))
    assert codes.tolist() == [nearest_code(Fraction(s), format) for s in steps]


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75, 1.5, 2.5, 6.5])
@pytest.mark.parametrize("format", [DINT4, INT4, FP4], ids=lambda f: f.name)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_neighbours_of_a_threshold_round_to_their_side(threshold, format, dtype):
    at = dtype(threshold)
    steps = np.array([np.nextafter(at, dtype(0)), at, np.nextafter(at, dtype(9))])
    for signed in (steps, -steps):
        expected = [nearest_code(Fraction(float(s)), format) for s in signed]
        assert format.encode(signed).tolist() == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_greatest_floats_saturate_without_a_warning(dtype):
    greatest = np.finfo(dtype).max
    codes = DINT4.encode(np.array([greatest, -greatest], dtype=dtype))
    assert DINT4.decode(codes).tolist() == [14, -12]


@pytest.mark.parametrize("format", [DINT4, FP4], ids=lambda f: f.name)
def test_rounding_keeps_the_type_of_its_input(format):
    for dtype in (np.float16, np.float32, np.float64):
        assert format.round(np.array([0.3, 9], dtype=dtype)).dtype == dtype


def test_shapes_are_kept():
    for shape in ((), (0,), (2, 0, 3), (2, 3, 4)):
        assert DINT4.encode(np.zeros(shape)).shape == shape
        assert DINT4.decode(np.zeros(shape, dtype=np.uint8)).shape == shape


def test_tables_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        DINT4.half_steps[0] = 1


@given(format=st.sampled_from(list(FORMATS.values())), depth=st.integers(1, 10**6))
def test_accumulator_has_exactly_the_bits_that_the_extremes_need(format, depth):
    products = [int(2 * v) * a for v in values(format) for a in (-128, 127)]
    per_unit = 2 // format.units_per_step
    low, high = depth * min(products) // per_unit, depth * max(products) // per_unit
    bits = format.accumulator_bits(depth)
    assert -(2 ** (bits - 1)) <= low
    assert high < 2 ** (bits - 1)
    assert low < -(2 ** (bits - 2)) or high >= 2 ** (bits - 2)
    assert format.max_depth(bits) >= depth > format.max_depth(bits - 1)


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda f: f.name)
def test_depth_is_the_greatest_whose_extremes_fit(format):
    low, high = format.product_range()
    for bits in range(1, 40):
        limit = 2 ** (bits - 1)
        depth = format.max_depth(bits)
        assert depth >= 0
        assert -limit <= depth * low
        assert depth * high < limit
        assert (depth + 1) * high >= limit or (depth + 1) * low < -limit


def test_names_are_read_back_in_any_case():
    for format in FORMATS.values():
        assert parse(format.name) == parse(format.name.lower()) == format


@pytest.mark.parametrize("page", ["hardware.md", "quantization.md"])
def test_documentation_names_all_formats(page):
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert named(FORMATS.values()) in (docs / page).read_text("utf-8")


def test_names_of_a_kind_are_a_span():
    assert named(FORMATS.values()) == "int2 to int8, dint3 to dint8 or fp4"
    assert named([INT8, DINT4], "nf4") == "int8, dint4 or nf4"
    assert named([FP4]) == "fp4"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Format("int", 4), TypeError, "kind must be a Kind, not 'int'"),
        (lambda: Format(DINT, 4.0), TypeError, "bits must be an int, not 4.0"),
        (lambda: dint(2), ValueError, "bits must be 3 to 8 for dint, not 2"),
        (lambda: integer(9), ValueError, "bits must be 2 to 8 for int, not 9"),
        (lambda: Format(FLOAT, 8), ValueError, "bits must be 4 for fp, not 8"),
        (
            lambda: nearest(np.array([0, 1]), np.array([np.nan])),
            ValueError,
            "values to encode must be finite, not NaN or infinite",
        ),
        (
            lambda: parse("dint9000"),
            ValueError,
            "format must be int2 to int8, dint3 to dint8 or fp4",
        ),
        (
            lambda: INT8.decode(np.array([1])),
            TypeError,
            "INT8 codes must be a uint8 array, not int64",
        ),
        (lambda: DINT4.decode([1]), TypeError, "dINT4 codes must be a uint8 array, not list"),
        (
            lambda: DINT4.decode(np.array([3, 16], dtype=np.uint8)),
            ValueError,
            "dINT4 codes must be 0 to 15, not 16",
        ),
        (
            lambda: DINT4.encode(np.array([1])),
            TypeError,
            "values to encode must be a floating-point array, not int64",
        ),
        (
            lambda: DINT4.encode(np.array([np.nan])),
            ValueError,
            "values to encode must be finite, not NaN or infinite",
        ),
        (
            lambda: DINT4.encode(np.array([-np.inf])),
            ValueError,
            "values to encode must be finite, not NaN or infinite",
        ),
        (lambda: DINT4.accumulator_bits(0), ValueError, "depth must be positive, not 0"),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
