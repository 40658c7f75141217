"""What the arithmetic earns: INT8 against dINT4 in area, energy and area at equal delay.

    python benchmarks/arithmetic.py --library nangate45
    python benchmarks/arithmetic.py --library nangate45 --size 16x4 --size 64x8 --architecture nr4sd
    python benchmarks/arithmetic.py --workload int8.npz --workload int4.npz --workload dint4.npz

Measures processing elements with double-buffered weights of every size (lanes x outputs), two
precisions in one element, and the INT8 dot product, and prints tables as Markdown: those at equal
delay stand in docs/arithmetic.md. Every netlist is compared with the golden model before it counts.
The first size is measured in every architecture and, where the library states delays, at equal
delay as well; the others in the architectures that are smallest there. ``--architecture`` names
those to measure beside the baseline. Energy is that of the given workloads, one for each format
(examples/minilm_workload.py makes them), or of Gaussian data. What was measured before comes from
the cache; $DINTMAC_CACHE names another folder.

At equal delay every architecture has the choice of its stages: none, a prefix adder, a register in
the tree, one for the operands as well. The clock periods are parts of the delay of INT8's folded
Booth without stages. What misses one by little, and is smaller than all of its format that meet
it, is mapped once more, for that period.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.workload import Workload
from dintmac.hdl.architectures import ARCHITECTURES, architectures_of
from dintmac.hdl.configuration import Configuration
from dintmac.reports.elements import (
    BOOTH,
    element_table,
    fused_area_table,
    overview_table,
    rows_table,
    size_table,
)
from dintmac.reports.grouping import grouped
from dintmac.reports.labels import DASH, netlist
from dintmac.reports.pages import markdown_table
from dintmac.reports.tables import Table
from dintmac.synth.curves import smallest_within, throughput_per_area
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.measure import measure_all
from dintmac.synth.ratios import ratios_of
from dintmac.synth.records import Record
from dintmac.synth.stimuli import workloads_of
from dintmac.synth.timing import delay_missing

FORMATS = (INT8, INT4, DINT4)
Sizes = dict[str, int]
Job = tuple[Configuration, Library, float | None]

#: Stages among which every architecture chooses its own at a clock period.
STAGES: tuple[Sizes, ...] = (
    {},
    {"fast_adder": 1},
    {"tree_register": 2, "fast_adder": 1},
    {"operand_register": 1, "tree_register": 2, "fast_adder": 1},
)
#: Clock periods, in parts of the delay of the baseline without stages.
PERIODS = (1.0, 0.8, 0.6)
#: How much too slow, at most, is what is mapped once more for a period.
NEAR = 1.15


def elements(
    sizes: Sizes, names: Sequence[str] | None, *, best: bool = False
) -> list[Configuration]:
    """Processing elements of one size in every format and architecture, or the best alone.

    The best are all that are folded but ``r4n``, which ``nr4sd`` is without its activation term.
    With ``names`` they are those, and the baseline.
    """
    return [
        Configuration("pe", format, architecture.name, sizes)
        for format in FORMATS
        for architecture in architectures_of(format)
        if architecture.generator is not None
        if not best or (architecture.is_folded and architecture.name != "r4n")
        if names is None or architecture.name in (*names, BOOTH)
    ]


def fused(sizes: Sizes) -> list[Configuration]:
    """Elements for two precisions with the INT8 throughput of an element of a size."""
    doubled = sizes | {"lanes": 2 * sizes["lanes"]}
    return [Configuration("fused", format, "", doubled) for format in (DINT4, INT4)]


def dot_products() -> list[Configuration]:
    """INT8 dot products of 16 lanes with all their registers and an accumulator of 28 bits."""
    return [
        Configuration("dot", INT8, architecture.name, {"lanes": 16})
        for architecture in architectures_of(INT8)
        if architecture.generator is not None
    ]


def size_of(text: str) -> Sizes:
    """``16x4`` as lanes and outputs."""
    lanes, separator, outputs = text.partition("x")
    if not (separator and lanes.isdigit() and outputs.isdigit()):
        raise argparse.ArgumentTypeError(f"a size must be LANESxOUTPUTS, not {text!r}")
    return {"lanes": int(lanes), "outputs": int(outputs)}


def measured(jobs: Sequence[Job], data: Mapping[str, Workload]) -> list[Record]:
    """Records of all jobs, with progress on standard error."""

    def report(done: int, total: int, record: Record) -> None:
        name = record.configuration.configuration().name
        print(f"{done}/{total} {record.library} {name}", file=sys.stderr, flush=True)

    # The longest first, so that no processor waits for the last.
    order = sorted(range(len(jobs)), key=lambda i: effort(jobs[i]), reverse=True)
    done = measure_all([jobs[i] for i in order], data=data, workers=os.cpu_count(), progress=report)
    by_job = dict(zip(order, done, strict=True))
    return [by_job[i] for i in range(len(jobs))]


def effort(job: Job) -> float:
    """About how long a job takes: by bits of weights, and longer for a shorter period."""
    configuration, _, period_ns = job
    products = configuration.parameters["lanes"] * configuration.parameters.get("outputs", 1)
    return products * configuration.format.bits / (period_ns or 100)


def print_table(table: Table) -> None:
    """Print a Markdown table."""
    print(f"\n{markdown_table(table)}", flush=True)


#: Heads of the columns of :func:`ratios`.
RATIOS = ("", f"INT8 {BOOTH} ÷ dINT4", "best INT8 ÷ dINT4", "dINT4 ÷ best INT4")


def ratios(records: Sequence[Record], value: Callable[[Record], float]) -> list[str]:
    """Booth over dINT4, the best INT8 over dINT4, and dINT4 over the best INT4.

    Stages may differ between the sides, so these are not the ratios of a report.
    """
    best: dict[str, Record] = {}
    for record in sorted(records, key=value, reverse=True):
        best[record.configuration.format] = record
    if best.keys() != {format.name for format in FORMATS}:
        return [DASH] * 3
    int8, int4, dint4 = (best[format.name] for format in FORMATS)
    booth = [f"{value(r) / value(dint4):.3f}" for r in records if is_booth(r)]
    return [
        booth[0] if booth else DASH,
        f"{value(int8) / value(dint4):.3f} {int8.configuration.architecture}",
        f"{value(dint4) / value(int4):.3f} {int4.configuration.architecture}",
    ]


def print_library(library: Library, sizes: Sequence[Sizes], records: Sequence[Record]) -> None:
    """Print the tables of areas and energies of one library."""
    names, found = [library.name], ratios_of(records)
    for lanes, outputs in (size.values() for size in sizes):
        print_table(element_table(records, f"pe {lanes}×{outputs}", library.name))
        print_table(size_table(found, f"pe {lanes}×{outputs}", names))
    print_table(fused_area_table(records, records, names, tuple(sizes[0].values())))
    print_table(overview_table(records, "dot 16", names))


def at_equal_delay(library: Library, size: Sizes, names: Sequence[str] | None) -> None:
    """Measure elements with the stages of their choice, and print them at equal delay."""
    staged = [
        (c, library, None) for stages in STAGES for c in elements(size | stages, names, best=True)
    ]
    records = measured(staged, {})
    (baseline,) = (r.delay_ns for r in records if is_booth(r) and is_plain(r))
    assert baseline is not None
    periods = [round(part * baseline, 2) for part in PERIODS]
    hurried: list[Job] = [
        (record.configuration.configuration(), library, period)
        for period in periods
        for own in by_variant(records)
        for record in nearly(own, rivals(own, records), period)
    ]
    records += measured(hurried, {})
    title = f"{library.name}, {size['lanes']} × {size['outputs']}"
    rows = []
    for period in periods:
        group = [r for own in by_variant(records) if (r := smallest_within(own, period))]
        rows.append([f"{title}, area at {period:g} ns", *ratios(group, lambda r: r.area)])
    best = [max(own, key=throughput_per_area) for own in by_variant(records)]
    rows.append(
        [f"{title}, best throughput per area", *ratios(best, lambda r: 1 / throughput_per_area(r))]
    )
    print_table(rows_table(RATIOS, rows))
    head = (f"{title}, the smallest that work at a period", *(f"{p:g} ns" for p in periods))
    choices = [
        [
            netlist(own[0].configuration),
            *(choice(smallest_within(own, period)) for period in periods),
        ]
        for own in by_variant(records)
    ]
    print_table(rows_table(head, choices))


def rivals(own: Sequence[Record], records: Sequence[Record]) -> Sequence[Record]:
    """What an architecture has to beat: all of its format, and the baseline itself alone."""
    if is_booth(own[0]):
        return own
    return [r for r in records if r.configuration.format == own[0].configuration.format]


def nearly(records: Sequence[Record], others: Sequence[Record], period_ns: float) -> list[Record]:
    """Of one architecture those that may win once they are mapped for a period.

    They are smaller than what is fast enough already and miss the period by little; where nothing
    is fast enough, the fastest is one of them.
    """
    winner = smallest_within(others, period_ns)
    near = [r for r in records if period_ns < delay(r) <= NEAR * period_ns]
    if winner is None:
        return near or [min(records, key=delay)]
    return [r for r in near if r.area < winner.area]


def is_plain(record: Record) -> bool:
    """Whether it has no stages."""
    return not STAGES[-1].keys() & record.configuration.parameters.keys()


def is_booth(record: Record) -> bool:
    """Whether it is of the baseline's architecture."""
    return record.configuration.architecture == BOOTH


