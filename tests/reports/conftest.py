import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Each test has a cache of its own, and none touches the user's."""
    monkeypatch.setenv("DINTMAC_CACHE", str(tmp_path_factory.mktemp("cache")))
