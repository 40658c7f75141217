"""Measuring: records, their area split, the cache and parallel runs."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

import dintmac.synth.measure as room
from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.configuration import Configuration
from dintmac.synth.cache import Cache, CacheError
from dintmac.synth.check import CheckError
from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.measure import measure, measure_all
from dintmac.synth.records import Record
from dintmac.synth.stimuli import gaussian
from dintmac.synth.timing import TimingError

SMALL = {"depth": 64}
MAC = Configuration("mac", DINT4, parameters=SMALL)
ALL = [Configuration("mac", format, parameters=SMALL) for format in (INT8, INT4, DINT4)]


@pytest.fixture(scope="module")
def record(ge, store):
    return measure(MAC, ge, store=store)


@pytest.mark.slow
def test_a_record_says_what_was_measured(record):
    assert record.configuration.configuration() == MAC
    assert (record.library, record.area_unit, record.recipe) == ("ge", "GE", "area")
    assert record.configuration.parameters == SMALL
    assert record.check.method == "simulated"
    assert record.tools.keys() - {"opensta"} == {"amaranth", "yosys"}
    assert len(record.inputs_sha256) == 64
    assert (record.delay_ns, record.power, record.target_delay_ns) == (None, None, None)
    assert record.critical_path is None
    assert record.delay_missing == "ge has no tables of delays"


@pytest.mark.slow
def test_the_parts_of_an_area_add_up(record, ge_cells):
    split = record.area_split
    parts = [split.registers, split.products, split.accumulation, split.control]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(record.area)
    assert record.area == pytest.approx(sum(ge_cells.areas[c] * n for c, n in record.cells.items()))


def test_registers_are_those_of_the_documentation(record):
    """Operands, first, last, two valids and the accumulator."""
    assert record.flip_flops == 8 + 4 + 2 + 2 + DINT4.accumulator_bits(64)


@pytest.mark.slow
def test_behavioural_products_are_not_told_apart(ge, store):
    behavioural = measure(Configuration("mac", INT4, "behavioural", SMALL), ge, store=store)
    split = behavioural.area_split
    assert split.products is None
    parts = split.registers + split.accumulation + split.control
    assert parts == pytest.approx(behavioural.area)


@pytest.mark.slow
def test_no_area_hangs_on_the_name_of_a_class(record, ge, tmp_path, renamed_components):
    renamed = measure(MAC, ge, store=Cache(tmp_path))
    assert renamed.inputs_sha256 != record.inputs_sha256
    assert renamed.area_split == record.area_split


def test_a_record_comes_from_the_cache_without_export(record, ge, store, monkeypatch):
    monkeypatch.setattr(room, "export", None)
    assert measure(MAC, ge, store=store) == record


def task(configuration=MAC, library=None, target=None, data=None, store=None):
    return room._Task(configuration, library, target, data=data or {}, store=store)


@pytest.mark.parametrize("damage", ["", "{}", '{"area": 1}', '{"hardware": [1]}'])
@pytest.mark.parametrize("which", ["record", "hardware"])
@pytest.mark.slow
def test_a_damaged_file_is_measured_again(record, ge, store, kept, which, damage):
    looked_for = task(library=ge, store=store)
    key = {"record": looked_for._key(record.inputs_sha256), "hardware": looked_for._hardware_key()}
    store._path(key[which]).write_text(damage)
    assert kept(MAC, ge, store) is None
    assert measure(MAC, ge, store=store) == record
    assert kept(MAC, ge, store) == record


def test_what_a_record_depends_on_is_in_the_key(ge, monkeypatch):
    data = {"dINT4": gaussian(DINT4)}
    tasks = [
        task(library=ge),
        task(Configuration("mac", DINT4, parameters={"depth": 65}), ge),
        task(Configuration("mac", DINT4, "behavioural", SMALL), ge),
        task(Configuration("mac", INT4, parameters=SMALL), ge),
        task(library=dataclasses.replace(ge, sha256="0")),
        task(library=dataclasses.replace(ge, name="other")),
        task(library=ge, data=data),
        task(Configuration("fused", INT4), ge),
        task(Configuration("fused", INT4), ge, data={"INT8": gaussian(INT8)}),
    ]
    keys = [one._key(one.inputs("hardware")) for one in tasks]
    keys.append(tasks[0]._key(tasks[0].inputs("other hardware")))
    for name in ("tools", "recipe_sources"):
        monkeypatch.setattr(room, name, lambda: {"other": "1"})
        keys.append(tasks[0]._key(tasks[0].inputs("hardware")))
    assert len(set(keys)) == len(keys) == 12


def test_a_target_is_in_the_key(small, need):
    need("opensta")
    targets = [None, 1.5, 2.5, 1, 1.0]
    keys = [(t := task(library=small, target=target))._key(t.inputs("")) for target in targets]
    assert len(set(keys)) == 4
    assert keys[3] == keys[4]


def test_data_that_is_not_used_is_not_in_the_key(ge):
    unused = {"INT4": gaussian(INT4)}
    without_stimuli = Configuration("pe", DINT4, parameters={"double_buffered": 0})
    for configuration, data in [(MAC, unused), (without_stimuli, {"dINT4": gaussian(DINT4)})]:
        first, second = task(configuration, ge), task(configuration, ge, data=data)
        assert first._key("") == second._key("")


@pytest.mark.parametrize(
    "module",
    [
        "golden.models.llama",
        "golden.quantization.recipe",
        "reports.report",
        "cli.report",
        "synth.ratios",
    ],
)
def test_code_that_measures_nothing_leaves_a_record(record, ge, store, kept, edit, module):
    edit(f"dintmac.{module}")
    assert kept(MAC, ge, store) == record


@pytest.mark.parametrize(
    "module",
    [
        "synthesis",
        "targets",
        "polarity",
        "cells",
        "timing",
        "check",
        "netlist",
        "stimuli",
        "energy",
    ],
)
def test_code_that_measures_makes_another_record(record, ge, store, kept, edit, module):
    edit(f"dintmac.synth.{module}")
    assert kept(MAC, ge, store) is None


def test_the_golden_model_belongs_to_what_measures(record, ge, store, kept, edit):
    for module in ("formats", "arithmetic", "quantization.weights"):
        edit(f"dintmac.golden.{module}")
        assert kept(MAC, ge, store) is None


@pytest.mark.parametrize("module", ["architectures.nr4sd", "pe", "bit_heap", "readable"])
def test_hardware_code_that_leaves_the_verilog_leaves_a_record(
    record, ge, store, kept, edit, module, monkeypatch
):
    edit(f"dintmac.hdl.{module}")
    assert kept(MAC, ge, store) is None
    monkeypatch.setattr(room, "synthesize", None)
    assert measure(MAC, ge, store=store) == record
    # It is known from now on.
    monkeypatch.setattr(room, "export", None)
    assert measure(MAC, ge, store=store) == record


def test_hardware_code_that_changes_the_verilog_makes_another_record(
    record, ge, store, edit, renamed_components, monkeypatch
):
    class MappedError(Exception):
        pass

    def synthesize(*arguments):
        raise MappedError

    edit("dintmac.hdl.dot_product")
    monkeypatch.setattr(room, "synthesize", synthesize)
    with pytest.raises(MappedError):
        measure(MAC, ge, store=store)


@pytest.mark.parametrize(
    "maker", [DESIGNS["mac"].component, type(MAC.multiplier), DINT4.kind.half_steps]
)
@pytest.mark.slow
def test_what_follows_from_code_of_others_is_measured_anew(
    record, ge, tmp_path, kept, maker, monkeypatch
):
    """Only our own code is hashed: theirs may have changed."""
    monkeypatch.setattr(maker, "__module__", "theirs")
    store = Cache(tmp_path)
    assert measure(MAC, ge, store=store) == record
    assert kept(MAC, ge, store) is None


@pytest.mark.slow
def test_records_come_in_the_order_of_the_jobs_however_many_work(ge, tmp_path):
    jobs = [(configuration, ge) for configuration in ALL]
    seen = []
    records = measure_all(
        jobs,
        workers=2,
        store=Cache(tmp_path),
        progress=lambda done, total, record: seen.append(
            (done, total, record.configuration.format)
        ),
    )
    assert [record.configuration.format for record in records] == ["INT8", "INT4", "dINT4"]
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert measure_all(jobs, workers=1, store=Cache(tmp_path)) == records


def test_a_warm_run_takes_no_time(record, ge, store):
    jobs = [(MAC, ge)] * 200
    start = time.perf_counter()
    assert measure_all(jobs, store=store) == [record] * 200
    assert time.perf_counter() - start < 2


@pytest.mark.slow
def test_an_interrupted_run_resumes(ge, tmp_path, kept, monkeypatch):
    store = Cache(tmp_path)
    jobs = [(configuration, ge) for configuration in ALL]

    def interrupt(done: int, total: int, record: Record) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_all(jobs, workers=1, store=store, progress=interrupt)
    assert kept(*jobs[0], store) is not None
    assert not list(tmp_path.glob("*.tmp"))
    measured = []
    original = room._measured
    monkeypatch.setattr(
        room, "_measured", lambda task: measured.append(task.configuration) or original(task)
    )
    measure_all(jobs, workers=1, store=store)
    assert measured == ALL[1:]


INTERRUPTED = """
from pathlib import Path
from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.synth.cache import Cache
from dintmac.synth.liberty import find_libraries
from dintmac.synth.measure import measure_all

