"""Discovery of libraries, their names and their facts; files that are none."""

import gzip
import os
import random
from pathlib import Path

import pytest

from dintmac.synth.liberty import Library, LibraryError, find_libraries

SMALL = Path(__file__).with_name("small.lib").read_text(encoding="ascii")

LIBRARY = """\
/* a comment with library ( in it */
library (tiny) {
  cell (INV) { area : 1; pin (A) { direction : input; } }
}
"""


@pytest.fixture(autouse=True)
def no_libraries_of_the_machine(monkeypatch):
    monkeypatch.delenv("DINTMAC_LIBRARIES", raising=False)
    monkeypatch.delenv("PDK_ROOT", raising=False)


def write(path: Path, text: str = LIBRARY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_the_bundled_library_is_always_found_and_last():
    assert find_libraries()[-1].name == "ge"


def test_files_and_folders_of_the_environment_come_first_in_their_order(tmp_path, monkeypatch):
    plain = write(tmp_path / "one_typ.lib", LIBRARY.replace("tiny", "one"))
    write(tmp_path / "folder" / "b.lib", LIBRARY.replace("tiny", "b"))
    write(tmp_path / "folder" / "a.lib.gz", LIBRARY.replace("tiny", "a"))
    entries = [str(plain), "", str(tmp_path / "folder")]
    monkeypatch.setenv("DINTMAC_LIBRARIES", os.pathsep.join(entries))
    assert [library.name for library in find_libraries()][:3] == ["one", "a", "b"]


def test_equal_contents_count_once_whether_compressed_or_not(tmp_path, monkeypatch):
    write(tmp_path / "a.lib.gz")
    write(tmp_path / "b.lib")
    monkeypatch.setenv("DINTMAC_LIBRARIES", str(tmp_path))
    names = [library.name for library in find_libraries()]
    assert "a" in names
    assert "b" not in names


def test_different_libraries_of_one_name_get_a_number(tmp_path):
    first = write(tmp_path / "x" / "same.lib")
    second = write(tmp_path / "y" / "same.lib", LIBRARY.replace("tiny", "other"))
    found = find_libraries([str(first), str(second)])
    assert [library.name for library in found] == ["same", "same-2"]


def test_a_pdk_gives_the_typical_corner_of_each_library_and_no_pads(tmp_path, monkeypatch):
    folder = tmp_path / "sky130A" / "libs.ref"
    for library in ("sky130_fd_sc_hd", "sky130_fd_io"):
        for corner in ("ff_n40C_1v95", "tt_100C_1v80", "tt_025C_1v80", "ss_100C_1v60"):
            name = f"{library}__{corner}.lib"
            write(folder / library / "lib" / name, LIBRARY.replace("tiny", name))
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    first = find_libraries()[0]
    assert first.name == "sky130_fd_sc_hd"
    assert first.paths[0].name == "sky130_fd_sc_hd__tt_025C_1v80.lib"
    assert "sky130_fd_io" not in [library.name for library in find_libraries()]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("nangate45_typ.lib.gz", "nangate45"),
        ("sky130hd_tt.lib.gz", "sky130hd"),
        ("sg13g2_stdcell_typ_1p20V_25C.lib.gz", "sg13g2"),
        ("osu018_stdcells.lib", "osu018"),
        ("gf180mcu_fd_sc_mcu7t5v0__tt_025C_3v30.lib", "gf180mcu_fd_sc_mcu7t5v0"),
        ("My_Cells.lib", "my"),
        ("typ.lib", "typ"),
    ],
)
def test_names_drop_the_conditions_of_characterisation(tmp_path, file, name):
    assert Library.read(write(tmp_path / file)).name == name


def test_the_bundled_library_counts_in_gate_equivalents_and_others_in_area(tmp_path, ge):
    assert ge.area_unit == "GE"
    assert Library.read(write(tmp_path / "a.lib")).area_unit == "µm²"


def test_a_name_is_found_among_all_libraries(tmp_path, monkeypatch):
    write(tmp_path / "mine_typ.lib")
    monkeypatch.setenv("DINTMAC_LIBRARIES", str(tmp_path))
    assert find_libraries(["mine"])[0].paths[0].name == "mine_typ.lib"


