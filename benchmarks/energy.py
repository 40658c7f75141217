"""Energy per MAC of MACs, dot products and processing elements, by part.

    python benchmarks/energy.py --library nangate45
    python benchmarks/energy.py --library nangate45 --workload minilm_int8.npz minilm_dint4.npz

Without workload files (examples/minilm_workload.py makes some, one for each format) the data are
Gaussian. Prints a table in Markdown; what was measured before comes from the cache.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.workload import Workload, load
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.designs import Configuration
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.measure import measure_all
from dintmac.synth.records import Record
from dintmac.synth.stimuli import gaussian

FORMATS = (INT8, INT4, DINT4)
DESIGNS: dict[str, dict[str, int]] = {
    "mac": {},
    "dot": {"lanes": 16},
    "pe": {"lanes": 16, "outputs": 4},
}


def workloads_of(workloads: Sequence[Path]) -> dict[str, Workload]:
    """Workloads by format: of files, or Gaussian ones."""
    if not workloads:
        return {format.name: gaussian(format) for format in FORMATS}
    return {workload.format.name: workload for workload in map(load, workloads)}


def configurations(data: dict[str, Workload]) -> Iterator[Configuration]:
    """All designs in all architectures that write their products out."""
    for design, sizes in DESIGNS.items():
        for format in FORMATS:
            for architecture in architectures_of(format, resident=True):
                if format.name in data and architecture.generator is not None:
                    yield Configuration(design, format, architecture.name, sizes)


def row(record: Record) -> str:
    """A line of the table, in fJ."""
    power = record.power
    assert power is not None
    parts = " | ".join(f"{value:.0f}" for value in power.split_fj.values() if value is not None)
    return (
        f"| {record.library} | {record.design} | {record.format} {record.architecture} "
        f"| {power.energy_per_mac_fj:.0f} | {parts} | {power.glitch_factor:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--library", action="append", help="name or file, repeatable")
    parser.add_argument("--workload", type=Path, nargs="+", default=[], metavar="FILE")
    arguments = parser.parse_args()
    data = workloads_of(arguments.workload)
    libraries: list[Library] = find_libraries(arguments.library)
    jobs = [(c, library) for library in libraries for c in configurations(data)]
    records = measure_all(jobs, data=data, workers=os.cpu_count())
    measured = [record for record in records if record.power is not None]
    heads = list(measured[0].power.split_fj) if measured and measured[0].power else []
    print(f"| library | design | format | fJ/MAC | {' | '.join(heads)} | glitch factor |")
    print(f"|---|---|---|{'---:|' * (len(heads) + 2)}")
    for record in measured:
        print(row(record))


if __name__ == "__main__":
    main()
