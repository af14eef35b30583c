"""How every command ends: its exit code, and one clear error instead of a traceback."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

from rich.text import Text

from slacktide.errors import InputError, InternalError, SlacktideError
from slacktide.service.console import document, tell
from slacktide.service.interrupts import Terminated

OK: Final = 0
REFUSED: Final = 1
"""A finding, an infeasible plan, wrong content of a file, or a file that cannot be written."""
USAGE: Final = 2
"""The call is wrong: an unknown option, a missing argument, a path that does not exist, options in contradiction."""
BUG: Final = 70
"""An error that nobody foresaw (``EX_SOFTWARE`` of sysexits.h)."""
INTERRUPTED: Final = 130
"""Ctrl-C: 128 + SIGINT, as shells count."""
TERMINATED: Final = 143
"""Asked to end: 128 + SIGTERM."""
BROKEN_PIPE: Final = 141
"""Whoever read the output has gone: 128 + SIGPIPE."""

TRACEBACK_VARIABLE: Final = "SLACKTIDE_TRACEBACK"


def guarded(command: Callable[[], int], *, as_json: bool) -> int:
    """Return the exit code of ``command``, having said what went wrong.

    With ``as_json`` standard output then holds ``{"error": {...}}``, and standard error the same in words.
    """
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        _stop_printing()
        return BROKEN_PIPE
    except (KeyboardInterrupt, Exception) as error:
        return _reported(error, as_json=as_json)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what libraries in Rust raise for their own bugs
            raise
        return _reported(error, as_json=as_json)
    return code


def interrupted_code(error: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was interrupted, by Ctrl-C or by a request to end."""
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


def error_document(kind: str, subject: str, fact: str, remedy: str, code: int) -> dict[str, Any]:
    """Return what ``--json`` prints instead of a result."""
    return {"error": {"kind": kind, "subject": subject, "fact": fact, "remedy": remedy, "exit_code": code}}


def complain(text: str) -> None:
    """Print an error on standard error."""
    line = Text("error: ", style="bold red")
    line.append(text, style="default not bold")
    tell(line)


def _reported(error: BaseException, *, as_json: bool) -> int:
    try:
        if os.environ.get(TRACEBACK_VARIABLE) and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
        data, text = _explained(error)
        complain(text)
        if as_json:
            document(data)
            sys.stdout.flush()
    except BrokenPipeError:
        _stop_printing()
        return BROKEN_PIPE
    code: int = data["error"]["exit_code"]
    return code


def _explained(error: BaseException) -> tuple[dict[str, Any], str]:
    """Return an error as JSON and in words."""
    if isinstance(error, KeyboardInterrupt):
        code = interrupted_code(error)
        return error_document("Interrupted", "slacktide", "was interrupted", "Run it again", code), "interrupted"
    if isinstance(error, SlacktideError) and not isinstance(error, InternalError):
        kind = type(error).__name__
        data = error_document(kind, error.subject, error.fact, error.remedy, error.exit_code)
        if isinstance(error, InputError):
            data["error"]["findings"] = [finding.as_dict() for finding in error.findings]
        return data, str(error)
    if isinstance(error, OSError):
        subject = str(error.filename or "slacktide")
        fact, remedy = error.strerror or str(error), "Mend it and try again"
        return error_document("OSError", subject, fact, remedy, REFUSED), f"{subject}: {fact}"
    if isinstance(error, MemoryError):
        fact, remedy = "there is not enough memory", "Use a machine with more memory, or a smaller fleet"
        return error_document("MemoryError", "slacktide", fact, remedy, REFUSED), f"{fact}. {remedy}"
    first_line = (str(error).strip().splitlines() or [""])[0]
    fact = f"this is a bug in Slacktide: {type(error).__name__}: {first_line}"
    remedy = f"Report it with what `{TRACEBACK_VARIABLE}=1` before the command prints"
    return error_document("Bug", "slacktide", fact, remedy, BUG), f"{fact}. {remedy}"


def _stop_printing() -> None:
    """Send what is still to be flushed nowhere, so that the interpreter does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        return
    finally:
        os.close(nowhere)
