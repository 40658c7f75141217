"""Registries: what is there, what is added, and what others bring."""

import sys

import pytest

from dintmac.golden.registry import Registry


def fruit():
    return Registry("fruit", "fruits", {"apple": 1, "pear": 2}.items())


def test_members_are_found_in_the_order_in_which_they_were_added():
    registry = fruit()
    registry.add("fig", 3)
    assert dict(registry) == {"apple": 1, "pear": 2, "fig": 3}
    assert (registry.find("pear"), "fig" in registry, len(registry)) == (2, True, 3)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="fruit must be one of apple, pear, not 'plum'"):
        fruit().find("plum")


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="there is a fruit 'apple' already"):
        fruit().add("apple", 4)


def test_entry_points_of_other_packages_are_loaded_when_it_is_first_read(tmp_path, monkeypatch):
    metadata = tmp_path / "orchard-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: orchard\nVersion: 1.0\n", "utf-8")
    (metadata / "entry_points.txt").write_text("[dintmac.fruits]\nplum = orchard:PLUM\n", "utf-8")
    (tmp_path / "orchard.py").write_text("PLUM = 5\n", "utf-8")
    registry = fruit()
    monkeypatch.syspath_prepend(tmp_path)
    assert "orchard" not in sys.modules
    assert list(registry) == ["apple", "pear", "plum"]
    assert registry["plum"] == 5
    monkeypatch.delitem(sys.modules, "orchard")
