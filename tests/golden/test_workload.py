"""Quantized matrix products and their files."""

import io

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.golden.workload import Workload, load, load_layer, quantized, save

GOOD = {
    "activations": np.zeros((2, 3), dtype=np.int8),
    "weights": np.zeros((4, 3), dtype=np.uint8),
    "format": np.array("dint4"),
}


def saved(path, **changes):
    arrays = {name: array for name, array in (GOOD | changes).items() if array is not None}
    np.savez(path / "w.npz", **arrays)
    return path / "w.npz"


def test_loads_a_file(tmp_path):
    workload = load(saved(tmp_path))
    assert workload.format == DINT4
    assert workload.products == 24
    assert workload.depth == 3


def test_a_file_without_format_takes_the_one_that_is_given(tmp_path):
    assert load(saved(tmp_path, format=None), INT4).format == INT4


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"activations": None}, ValueError, "has no array named activations"),
        ({"weights": None}, ValueError, "has no array named weights"),
        ({"activations": np.zeros((2, 3))}, TypeError, "activations must be an array of int8"),
        ({"weights": np.zeros((4, 3), dtype=np.int8)}, TypeError, "weights must be an array of u"),
        ({"weights": np.full((4, 3), 16, dtype=np.uint8)}, ValueError, "codes must be 0 to 15"),
        ({"weights": np.zeros((4, 2), dtype=np.uint8)}, ValueError, "same number of columns"),
        ({"activations": np.zeros(3, dtype=np.int8)}, ValueError, "must have 2 axes"),
        ({"activations": np.zeros((0, 3), dtype=np.int8)}, ValueError, "must not be empty"),
        ({"format": None}, ValueError, "it names no format, so one must be given"),
        ({"format": np.array(["dint4"])}, TypeError, "format must be a single string"),
        ({"format": np.array(4)}, TypeError, "format must be a single string, not int64"),
        ({"source": np.zeros(3)}, TypeError, "source must be a single string, not float64"),
        ({"format": np.array("dint9000")}, ValueError, "format must be int2 to int8, dint3"),
    ],
)
def test_a_file_with_wrong_content_is_refused(tmp_path, changes, error, message):
    with pytest.raises(error, match=rf"workload .*w\.npz.* {message}"):
        load(saved(tmp_path, **changes))


def test_a_layer_needs_neither_activations_nor_a_bias(tmp_path):
    layer = load_layer(saved(tmp_path, activations=None))
    assert layer.format == DINT4
    assert layer.weights.shape == (4, 3)
    assert layer.activations is None
    assert (layer.bias.dtype, layer.bias.tolist()) == (np.int64, [0, 0, 0, 0])


def test_a_layer_has_what_is_in_its_file(tmp_path):
    layer = load_layer(saved(tmp_path, bias=np.arange(4, dtype=np.int32)))
    assert (layer.bias.dtype, layer.bias.tolist()) == (np.int64, [0, 1, 2, 3])
    np.testing.assert_array_equal(layer.activations, GOOD["activations"])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"weights": None}, ValueError, "has no array named weights"),
        ({"weights": np.uint8(0)}, ValueError, "weights must have 2 axes"),
        ({"weights": np.full((4, 3), 16, dtype=np.uint8)}, ValueError, "codes must be 0 to 15"),
        ({"activations": np.zeros((2, 4), dtype=np.int8)}, ValueError, "same number of columns"),
        ({"bias": np.zeros(4)}, TypeError, "bias must be an array of int64"),
        ({"bias": np.zeros(3, dtype=np.int64)}, ValueError, "one number for each of 4 rows"),
        ({"format": None}, ValueError, "it names no format, so one must be given"),
    ],
)
def test_a_layer_with_wrong_content_is_refused(tmp_path, changes, error, message):
    with pytest.raises(error, match=rf"workload .*w\.npz.* {message}"):
        load_layer(saved(tmp_path, **changes))


def test_a_format_other_than_the_files_own_is_refused(tmp_path):
    with pytest.raises(ValueError, match="its format is dINT4, not INT4"):
        load(saved(tmp_path), INT4)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        load(tmp_path / "none.npz")


def corrupt(content):
    """An archive whose compressed data is none."""
    places = [i for i in range(len(content)) if content.startswith(b"PK\3\4", i)]
    middle = (places[0] + places[1]) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) * 8 + content[middle + 8 :]


def array(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: b"PK\x03\x04 broken",
        lambda content: b"the cat sees the dog\n",
        lambda content: "Füße".encode("latin-1"),
        lambda content: content[: len(content) // 2],
        corrupt,
        lambda content: array(np.zeros(3)),
        lambda content: array(np.array([{}])),
    ],
    ids=["empty", "broken", "text", "latin", "half", "corrupt", "array", "pickle"],
)
def test_a_file_that_is_no_archive_is_refused_without_advice(tmp_path, change):
    path = tmp_path / "w.npz"
    values = np.random.default_rng(0).integers(-99, 99, (99, 3), dtype=np.int8)
    save(path, Workload(values, GOOD["weights"], INT4))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"w\.npz must be an \.npz file of plain arrays$"):
        load(path)


def test_objects_are_refused_without_advice(tmp_path):
    path = saved(tmp_path, activations=np.array([[{}]]))
    with pytest.raises(ValueError, match=r"w\.npz must be an \.npz file of plain arrays$"):
        load(path)


def test_other_arrays_are_not_read(tmp_path):
    assert load(saved(tmp_path, note=np.array([{}]))).format == DINT4


def test_what_is_saved_is_loaded_again(tmp_path):
    workload = Workload(GOOD["activations"], GOOD["weights"] + 5, INT4, "a source")
    save(tmp_path / "w.npz", workload)
    again = load(tmp_path / "w.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]
    assert (again.format, again.source, again.sha256) == (INT4, "a source", workload.sha256)
    np.testing.assert_array_equal(again.weights, workload.weights)


def test_a_file_without_source_is_its_own(tmp_path):
    assert load(saved(tmp_path)).source == "w"


def test_the_hash_knows_operands_and_format():
    arrays = GOOD["activations"], GOOD["weights"]
    first = Workload(*arrays, DINT4).sha256
    assert Workload(*arrays, DINT4, "elsewhere").sha256 == first
    assert Workload(*arrays, INT4).sha256 != first
    assert Workload(arrays[0] + np.int8(1), arrays[1], DINT4).sha256 != first


@pytest.mark.parametrize("format", [INT8, INT4, DINT4], ids=lambda format: format.name)
def test_real_numbers_become_a_product_that_is_nearly_theirs(format):
    rng = np.random.default_rng(3)
    activations, weights = rng.normal(size=(20, 64)), rng.normal(size=(8, 64))
    workload = quantized(activations, weights, format, "normal")
    products = matmul(workload.activations, workload.weights, format)
    for exact, found in zip((activations @ weights.T).T, products.T, strict=True):
        assert abs(np.corrcoef(exact, found)[0, 1]) > 0.98
