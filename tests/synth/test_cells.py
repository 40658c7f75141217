"""What cells do is found from their functions, in the bundled library and in those at hand."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest

from dintmac.synth.cells import Adder, cells_of
from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.netlist import ClockGate, truth_tables

INV = """cell (I) { area : 1; pin (A) { direction : input; }
  pin (Y) { direction : output; function : "!A"; } }"""
NAND = """cell (N) { area : 1; pin (A) { direction : input; } pin (B) { direction : input; }
  pin (Y) { direction : output; function : "!(A & B)"; } }"""
FLOP = """cell (F) { area : 4; ff (Q, QN) { clocked_on : "C"; next_state : "D"; }
  pin (C) { direction : input; clock : true; } pin (D) { direction : input; }
  pin (O) { direction : output; function : "Q"; } }"""
FULL_ADDER = """cell (FULL) { area : 5; pin (P) { direction : input; }
  pin (Q) { direction : input; } pin (R) { direction : input; }
  pin (X) { direction : output; function : "!(P ^ Q ^ R)"; }
  pin (Y) { direction : output; function : "(P & Q) | (P & R) | (Q & R)"; } }"""


def read(tmp_path, store, *cells):
    path = tmp_path / "own.lib"
    path.write_text("library (own) {\n" + "\n".join(cells) + "\n}\n")
    return cells_of(Library.read(path), store)


def test_ge_has_an_adder_a_clock_gate_and_flip_flops(ge_cells):
    assert ge_cells.full_adder == Adder("FA", ("A", "B", "CI"), "S", "CO", False, False)
    assert ge_cells.clock_gate == ClockGate("CLKGATE", "CK", "E", "GCK")
    assert ge_cells.flip_flops == {"DFF", "DFFR", "DFFE", "DFFRE"}
    assert ge_cells.dont_use == ("CLKGATE",)
    assert ge_cells.stronger == ()
    assert (ge_cells.inverter, ge_cells.buffer) == ("INV", "BUF")


def test_ge_counts_in_gates_of_two_inputs(ge_cells):
    areas = ge_cells.areas
    assert areas["NAND2"] == 1
    assert areas["INV"] < areas["NAND2"] < areas["AND2"] < areas["XOR2"] < areas["FA"]
    assert areas["FA"] < 2 * areas["XOR2"] + areas["AOI222"]
    assert areas["DFF"] < areas["DFFR"] < areas["DFFE"] < areas["DFFRE"]


def test_every_area_of_ge_is_the_number_of_transistors_that_its_comment_derives(ge):
    text = ge.paths[0].read_text()
    stated = re.findall(
        r"/\* (\d+) transistors: [^*]*\*/\s*cell \((\w+)\) \{\s*area : ([\d.]+);", text
    )
    assert len(stated) == text.count("cell (")
    for transistors, cell, area in stated:
        assert float(area) == int(transistors) / 4, cell


@pytest.mark.parametrize(
    ("cell", "function"),
    [
        ("INV", lambda a: not a),
        ("BUF", lambda a: a),
        ("NAND2", lambda a, b: not (a and b)),
        ("NOR3", lambda a, b, c: not (a or b or c)),
        ("AND4", lambda a, b, c, d: a and b and c and d),
        ("OR2", lambda a, b: a or b),
        ("XOR2", lambda a, b: a ^ b),
        ("XNOR2", lambda a, b: not a ^ b),
        ("MUX2", lambda a, b, s: b if s else a),
        ("AOI21", lambda a1, a2, b: not ((a1 and a2) or b)),
        ("OAI22", lambda a1, a2, b1, b2: not ((a1 or a2) and (b1 or b2))),
        ("AOI211", lambda a1, a2, b, c: not ((a1 and a2) or b or c)),
        ("OAI221", lambda a1, a2, b1, b2, c: not ((a1 or a2) and (b1 or b2) and c)),
        ("AOI222", lambda a, b, c, d, e, f: not ((a and b) or (c and d) or (e and f))),
    ],
)
def test_functions_of_ge_are_those_of_the_names(ge_cells, cell, function):
    model = ge_cells.models[cell]
    ((_, table),) = truth_tables(model).items()
    # Yosys sorts the pins, and so do the parameters above.
    assert list(model.inputs) == sorted(model.inputs)
    count = len(model.inputs)
    for row in range(1 << count):
        operands = [row >> i & 1 for i in range(count)]
        assert bool(table >> row & 1) == bool(function(*operands)), (cell, operands)


def test_a_full_adder_is_known_by_its_function_whatever_its_names(tmp_path, store):
    cells = read(tmp_path, store, INV, NAND, FLOP, FULL_ADDER)
    assert cells.full_adder == Adder("FULL", ("P", "Q", "R"), "X", "Y", True, False)


@pytest.mark.parametrize(
    ("areas", "taken"),
    [((5, 5), "BOTH"), ((5, 4), "FULL"), ((5, 6), "BOTH"), ((5, 3), "FULL"), ((3, 3), "BOTH")],
)
def test_complemented_outputs_count_with_the_inverters_that_they_take(
    tmp_path, store, areas, taken
):
    """Two take hardly any, since adders alternate; one takes an inverter, here of area 1."""
    one = FULL_ADDER.replace("area : 5", f"area : {areas[1]}")
    both = FULL_ADDER.replace('"(P & Q) | (P & R) | (Q & R)"', '"!((P & Q) | (P & R) | (Q & R))"')
    both = both.replace("FULL", "BOTH").replace("area : 5", f"area : {areas[0]}")
    assert read(tmp_path, store, INV, NAND, FLOP, one, both).full_adder.cell == taken


@pytest.mark.parametrize(("area", "barred"), [(2, ("F",)), (3, ()), (4, ())])
def test_a_flip_flop_gives_way_to_one_that_is_smaller_with_an_inverter(
    tmp_path, store, area, barred
):
    complemented = FLOP.replace("(F)", "(G)").replace('"Q"', '"QN"').replace("4", str(area))
    cells = read(tmp_path, store, INV, NAND, FLOP, complemented)
    assert cells.dont_use == barred


def test_a_flip_flop_with_a_complemented_output_alone_does(tmp_path, store):
    cells = read(tmp_path, store, INV, NAND, FLOP.replace('"Q"', '"QN"'))
    assert (cells.dont_use, cells.flip_flops) == ((), {"F"})


def test_what_has_two_outputs_but_does_not_add_is_no_adder(tmp_path, store):
    other = FULL_ADDER.replace("| (Q & R)", "")
    assert read(tmp_path, store, INV, NAND, FLOP, other).full_adder is None


def test_an_adder_that_is_not_to_be_used_is_not(tmp_path, store):
    barred = FULL_ADDER.replace("area", "dont_use : true; area")
    cells = read(tmp_path, store, INV, NAND, FLOP, barred)
    assert cells.full_adder is None
    assert cells.dont_use == ("FULL",)


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (INV, "no inverter"),
        (NAND, "no NAND2 or NOR2"),
        (FLOP, "no rising-edge flip-flop"),
    ],
)
def test_refuses_a_library_without_the_least_that_mapping_takes(tmp_path, store, left_out, message):
    with pytest.raises(LibraryError, match=rf"library must have cells to map to, .* {message}"):
        read(tmp_path, store, *(cell for cell in (INV, NAND, FLOP) if cell != left_out))


def test_cells_without_an_area_are_left_alone(tmp_path, store):
    other = NAND.replace("(N)", "(M)")
    for area in ("", "area : 0;"):
        cells = read(tmp_path, store, INV, NAND, other.replace("area : 1;", area), FLOP)
        assert cells.dont_use == ("M",)
        assert "M" not in cells.areas


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((INV, NAND, FLOP.replace("area : 4;", "")), "no rising-edge flip-flop; .*: F"),
        ((INV.replace("area : 1;", ""), NAND, FLOP), "no inverter; .*: I"),
        (
            (INV.replace(": 1;", ": 0;"), NAND.replace(": 1;", ": 0;"), FLOP.replace("4", "0")),
            "no inverter and no NAND2 or NOR2 and no rising-edge flip-flop; .*: F, I, N",
        ),
    ],
)
def test_what_is_missing_is_said_with_the_cells_that_lack_an_area(tmp_path, store, cells, message):
    with pytest.raises(LibraryError, match=message):
        read(tmp_path, store, *cells)


def test_a_scan_flip_flop_does_not_do_for_a_flip_flop(tmp_path, store):
    scan = FLOP.replace('"D"', '"(E & S) | (!E & D)"').replace(
        "pin (D)", "pin (E) { direction : input; } pin (S) { direction : input; } pin (D)"
    )
    with pytest.raises(LibraryError, match=r"has no rising-edge flip-flop$"):
        read(tmp_path, store, INV, NAND, scan)


def test_a_flip_flop_with_a_reset_does_if_yosys_can_tie_it_off(tmp_path, store):
    reset = FLOP.replace('"D"', '"D"; clear : "!R"').replace(
        "pin (D)", "pin (R) { direction : input; } pin (D)"
    )
    assert read(tmp_path, store, INV, NAND, reset).flip_flops == {"F"}


def test_areas_that_yosys_reads_otherwise_are_refused(tmp_path, store, monkeypatch):
    path = tmp_path / "own.lib"
    path.write_text("library (own) {\n" + "\n".join([INV, NAND, FLOP]) + "\n}\n")
    library = Library.read(path)
    other = dataclasses.replace(library.facts["I"], area=2.0)
    library = dataclasses.replace(library, sha256="0", facts={**library.facts, "I": other})
    with pytest.raises(LibraryError, match=r"cell 'I' of .*own.lib' has 2.0, and 1.0 to Yosys"):
        cells_of(library, store)


def test_text_of_any_encoding_is_mapped_in_any_locale(tmp_path):
    """As in containers without a locale, where Python writes nothing but ASCII by default."""
    path = tmp_path / "own.lib"
    note = 'comment : "25 °C, µm²";'
    path.write_text(f"library (own) {{\n{note}\n{INV}{NAND}{FLOP} }}", encoding="latin-1")
    code = (
        "from pathlib import Path; from dintmac.synth.cells import cells_of; "
        "from dintmac.synth.liberty import Library; "
        "print(cells_of(Library.read(Path('own.lib'))).inverter)"
    )
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "DINTMAC_CACHE": "cache", **plain},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("I\n", "")


def test_a_falling_edge_does_not_do_for_a_flip_flop(tmp_path, store):
    with pytest.raises(LibraryError, match="rising-edge"):
        read(tmp_path, store, INV, NAND, FLOP.replace('"C"', '"!C"'))


def test_refuses_a_library_that_yosys_does_not_read(tmp_path, store):
    with pytest.raises(LibraryError, match="library must be a Liberty file that Yosys reads"):
        read(tmp_path, store, INV, NAND, FLOP, INV.replace("(I)", "(X)").replace("!A", "(A"))


def test_cells_that_do_what_a_smaller_one_does_are_the_stronger(tmp_path, store):
    larger = INV.replace("(I)", "(I_X4)").replace("area : 1", "area : 3")
    delay = larger.replace("(I_X4)", "(SLOW)")
    cells = read(tmp_path, store, delay, larger, INV, NAND, FLOP)
    assert cells.stronger == ("I_X4", "SLOW")


def test_the_analysis_is_cached_by_content(ge, store, monkeypatch):
    first = cells_of(ge, store)
    monkeypatch.setattr(
        "dintmac.synth.cells._read_with_yosys", lambda library: pytest.fail("Yosys is run")
    )
    assert cells_of(ge, store) == first


@pytest.mark.parametrize(
    ("name", "adder", "gate"),
    [
        ("nangate45", "FA_X1", "CLKGATE_X1"),
        ("sky130hd", "sky130_fd_sc_hd__fa_1", "sky130_fd_sc_hd__dlclkp_1"),
        ("sg13g2", None, "sg13g2_lgcp_1"),
        ("osu018", "FAX1", None),
    ],
)
@pytest.mark.slow
def test_adders_and_clock_gates_of_open_libraries(store, open_library, name, adder, gate):
    cells = cells_of(open_library(name), store)
    assert (cells.full_adder and cells.full_adder.cell) == adder
    assert (cells.clock_gate and cells.clock_gate.cell) == gate


@pytest.mark.slow
def test_special_cells_of_skywater_are_left_alone(store, open_library):
    cells = cells_of(open_library("sky130hd"), store)
    assert any("lpflow" in cell for cell in cells.dont_use)
    assert not any("nand2" in cell for cell in cells.dont_use)
