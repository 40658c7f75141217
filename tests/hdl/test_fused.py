# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.hdl.architectures import fused
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.fused import FusedGroupPartialProducts, FusedInnerProduct

SIZES = {"depth": 64, "lanes": 6, "outputs": 2}
MODES = [(f, w) for f in fused.FORMATS for w in (f, INT8)]
ACTIVATIONS = np.array([-128, -127, -1, 0, 1, 126, 127, *range(-121, 128, 31)])


def every_code(format):
    return np.arange(format.codes, dtype=np.uint8)


@pytest.mark.parametrize("format", fused.FORMATS, ids=lambda f: f.name)
def test_nibbles_of_an_int8_weight_are_its_own(format):
    words = fused.nibbles(format, INT8, every_code(INT8)[:, np.newaxis])
    assert words.shape == (256, 2)
    assert sorted((words @ [1, 16]).tolist()) == list(range(256))


@pytest.mark.parametrize("format", fused.FORMATS, ids=lambda f: f.name)
def test_nibbles_of_narrow_weights_are_a_permutation_of_codes(format):
    words = fused.nibbles(format, format, every_code(format))
    assert sorted(words.tolist()) == list(range(16))


@pytest.mark.parametrize(("format", "weights"), MODES, ids=lambda f: f.name)
def test_bits_of_a_pair_add_up_to_products_and_correction(format, weights):
    """Every weight, each in both lanes or over both; the other lane has other operands."""
    group = FusedGroupPartialProducts(format)
    places = [
        (1 if shift else -1) << column + shift * (weights == INT8) for shift, column in group.places
    ]
    per_weight = 2 if weights == INT8 else 1
    codes = every_code(weights)
    if weights != INT8:
        codes = np.stack([codes, np.roll(codes, 5)], axis=1)
    else:
        codes = codes[:, np.newaxis]
    words = fused.nibbles(format, weights, codes)
    correction = fused.correction(format, weights, codes)
    units = weights.half_steps[codes].astype(int) * format.units_per_step // 2

    async def testbench(ctx):
        ctx.set(group.int8, int(weights == INT8))
        for i in range(len(codes)):
            for lane in range(2):
                ctx.set(group.nibbles[lane], int(words[i, lane]))
            for a in ACTIVATIONS.tolist():
                pair = np.array([a] if per_weight == 2 else [a, (37 * a + 128) % 256 - 128])
                for lane in range(2):
                    u = int(pair[lane // per_weight]) + 128
                    ctx.set(group.operands[lane], u | (255 - u) << 8)
                bits = ctx.get(group.bits)
                total = sum(p for j, p in enumerate(places) if not bits >> j & 1)
                assert total == units[i] @ pair + correction[i], (codes[i], pair)

    simulator = Simulator(group)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("format", "weights"), MODES, ids=lambda f: f.name)
@pytest.mark.slow
def test_inner_product_equals_the_golden_model(format, weights):
    rng = np.random.default_rng(5)
    element = Configuration("fused", format, "", SIZES)
    width = element.width
    component = FusedInnerProduct(format=format, lanes=6, width=width)
    products = element.products(weights)
    codes = rng.integers(0, weights.codes, (60, products)).astype(np.uint8)
    activations = rng.integers(-128, 128, (60, products)).astype(np.int8)
    words = element.encode(codes, weights)
    lanes = element.lane_activations(activations, weights).astype(int) + 128
    correction = element.correction(codes, weights).tolist()
    units = format.units_per_step // weights.units_per_step
    addends = rng.integers(-500, 500, 60).tolist()

    async def testbench(ctx):
        ctx.set(component.int8, int(weights == INT8))
        for i in range(60):
            for lane, u in enumerate(lanes[i].tolist()):
                ctx.set(component.nibbles[lane], int(words[i, lane]))
                ctx.set(component.operands[lane], u | (255 - u) << 8)
            start = (addends[i] - correction[i] + (1 << width - 1)) % (1 << width) - (
                1 << width - 1
            )
            ctx.set(component.addend, start)
            golden = matmul(activations[i : i + 1], codes[i : i + 1], weights)[0, 0]
            assert ctx.get(component.o) == addends[i] + units * int(golden)

    simulator = Simulator(component)
    simulator.add_testbench(testbench)
    simulator.run()


def test_int8_makes_half_as_many_products_from_the_same_bits():
    element = Configuration("fused", DINT4, "", SIZES)
    assert (element.products(DINT4), element.products(INT8)) == (6, 3)
    assert element.encode(np.zeros((2, 6), np.uint8)).shape == (2, 6)
    assert element.encode(np.zeros((2, 3), np.uint8), INT8).shape == (2, 6)


def test_both_lanes_of_a_pair_get_the_activation_of_an_int8_weight():
    element = Configuration("fused", DINT4, "", SIZES)
    activations = np.array([[1, -2, 3]], dtype=np.int8)
    assert element.lane_activations(activations, INT8).tolist() == [[1, 1, -2, -2, 3, 3]]
    six = np.arange(6, dtype=np.int8)
    assert element.lane_activations(six).tolist() == six.tolist()


@pytest.mark.parametrize(("format", "spare"), [(DINT4, 1), (INT4, 0)])
def test_sums_hold_int8_products_in_units_of_the_narrow_format(format, spare):
    assert fused.FUSED.accumulator_bits(format, 4096) == INT8.accumulator_bits(4096) + spare


def test_refuses_what_cannot_be_fused():
    with pytest.raises(ValueError, match="format must be INT4 or dINT4, not INT8"):
        Configuration("fused", INT8, "", SIZES)
    with pytest.raises(ValueError, match="lanes must be even, not 3"):
        Configuration("fused", DINT4, "", SIZES | {"lanes": 3})


def test_refuses_weights_and_activations_that_do_not_fit():
    element = Configuration("fused", DINT4, "", SIZES)
    with pytest.raises(ValueError, match="weights must be dINT4 or INT8, not INT4"):
        element.products(INT4)
    codes = np.zeros((2, 6), np.uint8)
    message = "codes must be of 3 INT8 products, not 6"
    with pytest.raises(ValueError, match=message):
        element.encode(codes, INT8)
    with pytest.raises(ValueError, match=message):
        element.correction(codes, INT8)
    with pytest.raises(ValueError, match="activations must be of 6 dINT4 products, not 3"):
        element.lane_activations(np.zeros(3, np.int8))
    with pytest.raises(ValueError, match="dINT4 codes must be 0 to 15"):
        element.encode(codes + np.uint8(16))
