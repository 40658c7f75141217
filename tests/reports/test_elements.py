"""Tables of one size, of hand-made records."""

import pytest
from msgspec.structs import replace

from dintmac.reports.elements import (
    element_table,
    energy_table,
    fused_area_table,
    fused_energy_table,
    fused_surplus_table,
    overview_table,
    part_table,
    reach_table,
    size_table,
)
from dintmac.synth.ratios import ratios_of
from dintmac.synth.records import (
    AreaSplit,
    BeyondTables,
    Check,
    Power,
    Record,
    RecordedConfiguration,
)

SIZE, LIBRARIES = "pe 16×4", ("one", "two")
#: Area and energy for each product.
WITHIN_TABLES = BeyondTables(arcs=0.0, energy=0.0, reach=0.8)
COSTS = {
    ("INT8", "booth_folded"): (400.0, 80.0),
    ("INT8", "nr4sd"): (360.0, 90.0),
    ("INT4", "nr4sd"): (180.0, 40.0),
    ("dINT4", "nr4sd"): (200.0, 50.0),
    ("dINT4", "digits"): (220.0, 44.0),
}


def power(energy):
    return Power(
        energy, {"clock": energy}, "gaussian", "00", 64, 8, 4.0, 1.1, 1.5, 2.0, WITHIN_TABLES
    )


def record(library, format, architecture, area, energy, lanes=16, design="pe"):
    products = 4 * lanes
    return Record(
        configuration=RecordedConfiguration(
            design, format, architecture, {"depth": 64, "lanes": lanes, "outputs": 4}
        ),
        library=library,
        recipe="area",
        target_delay_ns=None,
        area=products * area,
        area_unit="µm²",
        area_split=AreaSplit(
            products * 100.0, products * (area - 150.0), products * 50.0, control=0.0
        ),
        cells={},
        flip_flops=5,
        delay_ns=2.5,
        critical_path=None,
        delay_missing="",
        power=power(energy),
        check=Check("simulated", 10, 20),
        tools={},
        inputs_sha256="00",
    )


ELEMENTS = [
    record(library, *variant, scale * area, scale * energy)
    for library, scale in (("one", 1), ("two", 10))
    for variant, (area, energy) in COSTS.items()
]
FUSED = [
    replace(
        record(library, format, "fused", scale * area, scale * 60.0, lanes=32, design="fused"),
        power_int8=power(scale * 99.0),
    )
    for library, scale in (("one", 1), ("two", 10))
    for format, area in (("dINT4", 210.0), ("INT4", 190.0))
]


def rows(table):
    (group,) = table.groups
    assert all(len(row) == len(table.columns) for row in group.rows)
    return {row[0]: row[1:] for row in group.rows}


def test_architectures_with_their_parts_in_one_library():
    table = element_table(ELEMENTS, SIZE, "one")
    assert table.columns[:3] == ("one, µm²/MAC", "total", "registers")
    assert len(rows(table)) == len(COSTS)
    parts = ("200.0", "100.0", "50.00", "50.00", "0.000")
    assert rows(table)["dINT4 nr4sd"] == (*parts, "2.50", "50.00")


def test_other_sizes_and_netlists_for_a_delay_do_not_count():
    others = [record("one", "INT8", "fip", 1.0, 1.0, lanes=32)]
    others.append(replace(record("one", "INT8", "fip", 1.0, 1.0), target_delay_ns=2.0))
    assert element_table([*others, *ELEMENTS], SIZE, "one") == element_table(ELEMENTS, SIZE, "one")


def test_energies_with_their_parts():
    split = {"clock": 4.0, "products": None}
    undivided = replace(ELEMENTS[1], power=replace(power(9.0), split_fj=split))
    table = energy_table([ELEMENTS[0], undivided, replace(ELEMENTS[2], power=None)])
    assert table.columns == ("", "fJ/MAC", "clock", "products", "glitch factor")
    assert rows(table) == {
        "one, pe 16×4, INT8 booth_folded": ("80.00", "80.00", "—", "1.50"),
        "one, pe 16×4, INT8 nr4sd": ("9.00", "4.00", "—", "1.50"),
    }


def test_areas_and_energies_by_library():
    only_here = record("two", "INT8", "fip", 1.0, 2.0)
    cells = rows(overview_table([*ELEMENTS, only_here], SIZE, LIBRARIES))
    assert cells["INT8 booth_folded"] == ("400.0 (80.00)", "4,000 (800.0)")
    assert cells["INT8 fip"] == ("—", "1.00 (2.00)")


