"""The names of the package itself."""

import subprocess
import sys

import pytest

import dintmac


def test_public_names_are_there():
    assert all(callable(getattr(dintmac, name)) for name in dintmac.__all__)
    assert dintmac.__all__ == sorted(dintmac._PLACES)
    with pytest.raises(AttributeError, match="module 'dintmac' has no attribute 'reprot'"):
        dintmac.reprot  # noqa: B018


@pytest.mark.slow
def test_public_names_are_enough_to_measure_and_to_simulate(tmp_path, monkeypatch):
    monkeypatch.setenv("DINTMAC_CACHE", str(tmp_path))
    mac = dintmac.Configuration("mac", dintmac.parse_format("dint4"), "", {"depth": 4})
    (ge,) = dintmac.find_libraries(["ge"])
    assert dintmac.measure(mac, ge).area > 0
    assert "module mac" in dintmac.export(mac).verilog


def test_importing_the_package_imports_nothing_that_takes_time():
    script = "import sys, dintmac; sys.exit(bool({'numpy', 'amaranth'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
