"""Reports of hand-made records: what they say, and what becomes of bad input."""

from __future__ import annotations

import copy
import json
import re

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from dintmac.golden.formats import parse
from dintmac.hdl.catalog import DESIGNS
from dintmac.reports.comparisons import compare, conclusion
from dintmac.reports.report import FILES, Report, read_report, report_text, summary, write_report
from dintmac.synth.ratios import ratios_of
from dintmac.synth.records import (
    AreaSplit,
    BeyondTables,
    Check,
    Power,
    Record,
    RecordedConfiguration,
)

WITHIN_TABLES = BeyondTables(arcs=0.0, energy=0.0, reach=0.8)
TOOLS = {"yosys": "0.70", "amaranth": "0.5.8"}
#: Area of a MAC's netlist in GE; a dot product of 4 lanes takes four times as much.
AREAS = {
    ("INT8", "booth"): 600.0,
    ("INT8", "behavioural"): 840.0,
    ("INT4", "digits"): 380.0,
    ("dINT4", "digits"): 400.0,
}
SIZES = {"mac": {"depth": 16}, "dot": {"depth": 16, "lanes": 4}}


def record(library, design, format, architecture, area):
    undivided = architecture == "behavioural"
    split = AreaSplit(
        registers=area / 4,
        products=None if undivided else area / 2,
        accumulation=(area / 2 if undivided else 0) + area / 8,
        control=area / 8,
    )
    return Record(
        configuration=RecordedConfiguration(design, format, architecture, SIZES[design]),
        library=library,
        recipe="area",
        target_delay_ns=None,
        area=area,
        area_unit="GE" if library == "ge" else "µm²",
        area_split=split,
        cells={"NAND2": 12},
        flip_flops=1234,
        delay_ns=None,
        critical_path=None,
        delay_missing="ge has no tables of delays",
        power=None,
        check=Check("simulated", 65536, 70000),
        tools=TOOLS,
        inputs_sha256="0" * 64,
    )


def records_of(*libraries):
    return [
        record(library, design, *variant, area * scale)
        for library in libraries
        for design, scale in (("mac", 1), ("dot", 4))
        for variant, area in AREAS.items()
    ]


RECORDS = records_of("ge", "nangate45")
#: Format and architecture of the first.
VARIANT = next(iter(AREAS))


def write(folder, records=RECORDS):
    write_report(Report(records, ratios_of(records), TOOLS), folder)
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"))


@pytest.fixture
def no_plots(monkeypatch):
    """Saves the time of drawing where a test does not look at plots."""
    monkeypatch.setattr("dintmac.reports.report.draw", lambda panels, kind, columns=1: b"")


def text(folder, name="report.md"):
    return (folder / name).read_text("utf-8")


def told(folder):
    """The summary of a report, on one line."""
    return " ".join(summary(read_report(folder / "report.json")).split())


