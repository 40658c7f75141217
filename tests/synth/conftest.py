"""Netlists are synthesized once for all tests and processes."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from dintmac.golden.files import write_files
from dintmac.golden.formats import parse
from dintmac.hdl import dot_product, inner_product
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth import cache, measure
from dintmac.synth.activity import Activity
from dintmac.synth.cache import Cache
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.netlist import Netlist
from dintmac.synth.proof import prove_mapped
from dintmac.synth.synthesis import synthesize


@pytest.fixture(scope="session")
def store(shared_folder):
    return Cache(shared_folder / "cache")


@pytest.fixture(scope="session")
def ge():
    (library,) = find_libraries(["ge"])
    return library


@pytest.fixture(scope="session")
def ge_cells(ge, store):
    return cells_of(ge, store)


@pytest.fixture(scope="session")
def open_library(need):
    """``open_library(name)``: a library that is not bundled."""

    def found(name):
        need(name)
        return next(library for library in find_libraries() if library.name == name)

    return found


@pytest.fixture(scope="session")
def small():
    """A library with tables that can be checked by hand."""
    return Library.read(Path(__file__).with_name("small.lib"))


@pytest.fixture(scope="session")
def small_cells(small, store):
    return cells_of(small, store)


@pytest.fixture(scope="session")
def mapped(ge, ge_cells, shared_folder):
    """``mapped(design, format, **sizes)``: the design in cells of the bundled library."""

    @functools.cache
    def synthesized(design, format, architecture="", **sizes):
        configuration = Configuration(design, parse(format), architecture, sizes)
        path = shared_folder / f"{configuration.name}.pickle"
        if not path.exists():
            netlist = synthesize(export(configuration), ge, ge_cells)
            write_files({path: pickle.dumps(netlist)})
        return configuration, pickle.loads(path.read_bytes())

    return synthesized


@pytest.fixture(scope="session")
def kept():
    """``kept(configuration, library, store, data)``: the record that a cache has, or None."""

    def load(configuration, library, store, data=None):
        return measure._Task(configuration, library, data=data or {}, store=store).load()

    return load


@pytest.fixture
def edit(monkeypatch):
    """``edit(module)``: the text of a module is another, without a change of what it does."""
    original = cache._text_of

    def edited(edited_name):
        def text_of(name):
            return original(name) + "# Edited.\n" * (name == edited_name)

        monkeypatch.setattr(cache, "_text_of", text_of)
        cache.code_of.cache_clear()

    yield edited
    cache.code_of.cache_clear()


@pytest.fixture(scope="session")
def uniform():
    """``uniform(circuit, toggles)``: an activity that other tools assume.

    All nets but clocks switch equally often, and all possible states are equally likely. Clocks,
    gated or not, switch twice a cycle.
    """

    def assumed(circuit, toggles):
        rates = np.full(circuit.nets, float(toggles))
        rates[:2] = 0.0
        rates[circuit.clock] = 2.0
        states = {}
        for kind, group in circuit.instances.items():
            if group.model.gate:
                rates[group.nets[group.model.outputs[0]]] = 2.0
            share = group.model.possible / group.model.possible.sum()
            states[kind] = np.repeat(share[:, np.newaxis], len(group.parts), axis=1)
        return Activity(1, rates, rates, states)

    return assumed


@pytest.fixture
def renamed_components(monkeypatch):
    """Designs are built of components whose classes have other names."""
    for user, component, name in (
        (dot_product, dot_product.Operands, "Inverters"),
        (dot_product, dot_product.InnerProduct, "Adders"),
        (inner_product, inner_product.GroupPartialProducts, "Selectors"),
    ):
        monkeypatch.setattr(user, component.__name__, type(name, (component,), {}))


@pytest.fixture(scope="session")
def netlist_of(ge_cells):
    """The netlist of a mapped design, with the functions of its cells."""

    def build(design):
        modules = {**ge_cells.models, **design.modules}
        return Netlist(modules, design.top, clock_gates=ge_cells.clock_gates)

    return build


@pytest.fixture(scope="session")
def proofs_of(ge_cells):
    """``proofs_of(configuration, mapped)``: all proofs of a mapped design, or the first of them."""

    def run(configuration, mapped, count=None):
        return list(itertools.islice(prove_mapped(mapped, ge_cells, configuration), count))

    return run


@pytest.fixture(scope="session")
def gate_faults(ge_cells):
    """``gate_faults(mapped, part, count)``: netlists, each with an inverter before a gate.

    The gate is of a module whose name has ``part`` in it.
    """
    models = ge_cells.models

    def plant(mapped, part, count):
        rng = random.Random(part)
        places = [
            (name, index, pin)
            for name, module in sorted(mapped.modules.items())
            if part in name
            for index, cell in enumerate(module.cells)
            if cell.kind in models and not any("DFF" in kind for kind in models[cell.kind].kinds)
            for pin in sorted(models[cell.kind].inputs)
        ]
        for name, index, pin in rng.sample(places, count):
            module = mapped.modules[name]
            cell = module.cells[index]
            pins = {"A": cell.pins[pin], "Y": (-1,)}
            inverter = dataclasses.replace(cell, name="fault", kind="$_NOT_", pins=pins)
            changed = dataclasses.replace(cell, pins={**cell.pins, pin: (-1,)})
            cells = (*module.cells[:index], inverter, changed, *module.cells[index + 1 :])
            faulty = dataclasses.replace(module, cells=cells)
            what = f"{name}: inverter before {pin} of {cell.kind} {cell.name}"
            yield what, dataclasses.replace(mapped, modules={**mapped.modules, name: faulty})

    return plant


@pytest.fixture(scope="session")
def timed_liberty():
    """``timed_liberty(ps=…, pf=…)``: the text of a library for delays on paper."""
    return _timed_liberty


_LOADS = (0.0, 10.0, 100.0)


def _timed_liberty(*, ps: bool = False, pf: bool = True) -> str:
    """A Liberty library so simple that delays in it can be worked out by hand.

    A cell's delay is a constant and so much for each fF of load, whatever the slew. In ps and fF:

    =====  =================  ==========  ==================
    cell   input capacitance  delay       set-up
    =====  =================  ==========  ==================
    I      1                  10 + 2 C
    B      1                  15 + 2 C
    N      1                  20 + 2 C
    F      2 (D), 1 (C)       50 + 1 C    20
    =====  =================  ==========  ==================

    The text is in ps or ns and in pF or fF. The default wire load is huge.
    """
    time, load = (1.0 if ps else 1e-3), (1e-3 if pf else 1.0)

    def table(constant: float, slope: float) -> str:
        row = ", ".join(f"{time * (constant + slope * c):.6g}" for c in _LOADS)
        return f'values ("{row}", "{row}", "{row}");'

    def arc(pin: str, constant: float, slope: float, kind: str) -> str:
        delays, slews = table(constant, slope), table(5, 1)
        return (
            f'timing () {{ related_pin : "{pin}"; {kind}'
            f" cell_rise (t) {{ {delays} }} cell_fall (t) {{ {delays} }}"
            f" rise_transition (t) {{ {slews} }} fall_transition (t) {{ {slews} }} }}"
        )

    def pin(name: str, capacitance: float, more: str = "") -> str:
        return f"pin ({name}) {{ direction : input; capacitance : {capacitance * load}; {more} }}"

    def gate(name: str, function: str, constant: float, sense: str) -> str:
        inputs = sorted({c for c in function if c in "AB"})
        kind = f"timing_sense : {sense};"
        arcs = " ".join(arc(i, constant, 2, kind) for i in inputs)
        pins = " ".join(pin(i, 1) for i in inputs)
        return (
            f"cell ({name}) {{ area : {constant / 10}; {pins}"
            f' pin (Y) {{ direction : output; function : "{function}"; {arcs} }} }}'
        )

    setup = f'rise_constraint (scalar) {{ values ("{20 * time}"); }}'
    setup += f' fall_constraint (scalar) {{ values ("{20 * time}"); }}'
    setup = f'timing () {{ related_pin : "C"; timing_type : setup_rising; {setup} }}'
    return f"""library (timed) {{
  delay_model : table_lookup;
  time_unit : "1{"ps" if ps else "ns"}";
  voltage_unit : "1V";
  current_unit : "1mA";
  capacitive_load_unit (1, {"pf" if pf else "ff"});
  slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  lu_table_template (t) {{
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0, {10 * time}, {1000 * time}");
    index_2 ("{", ".join(f"{c * load:.6g}" for c in _LOADS)}");
  }}
  wire_load ("huge") {{ capacitance : {1000 * load}; resistance : 0; slope : 1;
    fanout_length (1, 1); }}
  default_wire_load : "huge";
  {gate("I", "!A", 10, "negative_unate")}
  {gate("B", "A", 15, "positive_unate")}
  {gate("N", "!(A & B)", 20, "negative_unate")}
  cell (F) {{ area : 4; ff (Q, QN) {{ clocked_on : "C"; next_state : "D"; }}
    {pin("C", 1, "clock : true;")} {pin("D", 2, setup)}
    pin (O) {{ direction : output; function : "Q";
      {arc("C", 50, 1, "timing_type : rising_edge;")} }} }}
}}
"""
