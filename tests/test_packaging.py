"""What is installed, and that the rooms import each other one way only."""

import ast
import shutil
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from importlib.metadata import files, metadata, version
from pathlib import Path

import pytest

import dintmac

ROOT = Path(dintmac.__file__).parent
PROJECT = Path(__file__).parents[1]
#: What pip runs first in the folder of a project.
BUILD = "import setuptools, sys; from setuptools import build_meta as b; {}; b.{}(*sys.argv[1:])"
#: What each room may import of the others.
ALLOWED = {
    "golden": set(),
    "hdl": {"golden"},
    "sim": {"golden", "hdl"},
    "synth": {"golden", "hdl"},
    "reports": {"golden", "hdl", "sim", "synth"},
}


def imported_rooms(path):
    """Rooms that a module imports, and the modules of golden among them."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "dintmac" and len(parts) > 1:
                yield parts[1], ".".join(parts[1:])


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_one_way(room):
    modules = list((ROOT / room).rglob("*.py"))
    assert modules
    for path in modules:
        for other, module in imported_rooms(path):
            assert other == room or other in ALLOWED[room], f"{path} imports {module}"


def test_hardware_takes_code_tables_and_nothing_else_from_the_golden_model():
    """What it has to do, its behaviour, is arithmetic as well."""
    for path in (ROOT / "hdl").rglob("*.py"):
        modules = {module for room, module in imported_rooms(path) if room == "golden"}
        allowed = {"golden.files", "golden.formats", "golden.registry"}
        if path.parent.name == "behaviour":
            allowed = {"golden.arithmetic", "golden.formats"}
        assert modules <= allowed, path


def states_its_encoding(call):
    """Whether a call opens no text, or says in which encoding; those of these names alone."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    texts = [node.value for node in call.args if isinstance(node, ast.Constant)]
    given = {keyword.arg for keyword in call.keywords}
    if name == "open" and ast.unparse(call.func) != "os.open":
        return "encoding" in given or any("b" in text for text in texts if isinstance(text, str))
    if name in ("read_text", "write_text"):
        return "encoding" in given or "utf-8" in texts
    of_subprocess = ast.unparse(call.func).startswith("subprocess.")
    return "encoding" in given or not of_subprocess or "text" not in given


@pytest.mark.parametrize("folder", [*ALLOWED, "src/dintmac", "benchmarks", "examples"])
def test_every_text_is_read_and_written_in_a_stated_encoding(folder):
    """Ruff's PLW1514 sees the half of it: it does not know what a path is, nor children."""
    for path in (PROJECT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                assert states_its_encoding(node), f"{path}:{node.lineno}"


def test_installs_nothing_but_its_own_package():
    tops = {path.parts[0] for path in files("dintmac") or () if path.parts[0] != ".."}
    tops -= {top for top in tops if top.startswith(("dintmac-", "__editable__"))}
    assert tops <= {"dintmac"}


def test_version_is_written_in_one_place():
    assert version("dintmac") == dintmac.__version__
    assert dintmac.__version__ not in (PROJECT / "pyproject.toml").read_text("utf-8")


def test_metadata_says_where_it_runs():
    found = metadata("dintmac")
    assert (found["License-Expression"], found["Requires-Python"]) == ("BSD-2-Clause", ">=3.11")
    classifiers = found.get_all("Classifier")
    systems = [c for c in classifiers if c.startswith("Operating System")]
    assert systems == ["Operating System :: MacOS", "Operating System :: POSIX :: Linux"]
    assert f"Programming Language :: Python :: 3.{sys.version_info.minor}" in classifiers


def refusal(command):
    """The last line of what a command says, which must fail."""
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_windows_is_refused_in_one_sentence_by_pip_and_at_import():
    sentence = "dintmac runs on Linux and macOS; on Windows, install it in WSL"
    windows = "sys.platform = 'win32'"
    assert refusal(BUILD.format(windows, "get_requires_for_build_wheel")) == sentence
    assert refusal(f"import sys; {windows}; import dintmac") == f"ImportError: {sentence}"


def test_an_old_setuptools_is_refused_in_one_sentence():
    old = "setuptools.__version__ = '65.5.0'"
    sentence = "dintmac is built by setuptools 77 or newer; leave out --no-build-isolation"
    assert refusal(BUILD.format(old, "get_requires_for_build_wheel")) == sentence


#: What git ignores, and git.
MADE = (
    ".git",
    ".venv",
    ".nox",
    ".*_cache",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    "report.html",
)


def made(path):
    """Whether a path of the project is ignored by git."""
    parts = path.relative_to(PROJECT).parts
    return any(fnmatch(part, pattern) for part in parts for pattern in MADE)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The members of an sdist of this folder, by their path in it."""
    folder = tmp_path_factory.mktemp("sdist")
    ignored = shutil.ignore_patterns(*MADE)
    shutil.copytree(PROJECT, folder / "project", symlinks=True, ignore=ignored)
    command = [sys.executable, "-c", BUILD.format("pass", "build_sdist"), folder]
    subprocess.run(command, cwd=folder / "project", check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    return {member.name.partition("/")[2]: member for member in members}


def test_an_sdist_has_all_files_once(sdist):
    files = {name for name, member in sdist.items() if member.isfile()}
    for folder in (*ALLOWED, "benchmarks", "docs", "examples", "tests", "src"):
        paths = (path for path in (PROJECT / folder).rglob("*") if path.is_file())
        assert {str(path.relative_to(PROJECT)) for path in paths if not made(path)} <= files
    assert {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "setup.py"} <= files
    assert len(files) == len({Path(PROJECT / name).resolve() for name in files})


def test_an_sdist_links_to_the_rooms(sdist):
    links = {name: member.linkname for name, member in sdist.items() if member.issym()}
    assert links == {f"src/dintmac/{room}": f"../../{room}" for room in ALLOWED}
