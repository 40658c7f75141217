# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value, signed

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
ALL = range(-128, 128)
CORNERS = [-128, -85, -1, 0, 127]


class Group:
    """A group of lanes behind its operands, read as the number that it adds to a heap.

    Activations and codes have shape (cases, lanes).
    """

    def __init__(self, format, architecture):
        self.format = format
        self.architecture = architecture
        self.products = GroupPartialProducts(format, architecture)
        self.operands = Operands(format=format, architecture=architecture, lanes=architecture.group)

    def total(self, gates_of, activations, codes):
        """What the group adds, its term included."""
        inputs = {"activations": self.operands.activations, "weights": self.products.weights}
        outputs = {"bits": self.products.bits}
        if self.architecture.activation_term is not None:
            outputs["term"] = self.operands.term
        m = Module()
        m.submodules += [self.products, self.operands]
        m.d.comb += self.products.operands.eq(self.operands.operands[0])
        ports = {
            name: Signal(Value.cast(value).shape(), name=name)
            for name, value in (inputs | outputs).items()
        }
        m.d.comb += [value.eq(ports[name]) for name, value in inputs.items()]
        m.d.comb += [ports[name].eq(value) for name, value in outputs.items()]
        sim = gates_of(m, ports.values(), len(codes))
        sim.set("activations", activations.astype(np.int8))
        sim.set("weights", self.architecture.encode(self.format, codes.astype(np.uint8)))
        sim.evaluate()
        columns = np.array(self.products.columns)
        bits = sim.get("bits", len(columns)) ^ int(self.architecture.adds_complements)
        total = self.products.constant + (bits << columns).sum(axis=1)
        if "term" in outputs:
            total += self.architecture.as_added(sim.get("term", signed=True)[:, 0])
        return total

    def wrong(self, gates_of, activations, codes):
        """The cases whose total is not the sum of their products."""
        products = self.format.to_units(codes.astype(np.uint8)).astype(np.int64) * activations
        correction = self.architecture.correction(self.format, codes.astype(np.uint8))
        total = self.total(gates_of, activations, codes)
        found = np.flatnonzero(total != products.sum(axis=1) + correction)
        return [(activations[i].tolist(), codes[i].tolist(), int(total[i])) for i in found]


def every(*choices):
    """Each choice of each, a column for each of them."""
    return np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, len(choices))


def case_id(case):
    return case.name


@pytest.mark.parametrize(("format", "architecture"), SINGLE, ids=case_id)
@pytest.mark.slow
def test_partial_products_add_up_to_every_product(gates_of, format, architecture):
    cases = every(ALL, range(format.codes))
    assert Group(format, architecture).wrong(gates_of, cases[:, :1], cases[:, 1:]) == []


@pytest.mark.parametrize(("format", "architecture"), PAIRS, ids=case_id)
@pytest.mark.slow
def test_pairs_add_up_to_products_of_every_code_in_one_lane(gates_of, format, architecture):
    """Every product in either lane, beside corners and what comes at random in the other."""
    rng = np.random.default_rng(1)
    cases = every(ALL, range(format.codes))
    extremes = [format.half_steps.argmin(), format.half_steps.argmax()]
    others = [
        every(CORNERS, extremes)[rng.integers(0, 10, len(cases))],
        np.stack(
            [rng.integers(-128, 128, len(cases)), rng.integers(0, format.codes, len(cases))], axis=1
        ),
    ]
    ordered = [np.stack(pair, axis=1) for o in others for pair in ((cases, o), (o, cases))]
    both = np.concatenate(ordered)
    assert Group(format, architecture).wrong(gates_of, both[..., 0], both[..., 1]) == []


@pytest.mark.parametrize("name", ["pair", "pair_folded"])
@pytest.mark.slow
def test_pairs_of_4_bit_weights_add_up_to_every_sum_of_products(gates_of, name):
    """All pairs of weights, with activations at corners in one lane and all in the other."""
    cases = every(CORNERS, ALL, range(16), range(16))
    assert Group(INT4, ARCHITECTURES[name]).wrong(gates_of, cases[:, :2], cases[:, 2:]) == []


@pytest.mark.parametrize("name", ["pair", "pair_folded", "fip"])
@pytest.mark.slow
def test_pairs_of_8_bit_weights_add_up_to_sums_of_products(gates_of, name):
    """All pairs of weights, with activations at corners in both lanes."""
    cases = every(CORNERS, CORNERS, range(256), range(0, 256, 17))
    assert Group(INT8, ARCHITECTURES[name]).wrong(gates_of, cases[:, :2], cases[:, 2:]) == []


def test_a_planted_fault_is_found(gates_of):
    group = Group(DINT4, ARCHITECTURES["digits_folded"])
    group.products.constant += 1
    assert len(group.wrong(gates_of, np.array([[3]]), np.array([[5]]))) == 1


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.name)
@pytest.mark.slow
def test_behavioural_product_is_every_product(gates_of, format):
    m = Module()
    activation = Signal(signed(8), name="activation")
    weight = Signal(format.bits, name="weight")
    product = Signal(signed(20), name="product")
    m.d.comb += product.eq(behavioural_product(m, format, activation, weight))
    cases = every(ALL, range(format.codes))
    sim = gates_of(m, [activation, weight, product], len(cases))
    sim.set("activation", cases[:, 0].astype(np.int8))
    sim.set("weight", cases[:, 1].astype(np.uint8))
    sim.evaluate()
    expected = format.to_units(cases[:, 1].astype(np.uint8)) * cases[:, 0]
    assert np.array_equal(sim.get("product", signed=True)[:, 0], expected)


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
