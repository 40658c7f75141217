"""Files are replaced all or nothing, and what is no regular file stays what it is."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dintmac.golden import files
from dintmac.golden.files import cache_folder, new_folder, write_files, write_folder

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
    write_folder(tmp_path / "x" / "y", NEW)
    assert contents(tmp_path / "x" / "y") == NEW


def test_earlier_files_are_replaced_obsolete_ones_removed_and_foreign_ones_left(folder):
    write_folder(folder, NEW, ["gone", "never"])
    assert contents(folder) == NEW | {"foreign": b"mine"}


def failing(function, after):
    """The function, but the disk is full after so many calls."""
    calls = 0

    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == after:
            raise OSError(errno.ENOSPC, "No space left on device", "another")
        return function(*arguments, **options)

    return call


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize(("module", "name"), [(Path, "write_bytes"), (os, "replace")])
def test_a_failure_midway_leaves_the_earlier_files_and_names_the_one(
    folder, monkeypatch, module, name, after
):
    monkeypatch.setattr(module, name, failing(getattr(module, name), after))
    with pytest.raises(OSError, match=r"No space left on device: '.*report/[abc]'$"):
        write_folder(folder, NEW, ["gone"])
    assert contents(folder) == OLD | {"foreign": b"mine"}


@pytest.mark.parametrize(("module", "name"), [(Path, "write_bytes"), (os, "replace")])
def test_a_failure_midway_leaves_no_new_folder(tmp_path, monkeypatch, module, name):
    monkeypatch.setattr(module, name, failing(getattr(module, name), 2))
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "new" / "report", NEW)
    assert not (tmp_path / "new").exists()


def test_files_come_back_also_where_there_are_no_hard_links(folder, monkeypatch):
    def unsupported(*arguments, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    monkeypatch.setattr(os, "replace", failing(os.replace, 2))
    with pytest.raises(OSError, match="No space left"):
        write_folder(folder, NEW, ["gone"])
    assert contents(folder) == OLD | {"foreign": b"mine"}


def test_an_interruption_midway_leaves_the_earlier_files(folder, monkeypatch):
    def interrupted(old, new):
        if Path(new).name == "b":
            raise KeyboardInterrupt
        replace(old, new)

    replace = os.replace
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, {"a": b"new a", "b": b"new b"}, ["gone"])
    monkeypatch.undo()
    assert contents(folder) == OLD | {"foreign": b"mine"}


@pytest.mark.parametrize("below", ["", "sub/folder"])
def test_a_file_in_the_place_of_the_folder_is_refused_and_left(tmp_path, below):
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"^output must be a folder, not the file .*file$"):
        write_folder(path / below, NEW)
    assert contents(tmp_path) == {"file": b"mine"}


def test_a_folder_in_the_place_of_a_file_is_refused_and_left(folder):
    (folder / "c").mkdir()
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*/report/c'$"):
        write_folder(folder, NEW, ["gone"])
    assert (folder / "c").is_dir()
    assert (folder / "a").read_bytes() == b"old a"


def test_a_missing_folder_is_the_error_of_the_file(tmp_path):
    path = tmp_path / "no" / "file"
    with pytest.raises(FileNotFoundError, match=f"No such file or directory: '{path}'"):
        write_files({path: "text"})


def test_of_a_link_the_target_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    target, link, dangling = tmp_path / "far" / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_text("old")
    link.symlink_to("far/target")
    dangling.symlink_to("far/other")
    write_files({link: "new", dangling: "made"})
    assert (link.is_symlink(), dangling.is_symlink()) == (True, True)
    assert contents(tmp_path / "far") == {"target": b"new", "other": b"made"}


def test_a_circle_of_links_is_an_error(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("link")
    with pytest.raises(OSError, match=f"symbolic links: '{link}'"):
        write_files({link: "new"})
    assert link.is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_permissions_stay(tmp_path, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    write_files({path: "new"})
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_new_files_have_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    write_files({tmp_path / "file": "new"})
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_pipe_is_written_to(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_files({pipe: "text", tmp_path / "file": "other"})
    reader.join()
    assert read == [b"text"]
    assert pipe.is_fifo()
    assert (tmp_path / "file").read_text() == "other"


def test_a_device_is_written_to(tmp_path):
    """The device is that of a terminal, which nobody else uses."""
    controller, terminal = os.openpty()
    path = Path(os.ttyname(terminal))
    before = path.stat()
    write_files({path: "text"})
    assert os.read(controller, 100) == b"text"
    after = path.stat()
    assert (after.st_rdev, after.st_mode) == (before.st_rdev, before.st_mode)


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_what_standard_output_goes_to_is_written_to(tmp_path, mode):
    """As with ``-o /dev/stdout > file``."""
    path = tmp_path / "file"
    path.write_text("first\n")
    script = "from dintmac.golden.files import *; write_files({Path('/dev/stdout'): 'text'})"
    with path.open(mode) as stream:
        command = [sys.executable, "-c", f"from pathlib import Path; {script}"]
        subprocess.run(command, stdout=stream, check=True)
    assert path.read_text() == {"wb": "text", "ab": "first\ntext"}[mode]


def test_a_device_that_is_full_leaves_the_other_files(tmp_path):
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_files({tmp_path / "file": "new", full: "text"})
    assert not list(tmp_path.iterdir())


def test_a_file_is_moved_into_place(tmp_path):
    source = tmp_path / "source"
    source.write_text("content")
    write_files({tmp_path / "file": source})
    assert contents(tmp_path) == {"file": b"content"}


def test_names_that_are_no_utf_8_survive_in_json(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff")
    write_files({path: json.dumps(path.name, ensure_ascii=False)})
    assert json.loads(path.read_text("utf-8")) == path.name


def test_two_runs_come_one_after_the_other(folder):
    """One waits while the other holds the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    writer = threading.Thread(target=write_folder, args=(folder, NEW))
    writer.start()
    writer.join(0.2)
    assert (writer.is_alive(), (folder / "a").read_bytes()) == (True, b"old a")
    os.close(descriptor)
    writer.join()
    assert contents(folder) == OLD | NEW | {"foreign": b"mine"}


