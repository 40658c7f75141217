"""What all verbs have in common: their help, progress on standard error, results as JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: The verbs of the command line, to which others are added.
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

#: Seconds before a progress bar appears.
PATIENCE = 2.0


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or isinstance(action.default, bool):
            return action.help
        return super()._get_help_string(action)


def add_verb(
    verbs: Verbs, name: str, summary: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """A verb that calls ``run`` with the options and ends with the exit status it returns."""
    verb = verbs.add_parser(name, help=summary, description=summary, formatter_class=HelpFormatter)
    verb.set_defaults(run=run)
    return verb


@contextlib.contextmanager
def bar(what: str, total: float) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar for what takes longer than ``PATIENCE``; none where there is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    later = threading.Timer(PATIENCE, progress.start)
    if console.is_terminal:
        later.start()
    try:
        yield progress, progress.add_task(what, total=total)
    finally:
        later.cancel()
        if console.is_terminal:
            later.join()
        progress.stop()


@contextlib.contextmanager
def fraction(what: str) -> Iterator[Callable[[float], None]]:
    """A progress bar for what reports a fraction, 0 … 1."""
    with bar(what, 1.0) as (progress, task):
        yield lambda done: progress.update(task, completed=done)


@contextlib.contextmanager
def counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for what reports how many are done, of how many."""
    with bar(what, 1.0) as (progress, task):
        yield lambda done, of: progress.update(task, completed=done, total=of)


def print_json(value: object) -> None:
    """A result for programs, on standard output."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def peak_memory() -> int:
    """Bytes that this process has had in memory at most."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
