"""Logs: a line for each record, as JSON or as text, with the names by which records of one thing are found.

A record says of what it is by ``extra={"about": {...}}``: ``campaign``, ``host``, ``vm``, ``migration``, ``agent``.  In
actors and tasks lines go to standard output, which Ray keeps in the session's folder (``ray logs``); in a command they
go to standard error, where the environment asks for them.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

FORMAT_VARIABLE: Final = "SLACKTIDE_LOG_FORMAT"
"""``json`` or ``text``."""
LEVEL_VARIABLE: Final = "SLACKTIDE_LOG_LEVEL"
ROOT: Final = "slacktide"
"""Logger above all of ours."""
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How logs are written."""

    as_json: bool = True
    level: str = "INFO"


def log_settings(environment: Mapping[str, str] = os.environ) -> LogSettings:
    """Return how logs are to be written; what is misspelt there does not count."""
    level = environment.get(LEVEL_VARIABLE, "").upper()
    as_json = environment.get(FORMAT_VARIABLE, "").lower() != "text"
    return LogSettings(as_json, level if level in LEVELS else "INFO")


def are_asked_for(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a command is to write logs as well."""
    return bool(environment.get(FORMAT_VARIABLE) or environment.get(LEVEL_VARIABLE))


def log_to(stream: TextIO, settings: LogSettings, **about: str) -> None:
    """Have all records of this process written to a stream; ``about``: what every one of them is about."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines(about, as_json=settings.as_json))
    root = logging.getLogger(ROOT)
    root.handlers = [handler]
    root.setLevel(settings.level)
    root.propagate = False


_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode


class _Lines(logging.Formatter):
    """Makes a line of each record."""

    def __init__(self, about: Mapping[str, str], *, as_json: bool) -> None:
        super().__init__()
        self._about, self._as_json = dict(about), as_json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about: dict[str, Any] = self._about | getattr(record, "about", {})
        error = self.formatException(record.exc_info) if record.exc_info else None
        if self._as_json:
            line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
            return _ENCODE(line | about | ({"error": error} if error else {}))
        told = " ".join(f"{name}={value}" for name, value in about.items())
        line_of_text = f"{at} {record.levelname:7} {record.getMessage()}  {told}".rstrip()
        return f"{line_of_text}\n{error}" if error else line_of_text