def test_a_new_folder_appears_at_once_with_the_permissions_of_an_empty_one(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir(mode=0o700)
    with new_folder(folder) as partial:
        (partial / "file").write_text("content")
        assert not list(folder.iterdir())
    assert contents(tmp_path / "empty") == {"file": b"content"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_new_folder_that_fails_is_gone(tmp_path):
    def write():
        with new_folder(tmp_path / "x" / "y") as partial:
            (partial / "file").write_text("content")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def test_a_new_folder_that_another_run_is_writing_is_refused(tmp_path):
    with new_folder(tmp_path / "out") as partial:
        (partial / "file").write_text("content")
        message = f"output must be a folder that no other run is writing, not {tmp_path}/out"
        with pytest.raises(ValueError, match=message), new_folder(tmp_path / "out"):
            pass
    assert contents(tmp_path / "out") == {"file": b"content"}


def test_the_cache_is_where_the_user_wants_it(monkeypatch):
    monkeypatch.delenv("DINTMAC_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "dintmac"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/dintmac")
    monkeypatch.setenv("DINTMAC_CACHE", "/y")
    assert cache_folder() == Path("/y")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    for name in ("DINTMAC_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(RuntimeError, match="set HOME, XDG_CACHE_HOME or DINTMAC_CACHE"):
        cache_folder()


def test_a_temporary_folder_goes_though_its_end_is_interrupted(monkeypatch):
    """As by Ctrl-C while it is deleted, which comes once."""
    rmtree, calls = shutil.rmtree, []

    def interrupted(path, ignore_errors):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        rmtree(path, ignore_errors)

    monkeypatch.setattr(files.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), files.temporary_folder() as folder:
        (folder / "x").write_text("x")
    assert len(calls) == 2
    assert not folder.exists()
