"""Checks of mapped netlists: right ones pass, and faults are found."""

import dataclasses
import random
import types

import numpy as np
import pytest

from dintmac.golden.formats import parse
from dintmac.hdl.architectures import architectures_of
from dintmac.synth.check import CheckError, check
from dintmac.synth.netlist import NetlistError, Simulation

DESIGNS = ("mac", "dot", "pe", "tile")
#: Every register, stall and reset is there in small designs; lanes and rows differ in number.
SIZES = {
    "mac": {"depth": 300},
    "dot": {"lanes": 3, "depth": 300},
    "pe": {"lanes": 3, "outputs": 3, "depth": 300},
    "tile": {"lanes": 2, "outputs": 1, "rows": 3, "columns": 2, "depth": 300},
}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("format", ["int8", "dint4"])
@pytest.mark.slow
def test_netlists_of_all_designs_equal_the_golden_model(mapped, netlist_of, design, format):
    configuration, netlist = mapped(design, format, **SIZES[design])
    result = check(netlist_of(netlist), configuration)
    assert result.method == "simulated"
    assert result.vectors > 1000
    assert result.cycles > result.vectors / 100


@pytest.mark.parametrize(
    ("format", "architecture"),
    [
        *(("dint3", "digits"), ("dint5", "digits_folded"), ("dint6", "digits")),
        *(("dint7", "digits_folded"), ("dint8", "digits_folded")),
    ],
)
@pytest.mark.slow
def test_every_width_of_dint_is_checked(mapped, netlist_of, format, architecture):
    configuration, netlist = mapped("pe", format, architecture, lanes=2, outputs=1, depth=300)
    assert check(netlist_of(netlist), configuration).vectors > 1000


@pytest.mark.parametrize(("format", "design"), [("dint3", "mac"), ("int5", "dot"), ("int6", "pe")])
@pytest.mark.slow
def test_other_widths_are_checked_as_well(mapped, netlist_of, format, design):
    configuration, netlist = mapped(design, format, **SIZES[design])
    assert check(netlist_of(netlist), configuration).vectors > 1000


ARCHITECTURES = [
    ("dot", format, architecture.name)
    for format in ("int8", "dint4", "fp4")
    for architecture in architectures_of(parse(format))[1:]
]
#: What is folded shows in each design; pairs and terms of activations as well.
ARCHITECTURES += [
    ("mac", "dint4", "nr4sd"),
    ("pe", "int8", "fip"),
    ("pe", "dint4", "nr4sd"),
    ("pe", "fp4", "shift_folded"),
    ("tile", "int8", "nr4sd"),
    ("tile", "int4", "pair_folded"),
]


@pytest.mark.parametrize(("design", "format", "architecture"), ARCHITECTURES)
@pytest.mark.slow
def test_netlists_of_all_architectures_equal_the_golden_model(
    mapped, netlist_of, design, format, architecture
):
    """Odd lanes, so that a group of two is not full."""
    configuration, netlist = mapped(design, format, architecture, **SIZES[design])
    assert check(netlist_of(netlist), configuration).vectors > 1000


STAGED = {"operand_register": 1, "tree_register": 2, "fast_adder": 1}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.slow
def test_a_netlist_of_another_format_is_refused(mapped, netlist_of, design):
    _, netlist = mapped(design, "int4", **SIZES[design])
    configuration, _ = mapped(design, "dint4", **SIZES[design])
    with pytest.raises((CheckError, ValueError)):
        check(netlist_of(netlist), configuration)


def test_the_message_has_the_operands_decoded(mapped, netlist_of):
    """The lanes swap two bits of the code: the first product that differs is shown."""
    configuration, netlist = mapped("mac", "dint4", **SIZES["mac"])
    name, lane = next((n, m) for n, m in netlist.modules.items() if "group" in n)
    a, b, *others = lane.inputs["weights"]
    broken = dataclasses.replace(lane, inputs={**lane.inputs, "weights": (b, a, *others)})
    modules = {**netlist.modules, name: broken}
    message = r"o_sum must be \[.*\], not \[.*\], for activations .* dINT4 codes .* \(units .*\)"
    with pytest.raises(CheckError, match=message):
        check(netlist_of(dataclasses.replace(netlist, modules=modules)), configuration)


