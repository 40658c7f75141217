"""Fronts, comparisons at equal delay and throughput."""

import pytest

from dintmac.synth.curves import pareto, smallest_within, throughput_per_area
from dintmac.synth.records import AreaSplit, Check, Record, RecordedConfiguration


def point(area, delay, architecture="digits"):
    return Record(
        configuration=RecordedConfiguration(
            "dot", "dINT4", architecture, {"depth": 64, "lanes": 4}
        ),
        library="ge",
        recipe="area",
        target_delay_ns=None,
        area=area,
        area_unit="GE",
        area_split=AreaSplit(area, 0.0, 0.0, 0.0),
        cells={},
        flip_flops=5,
        delay_ns=delay,
        critical_path=None,
        delay_missing="ge has no tables of delays" if delay is None else "",
        power=None,
        check=Check("simulated", 10, 20),
        tools={},
        inputs_sha256="00",
    )


SLOW, MIDDLE, FAST = point(100.0, 3.0), point(120.0, 2.0), point(200.0, 1.0)
BEATEN, UNTIMED = point(130.0, 2.5), point(10.0, None)
ALL = [BEATEN, SLOW, UNTIMED, FAST, MIDDLE]


def test_the_front_has_what_nothing_beats_by_growing_delay():
    assert pareto(ALL) == [FAST, MIDDLE, SLOW]


def test_of_equal_records_the_front_has_the_first():
    front = pareto([MIDDLE, point(120.0, 2.0, "other")])
    assert front == [MIDDLE]


def test_of_two_records_with_one_delay_the_smaller_is_in_the_front():
    assert pareto([point(130.0, 2.0), MIDDLE]) == [MIDDLE]


@pytest.mark.parametrize(
    ("delay", "found"), [(0.9, None), (1.0, FAST), (2.5, MIDDLE), (3.0, SLOW), (9.0, SLOW)]
)
def test_the_smallest_that_is_fast_enough_is_found(delay, found):
    assert smallest_within(ALL, delay) == found


def test_throughput_counts_products_a_ns_and_unit_of_area():
    assert throughput_per_area(MIDDLE) == pytest.approx(4 / 2.0 / 120.0)
    assert throughput_per_area(MIDDLE, 2.5) == pytest.approx(4 / 2.5 / 120.0)


def test_refuses_throughput_without_a_delay():
    with pytest.raises(ValueError, match="a record must have a delay, but ge has no tables"):
        throughput_per_area(UNTIMED)


def test_refuses_a_period_that_is_too_short():
    with pytest.raises(ValueError, match=r"period_ns must be at least the delay, 2\.0 ns, not 1"):
        throughput_per_area(MIDDLE, 1)
