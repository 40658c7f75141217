# amaranth: UnusedElaboratable=no
import collections
import itertools
from functools import cached_property

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, FORMATS, FP4, INT4, INT8
from dintmac.hdl.architectures import (
    ARCHITECTURES,
    architecture_for,
    architectures_of,
)
from dintmac.hdl.architectures.behavioural import product as behavioural_product
from dintmac.hdl.inner_product import GroupPartialProducts
from dintmac.hdl.operands import Operands

CASES = [(f, a) for f in FORMATS.values() for a in architectures_of(f) if a.generator]
SINGLE = [(f, a) for f, a in CASES if a.group == 1]
PAIRS = [(f, a) for f, a in CASES if a.group == 2]
#: Every activation at the widths that are synthesized, corners and a stride at the others.
ALL = range(-128, 128)
SOME = [-128, -127, -1, 0, 1, 126, 127, *range(-121, 128, 17)]
CORNERS = [-128, -85, -1, 0, 127]


def run(module, testbench):
    simulator = Simulator(module)
    simulator.add_testbench(testbench)
    simulator.run()


class Group:
    """A group of lanes behind its operands, read as the number that it adds to a heap."""

    def __init__(self, format, architecture):
        self.format = format
        self.architecture = architecture
        self.products = GroupPartialProducts(format, architecture)
        self.operands = Operands(format=format, architecture=architecture, lanes=architecture.group)
        self.module = Module()
        self.module.submodules += [self.products, self.operands]
        self.module.d.comb += self.products.operands.eq(self.operands.operands[0])

    @cached_property
    def masks(self):
        """Which bits stand at a column."""
        masks = collections.defaultdict(int)
        for i, column in enumerate(self.products.columns):
            masks[column] |= 1 << i
        return masks

    def total(self, ctx, activations, codes):
        """What the group adds, its term included."""
        stored = self.architecture.encode(self.format, np.array(codes, dtype=np.uint8))
        for lane, (activation, word) in enumerate(zip(activations, stored.tolist(), strict=True)):
            ctx.set(self.operands.activations[lane], activation)
            ctx.set(self.products.weights[lane], word)
        bits = self.architecture.as_added(ctx.get(self.products.bits))
        total = self.products.constant
        for column, mask in self.masks.items():
            total += (bits & mask).bit_count() << column
        if self.architecture.activation_term is not None:
            total += self.architecture.as_added(ctx.get(self.operands.term))
        return total

    def wrong(self, cases):
        """The cases (activations, codes) whose total is not the sum of their products."""
        cases = list(cases)
        weights = np.array([codes for _, codes in cases], dtype=np.uint8)
        products = self.format.to_units(weights) * np.array([a for a, _ in cases], dtype=np.int64)
        expected_totals = products.sum(axis=1) + self.architecture.correction(self.format, weights)
        found = []

        async def testbench(ctx):
            for (activations, codes), expected in zip(cases, expected_totals.tolist(), strict=True):
                total = self.total(ctx, activations, codes)
                if total != expected:
                    found.append((activations, codes, total, expected))

        run(self.module, testbench)
        return found


def case_id(case):
    return case.name


