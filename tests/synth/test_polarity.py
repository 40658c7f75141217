"""Full adders with complemented outputs alternate, and designs of them are right."""

import random
from collections import Counter

import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth.cells import Adder, cells_of
from dintmac.synth.check import check
from dintmac.synth.liberty import Library
from dintmac.synth.netlist import Cell, Module, Netlist
from dintmac.synth.polarity import alternate_adders
from dintmac.synth.synthesis import synthesize


def inverted(text):
    """The bundled library with complemented outputs.

    That is the mirror adder without its output inverters, and a flip-flop without its own.
    """
    changes = {
        "FA": [
            ("area : 7;", "area : 6;"),
            ('"A ^ B ^ CI"', '"!(A ^ B ^ CI)"'),
            ('"(A & B) | (CI & (A | B))"', '"!((A & B) | (CI & (A | B)))"'),
        ],
        "DFF": [("area : 6;", "area : 5.5;"), ('"IQ"', '"IQN"')],
    }
    for cell, replaced in changes.items():
        head, _, rest = text.partition(f"  cell ({cell}) {{\n")
        body, _, tail = rest.partition("\n  }\n")
        for old, new in replaced:
            assert old in body
            body = body.replace(old, new)
        text = f"{head}  cell ({cell}) {{\n{body}\n  }}\n{tail}"
    return text


@pytest.fixture(scope="module")
def library(ge, tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "mirror.lib"
    path.write_text(inverted(ge.text()), "ascii")
    return Library.read(path)


@pytest.fixture(scope="module")
def cells(library, store):
    return cells_of(library, store)


def adder(name, *nets):
    return Cell(
        name,
        "FA",
        {pin: (net,) for pin, net in zip(("A", "B", "CI", "S", "CO"), nets, strict=True)},
    )


def inverter(data, out):
    return Cell(f"i{out}", "INV", {"A": (data,), "Y": (out,)})


def kinds(module):
    return Counter(cell.kind for cell in module.cells)


def outputs_of(module, cells):
    """Of random inputs."""
    width = sum(map(len, module.inputs.values()))
    words = [random.Random(i).getrandbits(64) for i in range(width)]
    netlist = Netlist({**cells.models, module.name: module}, module.name, clock="")
    return netlist.step(words, [], (1 << 64) - 1)[0]


def test_the_adder_is_known_as_complemented(cells):
    assert cells.full_adder == Adder("FA", ("A", "B", "CI"), "S", "CO", True, True)


def test_adders_that_follow_one_another_alternate(cells):
    """A ripple adder of four bits: one inverter at a sum, or two at the inputs of the next bit."""
    carry, chain = 2, []
    for i in range(4):
        a, b, low, high = 10 + i, 20 + i, 30 + 2 * i, 31 + 2 * i
        chain += [adder(f"f{i}", a, b, carry, low, high)]
        chain += [inverter(low, 40 + 2 * i), inverter(high, 41 + 2 * i)]
        carry = 41 + 2 * i
    inputs = {"c": (2,), "a": tuple(range(10, 14)), "b": tuple(range(20, 24))}
    outputs = {"s": (40, 42, 44, 46), "o": (47,)}
    module = Module("ripple", inputs, outputs, tuple(chain))
    result = alternate_adders({"ripple": module}, cells)["ripple"]
    assert kinds(module) == {"FA": 4, "INV": 8}
    assert kinds(result) == {"FA": 4, "INV": 2 + 4}
    assert outputs_of(result, cells) == outputs_of(module, cells)


def test_an_adder_that_reads_constants_and_one_net_twice(cells):
    module = Module(
        "top",
        {"a": (2, 3)},
        {"o": (6, 7, 6, 4)},
        (adder("f", 2, "0", 8, 4, 5), inverter(4, 6), inverter(5, 7), inverter(3, 8)),
    )
    result = alternate_adders({"top": module}, cells)["top"]
    assert outputs_of(result, cells) == outputs_of(module, cells)
    assert kinds(result)["INV"] <= kinds(module)["INV"]


def test_random_networks_stay_as_they_are_and_lose_inverters(cells):
    rng = random.Random(7)
    for _ in range(20):
        nets, parts = list(range(2, 8)), []
        for i in range(30):
            if rng.random() < 0.5:
                parts.append(inverter(rng.choice(nets), 100 + 2 * i))
                nets.append(100 + 2 * i)
            else:
                reads = rng.choices([*nets, "0", "1"], k=3)
                parts.append(adder(f"f{i}", *reads, 100 + 2 * i, 101 + 2 * i))
                nets += [100 + 2 * i, 101 + 2 * i]
        module = Module("top", {"a": tuple(range(2, 8))}, {"o": tuple(nets[-20:])}, tuple(parts))
        result = alternate_adders({"top": module}, cells)["top"]
        assert outputs_of(result, cells) == outputs_of(module, cells)
        assert kinds(result)["INV"] <= kinds(module)["INV"]


def test_what_has_no_complemented_adders_is_left_as_it_is(ge_cells):
    module = Module("top", {"a": (2,)}, {"o": (3,)}, (inverter(2, 3),))
    assert alternate_adders({"top": module}, ge_cells) == {"top": module}


@pytest.mark.slow
def test_a_mapped_design_is_smaller_and_right(library, cells, ge, ge_cells):
    configuration = Configuration("mac", DINT4, "digits", {"depth": 300})
    design = export(configuration)
    mapped = synthesize(design, library, cells)
    modules = {**cells.models, **mapped.modules}
    netlist = Netlist(modules, mapped.top, clock_gates=cells.clock_gates)
    assert check(netlist, configuration).vectors > 1000
    assert mapped.cells()["DFF"] > 20
    # The adder with inverters is no smaller than that of the bundled library, which has them.
    assert mapped.area(cells) < 0.98 * synthesize(design, ge, ge_cells).area(ge_cells)
