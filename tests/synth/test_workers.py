"""Work is shared out, and the words of a worker that fails reach the user."""

import math
import os
import signal
import traceback

import pytest

from dintmac.synth.workers import share_out


def shared_out(function, items, workers=2):
    results = {}
    share_out(function, items, workers, results.__setitem__)
    return [results[index] for index in range(len(items))]


@pytest.mark.parametrize(("items", "workers"), [(range(20), 3), (range(1), 2), ((), 1)])
def test_every_item_has_its_result(items, workers):
    assert shared_out(math.factorial, items, workers) == [*map(math.factorial, items)]


def test_what_a_worker_raises_is_raised_and_says_where():
    with pytest.raises(ValueError, match=r"factorial\(\) not defined for negative") as caught:
        shared_out(math.factorial, [3, -1, 4])
    assert "workers.py" in "".join(traceback.format_exception(caught.value)).partition("Error")[2]


def test_a_worker_that_is_killed_is_an_error():
    with pytest.raises(RuntimeError, match="a worker ended with status -9; fewer of them leave"):
        shared_out(signal.raise_signal, [signal.SIGKILL])


def test_a_function_that_a_worker_does_not_find_is_an_error():
    with pytest.raises((ImportError, AttributeError), match=r"tests|test_workers"):
        shared_out(shared_out, [1])


def test_temporary_files_of_workers_are_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert shared_out(os.getenv, ["TMPDIR"])[0].startswith(f"{tmp_path}/dintmac-")
    assert not list(tmp_path.iterdir())


def test_workers_import_nothing_from_the_current_folder(tmp_path, monkeypatch):
    for name in ("random", "queue", "math"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    assert shared_out(math.factorial, [5]) == [120]
