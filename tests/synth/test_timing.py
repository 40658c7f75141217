"""Delays of small netlists against sums on paper, and what is said where there are none."""

import gzip
import itertools

import pytest

from dintmac.synth import timing
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.netlist import Cell, Module, flatten
from dintmac.synth.records import CriticalPath
from dintmac.synth.timing import Boundary, TimingError, boundary_of, find_sta

needs_sta = pytest.mark.needs("opensta")

CLK, IN, MIDDLE, OUT, NEXT = range(2, 7)


def module(*cells):
    placed = tuple(
        Cell(f"cell_{i}", kind, {pin: (bit,) for pin, bit in pins.items()})
        for i, (kind, pins) in enumerate(cells)
    )
    names = {MIDDLE: "first", OUT: "second"}
    return Module("top", {"clk": (CLK,), "i": (IN,)}, {"o": (OUT,)}, placed, names)


#: A register, an inverter, a register.
PIPELINE = module(
    ("F", {"C": CLK, "D": IN, "O": MIDDLE}),
    ("I", {"A": MIDDLE, "Y": NEXT}),
    ("F", {"C": CLK, "D": NEXT, "O": OUT}),
)


def read(folder, text, name="timed.lib"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return Library.read(path)


@pytest.fixture
def delay(tmp_path, store, timed_liberty):
    """``delay(module, **units)``: the netlist's timing in a library of these units."""

    def measured(design, name="timed.lib", **units):
        library = read(tmp_path, timed_liberty(**units), name)
        cells = cells_of(library, store)
        flat = flatten({"top": design}, "top", cells.leaves)
        (result,) = find_sta().time([flat], library, cells, boundary_of(library, cells))
        return result

    return measured


@needs_sta
@pytest.mark.parametrize("ps", [False, True])
@pytest.mark.parametrize("pf", [False, True])
def test_register_to_register_is_clock_to_output_logic_and_setup(delay, ps, pf):
    """50 + 1 × 1 through the register, 10 + 2 × 2 through the inverter, 20 of set-up."""
    result = delay(PIPELINE, ps=ps, pf=pf)
    assert result.delay_ns == pytest.approx(0.085, abs=1e-4)
    assert result.critical_path == CriticalPath("first", "second", 1)


@needs_sta
def test_an_input_is_driven_by_the_smallest_buffer(delay):
    """2 × 1 for the buffer's load, three times 10 + 2 × 1, 10 + 2 × 2, 20 of set-up."""
    chain = [
        ("I", {"A": IN, "Y": 10}),
        ("I", {"A": 10, "Y": 11}),
        ("I", {"A": 11, "Y": 12}),
        ("I", {"A": 12, "Y": 13}),
    ]
    result = delay(module(*chain, ("F", {"C": CLK, "D": 13, "O": OUT})))
    assert result.delay_ns == pytest.approx(0.072, abs=1e-4)
    assert result.critical_path == CriticalPath("i", "second", 4)


@needs_sta
def test_an_output_drives_four_of_the_smallest_inverters(delay):
    """50 + 1 × 1 through the register, 10 + 2 × 4 through the inverter."""
    result = delay(module(("F", {"C": CLK, "D": IN, "O": MIDDLE}), ("I", {"A": MIDDLE, "Y": OUT})))
    assert result.delay_ns == pytest.approx(0.069, abs=1e-4)
    assert result.critical_path == CriticalPath("first", "o", 1)


@needs_sta
def test_a_path_from_input_to_output_counts(delay):
    """2 × 3 for the buffer's load, 30 × (10 + 2 × 1) and 10 + 2 × 4 through inverters."""
    nets = [IN, *range(10, 40), OUT]
    chain = [("I", {"A": a, "Y": y}) for a, y in itertools.pairwise(nets)]
    result = delay(module(*chain, ("F", {"C": CLK, "D": IN, "O": 50})))
    assert result.delay_ns == pytest.approx(0.384, abs=1e-4)
    assert result.critical_path == CriticalPath("i", "o", 31)


@needs_sta
def test_constants_and_joined_ports_are_understood(delay):
    """50 + 1 × 1, then 20 + 2 × 2 through a NAND whose other input is high, 20 of set-up."""
    cells = [
        ("F", {"C": CLK, "D": IN, "O": MIDDLE}),
        ("N", {"A": MIDDLE, "B": "1", "Y": NEXT}),
        ("F", {"C": CLK, "D": NEXT, "O": OUT}),
    ]
    design = module(*cells)
    outputs = {"o": (OUT, OUT, IN, "0"), "p": (OUT,)}
    result = delay(Module("top", design.inputs, outputs, design.cells, design.names))
    # The second register drives three outputs: 50 + 3 × 4 is less.
    assert result.delay_ns == pytest.approx(0.095, abs=1e-4)


@needs_sta
def test_a_compressed_library_gives_the_same_delay(delay):
    assert delay(PIPELINE, "timed.lib.gz") == delay(PIPELINE)


def test_the_boundary_is_found_by_function(tmp_path, store, timed_liberty):
    for pf in (False, True):
        library = read(tmp_path, timed_liberty(pf=pf))
        assert boundary_of(library, cells_of(library, store)) == Boundary("B", 4.0)


def test_an_inverter_drives_inputs_where_there_is_no_buffer(tmp_path, store, timed_liberty):
    library = read(tmp_path, timed_liberty().replace('function : "A";', 'function : "!A";'))
    assert boundary_of(library, cells_of(library, store)).driver == "I"


def test_refuses_a_library_without_a_unit_of_capacitance(tmp_path, store, timed_liberty):
    library = read(tmp_path, timed_liberty().replace("capacitive_load_unit", "unit"))
    with pytest.raises(LibraryError, match="library must state capacitances of pins and their"):
        boundary_of(library, cells_of(library, store))


@needs_sta
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"Q"', '"Z"', "function references unknown port Z"),
        ('values ("0.01', 'values ("much', "much5 is not a float"),
        ('"1ns"', '"1xs"', "unknown unit scale x"),
        ('index_1 ("0, ', 'index_1 ("', "table has 3 rows but axis has 2"),
    ],
)
def test_a_library_that_opensta_does_not_read_is_one_clear_error(
    tmp_path, store, timed_liberty, old, new, message
):
    """Of some of these OpenSTA warns alone, and goes on with other numbers."""
    library = read(tmp_path, timed_liberty())
    cells = cells_of(library, store)
    flat = flatten({"top": PIPELINE}, "top", cells.leaves)
    broken = read(tmp_path, timed_liberty().replace(old, new), "broken.lib")
    with pytest.raises(LibraryError, match=rf"Liberty file that OpenSTA reads, .* {message}"):
        find_sta().time([flat], broken, cells, Boundary("B", 4.0))


