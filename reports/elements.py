"""Tables of one size of a design: architectures, ratios, parts, and elements for two precisions.

A size is spelled as in plots, such as ``pe 16×4``. Libraries are columns, in the order in which
they are given. Records that were mapped for a delay do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from dintmac.reports.labels import (
    DASH,
    change,
    energy_per_mac,
    mark,
    netlist,
    number,
    short_title,
    times,
    times_of,
)
from dintmac.reports.tables import Group, Table
from dintmac.synth.ratios import Ratio
from dintmac.synth.records import Record

__all__ = [
    "BOOTH",
    "element_table",
    "energy_table",
    "fused_area_table",
    "fused_energy_table",
    "fused_surplus_table",
    "overview_table",
    "part_table",
    "reach_table",
    "rows_table",
    "size_table",
]

#: The baseline of the field, given everything that dINT4 is given.
BOOTH = "booth_folded"

#: Parts of an area, by the names that tables have for them.
_PARTS = {
    "registers": "registers",
    "products": "products",
    "adders": "accumulation",
    "control": "control",
}

#: 4-bit formats of ``fused``.
_FUSED_FORMATS = ("dINT4", "INT4")

#: Lanes and outputs.
Size = tuple[int, int]
_SIZE: Size = (16, 4)

#: Cells by the name of their row.
Column = dict[str, str]


def element_table(records: Iterable[Record], size: str, library: str) -> Table:
    """Areas per MAC with their parts, delays and energies, by architecture.

    Raises
    ------
    ValueError
        If there is no record of this size and library.
    """
    here = _at(records, size, library)
    head = f"{library}, {here[0].area_unit}/MAC"
    rows = [
        (
            netlist(record.configuration),
            number(_area(record)),
            *(number(_area(record, part)) for part in _PARTS),
            number(record.delay_ns),
            energy_per_mac(record.power),
        )
        for record in here
    ]
    return rows_table((head, "total", *_PARTS, "delay, ns", "fJ/MAC"), rows)


def energy_table(records: Iterable[Record]) -> Table:
    """Energies per MAC with their parts, in fJ, and glitch factors of all that have one."""
    measured = [(r, r.power) for r in records if r.power is not None]
    parts = list(dict.fromkeys(part for _, power in measured for part in power.split_fj))
    rows = [
        (
            f"{r.library}, {short_title(r.configuration)}, {netlist(r.configuration)}",
            energy_per_mac(power),
            *(number(power.split_fj.get(part)) for part in parts),
            number(power.glitch_factor),
        )
        for r, power in measured
    ]
    return rows_table(("", "fJ/MAC", *parts, "glitch factor"), rows)


def overview_table(records: Iterable[Record], size: str, libraries: Sequence[str]) -> Table:
    """Areas and energies per MAC, by architecture and library.

    Raises
    ------
    ValueError
        If there is no record of this size in one of the libraries.
    """
    columns = [
        {
            netlist(r.configuration): f"{number(_area(r))} ({energy_per_mac(r.power)})"
            for r in _at(records, size, library)
        }
        for library in libraries
    ]
    return _beside(f"{size}, area per MAC (fJ/MAC)", libraries, columns)


def size_table(ratios: Iterable[Ratio], size: str, libraries: Sequence[str]) -> Table:
    """Ratios at one size: folded Booth and the best INT8, and what denormals cost."""
    here = [r for r in ratios if short_title(r) == size and r.delay_ns is None]
    columns = [_ratio_column([r for r in here if r.library == library]) for library in libraries]
    return _beside(size, libraries, columns)


def part_table(records: Iterable[Record], size: str, libraries: Sequence[str]) -> Table:
    """Where the area of the smallest of each format goes.

    Raises
    ------
    ValueError
        If INT8, dINT4 or INT4 is missing in one of the libraries.
    """
    rows = [row for library in libraries for row in _part_rows(_at(records, size, library))]
    head = (f"{size}, area per MAC", "INT8", "dINT4", "INT4", "INT8 ÷ dINT4", "dINT4 − INT4")
    return rows_table(head, rows)


def reach_table(records: Iterable[Record], size: str, libraries: Sequence[str]) -> Table:
    """What dINT4 takes, what half of INT8 is, and the ratios if registers took nothing.

    Raises
    ------
    ValueError
        If INT8 in :data:`BOOTH`, dINT4 or INT4 is missing in one of the libraries.
    """
    columns = [_reach_column(_at(records, size, library)) for library in libraries]
    return _beside(f"{size}, area per MAC", libraries, columns)


def fused_area_table(
    fused: Iterable[Record],
    elements: Iterable[Record],
    libraries: Sequence[str],
    size: Size = _SIZE,
) -> Table:
    """Elements for two precisions against elements for one, in area.

    Parameters
    ----------
    fused : iterable of Record
        Elements for two precisions, with as many INT8 products.
    elements : iterable of Record
        Processing elements.
    libraries : sequence of str
    size : (int, int)
        Lanes and outputs of a processing element.

    Raises
    ------
    ValueError
        If one is missing in one of the libraries.
    """
    columns = [_fused_areas(*_both(fused, elements, library, size)) for library in libraries]
    return _beside("", libraries, columns)


def fused_surplus_table(
    fused: Iterable[Record], elements: Iterable[Record], libraries: Sequence[str]
) -> Table:
    """Where the area goes that dINT4's has beyond folded Booth, for each INT8 product.

    Parameters and errors are those of :func:`fused_area_table`.
    """
    columns = [_fused_surplus(*_both(fused, elements, library)) for library in libraries]
    return _beside(f"dINT4 and INT8, less INT8 {BOOTH}", libraries, columns)


def fused_energy_table(
    fused: Iterable[Record], elements: Iterable[Record], libraries: Sequence[str]
) -> Table:
    """Energies of elements for two precisions in both modes, and of elements for one.

    Parameters and errors are those of :func:`fused_area_table`.
    """
    columns = [_fused_energies(*_both(fused, elements, library)) for library in libraries]
    return _beside("fJ/MAC", libraries, columns)


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose first column names the rows and whose others hold numbers."""
    numeric = (False, *(True for _ in columns[1:]))
    return Table("", tuple(columns), numeric, (Group("", tuple(map(tuple, rows))),))