def test_refuses_an_unknown_name_and_says_which_there_are():
    with pytest.raises(
        LibraryError, match=r"library must be a .lib or .lib.gz file, .* of .*ge, not 'xyz'"
    ):
        find_libraries(["xyz"])


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(LibraryError, match="library must be an existing file, not"):
        find_libraries([str(tmp_path / "none.lib")])


def test_refuses_a_missing_file_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DINTMAC_LIBRARIES", str(tmp_path / "none.lib"))
    with pytest.raises(LibraryError, match="library must be an existing file"):
        find_libraries()


def test_refuses_a_folder_without_a_library(tmp_path):
    (tmp_path / "folder.lib").mkdir()
    with pytest.raises(LibraryError, match=r"a folder with .lib files, but .* has none"):
        find_libraries([str(tmp_path / "folder.lib")])


@pytest.mark.parametrize("damage", [lambda d: d[:-20], lambda d: d[:30] + b"\0\0\0\0" + d[34:]])
def test_refuses_a_damaged_gzip_file(tmp_path, damage):
    path = tmp_path / "bad.lib.gz"
    path.write_bytes(damage(gzip.compress(random.Random(1).randbytes(500))))
    with pytest.raises(LibraryError, match="library must be a sound gzip file"):
        find_libraries([str(path)])


@pytest.mark.parametrize("text", ["", "hello", "module m; endmodule", "\0\1\2", "{}"])
def test_refuses_what_is_no_liberty_file(tmp_path, text):
    with pytest.raises(LibraryError, match="library must be in Liberty format"):
        find_libraries([str(write(tmp_path / "bad.lib", text))])


def test_refuses_a_file_that_is_cut_off(tmp_path):
    path = write(tmp_path / "cut.lib", LIBRARY[: LIBRARY.rindex("}")])
    with pytest.raises(LibraryError, match=r"in Liberty format, but .* is not: it is cut off"):
        find_libraries([str(path)])


def test_refuses_two_libraries_in_a_file(tmp_path):
    """Yosys maps to the cells of the first, whatever areas the second has."""
    second = LIBRARY.replace("area : 1", "area : 2")
    with pytest.raises(LibraryError, match=r"one library group .* but .* holds library, library"):
        Library.read(write(tmp_path / "two.lib", LIBRARY + second))


def test_refuses_a_cell_that_is_defined_twice_unless_both_are_alike(tmp_path):
    cell = "cell (INV) { area : 1; pin (A) { direction : input; } }"
    twice = LIBRARY.replace("library (tiny) {", f"library (tiny) {{ {cell}")
    assert Library.read(write(tmp_path / "a.lib", twice)).text().count("cell (INV)") == 1
    other = twice.replace("area : 1", "area : 2", 1)
    with pytest.raises(LibraryError, match=r"must define a cell once, but .* has two of 'INV'"):
        Library.read(write(tmp_path / "b.lib", other))


def test_refuses_names_of_cells_that_no_tool_takes(tmp_path):
    with pytest.raises(LibraryError, match=r"cells with plain names, but .* has 'Zürich'"):
        Library.read(write(tmp_path / "a.lib", LIBRARY.replace("INV", "Zürich")))


def continued(text):
    """Values over several lines, within strings and between them."""
    return text.replace(", 0.0", ", \\\n  0.0").replace('", "', '", \\\n "')


VARIANTS = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "windows": lambda text: text.replace("\n", "\r\n").encode(),
    "old_mac": lambda text: text.replace("\n", "\r").encode(),
    "latin1": lambda text: ("/* Zürich, µm² */\n" + text).encode("latin-1"),
    "utf8": lambda text: ("// Zürich, µm²\n" + text).encode(),
    "continued": lambda text: continued(text).encode(),
    "bare": lambda text: text.replace(";\n", "\n").replace("cell (INV)", "cell(\nINV )").encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_layout_and_the_encoding_of_a_file_do_not_matter(tmp_path, variant, small):
    path = tmp_path / "small.lib"
    path.write_bytes(VARIANTS[variant](SMALL))
    assert path.read_bytes() != SMALL.encode()
    library = Library.read(path)
    assert library.text() == small.text()
    assert (library.sha256, library.facts) == (small.sha256, small.facts)