if __name__ == "__main__":
    (ge,) = find_libraries(["ge"])
    jobs = [(Configuration("dot", DINT4, "", {"depth": n, "lanes": n}), ge) for n in range(1, 40)]
    store = Cache(Path("cache"))
    measure_all(jobs, workers=2, store=store, progress=lambda *_: print("done", flush=True))
"""


@pytest.mark.slow
def test_control_c_ends_all_workers_at_once_and_keeps_what_is_finished(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "run.py").write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "done\n"
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode != 0
    assert error.rstrip().endswith("KeyboardInterrupt")
    # The library's cells and the first record, and what was nearly finished, but not all the rest.
    assert 2 <= len(list((tmp_path / "cache").glob("*.json"))) < 10
    assert not list((tmp_path / "cache").glob("*.tmp"))
    assert not list(temporary.glob("dintmac-*"))


def test_an_error_in_a_worker_is_the_error_of_the_run(ge, tmp_path):
    jobs = [(configuration, ge) for configuration in ALL]
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(CacheError, match="cache folder must be writable"):
        measure_all(jobs, workers=2, store=Cache(tmp_path / "cache"))


@pytest.mark.slow
def test_a_wrong_netlist_is_not_recorded(ge, tmp_path, kept, monkeypatch):
    """The export is that of INT4: its netlist must not pass for dINT4."""
    wrong = room.export(Configuration("mac", INT4, parameters=SMALL))
    monkeypatch.setattr(room, "export", lambda configuration: wrong)
    # The accumulators are equally wide, so that only products differ.
    assert INT4.accumulator_bits(64) == DINT4.accumulator_bits(64)
    store = Cache(tmp_path)
    with pytest.raises(CheckError, match=r"mac_dint4_digits_d64 in ge: o_sum must"):
        measure(MAC, ge, store=store)
    assert kept(MAC, ge, store) is None


def test_an_unusable_library_ends_the_run_before_anything_is_measured(ge, tmp_path, monkeypatch):
    path = tmp_path / "empty.lib"
    path.write_text("library (empty) { }")
    monkeypatch.setattr(room, "_measured", None)
    jobs = [(MAC, ge), (MAC, Library.read(path))]
    with pytest.raises(LibraryError, match="library must have cells to map to"):
        measure_all(jobs, store=Cache(tmp_path))


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("1", TypeError, "target delay must be a number of ns, not '1'"),
        (True, TypeError, "target delay must be a number of ns, not True"),
        (0.0, ValueError, r"target delay must be positive and finite, not 0\.0"),
        (float("inf"), ValueError, "target delay must be positive and finite, not inf"),
        (1.0, TimingError, "target delay must be one that can be measured, but ge has no tables"),
    ],
)
def test_refuses_targets_that_cannot_be_met(ge, store, target, error, message):
    with pytest.raises(error, match=message):
        measure(MAC, ge, target, store=store)
