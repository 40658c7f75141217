# amaranth: UnusedElaboratable=no
"""Verilog export of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.back import rtlil

from dintmac.golden.files import temporary_folder
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.description import head, port_list, port_map
from dintmac.hdl.hierarchy import Hierarchy, Part
from dintmac.hdl.ports import FlatPorts, Image, Port
from dintmac.hdl.readable import readable
from dintmac.hdl.yosys import find_yosys

__all__ = ["PART_ATTRIBUTE", "Export", "export"]

#: Attribute of a Verilog module: the :class:`Part` that its own logic counts to; of one without,
#: that is the control.
PART_ATTRIBUTE = "dintmac_part"


@dataclass(frozen=True)
class Export:
    """Verilog of a configuration and what its user needs to know.

    Attributes
    ----------
    module : str
        Name of the top module.
    modules : str
        Verilog of all modules.
    ports : tuple of Port
        Without ``clk`` and ``rst``.
    configuration : Configuration
    images : tuple of Image
        Files with prepared weights that come with it, if any do.
    """

    module: str
    modules: str
    ports: tuple[Port, ...]
    configuration: Configuration
    images: tuple[Image, ...] = ()

    @property
    def verilog(self) -> str:
        """The modules behind a head that says what they are and how they are used."""
        return f"{head(self)}\n{self.modules}"

    @property
    def port_map(self) -> str:
        """What the head says, for programs, and every port, code and image: JSON text."""
        return port_map(self)


def export(configuration: Configuration, module: str | None = None) -> Export:
    """Verilog-2005 of a configuration.

    Components that are alike become one module, however many instances there are.

    Parameters
    ----------
    configuration : Configuration
    module : str or None
        Name of the top module, and beginning of the names of all others; the design's name if
        None.

    Raises
    ------
    ValueError
        If ``module`` is no Verilog identifier.
    YosysError
        If there is no Yosys.
    """
    name = configuration.design if module is None else module
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        raise ValueError(f"module must be a Verilog identifier, not {name!r}")
    flat = FlatPorts(configuration.create())
    signals = {port: (signal, None) for port, (_, signal) in flat.ports.items()}
    hierarchy = Hierarchy(name)
    top = rtlil.convert(flat, name=name, platform=hierarchy, ports=signals, emit_src=False)
    ports = tuple(port for port, _ in flat.ports.values())
    modules = _to_verilog(f"{top}\n{hierarchy.text}")
    modules = _with_port_list(modules, name, ports)
    return Export(name, _with_parts(modules, hierarchy.parts), ports, configuration)


#: Internal names that only repeat others are dropped, and multiplexers that only hold a register
#: become its enable and reset; what is left reads like the components.
_EXPORT_SCRIPT = """\
read_rtlil design.il
proc
opt_clean -purge
opt_dff
wreduce
opt_clean -purge
write_verilog -norename -noattr design.v
"""


def _to_verilog(rtlil_text: str) -> str:
    with temporary_folder() as folder:
        (folder / "design.il").write_text(rtlil_text, "utf-8")
        find_yosys().run(_EXPORT_SCRIPT, folder)
        body = (folder / "design.v").read_text("utf-8")
    # The generator's own header names its version; the text is the same without it.
    return readable(re.sub(r"\A/\*.*?\*/\n*", "", body, flags=re.DOTALL))


def _with_port_list(modules: str, top: str, ports: tuple[Port, ...]) -> str:
    """With the top module's ports declared where they are listed, in order and with comments."""
    start = modules.index(f"module {top}(")
    end = modules.index("endmodule", start)
    names = {"clk", "rst", *(port.name for port in ports)}
    inner = [
        line
        for line in modules[start:end].splitlines(keepends=True)[1:]
        if not (
            line.startswith(("  input ", "  output ", "  wire ")) and line.split()[-1][:-1] in names
        )
    ]
    return f"{modules[:start]}module {top} (\n{port_list(ports)});\n{''.join(inner)}{modules[end:]}"


def _with_parts(modules: str, parts: Mapping[str, Part]) -> str:
    for module, part in parts.items():
        line = f"module {module}("
        modules = modules.replace(f"\n{line}", f'\n(* {PART_ATTRIBUTE} = "{part}" *)\n{line}')
    return modules
