"""Packing of vectors into ports."""

import numpy as np
import pytest

from dintmac.hdl.ports import Port
from dintmac.sim.vectors import pack, unpack


def port(shape, bits, signed):
    return Port("p", "input", shape, (), bits, signed, None, "plain")


@pytest.mark.parametrize(("bits", "signed"), [(1, False), (4, False), (8, True), (25, True)])
def test_unpack_is_the_inverse_of_pack(bits, signed):
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    values = np.random.default_rng(0).integers(low, high, (7, 3, 5))
    vector = port((3, 5), bits, signed)
    np.testing.assert_array_equal(unpack(pack(values, vector), vector), values)


def test_element_0_is_in_the_least_significant_bits_and_the_last_axis_is_fastest():
    values = np.array([[[1, 2], [-1, 7]]])
    assert pack(values, port((2, 2), 4, True)) == [0x7F21]


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="p must be -8 to 7, not 0 to 8"):
        pack(np.array([[0, 8]]), port((2,), 4, True))


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="p must have shape"):
        pack(np.zeros((1, 3), dtype=int), port((2,), 4, True))
