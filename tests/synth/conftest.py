"""Netlists are synthesized once for all tests of the room, in a cache of their own."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from dintmac.golden.formats import parse
from dintmac.hdl.designs import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth.cache import Cache
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.netlist import Netlist
from dintmac.synth.synthesis import synthesize


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def ge():
    (library,) = find_libraries(["ge"])
    return library


@pytest.fixture(scope="session")
def ge_cells(ge, store):
    return cells_of(ge, store)


@pytest.fixture(scope="session")
def small():
    """A library with tables that can be checked by hand."""
    return Library.read(Path(__file__).with_name("small.lib"))


@pytest.fixture(scope="session")
def small_cells(small, store):
    return cells_of(small, store)


@pytest.fixture(scope="session")
def mapped(ge, ge_cells):
    """``mapped(design, format, **sizes)``: the design in cells of the bundled library."""

    @functools.cache
    def synthesized(design, format, architecture="", **sizes):
        configuration = Configuration(design, parse(format), architecture, sizes)
        return configuration, synthesize(export(configuration), ge, ge_cells)

    return synthesized


@pytest.fixture(scope="session")
def netlist_of(ge_cells):
    """The netlist of a mapped design, with the functions of its cells."""

    def build(design):
        modules = {**ge_cells.models, **design.modules}
        return Netlist(modules, design.top, clock_gates=ge_cells.clock_gates)

    return build
