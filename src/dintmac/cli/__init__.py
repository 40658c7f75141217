"""The front door: a verb's exit status, one sentence for what went wrong, and interrupts.

Results go to standard output, progress and errors to standard error. Exit status: 0 success, 1 a
check failed, 2 wrong input or a missing tool, 130 interrupted.

Nothing that takes time is imported here, so that interrupts are heard from the first moment on.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["EXIT_FAILED", "EXIT_INTERRUPTED", "EXIT_WRONG_INPUT", "entry", "main", "say"]

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

#: What ends a run: Ctrl-C, ``kill`` and ``timeout``, a terminal that closes; and our own reminder.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

#: Errors with a message for the user; others are mistakes of ours.
_EXPECTED = (ValueError, TypeError, OSError, RuntimeError, ImportError)

_interrupted = False


class _Interrupt(KeyboardInterrupt):
    """Of its own class: Python kills itself at the end if exec has passed on the other one."""


def entry() -> int:
    """Run ``dintmac`` as a process of its own, with the arguments of the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # As in a UTF-8 locale; names of files are printed as they are.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    sys.unraisablehook = _remind
    # Whoever has had a signal ignored, as nohup does, wants it to be.
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, _interrupt)
        return main()
    except KeyboardInterrupt:
        say("interrupted")
        return EXIT_INTERRUPTED
    finally:
        # All is done, and the end is not to be disturbed.
        for number in heard:
            signal.signal(number, signal.SIG_IGN)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit status; interrupts are the caller's."""
    try:
        from dintmac.cli.parser import parse

        options = parse(arguments)
        status: int = options.run(options)
        print(end="", flush=True)
    except Exception as error:
        if _interrupted:
            # Importing turns interrupts into other errors.
            raise _Interrupt from None
        return _status_of(error)
    return status


def say(message: object) -> None:
    """Print a sentence on standard error."""
    print("dintmac:", *str(message).split(), file=sys.stderr)


def _interrupt(number: int, frame: object) -> None:
    """Unwind, and then be deaf: cleaning up is not to be interrupted."""
    global _interrupted
    if not _interrupted:
        _interrupted = True
        raise _Interrupt


def _remind(unraisable: sys.UnraisableHookArgs) -> None:
    """Interrupt again where an interrupt was lost, as in a destructor."""
    global _interrupted
    if unraisable.exc_type is _Interrupt:
        _interrupted = False
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(unraisable)


def _status_of(error: Exception) -> int:
    """Say what was wrong, in one line, while an error is handled."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        # Standard output has failed, and Python must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):
            return 0
    if os.environ.get("DINTMAC_TRACEBACK"):
        raise
    say(_sentence(error))
    return EXIT_WRONG_INPUT


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, _EXPECTED) and str(error):
        return str(error)
    return (
        f"{type(error).__name__}: {error}; this was not foreseen: "
        "set DINTMAC_TRACEBACK=1 to see where it comes from"
    )
