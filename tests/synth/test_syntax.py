"""The syntax of Liberty: what it allows is read, what it does not is refused with its line."""

import time

import pytest

from dintmac.synth.syntax import LibertySyntaxError, parse, write


def written(text):
    return " ".join(write(parse(text)).split())


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("area : 1;", "area : 1;"),
        ("area : 1", "area : 1;"),
        ("area:1\ndont_use:true\n", "area : 1; dont_use : true;"),
        ("cell (A) { area : 1 }", "cell (A) { area : 1; }"),
        ("cell(A){area:-1.5e-3;;};", "cell (A) { area : -1.5e-3; }"),
        ('cell ("A") { }', 'cell ("A") { }'),
        ("cell\n(A)\n{\n}\n", "cell (A) { }"),
        ("pin (A[3:0]) { }", "pin (A[3:0]) { }"),
        ("pin (A, B) { x : 1; }", "pin (A) { x : 1; } pin (B) { x : 1; }"),
        ("leakage_power () { }", "leakage_power () { }"),
        ("unit (1,pf)\nother (2 , ff);", "unit (1, pf); other (2, ff);"),
        ("vil : 0.3 * VDD ;", 'vil : "0.3 * VDD";'),
        ("vih : VDD - (0.1 + x);", 'vih : "VDD - (0.1 + x)";'),
        ("time_unit : 1ns;", "time_unit : 1ns;"),
        ("note : ;", 'note : "";'),
        ("area /* of what */ : /* in */ 1 /* µm² */ ;", "area : 1;"),
        ('area : 1; // it\'s "so" }\ndont_use : true;', "area : 1; dont_use : true;"),
        ("/* cell (A) { */ area : 1; /* } */", "area : 1;"),
        ('note : "/* no comment */ // either";', 'note : "/* no comment */ // either";'),
        ('note : "a { brace";', 'note : "a { brace";'),
        ('note : "a \\"quoted\\" word";', "note : \"a 'quoted' word\";"),
        ('note : "Zürich";', 'note : "Z?rich";'),
        ("a (1, \\\n 2) ; b \\\n : \\\n 3;", "a (1, 2); b : 3;"),
        ('values ("1, \\\n 2", \\  \n "3, 4");', 'values ("1, 2", "3, 4");'),
        ('values ("1, 2", // first\n "3, /* 4 */");', 'values ("1, 2", "3, /* 4 */");'),
        ('define ("x", "cell", "float"); x : 3;', 'define ("x", "cell", "float"); x : 3;'),
        ("bundle (Q) { members (Q0, Q1); }", "bundle (Q) { members (Q0, Q1); }"),
    ],
)
def test_whatever_the_grammar_allows_is_written_in_one_form(text, normal):
    assert " ".join(normal.split()) == written(text)
    assert written(written(text)) == written(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell (A) {\n area : 1;\n", "it is cut off"),
        ('cell (A) { values ("1, 2', "it is cut off"),
        ("cell (A) { } }", "'}' in line 1 is no statement"),
        ("cell (A) {\n direction ;\n }", "'direction ; }' in line 2 is no statement"),
        ("area : 1 dont_use : true;", "': true;' in line 1 is no statement"),
        ("cell (A) {\n\n = 3; }", "'= 3; }' in line 3 is no statement"),
        ("cell (Zürich) {}\n ü : 1;", "'ü : 1;' in line 2 is no statement"),
        ("{}", "'{}' in line 1 is no statement"),
        ("hello", "'hello' in line 1 is no statement"),
    ],
)
def test_what_is_no_statement_is_refused_with_its_line(text, message):
    with pytest.raises(LibertySyntaxError) as refusal:
        parse(text)
    assert str(refusal.value) == message


def test_values_have_no_quotes():
    (cell,) = parse('cell (A, "B") { area : "1.5"; vil : 0.3 * VDD; index ("1, 2", 3); area : 2; }')
    assert (cell.kind, cell.names) == ("cell", ("A", "B"))
    assert cell.value("area") == "1.5"
    assert cell.value("vil") == "0.3 * VDD"
    assert cell.values("index") == ("1, 2", "3")
    assert (cell.value("none"), cell.values("none")) == (None, ())


def test_groups_are_found_by_their_kind():
    (cell,) = parse("cell (A) { pin (B) { } timing () { } pin (C) { } bus (D) { } }")
    assert [group.names for group in cell.groups("pin", "bus")] == [("B",), ("C",), ("D",)]


def test_a_large_file_is_read_in_seconds():
    row = '"' + ", ".join(["0.0123456789"] * 7) + '", \\\n'
    table = f"cell_rise (t) {{ values ( \\\n{row * 7}); }}\n"
    text = f"library (l) {{ {f'cell (A) {{ {table * 20} }} ' * 2000} }}"
    assert len(text) > 25e6
    start = time.process_time()
    parse(text)
    assert time.process_time() - start < 5