def test_the_order_of_cells_does_not_matter(tmp_path, small):
    head, *cells = SMALL.rstrip().removesuffix("}").split("\n  cell (")
    for seed in range(3):
        random.Random(seed).shuffle(cells)
        shuffled = write(tmp_path / "a.lib", "\n  cell (".join([head, *cells]) + "}")
        assert Library.read(shuffled).text() == small.text()
        assert Library.read(shuffled).sha256 == small.sha256


def test_all_tools_get_plain_ascii_without_comments(tmp_path):
    text = LIBRARY.replace("{\n", '{ comment : "25 °C"; // µm²\n', 1)
    plain = Library.read(write(tmp_path / "a.lib", text)).text()
    assert plain.isascii()
    assert plain.splitlines()[:2] == ["library (tiny) {", '  comment : "25 ?C";']
    assert "/*" not in plain


def test_text_has_the_cells_that_are_asked_for_in_their_order(small):
    text = small.text(["NOR", "INV"])
    assert [line.split()[1] for line in text.splitlines() if "cell (" in line] == ["(NOR)", "(INV)"]
    assert text.splitlines()[0] == "library (small) {"
    assert small.text([]).count("cell (") == 0


@pytest.fixture
def parts(tmp_path):
    """``parts(change)``: the small library in two files, of which the second is changed."""
    head, *cells = SMALL.rstrip().removesuffix("}").split("\n  cell (")
    halves = ["\n  cell (".join([head, *some]) + "}\n" for some in (cells[:2], cells[2:])]

    def written(change=lambda text: text):
        write(tmp_path / "parts" / "gates_tt.lib", halves[0])
        write(tmp_path / "parts" / "others_tt.lib.gz", change(halves[1]))
        return tmp_path / "parts"

    return written


def test_several_files_make_up_one_library(parts, small):
    folder = parts()
    listed = f"{folder}/gates_tt.lib,{folder}/others_tt.lib.gz"
    for name, label in [
        (f"mine={listed}", "mine"),
        (listed, "gates"),
        (f"mine={folder}", "mine"),
        (str(folder), "parts"),
        (f"{folder}/gates_tt.lib,{folder}", "gates"),
    ]:
        (library,) = find_libraries([name])
        assert library.name == label
        assert library.text() == small.text()
        assert library.sha256 == small.sha256


def test_a_file_can_be_given_a_name_and_a_path_may_look_like_one(tmp_path):
    path = write(tmp_path / "a=b,c.lib")
    assert find_libraries([f"mine={path}"])[0].name == "mine"
    assert find_libraries([str(path)])[0].name == "a=b,c"


@pytest.mark.parametrize("label", ["", "a b", "a/b", "|"])
def test_refuses_a_label_that_is_no_name(label):
    with pytest.raises(LibraryError, match="library must have a plain name before its files, not"):
        find_libraries([f"{label}=a.lib"])


def test_a_comment_and_what_one_file_alone_defines_may_differ(parts, small):
    def change(text):
        text = text.replace("{\n", '{\n  comment : "other"; wire_load (w) { }\n', 1)
        return text.replace("(small)", "(other)", 1).replace("(hidden)", "(other_hidden)")

    (library,) = find_libraries([str(parts(change))])
    assert library.facts == small.facts
    group = library.group(["DFF"])
    assert group.names == ("small",)
    templates = [template.names[0] for template in group.groups("power_lut_template")]
    assert templates == ["energy", "hidden", "other_hidden"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('time_unit : "1ns"', 'time_unit : "1ps"', "time_unit$"),
        ('time_unit : "1ns"', "", "time_unit$"),
        ("(1, pf)", "(1, ff)", "capacitive_load_unit$"),
        ("nom_voltage : 2.0", "nom_voltage : 1.9", "nom_voltage$"),
        ("voltage : 2.0;", "voltage : 1.9;", r"nom_voltage, operating_conditions \(typical\)$"),
        ("0.001, 0.01, 0.1", "0.001, 0.01, 0.2", r"lu_table_template \(both\), power_lut"),
    ],
)
def test_refuses_files_of_other_units_or_conditions(parts, old, new, message):
    folder = parts(lambda text: text.replace(old, new))
    with pytest.raises(
        LibraryError, match=rf"gates_tt.lib' and .*others_tt.lib.gz' differ in {message}"
    ):
        find_libraries([str(folder)])


