"""A tool that is missing skips tests, or lets them fail where it is required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.needs("icarus")
def test_runs():
    pass
"""


def outcome(folder, **environment):
    """The exit status and the output of a suite that needs Icarus, with no program at hand."""
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "pytest.ini").write_text("[pytest]", "utf-8")
    (folder / "test_suite.py").write_text(SUITE, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=folder,
        env=os.environ | {"PATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_what_needs_a_missing_tool_is_skipped_with_the_line_that_installs_it(tmp_path):
    status, said = outcome(tmp_path, DINTMAC_REQUIRE_TOOLS="opensta,minilm")
    assert (status, "1 skipped" in said) == (0, True)
    assert "icarus is not installed; install it with: apt install iverilog" in said


@pytest.mark.parametrize("required", ["icarus", "opensta,icarus"])
@pytest.mark.slow
def test_what_needs_a_missing_tool_fails_where_it_is_required(tmp_path, required):
    status, said = outcome(tmp_path, DINTMAC_REQUIRE_TOOLS=required)
    assert (status, "1 error" in said) == (1, True)
    assert "icarus is not installed; install it with: apt install iverilog" in said


@pytest.mark.slow
def test_a_tool_that_nobody_knows_is_refused(tmp_path):
    status, said = outcome(tmp_path, DINTMAC_REQUIRE_TOOLS="icarsu")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "DINTMAC_REQUIRE_TOOLS must be of icarus,verilator" in said
    assert "not icarsu" in said
