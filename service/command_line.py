"""The command line as it was given, to be told to who is to give it again; never a password."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slacktide.errors import UsageError

if TYPE_CHECKING:
    from slacktide.executors.campaign_file import Command

_GIVEN: Final = ContextVar[tuple[str, ...]]("given", default=())


@contextmanager
def given(tokens: Sequence[str]) -> Iterator[None]:
    """Have these be what was given, behind the program's name."""
    before = _GIVEN.set(tuple(tokens))
    try:
        yield
    finally:
        _GIVEN.reset(before)


def command_given() -> "Command | None":
    """Return the command that goes on with what this one begins; None: it was called by a program."""
    from slacktide.executors.campaign_file import Command  # needs the database's library, which help does without

    tokens = _GIVEN.get()
    if not tokens:
        return None
    words, is_store = ["slacktide"], False
    for token in tokens:
        name, equals, value = token.partition("=")
        if is_store:
            words.append(_without_password(token))
        elif name == "--store" and equals:
            words.append(f"{name}={_without_password(value)}")
        elif token != "--take-over":
            words.append(token)
        is_store = token == "--store"
    return Command(shlex.join(words), str(Path.cwd()))


def _without_password(url: str) -> str:
    from slacktide.executors.store.address import parse_store

    try:
        return parse_store(url).kept
    except UsageError:
        return "URL"