@pytest.mark.parametrize(("format", "architecture"), SINGLE, ids=case_id)
@pytest.mark.slow
def test_partial_products_add_up_to_every_product(format, architecture):
    activations = ALL if format in (INT8, INT4, DINT4, FP4) else SOME
    cases = itertools.product(
        itertools.product(activations), itertools.product(range(format.codes))
    )
    assert Group(format, architecture).wrong(cases) == []


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize(("format", "architecture"), PAIRS, ids=case_id)
@pytest.mark.slow
def test_pairs_add_up_to_products_of_every_code_in_one_lane(format, architecture, lane):
    """Every code of a lane, with activations and the other lane at corners and at random."""
    rng = np.random.default_rng(lane)
    other = itertools.cycle(
        [(a, w % format.codes) for a in CORNERS for w in (0, -1, format.codes // 2, 85)]
        + list(
            zip(
                rng.integers(-128, 128, 99).tolist(),
                rng.integers(0, format.codes, 99).tolist(),
                strict=True,
            )
        )
    )
    cases = []
    for a, w in itertools.product(SOME, range(format.codes)):
        b, v = next(other)
        cases.append(((a, b), (w, v)) if lane == 0 else ((b, a), (v, w)))
    assert Group(format, architecture).wrong(cases) == []


@pytest.mark.parametrize("name", ["pair", "pair_folded"])
@pytest.mark.slow
def test_pairs_of_4_bit_weights_add_up_to_every_sum_of_products(name):
    """All pairs of weights, with activations at corners in one lane and a stride in the other."""
    cases = itertools.product(
        itertools.product(CORNERS, SOME), itertools.product(range(16), range(16))
    )
    assert Group(INT4, ARCHITECTURES[name]).wrong(cases) == []


@pytest.mark.parametrize("name", ["pair", "pair_folded", "fip"])
@pytest.mark.slow
def test_pairs_of_8_bit_weights_add_up_to_sums_of_products(name):
    """All corners of both lanes, and 10,000 at random."""
    rng = np.random.default_rng(3)
    codes = [0, 1, 85, 127, 128, 129, 170, 255]
    corners = itertools.product(
        itertools.product(CORNERS, CORNERS), itertools.product(codes, codes)
    )
    random = zip(
        rng.integers(-128, 128, (10_000, 2)).tolist(),
        rng.integers(0, 256, (10_000, 2)).tolist(),
        strict=True,
    )
    assert Group(INT8, ARCHITECTURES[name]).wrong([*corners, *random]) == []


def test_a_planted_fault_is_found():
    group = Group(DINT4, ARCHITECTURES["digits_folded"])
    group.products.constant += 1
    assert len(group.wrong([((3,), (5,))])) == 1


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
def test_behavioural_product_is_every_product(format):
    m = Module()
    activation, weight = Signal(signed(8)), Signal(format.bits)
    product = Signal(signed(20))
    m.d.comb += product.eq(behavioural_product(m, format, activation, weight))
    units = format.to_units(np.arange(format.codes, dtype=np.uint8)).tolist()
    activations = ALL if format.bits == 4 else SOME
    wrong = []

    async def testbench(ctx):
        for a in activations:
            ctx.set(activation, a)
            for code in range(format.codes):
                ctx.set(weight, code)
                if ctx.get(product) != units[code] * a:
                    wrong.append((code, a))

    run(m, testbench)
    assert wrong == []


@pytest.mark.parametrize(
    ("format", "name", "bits"),
    [
        (FP4, "shift", 22),
        (FP4, "shift_folded", 20),
        (DINT4, "digits", 21),
        (DINT4, "digits_folded", 19),
        (INT4, "digits_folded", 18),
        (INT4, "r4n", 18),
        (DINT4, "nr4sd", 19),
        (INT4, "nr4sd", 18),
        (INT8, "nr4sd", 36),
        (DINT4, "nr4sd_split", 19),
        (INT8, "booth", 40),
        (INT8, "booth_folded", 36),
        (INT8, "r4n", 36),
        (INT8, "pair", 72),
        (INT8, "pair_folded", 72),
        (INT8, "baugh_wooley", 64),
    ],
)
def test_groups_put_this_many_bits_into_the_heap(format, name, bits):
    assert len(GroupPartialProducts(format, ARCHITECTURES[name]).columns) == bits


def test_dint4_needs_no_more_columns_than_its_half_steps():
    columns = GroupPartialProducts(DINT4, ARCHITECTURES["digits"]).columns
    assert max(columns) == DINT4.product_bits - 1


@pytest.mark.parametrize(
    ("format", "default"), [(INT8, "booth"), (INT4, "digits"), (DINT4, "digits"), (FP4, "shift")]
)
def test_default_architecture_is_no_strawman(format, default):
    assert architecture_for(format).name == default


def test_an_unknown_architecture_is_named_with_those_that_exist():
    with pytest.raises(
        ValueError,
        match=r"architecture of dINT4 must be one of digits, .*, behavioural, not 'booth'",
    ):
        architecture_for(DINT4, "booth")


def test_an_architecture_that_needs_a_correction_is_folded():
    assert architecture_for(DINT4, "digits_folded").is_folded
    assert not architecture_for(DINT4).is_folded


def test_correction_is_zero_where_nothing_is_folded():
    codes = np.arange(16, dtype=np.uint8).reshape(2, 8)
    assert ARCHITECTURES["digits"].correction(DINT4, codes).tolist() == [0, 0]


def test_correction_fills_the_last_pair_with_zero_codes():
    codes = np.array([[3, 250, 9]], dtype=np.uint8)
    filled = np.array([[3, 250, 9, 0]], dtype=np.uint8)
    fip = ARCHITECTURES["fip"]
    assert fip.correction(INT8, codes).tolist() == fip.correction(INT8, filled).tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=case_id)
def test_what_is_stored_is_another_word_for_each_code(architecture):
    for format in filter(architecture.supports, FORMATS.values()):
        codes = np.arange(format.codes, dtype=np.uint8).reshape(2, -1)
        stored = architecture.encode(format, codes)
        assert stored.dtype == np.uint8
        assert sorted(stored.ravel().tolist()) == list(range(format.codes))
        assert architecture.decode(format, stored).tolist() == codes.tolist()
        assert (stored != codes).any() == architecture.name.startswith("nr4sd")


def test_weights_are_stored_as_the_digits_that_are_documented():
    """docs/arithmetic.md, section 3."""
    nr4sd = ARCHITECTURES["nr4sd"]
    stored = nr4sd.encode(DINT4, np.arange(16, dtype=np.uint8))
    assert [f"{word:04b}" for word in stored] == [
        *("1100", "1110", "1011", "1001", "1000", "1010", "0011", "0001"),
        *("0010", "0000", "0111", "0101", "0100", "0110", "1111", "1101"),
    ]
    ends = nr4sd.encode(INT8, np.array([127, 128], dtype=np.uint8))
    assert [f"{word:08b}" for word in ends] == ["00111101", "00111111"]


def test_storing_refuses_what_is_no_code():
    for store in (ARCHITECTURES["nr4sd"].encode, ARCHITECTURES["nr4sd"].decode):
        with pytest.raises(ValueError, match="dINT4 codes must be 0 to 15, not 16"):
            store(DINT4, np.array([16], dtype=np.uint8))


def test_correction_refuses_what_is_no_code():
    with pytest.raises(ValueError, match="dINT4 codes must be 0 to 15, not 16"):
        ARCHITECTURES["digits_folded"].correction(DINT4, np.array([16], dtype=np.uint8))
