"""Processes that share out work, and are gone as soon as it ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from dintmac.hdl.processes import end_with_parent, python, started

__all__ = ["share_out"]


def share_out(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int,
    finish: Callable[[int, Any], None],
) -> None:
    """Call a function for all items, several at a time.

    Parameters
    ----------
    function : callable
        It, the items and the results must pickle.
    items : sequence
    workers : int
        Processes.
    finish : callable
        Called here with the index of an item and the result, as each is finished.

    Raises
    ------
    RuntimeError
        If a worker ends before its work does, such as for want of memory.
    Exception
        What the function raises.
    """
    waiting = list(enumerate(items))[::-1]
    busy: dict[Any, int | None] = {}
    with ExitStack() as stack:
        # Workers are killed. What they leave is here, and goes after them.
        temporary = tempfile.TemporaryDirectory(prefix="dintmac-", ignore_cleanup_errors=True)
        folder = stack.enter_context(temporary)
        for worker in [stack.enter_context(_worker(folder)) for _ in range(workers)]:
            worker.send(function)
            busy[worker] = None
        while busy:
            ready: list[Any] = wait(list(busy))
            for worker in ready:
                index, result = busy.pop(worker), worker.result()
                if index is not None:
                    finish(index, result)
                if waiting:
                    busy[worker], item = waiting.pop()
                    worker.send(item)


@dataclass(frozen=True, eq=False)
class _Worker:
    """The parent's side of a worker."""

    connection: Connection
    process: subprocess.Popen[bytes]

    def fileno(self) -> int:
        """What :func:`wait` looks at."""
        return self.connection.fileno()

    def send(self, value: Any) -> None:
        """Hand something to the worker."""
        with self._alive():
            self.connection.send(value)

    def result(self) -> Any:
        """Wait for what the function returns or raises."""
        with self._alive():
            error, value = self.connection.recv()
        if error is not None:
            raise error
        return value

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            status = self.process.wait()
            raise RuntimeError(
                f"a worker ended with status {status}; fewer of them leave more memory to each"
            ) from None


@contextlib.contextmanager
def _worker(folder: str) -> Iterator[_Worker]:
    """A worker with a folder for temporary files."""
    ours, theirs = Pipe()
    command = [*python(__name__), str(theirs.fileno())]
    environment = os.environ | {"TMPDIR": folder}
    with ours, started(command, env=environment, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        yield _Worker(ours, process)


def _serve(connection: Connection) -> None:
    """The worker's side: calls the function for one item after the other."""
    # The parent may end at any moment.
    with contextlib.suppress(EOFError, ConnectionError):
        error, function = _outcome(connection.recv)
        connection.send((error, None))
        while True:
            connection.send(_outcome(function, connection.recv()))


def _outcome(function: Callable[..., Any], *arguments: Any) -> tuple[Exception | None, Any]:
    """The error or the result of a call."""
    try:
        return None, function(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return error, None


if __name__ == "__main__":
    end_with_parent()
    _serve(Connection(int(sys.argv[1])))