@needs_sta
def test_cells_that_a_netlist_has_not_do_not_matter(tmp_path, store, timed_liberty):
    library = read(tmp_path, timed_liberty())
    cells = cells_of(library, store)
    flat = flatten({"top": PIPELINE}, "top", cells.leaves)
    broken = read(tmp_path, timed_liberty().replace('"!(A & B)"', '"!(A & Z)"'), "broken.lib")
    sound, same = (find_sta().time([flat], x, cells, Boundary("B", 4.0)) for x in (library, broken))
    assert sound == same


@needs_sta
def test_a_netlist_that_has_no_clock_is_an_error(tmp_path, store, timed_liberty):
    library = read(tmp_path, timed_liberty())
    cells = cells_of(library, store)
    clockless = Module("top", {"i": (IN,)}, {"o": (OUT,)}, (Cell("u", "I", {"A": (IN,)}),))
    flat = flatten({"top": clockless}, "top", cells.leaves)
    with pytest.raises(TimingError, match="OpenSTA failed: "):
        find_sta().time([flat], library, cells, Boundary("B", 4.0))


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An empty folder that is all of ``$PATH``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    find_sta.cache_clear()
    yield folder
    find_sta.cache_clear()


def test_without_opensta_the_error_says_how_to_get_it(path, tmp_path, timed_liberty):
    with pytest.raises(TimingError, match=r"no OpenSTA found; .*install it with: apt install open"):
        find_sta()
    library = read(tmp_path, timed_liberty())
    assert timing.delay_missing(library).startswith("no OpenSTA found")


def test_another_program_called_sta_is_not_taken_for_opensta(path):
    (path / "sta").write_text("#!/bin/sh\necho another\n")
    (path / "sta").chmod(0o755)
    with pytest.raises(TimingError, match=r"sta must be OpenSTA, but '.*' is not; .*apt install"):
        find_sta()


def test_numbers_that_no_load_changes_are_no_delays(ge, tmp_path, timed_liberty):
    assert timing.delay_missing(ge) == "ge has no tables of delays"
    assert timing.has_delays(read(tmp_path, timed_liberty()))
