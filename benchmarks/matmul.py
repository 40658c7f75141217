"""Time of the exact integer matmul against numpy.matmul in float32, in the same run.

Prints a line for each format; exits 1 if a ratio of medians is above the limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul

LIMIT = 3.0


def seconds(function: Callable[..., object], *operands: object) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function(*operands)
    return time.perf_counter() - start


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, help="rows, columns and depth")
    parser.add_argument("--repeats", type=int, default=15, help="interleaved runs of each")
    parser.add_argument("--seed", type=int, default=0, help="seed of the operands")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    shape = (arguments.size, arguments.size)
    activations = rng.integers(-128, 128, shape, dtype=np.int8)
    left, right = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    worst = 0.0
    for format in (INT8, INT4, DINT4):
        weights = rng.integers(0, format.codes, shape, dtype=np.uint8)
        reference, exact = [], []
        for _ in range(arguments.repeats + 1):
            reference.append(seconds(np.matmul, left, right.T))
            exact.append(seconds(matmul, activations, weights, format))
        # The first pair warms the caches and the BLAS threads up.
        base, ours = statistics.median(reference[1:]), statistics.median(exact[1:])
        worst = max(worst, ours / base)
        print(
            f"{format.name:6} exact {1e3 * ours:7.1f} ms, float32 {1e3 * base:7.1f} ms, "
            f"ratio {ours / base:.2f}"
        )
    print(f"worst ratio {worst:.2f}, limit {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