def _beside(head: str, libraries: Sequence[str], columns: Sequence[Mapping[str, str]]) -> Table:
    """A table of columns side by side; a dash stands where one lacks a row."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, *(column.get(name, DASH) for column in columns)) for name in names]
    return rows_table((head, *libraries), rows)


def _at(records: Iterable[Record], size: str, library: str) -> list[Record]:
    found = [
        r
        for r in records
        if (short_title(r.configuration), r.library, r.target_delay_ns) == (size, library, None)
    ]
    if not found:
        raise ValueError(f"the report must have {size} in {library}")
    return found


def _both(
    fused: Iterable[Record], elements: Iterable[Record], library: str, size: Size = _SIZE
) -> tuple[list[Record], list[Record]]:
    """Elements for two precisions and for one, of as many INT8 products, in one library."""
    lanes, outputs = size
    both = _at(fused, f"fused {2 * lanes}×{outputs}", library)
    return both, _at(elements, f"pe {lanes}×{outputs}", library)


def _only(records: Iterable[Record], format: str, architecture: str) -> Record:
    for record in records:
        if netlist(record.configuration) == f"{format} {architecture}":
            return record
    raise ValueError(f"the report must have {format} {architecture}")


def _best(records: Iterable[Record], format: str, value: Callable[[Record], float]) -> Record:
    of_format = [r for r in records if r.configuration.format == format]
    if not of_format:
        raise ValueError(f"the report must have {format}")
    return min(of_format, key=value)


def _named(text: str, record: Record) -> str:
    """A value, and the architecture that it is that of."""
    return f"{text} {record.configuration.architecture}"


def _area(record: Record, part: str = "") -> float:
    """Area, or a part of it, over the products of a cycle."""
    area = getattr(record.area_split, _PARTS[part]) if part else record.area
    if area is None:
        raise ValueError(f"{netlist(record.configuration)} must have an area of {part}")
    return float(area / record.products_per_cycle)


def _energy(record: Record) -> float:
    return record.power.energy_per_mac_fj if record.power else float("inf")


def _ratio_column(ratios: Sequence[Ratio]) -> Column:
    """The ratios of one size and library that docs tell of."""
    cells = {}
    for r in ratios:
        formats = (r.baseline.format, r.candidate.format)
        if formats == ("INT8", "dINT4") and r.baseline.architecture == BOOTH:
            cells[f"INT8 {BOOTH} ÷ best dINT4, {r.metric}"] = _quotient(r)
        if formats == ("INT4", "dINT4") and r.strongest:
            cells[f"best dINT4 over best INT4, {r.metric}"] = _surcharge(r)
        elif r.strongest:
            cells["best {} ÷ best {}, {}".format(*formats, r.metric)] = _quotient(r)
    return cells


def _quotient(ratio: Ratio) -> str:
    return f"{times_of(ratio)} {ratio.baseline.architecture} ÷ {ratio.candidate.architecture}"


def _surcharge(ratio: Ratio) -> str:
    more = change(1 / ratio.ratio) + mark(ratio.extrapolated)
    return f"{more} {ratio.candidate.architecture} over {ratio.baseline.architecture}"


def _part_rows(records: Sequence[Record]) -> Iterable[Sequence[str]]:
    """The parts of the smallest of each format in one library."""
    smallest = [_best(records, format, _area) for format in ("INT8", "dINT4", "INT4")]
    library = records[0].library
    for part in _PARTS:
        areas = [_area(record, part) for record in smallest]
        yield f"{library}, {part}", *map(number, areas), *_compared(areas)
    areas = [_area(record) for record in smallest]
    totals = [_named(number(_area(record)), record) for record in smallest]
    yield f"{library}, all", *totals, *_compared(areas)


def _compared(areas: Sequence[float]) -> tuple[str, str]:
    """INT8 over dINT4, and what dINT4 takes beyond INT4."""
    int8, dint4, int4 = areas
    return times(int8 / dint4) if dint4 else DASH, number(dint4 - int4)


def _reach_column(records: Sequence[Record]) -> Column:
    booth = _only(records, "INT8", BOOTH)
    int8, dint4, int4 = (_best(records, format, _area) for format in ("INT8", "dINT4", "INT4"))

    def logic(record: Record) -> float:
        return _area(record) - _area(record, "registers")

    return {
        "best dINT4": number(_area(dint4)),
        "best INT4": number(_area(int4)),
        f"half of INT8 {BOOTH}": number(_area(booth) / 2),
        "half of the best INT8": number(_area(int8) / 2),
        f"INT8 {BOOTH} ÷ best dINT4, without registers": times(logic(booth) / logic(dint4)),
        "best INT8 ÷ best dINT4, without registers": times(logic(int8) / logic(dint4)),
    }


def _fused_areas(fused: Sequence[Record], elements: Sequence[Record]) -> Column:
    booth = _only(elements, "INT8", BOOTH)
    int8 = _best(elements, "INT8", _area)
    cells: Column = {}
    for format in _FUSED_FORMATS:
        area = _only(fused, format, "fused").area
        alone = _best(elements, format, _area)
        name = f"{format} and INT8: area"
        cells |= {
            f"{name} ÷ INT8 {BOOTH}": times(area / booth.area),
            f"{name} ÷ the smallest INT8": _named(times(area / int8.area), int8),
            f"{name} ÷ two of the smallest {format}": _named(times(area / (2 * alone.area)), alone),
            f"{format} throughput per area, INT8 {BOOTH} = 1": times(2 * booth.area / area),
        }
    return cells


def _fused_surplus(fused: Sequence[Record], elements: Sequence[Record]) -> Column:
    both, booth = _only(fused, "dINT4", "fused"), _only(elements, "INT8", BOOTH)
    # An INT8 product takes a pair of lanes, which counts as two products of 4-bit weights.
    parts = {part: 2 * _area(both, part) - _area(booth, part) for part in _PARTS}
    surplus = parts | {"all": 2 * _area(both) - _area(booth)}
    return {part: number(area) for part, area in surplus.items()}


def _fused_energies(fused: Sequence[Record], elements: Sequence[Record]) -> Column:
    cells = {}
    for format in _FUSED_FORMATS:
        element = _only(fused, format, "fused")
        cells[f"{format} and INT8: {format} mode"] = energy_per_mac(element.power)
        cells[f"{format} and INT8: INT8 mode"] = energy_per_mac(element.power_int8)
    for format in (*_FUSED_FORMATS, "INT8"):
        alone = _best(elements, format, _energy)
        energy = _named(energy_per_mac(alone.power), alone)
        cells[f"{format} alone, the lowest-energy element"] = energy
    return cells
