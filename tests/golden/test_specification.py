"""The tables and worked examples of docs/dint.md against the code."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dintmac.golden.arithmetic import Overflow, Requantizer, Rounding, narrow, rounding_shift
from dintmac.golden.formats import DINT4, FP4, INT4, INT8, dint, integer, parse
from dintmac.golden.matmul import exact_depth
from dintmac.golden.packing import pack
from dintmac.golden.quantization import activations as calibration
from dintmac.golden.quantization import weights as quantize
from dintmac.golden.quantization.activations import AffineQuantizer
from dintmac.golden.quantization.weights import ScaleSearch, quantize_weights, split_error

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "dint.md").read_text(encoding="utf-8")


def section(number: str) -> str:
    """The text under the heading of this number, up to the next heading."""
    match = re.search(rf"^##+ {re.escape(number)}\.? .*?\n(.*?)(?=^##+ |\Z)", TEXT, re.M | re.S)
    assert match, f"docs/dint.md has no section {number}"
    return match[1]


def tables(number: str) -> list[list[dict[str, str]]]:
    """The tables of a section; a row is a dict by column head."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", section(number), re.M):
        head, _, *rows = [[c.strip(" `") for c in ln.split("|")[1:-1]] for ln in block.splitlines()]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def table(number: str) -> list[dict[str, str]]:
    (only,) = tables(number)
    return only


def number(text: str) -> Fraction:
    return Fraction(text.replace("−", "-").replace("½", "1/2"))


def integers(text: str) -> list[int]:
    return [int(number(part)) for part in re.findall(r"[−\d]+", text)]


@pytest.mark.parametrize(
    ("where", "format"),
    [("1.2", DINT4), ("1.3", INT4), ("1.6", FP4)],
    ids=["dINT4", "INT4", "FP4"],
)
def test_code_table_has_every_code_with_its_value(where, format):
    rows = table(where)
    assert [int(row["code"], 2) for row in rows] == list(range(format.codes))
    assert [int(row["hex"], 16) for row in rows] == list(range(format.codes))
    half_steps = [2 * number(row["steps"]) for row in rows]
    assert format.half_steps.tolist() == half_steps


@pytest.mark.parametrize(("where", "format"), [("1.2", DINT4), ("1.6", FP4)])
def test_half_steps_are_those_of_the_table(where, format):
    assert format.half_steps.tolist() == [number(row["half steps"]) for row in table(where)]


def test_int8_codes_are_those_of_the_table_and_of_the_rule():
    for row in table("1.4"):
        code = int(row["code"], 2)
        assert code == int(row["hex"], 16)
        assert INT8.half_steps[code] == 2 * number(row["steps"])
    assert INT8.half_steps.tolist() == [2 * (c if c < 128 else c - 256) for c in range(256)]


