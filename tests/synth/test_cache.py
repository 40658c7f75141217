"""The cache holds what is whole and nothing else."""

import errno
import os
from pathlib import Path

import pytest

from dintmac.synth.cache import Cache, CacheError, key_of

KEY = key_of("a", 1)


def test_keys_follow_from_all_parts_whatever_the_order_of_dicts():
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    assert len({key_of("a"), key_of("b"), key_of("a", None), key_of(["a"])}) == 4


def test_what_is_stored_is_loaded(tmp_path):
    cache = Cache(tmp_path / "new" / "folder")
    assert cache.load(KEY) is None
    cache.store(KEY, {"area": 1.5})
    assert cache.load(KEY) == {"area": 1.5}


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0"])
def test_a_damaged_file_counts_as_none(tmp_path, content):
    (tmp_path / f"{KEY}.json").write_text(content)
    assert Cache(tmp_path).load(KEY) is None


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CacheError, match=r"cache folder must be writable, .* No space left"):
        Cache(tmp_path).store(KEY, {})
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).store(KEY, {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"cache folder must be writable, .* set DINTMAC_CACHE"):
        Cache(tmp_path / "file").store(KEY, {})
