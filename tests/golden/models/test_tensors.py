"""Tensors of safetensors files: which files make up a model, and what is wrong with one."""

import json
import struct

import numpy as np
import pytest

from dintmac.golden.models.tensors import TensorFiles

MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"


def write(path, tensors=None, *, header=None, data=b""):
    """A file of float32 tensors, or one with a header that the test says."""
    if tensors is not None:
        header = {}
        for name, values in tensors.items():
            content = np.asarray(values, dtype="<f4").tobytes()
            places = [len(data), len(data) + len(content)]
            header[name] = {"dtype": "F32", "shape": np.shape(values), "data_offsets": places}
            data += content
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_index(folder, weight_map):
    content = {"metadata": {"total_size": 4}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(content))


def read(folder):
    return {name: tensor.tolist() for name, tensor in TensorFiles.of_model(folder).items()}


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    values = np.array([1.5, -2.0, 3.14159], dtype=np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    write(tmp_path / "m", header=header, data=upper)
    found = TensorFiles([tmp_path / "m"])["x"]
    assert found.dtype == np.float32
    assert found[:2].tolist() == [1.5, -2.0]
    assert abs(found[2] - values[2]) < 2**-6


def test_what_float32_cannot_hold_is_infinite(tmp_path):
    header = {"x": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}}
    write(tmp_path / "m", header=header, data=np.array([1e300, 1.0]).tobytes())
    assert TensorFiles([tmp_path / "m"])["x"].tolist() == [np.inf, 1.0]


def test_without_an_index_a_model_is_one_file(tmp_path):
    write(tmp_path / MODEL, {"x": [1.0]})
    write(tmp_path / "zz.safetensors", {"x": [2.0], "y": [3.0]})
    assert read(tmp_path) == {"x": [1.0]}


def test_an_index_says_which_files_a_model_is(tmp_path):
    write(tmp_path / MODEL, {"x": [9.0], "y": [9.0]})
    write(tmp_path / "consolidated.safetensors", {"x": [9.0]})
    write(tmp_path / "a.safetensors", {"x": [1.0]})
    write(tmp_path / "b.safetensors", {"y": [2.0], "z": [3.0]})
    write_index(tmp_path, {"x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"})
    assert read(tmp_path) == {"x": [1.0], "y": [2.0], "z": [3.0]}


def test_with_neither_all_files_are_one_model(tmp_path):
    write(tmp_path / "a.safetensors", {"x": [1.0]})
    write(tmp_path / "b.safetensors", {"y": [2.0]})
    assert read(tmp_path) == {"x": [1.0], "y": [2.0]}


def test_an_index_may_begin_with_a_byte_order_mark(tmp_path):
    write(tmp_path / "a.safetensors", {"x": [1.0]})
    write_index(tmp_path, {"x": "a.safetensors"})
    (tmp_path / INDEX).write_bytes(b"\xef\xbb\xbf" + (tmp_path / INDEX).read_bytes())
    assert read(tmp_path) == {"x": [1.0]}


@pytest.mark.parametrize("index", [False, True])
def test_a_name_must_not_occur_twice(tmp_path, index):
    write(tmp_path / "a.safetensors", {"x": [1.0], "y": [1.0]})
    write(tmp_path / "b.safetensors", {"x": [2.0]})
    if index:
        write_index(tmp_path, {"x": "b.safetensors", "y": "a.safetensors"})
    message = r"b\.safetensors must not have the tensor x, as a\.safetensors has it"
    with pytest.raises(ValueError, match=message):
        TensorFiles.of_model(tmp_path)


def test_names_that_are_one_after_renaming_occur_twice(tmp_path):
    write(tmp_path / MODEL, {"x": [1.0], "model.x": [2.0]})
    with pytest.raises(ValueError, match=r"must not have the tensor x, as model\.safetensors has"):
        TensorFiles.of_model(tmp_path, lambda name: name.removeprefix("model."))


