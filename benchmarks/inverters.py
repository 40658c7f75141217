"""What complementary outputs of flip-flops save, in place of the inverters behind them.

    python benchmarks/inverters.py --library nangate45 --library sg13g2

Maps the processing element of its default sizes as the recipe does, and without that step
(docs/synthesis.md, section 2), and prints both areas as Markdown.
"""

from __future__ import annotations

import argparse
import sys
from unittest.mock import patch

from dintmac.golden.formats import DINT4, INT8
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.reports.pages import markdown_table
from dintmac.reports.tables import Group, Table
from dintmac.synth import synthesis
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import find_libraries


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--library", action="append", metavar="NAME", default=[])
    rows = []
    for library in find_libraries(parser.parse_args().library or ["nangate45"]):
        cells = cells_of(library)
        for format in (INT8, DINT4):
            exported = export(Configuration("pe", format, "nr4sd"))
            area = synthesis.synthesize(exported, library, cells).area(cells)
            with patch.object(synthesis, "use_complements", lambda modules, top, cells: modules):
                without = synthesis.synthesize(exported, library, cells).area(cells)
            saved = f"{1 - area / without:.1%}"
            rows.append((library.name, format.name, f"{without:,.0f}", f"{area:,.0f}", saved))
    columns = ("library", "pe 16×4, nr4sd", "with inverters", "area", "saved")
    numeric = (False, False, True, True, True)
    print(markdown_table(Table("", columns, numeric, (Group("", tuple(rows)),))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