def delay(record: Record) -> float:
    """The shortest clock period in ns."""
    assert record.delay_ns is not None
    return record.delay_ns


def choice(record: Record | None) -> str:
    """Area and delay, and the stages they are those of."""
    if record is None:
        return DASH
    given = record.configuration.parameters
    stages = [option.replace("_", " ") for option in STAGES[-1] if option in given]
    mapped = "mapped for it" if record.target_delay_ns else ""
    notes = ", ".join(filter(None, [*stages, mapped]))
    return f"{record.area:,.0f} ({delay(record):.2f} ns{', ' if notes else ''}{notes})"


def by_variant(records: Sequence[Record]) -> list[list[Record]]:
    """Records of equal format and architecture."""
    return list(grouped(records, lambda record: netlist(record.configuration)).values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--library", action="append", metavar="NAME|PATH")
    parser.add_argument("--size", action="append", type=size_of, metavar="LANESxOUTPUTS")
    parser.add_argument("--workload", action="append", type=Path, metavar="FILE.npz")
    parser.add_argument("--architecture", action="append", choices=ARCHITECTURES, metavar="NAME")
    arguments = parser.parse_args()
    names = arguments.architecture
    started = time.monotonic()
    sizes = arguments.size or [size_of("16x4"), size_of("32x8")]
    data = workloads_of(arguments.workload or [], FORMATS)
    configurations = elements(sizes[0], names) + dot_products()
    configurations += [c for size in sizes[1:] for c in elements(size, names, best=True)]
    configurations += fused(sizes[0])
    for library in find_libraries(arguments.library):
        records = measured([(c, library, None) for c in configurations], data)
        print_library(library, sizes, records)
        if missing := delay_missing(library):
            print(f"\nNo delays: {missing}.")
        else:
            at_equal_delay(library, sizes[0], names)
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except ValueError as problem:
        sys.exit(str(problem))