# Faults


def stuck_at(cell, value, outputs):
    """One output of a cell becomes a constant."""
    pin = next(iter(outputs))
    (net,) = cell.pins[pin]
    others = {p: n for p, n in cell.pins.items() if p != pin}
    constant = dataclasses.replace(cell, kind="$_NOT_", pins={"A": (value,), "Y": (net,)})
    return [dataclasses.replace(cell, pins=others), constant]


def inverted_input(cell, pin):
    """An inverter before one pin."""
    net = -1
    before = dataclasses.replace(
        cell, name=f"{cell.name}_fault", kind="$_NOT_", pins={"A": cell.pins[pin], "Y": (net,)}
    )
    return [before, dataclasses.replace(cell, pins={**cell.pins, pin: (net,)})]


def other_gate(cell, models):
    """Another cell with the same pins, such as NOR2 for NAND2."""
    pins = cell.pins.keys()
    alike = [
        name
        for name, model in sorted(models.items())
        if name != cell.kind
        and {*model.inputs, *model.outputs} == pins
        and not any("DFF" in kind or "LATCH" in kind for kind in model.kinds)
    ]
    return [[dataclasses.replace(cell, kind=kind)] for kind in alike]


def faults_of(netlist, models, rng, count):
    """``count`` netlists, each with one fault in one cell of one module."""
    places = [
        (name, index)
        for name, module in sorted(netlist.modules.items())
        for index, cell in enumerate(module.cells)
        if cell.kind in models
    ]
    faults = []
    for name, index in rng.choices(places, k=count):
        module = netlist.modules[name]
        cell = module.cells[index]
        model = models[cell.kind]
        outputs = [pin for pin in model.outputs if pin in cell.pins]
        data = [pin for pin in model.inputs if pin in cell.pins and pin not in ("CK", "RN")]
        kinds = [
            stuck_at(cell, rng.choice("01"), rng.sample(outputs, 1)),
            inverted_input(cell, rng.choice(data)),
            *other_gate(cell, models),
        ]
        changed = rng.choice(kinds)
        cells = (*module.cells[:index], *changed, *module.cells[index + 1 :])
        modules = {**netlist.modules, name: dataclasses.replace(module, cells=cells)}
        what = f"{name}: {cell.kind} {cell.name} becomes {changed}"
        faults.append((what, name, dataclasses.replace(netlist, modules=modules)))
    return faults


def outputs_of(module, netlist_of):
    """What partial products are for every code and activation."""
    design = types.SimpleNamespace(modules={module.name: module}, top=module.name)
    sim = Simulation(netlist_of(design), 1 << 12, np.random.default_rng(0))
    index = np.arange(1 << 12)[:, np.newaxis]
    sim.set("operands", index >> 4)
    sim.set("weights", index & 15)
    sim.evaluate()
    return sim.get("bits")


@pytest.mark.parametrize(
    ("design", "count", "options"),
    [
        ("mac", 100, {}),
        ("pe", 30, {}),
        ("tile", 30, {}),
        ("mac", 25, {"tree_register": 2, "carry_save": 1}),
        ("pe", 25, STAGED | {"lanes": 2, "outputs": 1}),
        ("pe", 25, STAGED | {"lanes": 2, "outputs": 1, "double_buffered": 0}),
    ],
)
@pytest.mark.slow
def test_random_faults_of_single_cells_are_found(
    mapped, netlist_of, ge_cells, design, count, options
):
    """Mutation score: every fault in a dINT4 netlist that changes a function is found."""
    configuration, netlist = mapped(design, "dint4", **SIZES[design] | options)
    survivors = []
    for what, name, faulty in faults_of(netlist, ge_cells.models, random.Random(4), count):
        try:
            check(netlist_of(faulty), configuration)
        except CheckError:
            continue
        # Cells that differ for inputs that never occur are no fault.
        before, after = netlist.modules[name], faulty.modules[name]
        alike = name.endswith("_group_partial_products") and np.array_equal(
            outputs_of(before, netlist_of), outputs_of(after, netlist_of)
        )
        if not alike:
            survivors.append(what)
    assert survivors == []


