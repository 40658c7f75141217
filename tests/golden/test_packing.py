"""Packed codes against a big integer that holds all bits of a row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden.formats import DINT4, INT4, INT8, dint, integer
from dintmac.golden.packing import pack, packed_bytes, unpack

FORMATS = [integer(b) for b in range(2, 9)] + [dint(b) for b in range(3, 9)]


@given(data=st.data(), format=st.sampled_from(FORMATS), count=st.integers(0, 40))
def test_code_i_is_bits_i_times_b_of_the_row(data, format, count):
    row = data.draw(st.lists(st.integers(0, format.codes - 1), min_size=count, max_size=count))
    packed = pack(np.array(row, dtype=np.uint8), format)
    assert packed.shape == (packed_bytes(count, format),)
    whole = sum(code << (i * format.bits) for i, code in enumerate(row))
    assert int.from_bytes(packed.tobytes(), "little") == whole
    assert unpack(packed, format, count).tolist() == row


def test_two_codes_of_four_bits_make_a_byte_low_nibble_first():
    assert pack(np.array([0x1, 0x2, 0xF], dtype=np.uint8), INT4).tolist() == [0x21, 0x0F]


def test_codes_of_eight_bits_are_bytes():
    codes = np.arange(256, dtype=np.uint8)
    assert pack(codes, INT8).tolist() == codes.tolist()


def test_only_the_last_axis_is_packed():
    codes = np.random.default_rng(1).integers(0, 16, (3, 2, 5), dtype=np.uint8)
    packed = pack(codes, DINT4)
    assert packed.shape == (3, 2, 3)
    assert packed[2, 1].tolist() == pack(codes[2, 1], DINT4).tolist()
    np.testing.assert_array_equal(unpack(packed, DINT4, 5), codes)


def test_packs_no_rows_at_all():
    assert pack(np.zeros((0, 5), dtype=np.uint8), DINT4).shape == (0, 3)
    assert unpack(np.zeros((0, 3), dtype=np.uint8), DINT4, 5).shape == (0, 5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: pack(np.array([1.0]), INT4),
            TypeError,
            "INT4 codes must be a uint8 array, not float64",
        ),
        (
            lambda: pack(np.array([16], dtype=np.uint8), INT4),
            ValueError,
            "INT4 codes must be 0 to 15, not 16",
        ),
        (
            lambda: pack(np.array(1, dtype=np.uint8), INT4),
            ValueError,
            r"\Acodes to pack must have at least one axis, not shape \(\)\Z",
        ),
        (
            lambda: unpack(np.array([1]), INT4, 2),
            TypeError,
            "packed codes must be an array of uint8, not int64",
        ),
        (
            lambda: unpack(np.zeros(2, dtype=np.uint8), INT4, 2),
            ValueError,
            r"2 packed INT4 codes must take 1 bytes a row, not shape \(2,\)",
        ),
        (
            lambda: unpack(np.array([0x10], dtype=np.uint8), INT4, 1),
            ValueError,
            "bits after the last of 1 INT4 codes must be zero",
        ),
        (
            lambda: unpack(np.zeros(2, dtype=np.uint8), INT4, 2.0),
            TypeError,
            "count must be an int, not 2.0",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
