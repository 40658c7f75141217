"""Whatever ends ``dintmac`` and when: no process, no file and no traceback is left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from dintmac import cli
from dintmac.cli import parser
from dintmac.synth.cache import Cache
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import find_libraries

PROC = Path("/proc")
pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="processes are looked for in /proc")

REPORT = ["report", "--quick", "--design", "mac", "--jobs", "2"]
SIGTERM_IS_CAUGHT = 1 << (signal.SIGTERM - 1)


class Run:
    """A running command, with a folder for temporary files and a mark that its children inherit."""

    def __init__(self, folder, command, **environment):
        self.folder, self.temporary = folder, folder / "temporary"
        self.temporary.mkdir(exist_ok=True)
        self.mark = f"DINTMAC_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
        name, _, value = self.mark.partition("=")
        own = {"TMPDIR": str(self.temporary), "DINTMAC_CACHE": str(folder / "cache"), name: value}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dintmac", *map(str, command)],
            cwd=folder,
            env=os.environ | own | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def processes(self):
        """What each process says that was started by the run, by its number."""
        found = {}
        for path in PROC.glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes():
                    found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue  # It has ended, or is another user's.
        return found

    def wait_until_it_listens(self):
        """From then on an interrupt is the command's, and no more Python's."""
        wait_for(lambda: caught(self.process.pid) & SIGTERM_IS_CAUGHT)

    def ends(self):
        """Whether it ends like that within two seconds, and leaves nothing."""
        began = time.monotonic()
        output, error = self.process.communicate(timeout=60)
        assert (self.process.returncode, output, error) == (130, "", "dintmac: interrupted\n")
        wait_for(lambda: not self.processes(), 2)
        assert time.monotonic() - began < 2 * patience()
        assert not list(self.temporary.iterdir())
        assert {path.name for path in self.folder.iterdir()} <= {"cache", "temporary", *GIVEN}


#: Files that tests put into the folder.
GIVEN = ("model", "calibration", "evaluation", "questions")


def patience():
    """A busy machine is given more time."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds * patience()
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def caught(process):
    """The signals that a process has a handler for, as bits."""
    status = (PROC / str(process) / "status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A cache that holds the cells of the library, and no record."""
    folder = tmp_path_factory.mktemp("cells")
    (library,) = find_libraries(["ge"])
    cells_of(library, Cache(folder))
    return folder


@pytest.fixture
def start(tmp_path, cells):
    """Starts commands, of which none outlives the test."""
    runs = []
    shutil.copytree(cells, tmp_path / "cache")

    def begin(*command, **environment):
        runs.append(Run(tmp_path, command, **environment))
        return runs[-1]

    yield begin
    for run in runs:
        for number in run.processes():
            os.kill(number, signal.SIGKILL)
        run.process.communicate()


# A quantize of a tiny model is over after some tenths of a second.
@pytest.mark.parametrize(
    ("verb", "delay"),
    [*(("report", delay) for delay in (0.0, 0.1, 0.3, 0.8)), ("quantize", 0.0), ("quantize", 0.1)],
)
def test_control_c_while_modules_are_imported(start, tiny_model, verb, delay):
    quantize = ["quantize", tiny_model("llama"), "--output", "out"] if verb == "quantize" else []
    run = start(*(quantize or REPORT))
    run.wait_until_it_listens()
    time.sleep(delay)
    os.killpg(run.process.pid, signal.SIGINT)
    run.ends()


def workers(run):
    return [number for number, said in run.processes().items() if "dintmac.synth.workers" in said]


def at_work(run):
    """Whether Yosys runs in a worker."""
    return len(workers(run)) == 2 and any("yosys" in said for said in run.processes().values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_workers_are_gone_with_what_they_started(start, number):
    """One signal goes to the parent alone, as from kill; and it comes twice, as from timeout."""
    run = start(*REPORT)
    wait_for(lambda: at_work(run))
    run.process.send_signal(number)
    run.process.send_signal(number)
    run.ends()


def test_workers_that_have_only_begun_are_gone(start):
    run = start(*REPORT)
    wait_for(lambda: workers(run))
    os.killpg(run.process.pid, signal.SIGINT)
    run.ends()


@pytest.mark.slow
def test_workers_notice_that_their_parent_is_gone(start):
    run = start(*REPORT)
    wait_for(lambda: at_work(run))
    run.process.kill()
    run.process.communicate()
    wait_for(lambda: not run.processes(), 2)


@pytest.mark.parametrize(
    ("name", "tool", "number"),
    [
        ("icarus", "vvp", signal.SIGTERM),
        ("icarus", "vvp", signal.SIGKILL),
        ("verilator", "make", signal.SIGTERM),
    ],
)
@pytest.mark.slow
def test_a_simulator_ends_with_its_parent(start, name, tool, number, need):
    need(name)
    run = start("simulate", "tile", "--simulator", name)
    wait_for(lambda: any(tool in said.split()[0] for said in run.processes().values() if said))
    run.process.send_signal(number)
    if number == signal.SIGTERM:
        run.ends()
    else:
        run.process.communicate()
        wait_for(lambda: not run.processes(), 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_symbiyosys_and_what_it_starts_end_with_their_parent(start, number):
    """It gives each program a process group of its own."""
    run = start("prove", "tile", "--format", "dint4", "--architecture", "digits")
    wait_for(lambda: any("verify.programs yosys" in said for said in run.processes().values()))
    run.process.send_signal(number)
    if number == signal.SIGINT:
        run.ends()
    else:
        run.process.communicate()
        wait_for(lambda: not run.processes(), 2)


def test_what_is_to_be_ignored_is_ignored(start):
    """As nohup and the background jobs of a shell want it."""
    with ignored(signal.SIGINT):
        run = start("verilog", "mac", "-o", "mac.v")
    run.wait_until_it_listens()
    run.process.send_signal(signal.SIGINT)
    output, error = run.process.communicate(timeout=120)
    assert (run.process.returncode, error) == (0, "")
    assert "mac.v" in output


@contextmanager
def ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    yield
    signal.signal(number, before)


def test_an_interrupt_that_became_another_error_is_one(own_signals, monkeypatch, capsys):
    """As while NumPy is imported, which then says that it is not installed; a terminal closes."""

    def interrupted(arguments):
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        except KeyboardInterrupt:
            raise ImportError("reinstall numpy") from None

    monkeypatch.setattr(parser, "parse", interrupted)
    assert cli.entry() == 130
    assert capsys.readouterr().err == "dintmac: interrupted\n"


def test_an_interrupt_within_exec_is_one(tmp_path):
    """There Python notes every KeyboardInterrupt, and kills itself by SIGINT at its end."""
    script = (
        "import os, signal, sys; from dintmac import cli; from dintmac.cli import parser\n"
        "parser.parse = lambda _: exec('os.kill(os.getpid(), signal.SIGINT)')\n"
        "sys.exit(cli.entry())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"dintmac: interrupted\n")


def test_an_interrupt_that_a_destructor_swallowed_comes_again(own_signals, monkeypatch, capsys):
    class Swallows:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)

    def interrupted(arguments):
        Swallows()
        time.sleep(60)

    monkeypatch.setattr(parser, "parse", interrupted)
    assert cli.entry() == 130
    assert capsys.readouterr().err == "dintmac: interrupted\n"