def test_ratios_name_both_architectures():
    cells = rows(size_table(ratios_of(ELEMENTS), SIZE, LIBRARIES))
    assert {name: row[0] for name, row in cells.items()} == {
        "best INT8 ÷ best INT4, area": "2.00× nr4sd ÷ nr4sd",
        "INT8 booth_folded ÷ best dINT4, area": "2.00× booth_folded ÷ nr4sd",
        "best INT8 ÷ best dINT4, area": "1.80× nr4sd ÷ nr4sd",
        "best dINT4 over best INT4, area": "+11.1 % nr4sd over nr4sd",
        "best INT8 ÷ best INT4, energy": "2.00× booth_folded ÷ nr4sd",
        "INT8 booth_folded ÷ best dINT4, energy": "1.82× booth_folded ÷ digits",
        "best INT8 ÷ best dINT4, energy": "1.82× booth_folded ÷ digits",
        "best dINT4 over best INT4, energy": "+10.0 % digits over nr4sd",
    }


def test_ratios_of_extrapolated_energies_are_marked():
    far = BeyondTables(arcs=0.5, energy=0.0, reach=9.0)
    marked = [
        replace(r, power=replace(r.power, beyond_tables=far))
        if r.configuration.format == "INT4"
        else r
        for r in ELEMENTS
    ]
    cells = rows(size_table(ratios_of(marked), SIZE, LIBRARIES))
    assert cells["best dINT4 over best INT4, energy"][0] == "+10.0 % † digits over nr4sd"
    assert cells["best INT8 ÷ best INT4, energy"][0] == "2.00× † booth_folded ÷ nr4sd"
    assert not any("†" in cell for name, row in cells.items() if "area" in name for cell in row)


def test_parts_of_the_smallest():
    cells = rows(part_table(ELEMENTS, SIZE, LIBRARIES))
    assert cells["one, registers"] == ("100.0", "100.0", "100.0", "1.00×", "0.000")
    assert cells["one, products"] == ("210.0", "50.00", "30.00", "4.20×", "20.00")
    assert cells["one, control"] == ("0.000", "0.000", "0.000", "—", "0.000")
    assert cells["one, all"] == ("360.0 nr4sd", "200.0 nr4sd", "180.0 nr4sd", "1.80×", "20.00")


def test_what_half_of_int8_would_be():
    cells = rows(reach_table(ELEMENTS, SIZE, LIBRARIES))
    assert [row[0] for row in cells.values()] == [
        "200.0",
        "180.0",
        "200.0",
        "180.0",
        "3.00×",
        "2.60×",
    ]


def test_areas_of_elements_for_two_precisions():
    cells = rows(fused_area_table(FUSED, ELEMENTS, LIBRARIES))
    assert cells["dINT4 and INT8: area ÷ INT8 booth_folded"] == ("1.05×", "1.05×")
    assert cells["dINT4 and INT8: area ÷ the smallest INT8"][0] == "1.17× nr4sd"
    assert cells["dINT4 and INT8: area ÷ two of the smallest dINT4"][0] == "1.05× nr4sd"
    assert cells["INT4 throughput per area, INT8 booth_folded = 1"][0] == "2.11×"


def test_where_the_surplus_goes():
    cells = rows(fused_surplus_table(FUSED, ELEMENTS, LIBRARIES))
    assert {name: row[0] for name, row in cells.items()} == {
        "registers": "100.0",
        "products": "−130.0",
        "adders": "50.00",
        "control": "0.000",
        "all": "20.00",
    }


def test_energies_of_both_modes_and_of_elements_for_one():
    cells = rows(fused_energy_table(FUSED, ELEMENTS, LIBRARIES))
    assert cells["dINT4 and INT8: dINT4 mode"] == ("60.00", "600.0")
    assert cells["dINT4 and INT8: INT8 mode"] == ("99.00", "990.0")
    assert cells["dINT4 alone, the lowest-energy element"][0] == "44.00 digits"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: element_table(ELEMENTS, "pe 8×8", "one"), "must have pe 8×8 in one"),
        (lambda: overview_table(ELEMENTS, SIZE, ["ge"]), "must have pe 16×4 in ge"),
        (lambda: part_table(ELEMENTS[:2], SIZE, ["one"]), "must have dINT4"),
        (lambda: reach_table(ELEMENTS[1:5], SIZE, ["one"]), "must have INT8 booth_folded"),
        (lambda: fused_area_table(FUSED[1:2], ELEMENTS, ["one"]), "must have dINT4 fused"),
    ],
)
def test_what_is_missing_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parts_that_are_not_told_apart_are_refused():
    undivided = [
        replace(r, area_split=replace(r.area_split, products=None))
        if r.configuration.format == "INT8"
        else r
        for r in ELEMENTS
    ]
    with pytest.raises(ValueError, match="INT8 nr4sd must have an area of products"):
        part_table(undivided, SIZE, LIBRARIES)
