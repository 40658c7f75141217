"""What the arithmetic earns: INT8 against dINT4 in area, energy and area at equal delay.

    python benchmarks/arithmetic.py --library nangate45
    python benchmarks/arithmetic.py --library nangate45 --size 16x4 --size 32x8 --size 64x8
    python benchmarks/arithmetic.py --library nangate45 --target-delay 1.5
    python benchmarks/arithmetic.py --workload int8.npz --workload int4.npz --workload dint4.npz

Measures processing elements with double-buffered weights of every size (lanes x outputs) in every
architecture, two precisions in one element, and the INT8 dot product, and prints the tables of
docs/arithmetic.md as Markdown. Every netlist is compared with the golden model before it counts.
Energy is that of the given workloads, one for each format (examples/minilm_workload.py makes them),
or of Gaussian data. With a target delay, elements are pipelined (a register of two rows in the
tree, a prefix adder) and mapped for that clock period. What was measured before comes from the
cache; $DINTMAC_CACHE names another folder.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dintmac.golden.formats import DINT4, INT4, INT8, Format
from dintmac.golden.workload import Workload, load
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.designs import Configuration
from dintmac.synth.curves import smallest_within
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.measure import measure_all
from dintmac.synth.records import Record
from dintmac.synth.stimuli import gaussian
from dintmac.synth.timing import has_delays

FORMATS = (INT8, INT4, DINT4)
#: The baseline of the field, given everything that dINT4 is given.
BOOTH = "booth_folded"
PIPELINE = {"tree_register": 2, "fast_adder": 1}

Sizes = dict[str, int]


def elements(sizes: Sizes) -> list[Configuration]:
    """Processing elements of one size in every format and architecture."""
    return [
        Configuration("pe", format, architecture.name, sizes)
        for format in FORMATS
        for architecture in architectures_of(format, resident=True)
        if architecture.generator is not None
    ]


def fused(sizes: Sizes) -> list[Configuration]:
    """Elements for two precisions with the INT8 throughput of an element of a size."""
    doubled = sizes | {"lanes": 2 * sizes["lanes"]}
    return [Configuration("fused", format, "", doubled) for format in (DINT4, INT4)]


def dot_products() -> list[Configuration]:
    """INT8 dot products of 16 lanes with all their registers and an accumulator of 28 bits."""
    return [
        Configuration("dot", INT8, architecture.name, {"lanes": 16})
        for architecture in architectures_of(INT8, resident=True)
        if architecture.generator is not None
    ]


def size_of(text: str) -> Sizes:
    """``16x4`` as lanes and outputs."""
    lanes, separator, outputs = text.partition("x")
    if not (separator and lanes.isdigit() and outputs.isdigit()):
        raise argparse.ArgumentTypeError(f"a size must be LANESxOUTPUTS, not {text!r}")
    return {"lanes": int(lanes), "outputs": int(outputs)}


def measured(
    jobs: Sequence[tuple[Configuration, Library, float | None]], data: Mapping[str, Workload]
) -> list[Record]:
    """Records of all jobs, with progress on standard error."""

    def report(done: int, total: int, record: Record) -> None:
        line = f"{done}/{total} {record.library} {record.design} {record.format}"
        print(f"{line} {record.architecture} {record.parameters}", file=sys.stderr, flush=True)

    return measure_all(jobs, data=data, workers=os.cpu_count(), progress=report)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n| {' | '.join(head)} |")
    print("|---" * len(head) + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def name(record: Record) -> str:
    """Format and architecture."""
    return f"{record.format} `{record.architecture}`"


def energy(record: Record) -> float:
    """Energy of a MAC in fJ; infinite where it is not measured."""
    return record.power.energy_per_mac_fj if record.power else float("inf")


def print_elements(title: str, records: Sequence[Record]) -> None:
    """Print areas for each product with their parts, delay and energy."""
    rows = []
    for r in records:
        split = r.area_split
        parts = (r.area, split.registers, split.products or 0, split.accumulation, split.control)
        rows.append(
            [
                name(r),
                *(f"{part / r.products_per_cycle:.1f}" for part in parts),
                "—" if r.delay_ns is None else f"{r.delay_ns:.2f}",
                "—" if r.power is None else f"{energy(r):.0f}",
            ]
        )
    head = ("total", "registers", "products", "adders", "control", "delay, ns", "fJ/MAC")
    print_table((title, *head), rows)


def ratios(records: Sequence[Record], value: Callable[[Record], float]) -> list[str]:
    """Booth over dINT4, the best INT8 over dINT4, and dINT4 over the best INT4."""

    def best(format: Format) -> Record:
        return min((r for r in records if r.format == format.name), key=value)

    int8, int4, dint4 = best(INT8), best(INT4), best(DINT4)
    if value(dint4) == float("inf"):
        return ["—"] * 3
    booth = min(value(r) for r in records if r.architecture == BOOTH)
    return [
        f"{booth / value(dint4):.3f}",
        f"{value(int8) / value(dint4):.3f} (`{int8.architecture}`)",
        f"{value(dint4) / value(int4):.3f} (`{int4.architecture}`)",
    ]


def print_fused(title: str, records: Sequence[Record], baseline: Record) -> None:
    """Print elements for two precisions against folded Booth of equal INT8 throughput."""
    rows = [
        [
            f"fused, {r.format} and INT8",
            f"{r.area / baseline.area:.3f}",
            f"{2 * baseline.area / r.area:.3f}",
        ]
        for r in records
    ]
    print_table((title, "area ÷ INT8 `booth_folded`", "4-bit throughput per area"), rows)


def print_library(
    library: Library, sizes: Sequence[Sizes], targets: Sequence[float], records: Sequence[Record]
) -> None:
    """Print all tables of one library."""
    own = [r for r in records if r.library == library.name]
    summary = []
    for size in sizes:
        title = f"{library.name}, {size['lanes']} × {size['outputs']}"
        lanes, outputs = size["lanes"], size["outputs"]
        group = [r for r in own if r.design == "pe" and sides(r) == (lanes, outputs)]
        group = [r for r in group if not is_pipelined(r)]
        print_elements(title, group)
        summary.append([f"{title}, area", *ratios(group, lambda r: r.area)])
        summary.append([f"{title}, energy", *ratios(group, energy)])
        (baseline,) = (r for r in group if r.architecture == BOOTH)
        both = [r for r in own if r.design == "fused" and sides(r) == (2 * lanes, outputs)]
        print_fused(title, both, baseline)
    for target in targets:
        groups = by_variant([r for r in own if is_pipelined(r)])
        meet = [r for group in groups if (r := smallest_within(group, target)) is not None]
        if {r.format for r in meet} == {f.name for f in FORMATS} and any(
            r.architecture == BOOTH for r in meet
        ):
            lead = f"{library.name}, area at {target:g} ns"
            summary.append([lead, *ratios(meet, lambda r: r.area)])
    head = ("", "INT8 `booth_folded` ÷ dINT4", "best INT8 ÷ dINT4", "dINT4 ÷ best INT4")
    print_table(head, summary)
    dots = sorted((r for r in own if r.design == "dot"), key=lambda r: r.area)
    print_table(
        (f"{library.name}, INT8 dot product of 16 lanes", "area"),
        [[name(r), f"{r.area:,.0f}"] for r in dots],
    )


def sides(record: Record) -> tuple[int, int]:
    """Lanes and outputs."""
    return record.parameters["lanes"], record.parameters["outputs"]


def is_pipelined(record: Record) -> bool:
    """Whether it has the stages of those that are mapped for a delay."""
    return PIPELINE.items() <= record.parameters.items()


def by_variant(records: Sequence[Record]) -> list[list[Record]]:
    """Records of equal format and architecture."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(name(record), []).append(record)
    return list(groups.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--library", action="append", metavar="NAME|PATH")
    parser.add_argument("--size", action="append", type=size_of, metavar="LANESxOUTPUTS")
    parser.add_argument("--target-delay", action="append", type=float, metavar="NS")
    parser.add_argument("--workload", action="append", type=Path, metavar="FILE.npz")
    arguments = parser.parse_args()
    started = time.monotonic()
    libraries = find_libraries(arguments.library)
    sizes = arguments.size or [size_of("16x4"), size_of("32x8")]
    targets = arguments.target_delay or []
    if arguments.workload:
        data = {w.format.name: w for w in map(load, arguments.workload)}
    else:
        data = {format.name: gaussian(format) for format in FORMATS}
    plain = [c for size in sizes for c in (*elements(size), *fused(size))] + dot_products()
    pipelined = elements(sizes[0] | PIPELINE)
    jobs: list[tuple[Configuration, Library, float | None]] = [
        (configuration, library, None) for library in libraries for configuration in plain
    ]
    jobs += [
        (configuration, library, target)
        for library in libraries
        if has_delays(library) and targets
        for configuration in pipelined
        for target in (None, *targets)
    ]
    records = measured(jobs, data)
    for library in libraries:
        print_library(library, sizes, targets, records)
    print(f"\n{len(records)} netlists in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