def table_row(markdown, *cells):
    """Cells of the only row, of the first table that has one, which begins with these cells."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines()
    ]
    return next(row for row in rows if row[: len(cells)] == list(cells))


@pytest.mark.slow
def test_a_report_has_all_its_files_and_nothing_else(report):
    assert {path.name for path in report.iterdir()} == set(FILES) - {"energies.png"}
    for name in ("areas.png", "ratios.png", "growth.png"):
        assert (report / name).read_bytes().startswith(b"\x89PNG")


def with_power(record):
    energy = record.area / 2
    split = {"products": None, "accumulation": energy / 2, "clock": energy / 2}
    power = Power(energy, split, "gaussian", "00", 4, 8, 4.0, 1.1, 1.5, 2.0, WITHIN_TABLES)
    return replace(record, power=power)


@pytest.mark.slow
def test_measured_energies_are_compared_and_shown(tmp_path):
    write(tmp_path, [with_power(r) for r in RECORDS[:4]])
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert "INT8 booth takes 1.50× the energy of dINT4 digits, in 1 design" in text(tmp_path)
    assert table_row(text(tmp_path), "MAC, depth 16", "dINT4", "digits")[13] == "200.0"
    assert "ge, energy per MAC, fJ, split into clock" in text(tmp_path)
    assert "†" not in text(tmp_path)
    assert read_report(tmp_path / "report.json").records[0].power is not None


@pytest.mark.slow
def test_why_there_is_no_energy_stands_among_the_methods(tmp_path):
    reason = "ge has no tables of power"
    records = [with_power(RECORDS[0]), *(replace(r, power_missing=reason) for r in RECORDS[1:4])]
    write(tmp_path, records)
    assert f"- **No energy**: {reason}.\n" in text(tmp_path)
    assert f"{reason}." in text(tmp_path, "report.html")
    write(tmp_path, [with_power(RECORDS[0])])
    assert "**No energy**" not in text(tmp_path)


@pytest.mark.slow
def test_an_energy_that_is_extrapolated_is_marked_wherever_it_stands(tmp_path):
    """In one of two libraries more than a hundredth of the arcs of dINT4 is read far beyond."""
    records = [with_power(r) for r in RECORDS if r.configuration.design == "mac"]
    far = BeyondTables(arcs=0.06, energy=0.003, reach=45.4)
    near = BeyondTables(arcs=0.01, energy=0.01, reach=2.5)
    for i, one in enumerate(records):
        is_far = (one.library, one.configuration.format) == ("ge", "dINT4")
        power = replace(one.power, beyond_tables=far if is_far else near)
        records[i] = replace(one, power=power)
    write(tmp_path, records)
    markdown, page = text(tmp_path), text(tmp_path, "report.html")
    assert "INT8 booth takes 1.50× † the energy of dINT4 digits" in markdown
    assert "| 1.50× † | 1.50× |" in markdown
    assert "| 1.50× † (strongest) | 1.50× (strongest) |" in markdown
    assert markdown.count("| 200.0 † |") == 1
    assert "1.50× † INT8 booth (energy)" in markdown
    assert "- Energies marked † are extrapolated. More than 1 % of the arcs" in markdown
    how_far = "In ge that is up to 6.0 % of the arcs and 0.3 % of an energy, at up to 45 times the"
    assert how_far in markdown
    assert how_far in page
    assert "INT8 booth ÷ dINT4 digits, energy</span><strong>1.50× †</strong>" in page
    areas = markdown.partition("### INT8 booth ÷ dINT4 digits, area")[2].partition("###")[0]
    assert "†" not in areas
    assert "Energies marked † are extrapolated." in " ".join(
        summary(read_report(tmp_path / "report.json")).split()
    )
    assert read_report(tmp_path / "report.json").records == records


def test_energies_of_both_modes_stand_side_by_side(tmp_path):
    both = with_power(RECORDS[0])
    both = replace(both, power_int8=replace(both.power, energy_per_mac_fj=987.0, data="others"))
    write(tmp_path, [both])
    row = table_row(text(tmp_path), "MAC, depth 16", *VARIANT)
    assert row[13] == f"{both.power.energy_per_mac_fj}; INT8 mode 987.0"
    assert "at work on gaussian and others" in text(tmp_path)
    assert read_report(tmp_path / "report.json").records == [both]


def test_single_buffers_are_read_again(tmp_path):
    sizes = {"depth": 16, "double_buffered": 0}
    single = replace(RECORDS[0], configuration=RecordedConfiguration("mac", *VARIANT, sizes))
    write(tmp_path, [single])
    assert read_report(tmp_path / "report.json").records == [single]


def test_throughput_per_area_is_that_of_the_shortest_period(tmp_path):
    timed = replace(RECORDS[0], area=500.0, area_unit="µm²", delay_ns=2.0, delay_missing="")
    write(tmp_path, [timed])
    row = table_row(text(tmp_path), "MAC, depth 16", *VARIANT)
    # One product in 2 ns and 500 µm².
    assert row[12] == "1,000"


@pytest.mark.slow
def test_every_int8_architecture_stands_against_the_best_dint4(report):
    assert "### every INT8 architecture ÷ the best dINT4, area" in text(report)
    for cells in (("booth", "1.50× (strongest)"), ("behavioural", "2.10×")):
        row = table_row(text(report), "MAC, depth 16", *cells)
        assert row[3] == cells[1]


def test_json_holds_what_was_given_with_sorted_keys(report):
    content = json.loads(text(report, "report.json"))
    assert list(content) == sorted(content) == ["ratios", "records", "tools"]
    assert content["records"] == [to_builtins(r) for r in RECORDS]
    assert content["ratios"] == [to_builtins(r) for r in ratios_of(RECORDS)]
    assert content["tools"] == TOOLS


def test_the_text_of_a_report_is_that_of_its_file(report):
    assert report_text(read_report(report / "report.json")) == text(report, "report.json")


def test_a_row_has_every_number_of_its_record(report):
    row = table_row(text(report), "dot product, 4 lanes, depth 16", "dINT4", "digits")
    assert row[3:] == [
        "1,600",  # area
        "400.0",  # per MAC: four lanes
        "400.0",  # registers
        "800.0",  # products
        "200.0",  # accumulation
        "200.0",  # control
        "1,234",  # flip-flops
        "—",  # no target
        "—",  # no delay
        "—",  # nor throughput
        "—",  # no energy
        "1.50× INT8 booth; 0.95× INT4 digits",
        "simulated",
        "65,536",
    ]


def test_a_behavioural_netlist_has_no_area_of_products_and_the_report_says_why(report):
    row = table_row(text(report), "MAC, depth 16", "INT8", "behavioural")
    assert row[5:9] == ["210.0", "—", "525.0", "105.0"]
    assert row[12] == "—"
    assert "accumulation is both" in text(report)
    assert "accumulation is both" in text(report, "report.html")


@pytest.mark.usefixtures("no_plots")
def test_a_report_without_behavioural_netlists_does_not_speak_of_them(tmp_path):
    write(tmp_path, [r for r in RECORDS if r.configuration.architecture != "behavioural"])
    assert "accumulation is both" not in text(tmp_path)
    assert "accumulation is both" not in text(tmp_path, "report.html")


@pytest.mark.usefixtures("no_plots")
def test_a_measured_delay_is_shown(tmp_path):
    write(tmp_path, [replace(RECORDS[0], delay_ns=1.554)])
    assert table_row(text(tmp_path), "MAC, depth 16", "INT8")[11] == "1.55"


def test_every_ratio_is_printed_with_the_name_of_its_baseline(report):
    for line in text(report).splitlines():
        if "×" in line and not line.startswith("|"):
            assert re.search("INT8|1.50× means", line), line
    assert "### INT8 booth ÷ dINT4 digits, area" in text(report)
    assert "| MAC, depth 16 | 2 of 10 ÷ 1 of 4 | 1.50× | 1.50× |" in text(report)


def test_the_conclusion_is_made_from_the_numbers(report):
    markdown = text(report)
    assert "INT8 weights take 1.93× the area and 2.56× the power of dINT4 weights" in markdown
    assert (
        "INT8 booth takes 1.50× the area of dINT4 digits, in 2 designs and 2 libraries. "
        "1.93× is reached in 0 of 4 cases." in markdown
    )
    assert "The denormals cost +5.3 % of area: dINT4 digits against INT4 digits" in markdown
    assert "nothing is said of 2.56×" in markdown
    assert "exclude place and route, the clock tree and memories" in markdown


def test_the_conclusion_is_the_same_everywhere_and_its_sentences_are_short(report):
    paragraphs = conclusion(compare(ratios_of(RECORDS)))
    for paragraph in paragraphs:
        assert max(map(len, re.split(r"(?<=\.) ", paragraph))) < 190
        assert f"\n- {paragraph}\n" in text(report)
        assert f"<li>{paragraph}</li>" in text(report, "report.html")
        assert paragraph in told(report)


def variant(record):
    """Design, format and architecture."""
    configuration = record.configuration
    return configuration.design, configuration.format, configuration.architecture


def complete(records):
    """With all that is built of every format, larger than what is there."""
    found = {variant(r) for r in records}
    return records + [
        record("ge", design, format, architecture, 9000.0)
        for design in SIZES
        for format in ("INT8", "INT4", "dINT4")
        for architecture in DESIGNS[design].built_architectures(parse(format))
        if (design, format, architecture) not in found
    ]


@pytest.mark.usefixtures("no_plots")
def test_a_best_is_said_to_be_of_all_architectures_only_if_all_were_measured(tmp_path):
    records = complete(
        [r for r in records_of("ge") if r.configuration.architecture != "behavioural"]
    )
    write(tmp_path, records)
    assert "- In area all architectures that are built were compared.\n" in text(tmp_path)
    assert "| MAC, depth 16 | 9 of 9 ÷ 4 of 4 |" in text(tmp_path)
    int8 = "9 of 9: booth, baugh\\_wooley, pair, pair\\_folded, booth\\_folded, nr4sd"
    assert f"| area | mac and dot 4 | {int8}" in text(tmp_path)

    lost = {("mac", "fip"), ("mac", "r4n")}
    write(tmp_path, [r for r in records if variant(r)[::2] not in lost])
    assert "- In area some architectures that are built were left out at mac.\n" in text(tmp_path)
    assert "| MAC, depth 16 | 7 of 9 ÷ 4 of 4 |" in text(tmp_path)
    row = table_row(text(tmp_path), "area", "mac")
    assert row[2].startswith("7 of 9: ")
    assert row[2].endswith(", without r4n and fip")
    assert row[3].startswith("4 of 4: digits, ")


@pytest.mark.usefixtures("no_plots")
def test_energies_and_libraries_are_counted_apart(tmp_path):
    """All areas of a MAC are measured in one of two libraries, and energies of some alone."""
    others = [r for r in RECORDS if (r.library, r.configuration.design) == ("nangate45", "mac")]
    macs = [r for r in complete(records_of("ge")) if r.configuration.design == "mac"]
    some = [with_power(r) for r in macs if variant(r)[1:] in AREAS]
    write(tmp_path, [r for r in macs if variant(r)[1:] not in AREAS] + some + others)
    assert (
        "- In area some architectures that are built were left out at mac in nangate45. "
        "In energy some architectures that are built were left out at mac.\n" in text(tmp_path)
    )
    counts = "10 of 10 ÷ 4 of 4 in ge; 2 of 10 ÷ 1 of 4 in nangate45"
    assert f"| MAC, depth 16 | {counts} | " in text(tmp_path)
    assert "| MAC, depth 16 | 2 of 10 ÷ 1 of 4 | " in text(tmp_path)  # energy


@pytest.mark.usefixtures("no_plots")
def test_the_conclusion_names_both_ends_of_a_range_and_counts_what_reaches_the_claim(tmp_path):
    records = records_of("ge", "nangate45")
    records[7] = replace(records[7], area=1200.0)  # dot in ge: 2400 / 1200
    write(tmp_path, records)
    span = "1.50× (mac in ge) to 2.00× (dot 4 in ge)"
    assert f"INT8 booth takes {span} the area of dINT4 digits, in" in text(tmp_path)
    assert "1.93× is reached in 1 of 4 cases" in text(tmp_path)


@pytest.mark.usefixtures("no_plots")
def test_a_baseline_that_is_not_everywhere_the_same_is_named_at_each_ratio(tmp_path):
    records = records_of("ge")
    records[1] = replace(records[1], area=500.0)  # the behavioural INT8 MAC is the smallest
    write(tmp_path, records)
    markdown = text(tmp_path)
    assert "### best INT8 ÷ dINT4 digits, area" in markdown
    span = "1.25× (mac in ge, behavioural ÷ digits) to 1.50× (dot 4 in ge, booth ÷ digits)"
    assert f"The best INT8 takes {span} the area of dINT4 digits, in" in markdown
    assert "The best INT8 is behavioural or booth." in markdown
    assert "| MAC, depth 16 | 2 of 10 ÷ 1 of 4 | 1.25× behavioural ÷ digits |" in markdown
    assert table_row(markdown, "dot product, 4 lanes, depth 16")[2] == "1.50× booth ÷ digits"


@pytest.mark.usefixtures("no_plots")
def test_records_without_ratios_make_a_report_without_them(tmp_path):
    write(tmp_path)
    write(tmp_path, RECORDS[3:4])
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.json",
        "report.md",
        "report.html",
        "areas.png",
    }
    assert "No area of INT8 and dINT4 was compared" in text(tmp_path)
    assert "ratios.png" not in text(tmp_path)


@pytest.mark.usefixtures("no_plots")
def test_energy_ratios_are_held_against_the_claim_on_power(tmp_path):
    ratios = ratios_of(RECORDS)
    powers = [replace(r, metric="energy", ratio=2.6) for r in ratios]
    write_report(Report(RECORDS, ratios + powers, TOOLS), tmp_path)
    assert "INT8 booth takes 2.60× the energy of dINT4 digits" in text(tmp_path)
    assert "2.56× is reached in 4 of 4 cases" in text(tmp_path)
    assert "nothing is said" not in text(tmp_path)
    assert "2.60× INT8 booth (energy)" in text(tmp_path)


def test_the_page_needs_nothing_from_outside(report):
    page = text(report, "report.html")
    addresses = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert "url(" not in page
    assert "@import" not in page
    assert "<script" not in page


def test_every_design_is_named_above_its_rows_on_the_page(report):
    tables = text(report, "report.html").split("<h3>")
    for title in ("every INT8 architecture", "nangate45, areas"):
        (table,) = (part for part in tables if part.startswith(title))
        headings = re.findall(r"<th scope=.rowgroup.*?<span>(.*?)</span>", table)
        assert headings == ["MAC, depth 16", "dot product, 4 lanes, depth 16"]


def test_every_picture_has_a_text(report):
    page = text(report, "report.html")
    assert len(re.findall("<img ", page)) == 7  # three comparisons, twice two libraries
    assert len(re.findall(r'<img [^>]*alt="[^"]{20,}"', page)) == 7
    assert len(re.findall(r"!\[[^\]]{20,}\]\((?:ratios|growth|areas)\.png\)", text(report))) == 3


def test_the_page_says_how_it_was_measured(report):
    page = text(report, "report.html")
    for fact in ("yosys 0.70", "amaranth 0.5.8", "nangate45 (areas in µm²)", "no delay target"):
        assert fact in page
    assert "16 netlists simulated" in page
    assert "dintmac report" in page


@pytest.mark.slow
def test_the_same_report_gives_the_same_bytes_also_when_read_back(report, tmp_path):
    write_report(read_report(report / "report.json"), tmp_path)
    for path in report.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_report_may_begin_with_a_byte_order_mark(report, tmp_path):
    content = (report / "report.json").read_bytes()
    (tmp_path / "report.json").write_bytes(b"\xef\xbb\xbf" + content)
    assert read_report(tmp_path / "report.json") == read_report(report / "report.json")


def test_a_hostile_name_is_text_everywhere(tmp_path):
    name = "<script>alert(1)</script>|`*_$x$\n# [a](b) &amp; \"'"
    write(tmp_path, records_of(name))
    page, markdown = text(tmp_path, "report.html"), text(tmp_path)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;|`*_$x$" in page
    assert "<script" not in markdown
    assert r"&lt;script\>alert(1)&lt;/script\>\|\`\*\_$x$ \# \[a\](b) &amp;amp; " in markdown
    assert read_report(tmp_path / "report.json").records[0].library == name


def test_a_library_may_have_a_name_that_the_font_of_the_plots_lacks(tmp_path):
    write(tmp_path, records_of("中文"))
    assert "中文" in text(tmp_path, "report.html")


def test_the_summary_has_the_ratios_and_the_conclusion(report):
    lines = summary(read_report(report / "report.json")).splitlines()
    assert "INT8 booth ÷ dINT4 digits, area" in lines
    row = "MAC, depth 16                   2 of 10 ÷ 1 of 4  1.50×      1.50×"
    assert row in lines
    assert "1.93× is reached in 0 of 4" in " ".join(lines)
    assert lines[-1] == "16 netlists simulated."


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^a report must have at least one record$"):
        write_report(Report([], [], TOOLS), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_number_that_is_not_finite_is_not_written(tmp_path):
    report = Report([replace(RECORDS[0], area=float("nan"))], [], TOOLS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(report, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def edited(report, edit):
    content = copy.deepcopy(json.loads(text(report, "report.json")))
    edit(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("tools"), "Object missing required field tools"),
        (lambda c: c.update(records={}), "at records: Expected array, got object"),
        (lambda c: c.update(records=[]), r"at records: Expected array of length >= 1"),
        (
            lambda c: c["records"][0].pop("area"),
            r"at records\[0\]: Object missing required field area",
        ),
        (
            lambda c: c["records"][0].update(more=1),
            r"at records\[0\]: Object contains unknown field more",
        ),
        (lambda c: c["records"].append(7), r"at records\[16\]: Expected object, got int"),
        (
            lambda c: c["ratios"][0].pop("baseline"),
            r"at ratios\[0\]: Object missing required field baseline",
        ),
        (lambda c: c["ratios"].append([]), r"at ratios\[\d+\]: Expected object, got array"),
        (
            lambda c: c["records"][1].update(area="big"),
            r"at records\[1\].area: Expected float, got str",
        ),
        (lambda c: c["records"][1].update(area=0), r"at records\[1\].area: Expected float > 0.0"),
        (
            lambda c: c["records"][0]["area_split"].update(products="x"),
            r"at records\[0\].area_split.products: Expected float | null, got str",
        ),
        (
            lambda c: c["records"][0]["check"].update(vectors=1.5),
            r"at records\[0\].check.vectors: Expected int, got float",
        ),
        (
            lambda c: c["records"][0]["configuration"]["parameters"].update(lanes=True),
            r"at records\[0\].configuration.parameters\[...\]: Expected int, got bool",
        ),
        (
            lambda c: c["records"][0]["configuration"]["parameters"].update(lanes=0),
            r"at records\[0\].configuration: lanes must be positive, not 0",
        ),
        (
            lambda c: c["records"][0]["configuration"].update(parameters=[]),
            r"at records\[0\].configuration.parameters: Expected object, got array",
        ),
        (
            lambda c: c["records"][0].update(library=None),
            r"at records\[0\].library: Expected str, got null",
        ),
        (lambda c: c["ratios"][0].update(ratio=-1.0), r"at ratios\[0\].ratio: Expected float > 0"),
        (
            lambda c: c["ratios"][0]["baseline"].update(format=8),
            r"at ratios\[0\].baseline.format: Expected str, got int",
        ),
        (
            lambda c: c["ratios"][0]["missing"].update(INT8="booth"),
            r"at ratios\[0\].missing\[...\]: Expected array, got str",
        ),
        (
            lambda c: c["ratios"][0]["compared"]["INT8"].append(8),
            r"at ratios\[0\].compared\[...\]\[2\]: Expected str, got int",
        ),
        (
            lambda c: c["ratios"][0]["compared"].pop("INT8"),
            r"at ratios\[0\]: compared must have the formats of both sides",
        ),
        (lambda c: c.update(tools={"yosys": 1}), r"at tools\[...\]: Expected str, got int"),
    ],
)
def test_json_that_is_no_report_is_refused_with_what_is_wrong(report, tmp_path, edit, message):
    path = tmp_path / "report.json"
    path.write_text(edited(report, edit))
    with pytest.raises(ValueError, match=f"report.json must be a report, but {message}"):
        read_report(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"tools": Infinity}'])
def test_a_file_that_is_no_json_is_refused(tmp_path, content):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"report\.json must be JSON in UTF-8"):
        read_report(path)