def test_all_widths_are_those_of_the_table():
    rows = table("1.5")
    formats = [integer(b) for b in range(2, 9)] + [dint(b) for b in range(3, 9)]
    assert [row["format"] for row in rows] == [format.name for format in formats]
    for row, format in zip(rows, formats, strict=True):
        assert format.codes == int(row["codes"])
        assert (format.minimum, format.maximum) == (number(row["least"]), number(row["greatest"]))
        half_steps = dict(enumerate(format.half_steps.tolist()))
        denormals = {int(row[v], 2): h for v, h in (("+½", 1), ("−½", -1)) if row[v] != "none"}
        assert {c: h for c, h in half_steps.items() if h % 2} == denormals
        wholes = sorted(h // 2 for h in half_steps.values() if h % 2 == 0)
        assert wholes == list(range(format.minimum, format.maximum + 1))


@pytest.mark.parametrize("format", [DINT4, INT4], ids=["dINT4", "INT4"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_examples_hold(format, dtype):
    for row in table("2.2"):
        code = int(row[f"{format.name} code"], 2)
        steps = np.array([float(number(row["s"]))], dtype=dtype)
        assert format.encode(steps).tolist() == [code], row
        assert format.half_steps[code] == 2 * number(row[f"{format.name} steps"])


def test_rounding_modes_are_those_of_the_table():
    rows = table("2.3")
    assert [row["mode"] for row in rows] == [mode.name for mode in Rounding]
    for row in rows:
        mode = Rounding[row.pop("mode")]
        quarters = np.array([int(4 * number(x)) for x in row], dtype=np.int64)
        assert rounding_shift(quarters, 2, mode).tolist() == [number(y) for y in row.values()]


def test_signed_scale_example_holds():
    weights = np.array([[-0.7, 0.1, 0.6]])
    for row, signed in zip(table("3.2"), (False, True), strict=True):
        quantized = quantize_weights(weights, DINT4, signed_scale=signed)
        assert quantized.scale.item() == pytest.approx(float(number(row["scale"])), abs=1e-6)
        codes = [int(code, 2) for code in re.findall(r"[01]{4}", row["codes"])]
        assert quantized.codes.tolist() == [codes]
        assert DINT4.half_steps[codes].tolist() == [2 * s for s in integers(row["steps"])]
        values = [float(number(value)) for value in row["real values"].split(", ")]
        np.testing.assert_allclose(quantized.dequantize(), [values], atol=1e-6)


def test_products_are_those_of_the_table():
    activations = np.arange(-128, 128)
    for row in table("4.1"):
        format = parse(row["format"])
        units = format.to_units(np.arange(format.codes, dtype=np.uint8)).astype(int)
        assert [units.min(), units.max()] == integers(row["units of a weight"])
        products = np.multiply.outer(units, activations)
        bounds = (number(row["least product"]), number(row["greatest product"]))
        assert (products.min(), products.max()) == format.product_range() == bounds
        assert format.product_bits == int(row["bits"])


def fits(format, depth: int, bits: int) -> bool:
    """Whether all sums of so many products fit, from the definition in section 4.2."""
    low, high = format.product_range()
    return -(2 ** (bits - 1)) <= depth * low and depth * high <= 2 ** (bits - 1) - 1


def test_accumulator_widths_are_those_of_the_tables_and_minimal():
    by_depth, by_width = tables("4.2")
    for row in by_depth:
        format = parse(row.pop("format"))
        for depth, bits in ((int(d), int(b)) for d, b in row.items()):
            assert format.accumulator_bits(depth) == bits
            assert fits(format, depth, bits)
            assert not fits(format, depth, bits - 1)
    for row in by_width:
        format = parse(row.pop("format"))
        for bits, depth in ((int(b), int(d)) for b, d in row.items()):
            assert format.max_depth(bits) == depth
            assert fits(format, depth, bits)
            assert not fits(format, depth + 1, bits)


def test_overflow_examples_hold():
    for row in table("4.3"):
        exact = np.array([sum(integers(row["products"]))], dtype=np.int64)
        bits = int(row["bits"])
        assert narrow(exact, bits, Overflow.WRAP).tolist() == integers(row["wrap"])
        assert narrow(exact, bits, Overflow.SATURATE).tolist() == integers(row["saturate"])


def test_exact_blocks_are_those_of_the_table():
    activations = np.array([-128, 127], dtype=np.int8)
    for row in table("4.4"):
        format = parse(row["format"])
        units = format.to_units(np.arange(format.codes, dtype=np.uint8)).astype(np.float32)
        assert np.abs(units).max() == int(row["W"])
        assert int(row["A"]) == 128
        assert exact_depth(activations, units) == int(row["products in a block"])


def test_requantization_examples_hold():
    for row in table("5"):
        scale, zero_point = float(number(row["real scale"])), int(number(row["zero point"]))
        requantize = Requantizer.from_scale(scale, zero_point=zero_point)
        assert (requantize.multiplier, requantize.shift) == (number(row["m"]), number(row["k"]))
        assert requantize(np.array(integers(row["sum"]))).tolist() == integers(row["result"])


def test_memory_examples_hold():
    for row in table("6.1"):
        codes = np.array([int(code, 16) for code in row["codes (hex)"].split(", ")], dtype=np.uint8)
        packed = pack(codes, parse(row["format"]))
        assert packed.tobytes() == bytes.fromhex(row["bytes (hex)"])


def as_port(elements: list[int], bits: int) -> int:
    return sum((element % 2**bits) << (i * bits) for i, element in enumerate(elements))


def test_port_examples_hold():
    activations, vector, matrix, sums = table("6.2")
    for row in (activations, sums):
        assert as_port(integers(row["elements"]), int(row["bits each"])) == int(
            row["port (hex)"], 16
        )
    steps = np.array([0.5, -6, 7, 0])
    assert vector["elements"] == "dINT4 weights +½, −6, 7, 0"
    assert as_port(DINT4.encode(steps).tolist(), 4) == int(vector["port (hex)"], 16)
    assert matrix["elements"].endswith("output 0: 1, 2; output 1: 3, −1")
    weights = DINT4.encode(np.array([[1.0, 2], [3, -1]]))
    assert as_port(weights.ravel().tolist(), 4) == int(matrix["port (hex)"], 16)
    little = int.from_bytes(pack(weights.ravel(), DINT4).tobytes(), "little")
    assert little == int(matrix["port (hex)"], 16)


def test_affine_example_holds():
    quantizer = AffineQuantizer.from_range(-1.5, 2.5)
    assert quantizer.scale == pytest.approx(4 / 255)
    assert quantizer.zero_point == -32
    for row in table("7.2"):
        x = Fraction(row["x"].replace("−", "-"))
        steps = x / Fraction(4, 255)
        assert steps == number(row["x / S"])
        rounded = int(abs(steps) + Fraction(1, 2)) * (1 if steps >= 0 else -1)
        assert rounded - 32 == number(row["R(x / S) + Z"])
        code = quantizer.quantize(np.array([float(x)]))
        assert code.tolist() == integers(row["xq"])
        value = float(number(row["x̃"]))
        assert quantizer.dequantize(code).item() == pytest.approx(value, abs=1e-6)


def test_the_formula_of_the_notes_leaves_int8_and_ours_does_not():
    quantizer = AffineQuantizer.from_range(-1.5, 2.5)
    for row in table("7.3"):
        x = number(row["x"])
        assert round(x / Fraction(4, 256)) - (-32) == number(row["R(x / S) − Z, in the notes"])
        assert quantizer.quantize(np.array([float(x)])).tolist() == integers(row["xq here"])
    assert AffineQuantizer.from_range(-2.0, 2.0).zero_point == -1


def test_error_split_example_holds():
    rows = table("8")
    weights = np.array([[float(number(row["weight"])) for row in rows]])
    quantized = quantize_weights(weights, DINT4, signed_scale=True)
    assert quantized.scale.item() == pytest.approx(-0.1)
    values = [float(number(row["real value"])) for row in rows]
    np.testing.assert_allclose(quantized.dequantize(), [values], atol=1e-12)
    split = split_error(weights, quantized)
    energy = np.sum(weights**2)
    for part in ("rounding", "underflow"):
        expected = sum(float(number(row[part])) ** 2 for row in rows) / energy
        assert getattr(split, part) == pytest.approx(expected, abs=1e-12)


def test_asymmetric_example_holds():
    rows = table("8.2")
    weights = np.array([[float(number(row["weight"])) for row in rows]])
    assert "−6 − Z … 7 − Z, Z from −6 to 7" in section("8.2")
    codes = quantize.encode(weights / 0.1, DINT4, -3)
    assert codes.tolist() == [[int(row["code"], 2) for row in rows]]
    steps = quantize.decode(codes, DINT4, -3)
    assert steps.tolist() == [[float(number(row["steps"])) for row in rows]]
    assert (quantize.decode(np.arange(16, dtype=np.uint8), DINT4, -3).max()) == 10
    assert (quantize.decode(np.arange(16, dtype=np.uint8), DINT4, -3).min()) == -3


def test_activation_search_is_that_of_the_text():
    assert "0.20, 0.21 … 1.00" in section("7.1")
    np.testing.assert_allclose(calibration.MSE_FACTORS, np.linspace(0.2, 1, 81))


def test_weight_search_examples_hold():
    weights = np.array([[0.8, 0.6, 0.3, -0.2]])
    for row in table("8.1"):
        format, search = parse(row["format"]), ScaleSearch(row["search"])
        quantized = quantize_weights(weights, format, search=search)
        assert quantized.scale.item() == pytest.approx(float(row["scale"]), abs=1e-6)
        steps = [number(step) for step in row["steps"].split(", ")]
        assert (format.half_steps[quantized.codes[0]] / 2).tolist() == steps
        error = np.sum((quantized.dequantize() - weights) ** 2)
        assert error == pytest.approx(float(row["squared error"]), abs=1e-6)


def searched_scale(weights, format, absmax):
    """Section 8.1, one scale at a time."""
    w = weights / absmax
    reach = max(format.maximum, -format.minimum)

    def codes_of(tried):
        q = format.half_steps[format.encode(w / tried)] / 2
        products, squares = float(w @ q), float(q @ q)
        return (products / squares, products**2 / squares) if squares else (1.0, 0.0)

    def better(best, tried):
        found = codes_of(tried)
        return found if found[1] > best[1] else best

    typical = 3 * np.sqrt(np.mean(w**2)) / reach
    best = (1.0, 0.0)
    for tried in (1.0, min(max(typical, 2.0**-12), 1)):
        best = better(best, tried)
    error = w @ w - best[1]
    low, high = 0.0, 12.0
    for _ in range(8):
        e = (low + high) / 2
        if np.sum(np.maximum(np.abs(w) - reach * 2**-e, 0) ** 2) > error:
            high = e
        else:
            low = e
    first, last = 1 / (1 + 4 / format.bits), 2**high
    count = 16 + 2**format.bits // 3
    for i in range(count):
        best = better(best, 1 / (first + (last - first) * i / (count - 1)))
    return absmax * better(best, best[0])[0]


@pytest.mark.parametrize("format", [dint(3), DINT4, INT4, FP4, INT8], ids=lambda f: f.name)
def test_weight_search_is_that_of_the_text(format):
    rng = np.random.default_rng(0)
    weights = rng.standard_t(3, (20, 24))
    weights[:5, 0] *= 100
    quantized = quantize_weights(weights, format, search=ScaleSearch.MSE, signed_scale=True)
    for row, scale in zip(weights, quantized.scale.ravel(), strict=True):
        absmax = [
            s * np.max(s * row / np.where(s * row > 0, format.maximum, format.minimum))
            for s in (1, -1)
        ]
        candidates = [*absmax, *(searched_scale(row, format, a) for a in absmax)]
        values = [format.half_steps[format.encode(row / s)] * (s / 2) for s in candidates]
        errors = np.array([np.sum((v - row) ** 2) for v in values])
        first = int(np.argmax(errors <= errors.min() * (1 + 1e-12)))
        assert scale == pytest.approx(candidates[first], rel=1e-9)


def citations() -> list[tuple[str, str]]:
    """(file, section) of each citation of the specification in the code."""
    rooms = [ROOT / room for room in ("golden", "hdl", "sim", "synth", "reports")]
    pattern = re.compile(
        r"docs/dint\.md[`]*,\s+sections?\s+((?:\d+(?:\.\d+)?(?:,\s+|\s+and\s+)?)+)"
    )
    found = []
    for path in (path for room in rooms for path in room.rglob("*.py")):
        for numbers in pattern.findall(path.read_text(encoding="utf-8")):
            found += [(path.name, n) for n in re.findall(r"\d+(?:\.\d+)?", numbers)]
    return found


def test_every_section_that_the_code_cites_exists():
    found = citations()
    assert ("formats.py", "1") in found
    for _, cited in found:
        section(cited)
