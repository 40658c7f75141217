# amaranth: UnusedElaboratable=no
"""Images of weights, biases and operands: what they hold, and in which order."""

import json

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.golden.workload import Layer
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.ports import FlatPorts
from dintmac.hdl.verilog import Export
from dintmac.sim.images import images_of
from dintmac.sim.vectors import unpack

OUTPUTS, DEPTH, VECTORS = 7, 10, 4
SIZES = {
    "mac": {},
    "dot": {"lanes": 3},
    "pe": {"lanes": 3, "outputs": 2},
    "tile": {"lanes": 3, "outputs": 2, "rows": 2, "columns": 2},
}


def layer(format, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "weights": rng.integers(0, format.codes, (OUTPUTS, DEPTH), dtype=np.uint8),
        "bias": rng.integers(-100, 100, OUTPUTS),
        "activations": rng.integers(-128, 128, (VECTORS, DEPTH), dtype=np.int8),
    }
    return Layer(format=format, **(arrays | changes))


def export(design, format, architecture="", **sizes):
    """An export without its Verilog."""
    configuration = Configuration(design, format, architecture, sizes)
    ports = tuple(port for port, _ in FlatPorts(configuration.create()).ports.values())
    return Export(design, "", ports, configuration)


def images(exported, layer):
    """Images by name, and their words as numbers of shape (*image.shape, *port.shape)."""
    found = {image.file: image for image in images_of(exported, layer, "stem")}
    values = {}
    for file, image in found.items():
        words = [int(line, 16) for line in image.text.split()]
        assert [len(line) for line in image.text.split()] == [-(-image.port.width // 4)] * len(
            words
        )
        array = unpack(words, image.port).reshape(*image.shape, *image.port.shape)
        values[file.removeprefix("stem.").removesuffix(".hex")] = array
    return found, values


ARCHITECTURES = [(INT8, "booth"), (INT8, "fip"), (INT4, "pair_folded"), (DINT4, "digits_folded")]
ARCHITECTURES += [(DINT4, "nr4sd"), (INT8, "nr4sd_split")]


@pytest.mark.parametrize(("format", "architecture"), ARCHITECTURES)
@pytest.mark.parametrize("design", SIZES)
def test_they_make_every_sum_right(design, format, architecture):
    """A design adds the products and the correction of what is stored, pass by pass."""
    given = layer(format)
    exported = export(design, format, architecture, **SIZES[design])
    configuration = exported.configuration
    sizes = configuration.parameters
    bits = format.accumulator_bits(sizes["depth"])
    _, values = images(exported, given)
    rows, columns = sizes.get("rows", 1), sizes.get("columns", 1)
    outputs, lanes = sizes.get("outputs", 1), sizes.get("lanes", 1)
    stored = values["weights"]
    k_blocks, n_blocks = stored.shape[:2]
    assert (k_blocks, n_blocks) == (-(-DEPTH // (rows * lanes)), -(-OUTPUTS // (columns * outputs)))
    stored = stored.reshape(k_blocks, n_blocks, rows, columns, outputs, lanes)[:, :, ::-1]
    codes = configuration.decode(stored.astype(np.uint8))
    activations = values["activations"].reshape(k_blocks, VECTORS, rows * lanes).astype(np.int8)
    for n in range(n_blocks):
        sums = np.broadcast_to(values["biases"][n].reshape(-1), (VECTORS, columns * outputs))
        for k in range(k_blocks):
            taken = np.moveaxis(codes[k, n], 0, 2).reshape(columns * outputs, rows * lanes)
            sums = sums + matmul(activations[k], taken, format) + configuration.correction(taken)
        wrapped = (sums + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
        expected = values["expected"][n].reshape(VECTORS, -1)
        np.testing.assert_array_equal(wrapped, expected)
    golden = matmul(given.activations, given.weights, format) + given.bias
    assembled = np.moveaxis(values["expected"].reshape(n_blocks, VECTORS, -1), 0, 1)
    np.testing.assert_array_equal(assembled.reshape(VECTORS, -1)[:, :OUTPUTS], golden)


def test_axes_say_what_the_words_count():
    exported = export("tile", DINT4, **SIZES["tile"])
    found, _ = images(exported, layer(DINT4))
    described = {image.file: image.to_json() for image in found.values()}
    assert described["stem.weights.hex"] == {
        "file": "stem.weights.hex",
        "port": "i_weight_weights",
        "width": 48,
        "axes": ["block of K", "block of N", "row (the last first)"],
        "shape": [2, 2, 2],
        "meaning": "weights, as stored",
    }
    assert described["stem.biases.hex"]["meaning"] == "bias less correction, for sums to begin with"
    found, _ = images(export("mac", DINT4), layer(DINT4))
    assert found["stem.biases.hex"].port.name == "o_sum"
    assert found["stem.biases.hex"].meaning == "bias less correction, to be added to sums"


def test_the_port_map_and_the_head_list_them():
    exported = export("pe", DINT4, **SIZES["pe"])
    found = images_of(exported, layer(DINT4), "stem")
    with_images = Export("pe", "", exported.ports, exported.configuration, found)
    listed = json.loads(with_images.port_map)["images"]
    assert listed == [image.to_json() for image in found]
    for image in found:
        assert f"//   {image.file}: {image.meaning}\n" in with_images.verilog


def test_no_name_of_a_file_ends_a_comment():
    exported = export("mac", DINT4)
    images = images_of(exported, layer(DINT4), "a\nmodule b")
    text = Export("mac", "", exported.ports, exported.configuration, images)
    assert all(line.startswith(("//", "/*")) or not line for line in text.verilog.splitlines())


def test_without_activations_there_is_nothing_to_compare():
    found = images_of(export("pe", DINT4, **SIZES["pe"]), layer(DINT4, activations=None), "stem")
    assert [image.file for image in found] == ["stem.weights.hex", "stem.biases.hex"]


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="for a design of one weight format, not for fused"):
        images_of(export("fused", DINT4), layer(DINT4), "stem")
    with pytest.raises(ValueError, match="format must be dINT4 as in the workload, not INT4"):
        images_of(export("pe", INT4, **SIZES["pe"]), layer(DINT4), "stem")
    with pytest.raises(ValueError, match=r"depth must be at least 10, .*, not 9"):
        images_of(export("pe", DINT4, depth=9, **SIZES["pe"]), layer(DINT4), "stem")
    bias = np.zeros(OUTPUTS, dtype=np.int64)
    bias[2] = 1 << 30
    with pytest.raises(
        ValueError, match=r"bias must leave room .* 24 bits, which 1073741824 of ou"
    ):
        images_of(export("pe", DINT4, **SIZES["pe"]), layer(DINT4, bias=bias), "stem")


def test_a_bias_may_use_all_the_room_that_the_products_leave():
    exported = export("pe", DINT4, depth=2, lanes=2, outputs=1)
    weights = np.full((1, 2), 7, dtype=np.uint8)
    greatest = (1 << DINT4.accumulator_bits(2) - 1) - 1 - 2 * 14 * 127
    images_of(exported, Layer(weights, DINT4, np.array([greatest])), "stem")
    with pytest.raises(ValueError, match="bias must leave room"):
        images_of(exported, Layer(weights, DINT4, np.array([greatest + 1])), "stem")