def test_results_that_never_come_are_missed(mapped, netlist_of):
    """``o_valid`` is stuck at zero: no result ever comes."""
    configuration, netlist = mapped("mac", "dint4", **SIZES["mac"])
    top = netlist.modules["mac"]
    broken = dataclasses.replace(top, outputs={**top.outputs, "o_valid": ("0",)})
    modules = {**netlist.modules, "mac": broken}
    with pytest.raises(CheckError, match=r"o_valid must be \[1\], not \[0\]"):
        check(netlist_of(dataclasses.replace(netlist, modules=modules)), configuration)


@pytest.mark.slow
def test_sums_stay_within_the_depth(mapped, netlist_of):
    """A depth of one transfer: longer sums would overflow, as documented."""
    configuration, netlist = mapped("dot", "dint4", lanes=2, depth=2)
    assert check(netlist_of(netlist), configuration).vectors > 4096


# Fused processing element

FUSED = {"lanes": 4, "outputs": 2, "depth": 300}


@pytest.mark.parametrize("format", ["dint4", "int4"])
@pytest.mark.slow
def test_netlists_for_two_precisions_equal_the_golden_model(mapped, netlist_of, format):
    configuration, netlist = mapped("fused", format, **FUSED)
    assert check(netlist_of(netlist), configuration).vectors > 100_000


@pytest.mark.slow
def test_a_fused_netlist_of_another_format_is_refused(mapped, netlist_of):
    _, netlist = mapped("fused", "int4", **FUSED)
    configuration, _ = mapped("fused", "dint4", **FUSED)
    with pytest.raises((CheckError, ValueError)):
        check(netlist_of(netlist), configuration)


def fused_outputs_of(module, netlist_of):
    """What a pair's partial products are for all operands of both modes."""
    design = types.SimpleNamespace(modules={module.name: module}, top=module.name)
    sim = Simulation(netlist_of(design), 1 << 17, np.random.default_rng(0))
    index = np.arange(1 << 17)
    int8, nibbles, lower = index >> 16, index & 255, index >> 8 & 255
    # An INT8 weight has one activation; two narrow ones have one each.
    upper = np.where(int8 == 1, lower, 37 * lower & 255)
    operands = (lower | 255 - lower << 8) | (upper | 255 - upper << 8) << 16
    for port, values in (("int8", int8), ("nibbles", nibbles), ("operands", operands)):
        sim.set(port, values[:, np.newaxis])
    sim.evaluate()
    return sim.get("complements")


@pytest.mark.slow
def test_random_faults_of_single_cells_of_a_fused_netlist_are_found(mapped, netlist_of, ge_cells):
    configuration, netlist = mapped("fused", "dint4", **FUSED)
    survivors = []
    for what, name, faulty in faults_of(netlist, ge_cells.models, random.Random(6), 30):
        try:
            check(netlist_of(faulty), configuration)
        except (CheckError, NetlistError):
            continue
        # Cells that differ for inputs that never occur are no fault.
        before, after = netlist.modules[name], faulty.modules[name]
        alike = name.endswith("_group_partial_products") and np.array_equal(
            fused_outputs_of(before, netlist_of), fused_outputs_of(after, netlist_of)
        )
        if not alike:
            survivors.append(what)
    assert survivors == []


def test_a_mode_that_does_not_wait_for_the_swap_is_found(mapped, netlist_of):
    """The inner products see the mode of the shadow weights."""
    configuration, netlist = mapped("fused", "dint4", **FUSED)
    name = "fused_fused_processing_element"
    element = netlist.modules[name]
    shadow = element.outputs["o_int8"]
    cells = tuple(
        dataclasses.replace(cell, pins={**cell.pins, "int8": shadow})
        if "int8" in cell.pins
        else cell
        for cell in element.cells
    )
    assert cells != element.cells
    modules = {**netlist.modules, name: dataclasses.replace(element, cells=cells)}
    with pytest.raises(CheckError, match="o_partial_sums must be"):
        check(netlist_of(dataclasses.replace(netlist, modules=modules)), configuration)
