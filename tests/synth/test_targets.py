"""Synthesis to delay targets, in a library with real delays."""

import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth import targets
from dintmac.synth.cells import cells_of
from dintmac.synth.curves import pareto, smallest_within
from dintmac.synth.measure import measure
from dintmac.synth.synthesis import synthesize
from dintmac.synth.targets import synthesize_within

pytestmark = pytest.mark.needs("opensta")

MAC = Configuration("mac", DINT4, parameters={"depth": 64})


@pytest.fixture(scope="module")
def library(open_library):
    return open_library("nangate45")


@pytest.fixture(scope="module")
def smallest(library, store):
    return measure(MAC, library, store=store)


@pytest.fixture(scope="module")
def fastest(library, store):
    """For a target that nothing meets."""
    return measure(MAC, library, 1e-3, store=store)


@pytest.mark.slow
def test_without_a_target_the_delay_is_that_of_the_smallest_area(smallest, library, store):
    assert (smallest.recipe, smallest.target_delay_ns) == ("area", None)
    assert smallest.delay_missing == ""
    assert smallest.tools.keys() == {"amaranth", "opensta", "yosys"}
    mapped = synthesize(export(MAC), library, cells_of(library, store))
    assert smallest.cells == mapped.cells()


@pytest.mark.slow
def test_a_target_that_the_smallest_meets_changes_nothing_but_the_record(smallest, library, store):
    record = measure(MAC, library, smallest.delay_ns + 0.1, store=store)
    assert (record.recipe, record.target_delay_ns) == ("delay", smallest.delay_ns + 0.1)
    assert (record.cells, record.area_split) == (smallest.cells, smallest.area_split)


@pytest.mark.slow
def test_a_target_that_nothing_meets_gives_the_fastest(smallest, fastest):
    assert fastest.target_delay_ns == 1e-3
    assert 1e-3 < fastest.delay_ns < 0.7 * smallest.delay_ns
    assert fastest.area > smallest.area


@pytest.mark.slow
def test_a_target_between_is_met_by_an_area_between(smallest, fastest, library, store):
    target = (smallest.delay_ns + fastest.delay_ns) / 2
    record = measure(MAC, library, target, store=store)
    assert record.delay_ns <= target
    assert smallest.area < record.area < fastest.area
    assert pareto([smallest, record, fastest]) == [fastest, record, smallest]
    assert smallest_within([smallest, fastest, record], target) == record


@pytest.mark.slow
def test_in_a_netlist_of_one_module_all_logic_is_accumulation(fastest):
    split = fastest.area_split
    assert (split.products, split.control) == (None, 0.0)
    assert split.registers + split.accumulation == pytest.approx(fastest.area)


def test_netlists_for_targets_are_checked(fastest):
    assert fastest.check.method == "simulated"
    assert fastest.check.vectors > 1000


@pytest.mark.slow
def test_of_those_that_meet_the_target_the_smallest_is_kept(
    smallest, fastest, library, store, monkeypatch
):
    """Every attempt is seen, and none that is fast enough is smaller than what comes back."""
    seen = []
    original = targets.map_design

    def spy(*arguments):
        seen.extend(original(*arguments))
        return seen[-2:]

    monkeypatch.setattr(targets, "map_design", spy)
    cells = cells_of(library, store)
    target = 0.4 * smallest.delay_ns + 0.6 * fastest.delay_ns
    kept = synthesize_within(target, export(MAC), library, cells)
    flat = [netlist.flat(cells) for netlist in (*seen, kept)]
    boundary = targets.boundary_of(library, cells)
    times = targets.find_sta().time(flat, library, cells, boundary)
    *delays, delay = (timing.delay_ns for timing in times)
    met = [n.area(cells) for n, d in zip(seen, delays, strict=True) if d <= target]
    assert delay <= target
    assert kept.area(cells) == min(met)
