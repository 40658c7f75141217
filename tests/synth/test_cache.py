"""The cache holds what is whole and nothing else, and code is hashed with what it imports."""

import ast
import errno
import os
import shutil
from pathlib import Path

import pytest

import dintmac
from dintmac.synth import cache as room
from dintmac.synth.cache import Cache, CacheError, code_of, key_of

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


HARDWARE, MEASURING = ("dintmac.hdl.verilog", ""), ("dintmac.synth.measure", "amaranth")


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the package, which is hashed in its place."""
    ignored = shutil.ignore_patterns("__pycache__", "published*", "*.lib")
    shutil.copytree(Path(dintmac.__file__).parent, tmp_path / "dintmac", ignore=ignored)
    monkeypatch.setattr(room, "_SOURCES", tmp_path)
    code_of.cache_clear()
    yield tmp_path / "dintmac"
    code_of.cache_clear()


def hashes():
    code_of.cache_clear()
    return [code_of(module, without=without) for module, without in (HARDWARE, MEASURING)]


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("golden/models/llama.py", (False, False)),
        ("golden/quantization/gptq.py", (False, False)),
        ("reports/report.py", (False, False)),
        ("cli/report.py", (False, False)),
        ("sim/workload.py", (False, False)),
        ("synth/ratios.py", (False, False)),
        ("hdl/architectures/nr4sd.py", (True, False)),
        ("hdl/tile.py", (True, False)),
        ("synth/check.py", (False, True)),
        ("synth/tables.py", (False, True)),
        ("golden/formats.py", (True, True)),
        ("golden/workload.py", (False, True)),
        ("hdl/behaviour/element.py", (True, True)),
        ("hdl/architectures/__init__.py", (True, True)),
    ],
)
def test_an_edit_changes_the_hash_of_what_imports_it(copy, file, changes):
    before = hashes()
    assert hashes() == before
    (copy / file).write_text((copy / file).read_text("utf-8") + "# Edited.\n", "utf-8")
    assert tuple(b != a for b, a in zip(before, hashes(), strict=True)) == changes


def test_every_import_is_found():
    """As Python's own grammar finds them, those within functions too."""
    root = Path(dintmac.__file__).parent
    rooms = [root, *(root / name for name in ("golden", "hdl", "sim", "synth", "reports"))]
    for path in (path for room_ in rooms for path in room_.rglob("*.py")):
        text = path.read_text("utf-8")
        found = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        assert found <= set(room._imported(text)), path
