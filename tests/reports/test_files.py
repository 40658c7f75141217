"""Files are replaced all or nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dintmac.reports.files import replace_files

OLD = {"a": b"old a", "b": b"old b", "gone": b"old gone"}
NEW = {"a": b"new a", "b": b"new b", "c": b"new c"}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    for name, content in (OLD | {"foreign": b"mine"}).items():
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_is_made_with_its_parents(tmp_path):
    replace_files(tmp_path / "x" / "y", NEW)
    assert contents(tmp_path / "x" / "y") == NEW


def test_earlier_files_are_replaced_obsolete_ones_removed_and_foreign_ones_left(folder):
    replace_files(folder, NEW, ["gone", "never"])
    assert contents(folder) == NEW | {"foreign": b"mine"}


def failing(function, after):
    """The function, but the disk is full after so many calls."""
    calls = 0

    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*arguments, **options)

    return call


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize(("module", "name"), [(Path, "write_bytes"), (os, "replace")])
def test_a_failure_midway_leaves_the_earlier_files(folder, monkeypatch, module, name, after):
    monkeypatch.setattr(module, name, failing(getattr(module, name), after))
    with pytest.raises(OSError, match=r"^report cannot be written to .*report: No space left"):
        replace_files(folder, NEW, ["gone"])
    assert contents(folder) == OLD | {"foreign": b"mine"}


@pytest.mark.parametrize(("module", "name"), [(Path, "write_bytes"), (os, "replace")])
def test_a_failure_midway_leaves_no_new_folder(tmp_path, monkeypatch, module, name):
    monkeypatch.setattr(module, name, failing(getattr(module, name), 2))
    with pytest.raises(OSError, match="No space left"):
        replace_files(tmp_path / "report", NEW)
    assert not (tmp_path / "report").exists()


def test_an_interruption_midway_leaves_the_earlier_files(folder, monkeypatch):
    def interrupted(self, missing_ok):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_files(folder, {"a": b"new a"}, ["gone"])
    assert contents(folder) == OLD | {"foreign": b"mine"}


@pytest.mark.parametrize("below", ["", "sub/folder"])
def test_a_file_in_the_place_of_the_folder_is_refused_and_left(tmp_path, below):
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(
        ValueError, match=r"^output must be a folder for the report, not the file .*file$"
    ):
        replace_files(path / below, NEW)
    assert contents(tmp_path) == {"file": b"mine"}


def test_a_folder_in_the_place_of_a_file_is_refused_and_left(folder):
    (folder / "c").mkdir()
    with pytest.raises(OSError, match=r"report cannot be written to .*: Is a directory"):
        replace_files(folder, NEW, ["gone"])
    assert (folder / "c").is_dir()
    assert (folder / "a").read_bytes() == b"old a"
