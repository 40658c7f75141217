"""Stimuli: what the copies of a design compute."""

import numpy as np
import pytest

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.golden.workload import quantized
from dintmac.hdl.configuration import Configuration
from dintmac.synth.stimuli import VECTORS, gaussian, stimulus

COPIES = 256
ELEMENT = Configuration("pe", DINT4, parameters={"depth": 64, "lanes": 4, "outputs": 2})
DOT = Configuration("dot", DINT4, parameters={"depth": 64, "lanes": 4})


def data_of(format):
    rng = np.random.default_rng(0)
    return quantized(rng.normal(size=(50, 24)), rng.normal(size=(10, 24)), format)


@pytest.fixture
def workload():
    return data_of(DINT4)


def units(workload, codes):
    return workload.format.to_units(codes.astype(np.uint8)).astype(np.int64)


def pairs(matrix):
    """Sums of two neighbouring outputs for each token, as the element has them."""
    return {tuple(pair) for pair in matrix.reshape(-1, 2).tolist()}


@pytest.mark.parametrize("architecture", ["digits", "digits_folded", "nr4sd"])
def test_chained_elements_add_up_whole_sums(workload, architecture):
    """Copies hold blocks 0 to 5 of the inner axis in turn: the first gets zero, less what all
    weights add too much, and what the last adds completes the product."""
    element = ELEMENT.replace(architecture=architecture)
    plan = stimulus(workload, element, COPIES)
    whole = pairs(matmul(workload.activations, workload.weights, DINT4))
    block = np.arange(COPIES) % 6
    shadow = resident = activations = None
    found = 0
    for cycle, inputs in enumerate(plan.cycles(VECTORS)):
        if cycle > 1:
            assert inputs["i_partial_sums"][block == 0].any() == (architecture != "digits")
            assert inputs["i_partial_sums"][block == 1].any()
            codes = element.decode(resident)
            products = np.einsum("cl,col->co", activations, units(workload, codes))
            products += element.correction(codes)
            sums = pairs((inputs["i_partial_sums"] + products)[block == 5])
            assert sums <= whole
            found += len(sums)
        if cycle == 0:
            shadow = resident = inputs["i_weights"]
        swaps, loads = (inputs[p][:, np.newaxis, np.newaxis] == 1 for p in ("i_swap", "load"))
        resident = np.where(swaps, shadow, resident)
        shadow = np.where(loads, inputs["i_weights"], shadow)
        activations = inputs["i_activations"].astype(np.int64)
    assert found > 1000