@pytest.mark.parametrize(
    ("weight_map", "error", "message"),
    [
        (
            {"x": "absent.safetensors"},
            FileNotFoundError,
            r"absent\.safetensors must be there, as model\.safetensors\.index\.json lists it",
        ),
        (
            {"x": "a.safetensors", "z": "b.safetensors"},
            ValueError,
            r"b\.safetensors must have the tensor z, as model\.safetensors\.index\.json says",
        ),
        (
            {"x": "b.safetensors", "y": "a.safetensors"},
            ValueError,
            r"b\.safetensors must have the tensor x, as model\.safetensors\.index\.json says",
        ),
        ({"x": 1}, ValueError, "index.json must have a weight_map from tensors to files"),
        (["x"], ValueError, "index.json must have a weight_map from tensors to files"),
    ],
)
def test_says_what_is_wrong_with_an_index(tmp_path, weight_map, error, message):
    write(tmp_path / "a.safetensors", {"x": [1.0]})
    write(tmp_path / "b.safetensors", {"y": [2.0]})
    write_index(tmp_path, weight_map)
    with pytest.raises(error, match=message):
        TensorFiles.of_model(tmp_path)


def test_equal_tensors_have_the_same_bytes(tmp_path):
    write(tmp_path / MODEL, {"x": [[1.0], [2.0]], "y": [[1.0], [2.0]], "z": [[1.0], [3.0]]})
    tensors = TensorFiles.of_model(tmp_path)
    assert tensors.equal("x", "y")
    assert not tensors.equal("x", "z")


def entry(dtype="F32", shape=(2,), places=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": places}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"x": entry(places=[0, 12])}, "the tensor x has another size than its shape"),
        ({"x": entry(shape=[3])}, "the tensor x has another size than its shape"),
        ({"x": entry(places=[-8, 0])}, "the tensor x must begin where the one before it ends"),
        (
            {"x": entry(), "y": entry(places=[4, 12])},
            "the tensor y must begin where the one before it ends",
        ),
        (
            {"x": entry(), "y": entry("I8", [0], [8, 4])},
            "the tensor y must begin where the one before it ends",
        ),
        ({"x": entry(shape=[2.0])}, r"x must have whole numbers as its shape, not \[2\.0\]"),
        ({"x": entry(shape=[-1, -2])}, "x must have whole numbers as its shape"),
        ({"x": entry(shape="2")}, "the tensor x must have dtype, shape and data_offsets"),
        ({"x": entry(places=[0])}, "the tensor x must have dtype, shape and data_offsets"),
        ({"x": entry(dtype=None)}, "the tensor x must have dtype, shape and data_offsets"),
        ({"x": 1}, "the tensor x must have dtype, shape and data_offsets"),
        ([1], "it is a list"),
        (b'{"x": 1, "x": 2}', "it has the key 'x' twice"),
        (b"#", "Expecting value"),
        (b"\xff", "can't decode byte 0xff"),
    ],
)
def test_says_what_is_wrong_with_a_header(tmp_path, header, message):
    write(tmp_path / "m", header=header, data=bytes(8))
    with pytest.raises(ValueError, match=f"m must be a safetensors file: .*{message}"):
        TensorFiles([tmp_path / "m"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-3], "m must be complete: it ends within the tensor x"),
        (lambda c: c + b"12345", "m must end with its tensors, not 5 bytes after them"),
        (lambda c: c[:20], "m must be a safetensors file: its header is incomplete"),
        (lambda c: b"PK\3\4", "m must be a safetensors file: its header is incomplete"),
        (lambda c: b"", "m must be a safetensors file: its header is incomplete"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path, change, message):
    write(tmp_path / "m", {"x": np.ones((4, 4))})
    (tmp_path / "m").write_bytes(change((tmp_path / "m").read_bytes()))
    with pytest.raises(ValueError, match=message):
        TensorFiles([tmp_path / "m"])


def test_a_header_does_not_fill_the_memory(tmp_path):
    with (tmp_path / "m").open("wb") as file:
        file.write(struct.pack("<Q", 200_000_000))
        file.truncate(1 << 30)
    with pytest.raises(ValueError, match="must be a safetensors file: its header is incomplete"):
        TensorFiles([tmp_path / "m"])


def test_shape_says_what_cannot_be_read(tmp_path):
    write(tmp_path / "m", header={"x": entry("F8_E4M3", [8])}, data=bytes(8))
    tensors = TensorFiles([tmp_path / "m"])
    assert tensors.dtypes() == ["F8_E4M3"]
    with pytest.raises(ValueError, match="x must be of F64, F32, F16, BF16, not of F8_E4M3"):
        tensors.shape("x")


def test_whether_a_tensor_is_there_is_known_without_reading_it(tmp_path, monkeypatch):
    write(tmp_path / MODEL, {"x": [1.0]})
    tensors = TensorFiles.of_model(tmp_path)
    monkeypatch.setattr(TensorFiles, "__getitem__", None)
    assert "x" in tensors
    assert "y" not in tensors
