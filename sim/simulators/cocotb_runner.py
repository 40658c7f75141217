"""Builds and runs one simulation with cocotb's runner.

It runs in a process of its own, so that its environment, exit and output are its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

from dintmac.hdl.processes import end_with_parent


def main(folder: Path) -> None:
    """Run what ``run.json`` in a folder says; logs and the result stay in that folder."""
    run = json.loads((folder / "run.json").read_text("utf-8"))
    runner = get_runner(run["simulator"])
    runner.build(
        sources=[folder / "design.v"],
        hdl_toplevel=run["top"],
        build_args=run["build_args"],
        build_dir=folder / "build",
        timescale=("1ns", "1ps"),
        waves=run["waves"],
        always=True,
        log_file=folder / "build.log",
    )
    runner.test(
        test_module="dintmac.sim.simulators.cocotb_entry",
        hdl_toplevel=run["top"],
        hdl_toplevel_lang="verilog",
        plusargs=run["plusargs"],
        waves=run["waves"],
        build_dir=folder / "build",
        test_dir=folder,
        extra_env={"DINTMAC_JOB": str(folder)},
        log_file=folder / "test.log",
    )


if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]))
