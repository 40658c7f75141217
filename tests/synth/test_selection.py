import pytest

from dintmac.golden.formats import DINT4, FP4, INT4, INT8
from dintmac.hdl.architectures import architectures_of
from dintmac.synth.selection import CONTENDERS, OUTCLASSED, contenders, selected

FORMATS = [INT8, INT4, DINT4]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_every_architecture_is_measured_at_the_default_sizes(format):
    built = {a.name for a in architectures_of(format) if a.generator}
    for design in ("mac", "dot", "pe", "tile"):
        measured = {c.architecture for c in selected([design], [format])}
        assert measured == built


def test_other_sizes_leave_out_what_is_outclassed_alone():
    sizes = {}
    for c in selected(None, FORMATS, growth=True):
        key = c.design, tuple(c.parameters.items()), c.format
        sizes.setdefault(key, set()).add(c.architecture)
    for (design, _, format), measured in sizes.items():
        built = {a.name for a in architectures_of(format) if a.generator}
        assert built - measured <= set(OUTCLASSED.get(design, ()))
    assert len({size for design, size, _ in sizes if design == "pe"}) == 5


def test_contenders_are_alike_for_all_formats():
    kept = contenders(None, FORMATS)
    for design, names in CONTENDERS.items():
        for format in FORMATS:
            able = {a.name for a in architectures_of(format)} & set(names)
            measured = {c.architecture for c in kept if (c.design, c.format) == (design, format)}
            assert measured == able
    assert {c.design for c in kept} == CONTENDERS.keys()


def test_designs_and_formats_without_contenders_keep_their_architectures():
    assert {c.architecture for c in contenders(["mac"], [FP4])} == {"shift", "shift_folded"}
    assert contenders(["tile"], FORMATS) == selected(["tile"], FORMATS)
    assert contenders(["fused"], FORMATS) == selected(["fused"], FORMATS)


def test_what_the_synthesis_tool_makes_is_measured_on_demand():
    assert not any(c.architecture == "behavioural" for c in selected(None, FORMATS))
    with_it = selected(["mac"], FORMATS, behavioural=True)
    assert sum(c.architecture == "behavioural" for c in with_it) == len(FORMATS)


def test_the_element_of_two_precisions_is_measured_on_demand():
    assert [c.format for c in selected(["fused"], FORMATS)] == [INT4, DINT4]
