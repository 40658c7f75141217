# amaranth: UnusedElaboratable=no
import re

from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dintmac.hdl.hierarchy import Hierarchy, Part, place


class Inverter(wiring.Component):
    i: In(1)
    o: Out(1)
    part = Part.CONTROL

    def __init__(self, inner=None):
        self._inner = inner
        self.identity = (type(self), inner and inner.identity)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        if self._inner is not None:
            place(m, "inner", self._inner, platform)
            m.d.comb += [self._inner.i.eq(self.i), self.o.eq(self._inner.o)]
        return m


def test_a_component_within_one_of_its_class_is_a_module_of_its_own():
    hierarchy = Hierarchy("top")
    top = Module()
    place(top, "outer", Inverter(Inverter(Inverter())), hierarchy)
    rtlil.convert(top, platform=hierarchy, ports=(), emit_src=False)
    modules = re.findall(r"(?m)^module \\(\w+)", hierarchy.text)
    assert len(modules) == len(set(modules)) == 3
    assert hierarchy.parts == dict.fromkeys(modules, Part.CONTROL)
