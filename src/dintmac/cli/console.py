"""What all verbs have in common: their help, progress on standard error, results as JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

AddOptions: TypeAlias = Callable[[argparse.ArgumentParser], None]

#: Seconds before a progress bar appears.
PATIENCE = 2.0


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or isinstance(action.default, bool):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=HelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise a ValueError, as any other wrong input does."""
        raise ValueError(f"{message} (see {self.prog} --help)")


class VerbParser(Parser):
    """Takes an option once and no empty text.

    Parameters
    ----------
    add_options : function
        Adds the options when they are parsed: what they are made from may take long to import.
    """

    def __init__(self, add_options: AddOptions, **settings: Any) -> None:
        super().__init__(**settings)
        self._add_options = add_options
        self.register("action", None, _Once)
        self.register("type", None, _text)
        self.register("type", Path, lambda text: Path(_text(text)))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As that of argparse, with the options that are added now."""
        self._add_options(self)
        return super().parse_known_args(args, namespace)


class _Once(argparse.Action):
    """Stores a value, and does not let another one take its place."""

    _given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if self._given:
            raise argparse.ArgumentError(self, "can be given only once")
        self._given = True
        setattr(namespace, self.dest, values)


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


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