def test_refuses_a_cell_that_two_files_define_otherwise(parts):
    folder = parts(lambda text: text.replace("cell (BUF)", "cell (INV)"))
    with pytest.raises(LibraryError, match=r"define a cell once, but .* has two of 'INV'"):
        find_libraries([str(folder)])


def test_cells_that_are_not_to_be_used_are_as_if_they_were_not_there(small):
    path = str(small.paths[0])
    (library,) = find_libraries([path], ["N*", "BUF"])
    assert list(library.facts) == ["DFF", "INV"]
    assert library.text() == small.text(["DFF", "INV"])
    assert library.sha256 != small.sha256
    assert library.name == "small"


def test_refuses_a_pattern_that_matches_no_cell(small):
    path = str(small.paths[0])
    with pytest.raises(LibraryError, match=r"dont-use must match a cell of small, ge, not 'nor\*'"):
        find_libraries([path, "ge"], ["NOR*", "nor*"])


def test_default_wires_are_left_out(tmp_path):
    text = LIBRARY.replace("{\n", '{\n  default_wire_load : "huge";\n', 1)
    assert "default_wire_load" not in Library.read(write(tmp_path / "a.lib", text)).text()


def test_cells_without_an_area_to_count_are_named(tmp_path, small):
    assert small.left_alone == ""
    for area in ("", "area : 0;", "area : -1;", "area : many;", "area : nan;", "area : inf;"):
        library = Library.read(write(tmp_path / "a.lib", SMALL.replace("area : 1.5;", area)))
        assert library.left_alone == "left alone, without an area above zero: NAND, NOR"
        assert library.facts["NAND"].area is None
    cells = "".join(
        f'cell (C{i}) {{ pin (Y) {{ direction : output; function : "1"; }} }}' for i in range(20)
    )
    many = Library.read(write(tmp_path / "b.lib", f"library (l) {{ {cells} }}"))
    assert many.left_alone.endswith(": C0, C1, C10, C11, C12, C13, C14, C15, and 12 more")


def test_braces_in_comments_and_strings_do_not_count(tmp_path):
    text = LIBRARY.replace("in it", "in it {").replace("area", 'note : "}}"; area')
    assert Library.read(write(tmp_path / "braces.lib", text)).facts["INV"].area == 1


def test_a_library_outlives_its_file(tmp_path):
    library = Library.read(write(tmp_path / "a.lib"))
    library.paths[0].unlink()
    assert library.group(["INV"]).value("area") is None
    (cell,) = library.group(["INV"]).groups("cell")
    assert cell.value("area") == "1"


def test_cells_have_the_facts_that_the_text_states(tmp_path):
    text = """library (l) {
      cell ("A") { dont_use : true; area : 2.5e1; }
      cell (G) {
        pin (CK) { clock_gate_clock_pin : true; area : 9; }
        pin ("E") { clock_gate_enable_pin : "true"; }
        pin (T) { clock_gate_test_pin : true; }
        pin (Q) { clock_gate_out_pin : true; }
        area : 4; clock_gating_integrated_cell : "latch_posedge_precontrol";
      }
      cell (N) { area : 4; clock_gating_integrated_cell : latch_negedge; }
      cell (FILL) { }
    }"""
    cells = Library.read(write(tmp_path / "l.lib", text)).facts
    assert list(cells) == ["A", "FILL", "G", "N"]
    assert cells["FILL"].area is None
    assert (cells["A"].area, cells["A"].dont_use) == (25, True)
    assert cells["G"].roles == {"CK": "clock", "E": "enable", "T": "test", "Q": "out"}
    assert (cells["G"].clock_gate, cells["N"].clock_gate) == (True, False)
