"""Exact arithmetic against Python's integers and fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden.arithmetic import Overflow, Requantizer, Rounding, narrow, rounding_shift

INT64 = st.integers(-(2**63), 2**63 - 1)


def reference_round(value: Fraction, rounding: Rounding) -> int:
    """Round a fraction, written from the definition of each mode."""
    floor = math.floor(value)
    rest = value - floor
    if rest == 0 or rounding is Rounding.FLOOR:
        return floor
    if rounding is Rounding.TOWARD_ZERO:
        return math.trunc(value)
    if rest != Fraction(1, 2):
        return floor + (rest > Fraction(1, 2))
    if rounding is Rounding.HALF_TO_EVEN:
        return round(value)
    if rounding is Rounding.HALF_UP:
        return floor + 1
    return floor + 1 if value > 0 else floor


def shifted(value: int, shift: int, rounding: Rounding) -> int:
    return int(rounding_shift(np.array([value], dtype=np.int64), shift, rounding)[0])


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("shift", range(7))
def test_rounds_every_small_number_as_defined(rounding, shift):
    values = np.arange(-300, 301, dtype=np.int64)
    expected = [reference_round(Fraction(int(v), 2**shift), rounding) for v in values]
    assert rounding_shift(values, shift, rounding).tolist() == expected


@given(value=INT64, shift=st.integers(0, 62), rounding=st.sampled_from(Rounding))
def test_rounds_any_int64_as_defined(value, shift, rounding):
    assert shifted(value, shift, rounding) == reference_round(Fraction(value, 2**shift), rounding)


@given(floor=st.integers(-1000, 999), shift=st.integers(1, 50), rounding=st.sampled_from(Rounding))
def test_rounds_ties_as_defined(floor, shift, rounding):
    tie = (2 * floor + 1) << (shift - 1)
    assert shifted(tie, shift, rounding) == reference_round(Fraction(tie, 2**shift), rounding)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.HALF_AWAY_FROM_ZERO, [-3, -2, -1, 1, 2, 3]),
        (Rounding.HALF_TO_EVEN, [-2, -2, 0, 0, 2, 2]),
        (Rounding.HALF_UP, [-2, -1, 0, 1, 2, 3]),
        (Rounding.TOWARD_ZERO, [-2, -1, 0, 0, 1, 2]),
        (Rounding.FLOOR, [-3, -2, -1, 0, 1, 2]),
    ],
)
def test_ties_of_each_mode_are_these(rounding, expected):
    ties = np.array([-5, -3, -1, 1, 3, 5], dtype=np.int64)
    assert rounding_shift(ties, 1, rounding).tolist() == expected


def reference_narrow(value: int, bits: int, overflow: Overflow) -> int:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if overflow is Overflow.SATURATE:
        return min(max(value, low), high)
    return (value - low) % 2**bits + low


@given(
    value=INT64,
    bits=st.integers(1, 64),
    overflow=st.sampled_from([Overflow.WRAP, Overflow.SATURATE]),
)
def test_narrows_any_int64_as_defined(value, bits, overflow):
    narrowed = narrow(np.array([value], dtype=np.int64), bits, overflow)
    assert narrowed.tolist() == [reference_narrow(value, bits, overflow)]


@pytest.mark.parametrize("overflow", Overflow)
def test_what_fits_stays(overflow):
    values = np.array([-128, -1, 0, 127], dtype=np.int64)
    assert narrow(values, 8, overflow).tolist() == values.tolist()


@pytest.mark.parametrize("value", [-129, 128])
def test_refuses_what_does_not_fit(value):
    with pytest.raises(ValueError, match=f"values must fit 8 signed bits, not {value}"):
        narrow(np.array([0, value], dtype=np.int64), 8, Overflow.REFUSE)


def test_there_is_nothing_to_refuse_in_nothing():
    nothing = np.zeros((0, 3), dtype=np.int64)
    assert narrow(nothing, 8, Overflow.REFUSE).shape == (0, 3)
    assert Requantizer(1, 1)(nothing).shape == (0, 3)


def test_one_bit_holds_minus_one_and_zero():
    values = np.array([-1], dtype=np.int64)
    assert narrow(values, 1, Overflow.REFUSE).tolist() == [-1]
    with pytest.raises(ValueError, match="values must fit 1 signed bits, not 5"):
        narrow(np.array([5, 3], dtype=np.int64), 1, Overflow.REFUSE)


@given(
    accumulators=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    multiplier=st.integers(-(2**31) + 1, 2**31 - 1).filter(bool),
    shift=st.integers(0, 62),
    zero_point=st.integers(-8, 7),
    rounding=st.sampled_from(Rounding),
    bits=st.integers(4, 8),
)
def test_requantizes_int32_as_the_exact_fraction(
    accumulators, multiplier, shift, zero_point, rounding, bits
):
    requantize = Requantizer(multiplier, shift, zero_point, rounding, bits)
    expected = [
        reference_narrow(
            reference_round(Fraction(a * multiplier, 2**shift), rounding) + zero_point,
            bits,
            Overflow.SATURATE,
        )
        for a in accumulators
    ]
    result = requantize(np.array(accumulators, dtype=np.int32))
    assert result.dtype == np.int8
    assert result.tolist() == expected


def test_requantizes_int64_up_to_its_bound_and_no_further():
    limit = 2**62 // 3
    requantize = Requantizer(3, 60)
    assert requantize(np.array([limit, -limit], dtype=np.int64)).tolist() == [4, -4]
    message = rf"accumulators must be within ±{limit} for a multiplier of 3, not {limit + 1}"
    with pytest.raises(ValueError, match=message):
        requantize(np.array([limit + 1], dtype=np.int64))


@given(
    scale=st.floats(2.0**-30, 2.0**8).flatmap(lambda s: st.sampled_from([s, -s])),
    multiplier_bits=st.integers(9, 31),
)
def test_scale_is_kept_to_the_bits_of_the_multiplier(scale, multiplier_bits):
    requantize = Requantizer.from_scale(scale, multiplier_bits=multiplier_bits)
    error = abs(Fraction(requantize.scale) - Fraction(scale))
    assert error <= abs(Fraction(scale)) / 2**multiplier_bits
    assert abs(requantize.multiplier) < 2**multiplier_bits


@pytest.mark.parametrize(("scale", "shift"), [(2.0**15, 0), (2.0**-47, 62)])
def test_scales_reach_both_ends_of_the_shift(scale, shift):
    requantize = Requantizer.from_scale(scale)
    assert (requantize.multiplier, requantize.shift) == (2**15, shift)


def test_a_scale_comes_with_the_parameters_of_the_class():
    assert Requantizer.from_scale(0.5) == Requantizer(2**15, 16)
    parameters = {"zero_point": 3, "rounding": Rounding.FLOOR, "bits": 4}
    assert Requantizer.from_scale(0.5, **parameters) == Requantizer(2**15, 16, **parameters)


def test_multiplier_that_rounds_up_to_a_power_of_two_is_halved():
    requantize = Requantizer.from_scale(1 - 2.0**-40, multiplier_bits=8)
    assert (requantize.multiplier, requantize.shift) == (128, 7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: rounding_shift(np.array([1], dtype=np.int32), 1, Rounding.FLOOR),
            TypeError,
            "values to shift must be an array of int64, not int32",
        ),
        (
            lambda: rounding_shift(np.array([1]), 63, Rounding.FLOOR),
            ValueError,
            "shift must be 0 to 62, not 63",
        ),
        (
            lambda: rounding_shift(np.array([1]), 1, "floor"),
            TypeError,
            "rounding must be of type Rounding, not 'floor'",
        ),
        (
            lambda: narrow([1], 8, Overflow.WRAP),
            TypeError,
            "values to narrow must be an array of int64, not list",
        ),
        (
            lambda: narrow(np.array([1]), 65, Overflow.WRAP),
            ValueError,
            "bits must be 1 to 64, not 65",
        ),
        (
            lambda: narrow(np.array([1]), 8.0, Overflow.WRAP),
            TypeError,
            "bits must be an int, not 8.0",
        ),
        (
            lambda: narrow(np.array([1]), 8, None),
            TypeError,
            "overflow must be of type Overflow, not None",
        ),
        (lambda: Requantizer(0, 1), ValueError, r"\Amultiplier must not be 0\Z"),
        (
            lambda: Requantizer(2**31, 1),
            ValueError,
            "multiplier must be -2147483647 to 2147483647, not 2147483648",
        ),
        (lambda: Requantizer(1, -1), ValueError, "shift must be 0 to 62, not -1"),
        (lambda: Requantizer(1, 1, 128), ValueError, "zero_point must be -128 to 127, not 128"),
        (lambda: Requantizer(1, 1, bits=9), ValueError, "bits must be 2 to 8, not 9"),
        (
            lambda: Requantizer(1, 1, rounding="up"),
            TypeError,
            "rounding must be of type Rounding, not 'up'",
        ),
        (
            lambda: Requantizer(1, 1)(np.array([1.0])),
            TypeError,
            "accumulators must be an array of int32 or int64, not float64",
        ),
        (
            lambda: Requantizer.from_scale(1),
            TypeError,
            "scale must be a float, not 1",
        ),
        (
            lambda: Requantizer.from_scale(math.nan),
            ValueError,
            "scale must be finite and not zero, not nan",
        ),
        (
            lambda: Requantizer.from_scale(0.0),
            ValueError,
            "scale must be finite and not zero, not 0.0",
        ),
        (
            lambda: Requantizer.from_scale(2.0**20),
            ValueError,
            "scale must need a shift of 0 to 62, not -5: 1048576.0",
        ),
        (
            lambda: Requantizer.from_scale(2.0**-60),
            ValueError,
            "scale must need a shift of 0 to 62, not 75: 8.67",
        ),
        (
            lambda: Requantizer.from_scale(0.5, multiplier_bits=32),
            ValueError,
            "multiplier_bits must be 2 to 31, not 32",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