@pytest.mark.parametrize(
    ("format", "mode", "scale"), [(DINT4, DINT4, 1), (DINT4, INT8, 2), (INT4, INT8, 1)], ids=str
)
def test_chained_elements_for_two_precisions_add_up_whole_sums(format, mode, scale):
    """In each mode, from what the ports carry; INT8 products count in units of the hardware."""
    element = ELEMENT.replace(design="fused", format=format, architecture="")
    data = data_of(mode)
    plan = stimulus(data, element, COPIES)
    products = element.products(mode)
    assert (plan.products, plan.macs) == (products, 2 * products)
    whole = pairs(scale * matmul(data.activations, data.weights, mode))
    blocks = 24 // products
    last = np.arange(COPIES) % blocks == blocks - 1
    shadow = resident = lanes = None
    found = 0
    for cycle, inputs in enumerate(plan.cycles(VECTORS // 4)):
        assert (inputs["i_int8"] == (mode == INT8)).all()
        if cycle > 1:
            codes = element.decode(resident, mode)
            activations = lanes[:, :: element.sizes.lanes // products]
            assert np.array_equal(element.lane_activations(activations, mode), lanes)
            sums = np.einsum("cl,col->co", activations, units(data, codes)) * scale
            sums += inputs["i_partial_sums"] + element.correction(codes, mode)
            got = pairs(narrow(sums, element.width, Overflow.WRAP)[last])
            assert got <= whole
            found += len(got)
        if cycle == 0:
            shadow = resident = inputs["i_weights"]
        swaps, loads = (inputs[p][:, np.newaxis, np.newaxis] == 1 for p in ("i_swap", "load"))
        resident = np.where(swaps, shadow, resident)
        shadow = np.where(loads, inputs["i_weights"], shadow)
        lanes = inputs["i_activations"]
    assert found > 200


def test_each_cycle_has_its_share_of_loading_and_swapping(workload):
    plan = stimulus(workload, ELEMENT, COPIES)
    for cycle, inputs in enumerate(plan.cycles(6)):
        if cycle >= plan.warm_up:
            assert inputs["load"].sum() == inputs["i_swap"].sum() == COPIES / VECTORS
            assert (inputs["enable"] == 1).all()
            assert not inputs["rst"].any()


def test_dot_products_add_up_whole_rows(workload):
    plan = stimulus(workload, DOT, COPIES)
    whole = matmul(workload.activations, workload.weights, DINT4)
    sums = np.zeros(COPIES, dtype=np.int64)
    known = np.zeros(COPIES, dtype=bool)
    finished = 0
    for inputs in plan.cycles(8):
        products = (inputs["i_activations"] * units(workload, inputs["i_weights"])).sum(axis=1)
        first, last = inputs["i_first"] == 1, inputs["i_last"] == 1
        sums = np.where(first, 0, sums) + products
        known |= first
        done = sums[known & last]
        assert np.isin(done, whole).all()
        finished += len(done)
    assert finished > COPIES
    assert known.all()


def test_gaussian_data_is_the_same_floats_in_every_format():
    data = {format.name: gaussian(format) for format in (INT8, INT4, DINT4)}
    assert {d.activations.shape for d in data.values()} == {(160, 384)}
    for other in data.values():
        assert np.array_equal(other.activations, data["INT8"].activations)
    exact = units(data["INT8"], data["INT8"].weights).ravel()
    for name in ("INT4", "dINT4"):
        coarse = units(data[name], data[name].weights).ravel()
        # The sign of a scale is free, row by row.
        assert np.corrcoef(np.abs(exact), np.abs(coarse))[0, 1] > 0.9
    assert gaussian(INT8).sha256 == data["INT8"].sha256 != data["INT4"].sha256


def test_formats_must_match(workload):
    other = ELEMENT.replace(format=INT8, architecture="")
    with pytest.raises(ValueError, match="the workload must be INT8 as the design is, not dINT4"):
        stimulus(workload, other, COPIES)
    fused = ELEMENT.replace(design="fused", format=INT4, architecture="")
    with pytest.raises(ValueError, match="the workload must be INT4 as the design is, not dINT4"):
        stimulus(workload, fused, COPIES)


TILE = ELEMENT.replace(design="tile", parameters={"rows": 3, "columns": 2})


@pytest.mark.parametrize("architecture", ["digits", "digits_folded", "nr4sd"])
def test_tiles_load_swap_and_add_up_whole_sums(workload, architecture):
    """By the tile's rules, from what the ports carry: no row and no vector has to wait."""
    tile = TILE.replace(parameters={"outputs": 5}, architecture=architecture)
    plan = stimulus(workload, tile, COPIES)
    assert (plan.products, plan.sums, plan.macs) == (12, 10, 120)
    whole = {tuple(sums) for sums in matmul(workload.activations, workload.weights, DINT4)}
    last = np.arange(COPIES) % 2 == 1
    shadow = np.zeros((COPIES, 10, 3, 4), dtype=np.uint8)
    resident, rows = shadow, np.zeros(COPIES, dtype=int)
    swapped = np.full(COPIES, -99)
    found = swaps = 0
    for cycle, inputs in enumerate(plan.cycles(VECTORS + 10)):
        load, swap = inputs["i_weight_valid"] == 1, inputs["i_swap"] == 1
        assert (rows[swap] == 3).all()
        assert (rows[load] < 3).all()
        assert (cycle - swapped[load | swap] > 3 + 2 - 1).all()
        resident = np.where(swap[:, np.newaxis, np.newaxis, np.newaxis], shadow, resident)
        row = inputs["i_weight_weights"].reshape(COPIES, 10, 1, 4)
        shifted = np.concatenate([row, shadow[:, :, :-1]], axis=2)
        shadow = np.where(load[:, np.newaxis, np.newaxis, np.newaxis], shifted, shadow)
        rows = np.where(swap, 0, rows + load)
        swapped = np.where(swap, cycle, swapped)
        swaps += swap.sum() if cycle >= plan.warm_up else 0
        if (inputs["i_valid"] == 0).any():
            continue
        codes = tile.decode(resident).reshape(COPIES, 10, 12)
        sums = np.einsum("cl,col->co", inputs["i_activations"], units(workload, codes))
        sums += inputs["i_partial_sums"] + tile.correction(codes)
        got = {tuple(own) for own in sums[last]}
        assert got <= whole
        found += len(got)
    assert found > 1000
    assert swaps == pytest.approx(COPIES * (VECTORS + 10) / VECTORS, abs=2)


@pytest.mark.parametrize("sizes", [{"double_buffered": 0}, {"rows": 70}])
def test_designs_without_stimuli_are_refused(workload, sizes):
    design = TILE.replace(parameters=sizes | {"depth": 4096})
    with pytest.raises(ValueError, match="energy must be measured of a design with double buffers"):
        stimulus(workload, design, COPIES)


@pytest.mark.parametrize("sizes", [{"lanes": 32}, {"outputs": 16}, {"depth": 16}])
def test_weights_must_fill_the_design(workload, sizes):
    design = ELEMENT.replace(parameters=sizes)
    with pytest.raises(ValueError, match="weights must fill the design and not exceed its depth"):
        stimulus(workload, design, COPIES)
