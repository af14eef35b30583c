"""Texts of an action filled in for one host, and secrets kept out of what is told."""

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from slacktide.errors import DriverError
from slacktide.executors.maintenance.action import REFERENCE
from slacktide.ids import HostId

HIDDEN: Final = "***"
SHORTEST_SECRET: Final = 4
"""Characters of a value that is hidden in messages: shorter ones stand in them by chance."""
WORDS: Final = 300
"""Characters of what a failed action said that are told: its last words, where the reason is."""
PAGE_WORDS: Final = 80
"""Characters of a page for people that are told: its title says what it is."""


class Target(NamedTuple):
    """What an action is for."""

    host: HostId
    patch_level: str


def filled(text: str, target: Target) -> str:
    """Return a text with the host and its level in it; other braces stay as they are."""
    return text.replace("{host}", target.host).replace("{patch_level}", target.patch_level)


def address(text: str, target: Target, environment: Mapping[str, str]) -> str:
    """Return an address of HTTP, in which host and level are percent-encoded.

    Raises
    ------
    DriverError
        If a variable is not set.
    """
    encoded = Target(HostId(quote(target.host, safe="")), quote(target.patch_level, safe=""))
    return revealed(filled(text, encoded), environment)


def everywhere(value: Any, target: Target, environment: Mapping[str, str]) -> Any:  # noqa: ANN401  (JSON)
    """Return a JSON value whose texts are filled in, variables too.

    Raises
    ------
    DriverError
        If a variable is not set.
    """
    if isinstance(value, str):
        return revealed(filled(value, target), environment)
    if isinstance(value, list):
        return [everywhere(each, target, environment) for each in value]
    if isinstance(value, dict):
        return {name: everywhere(each, target, environment) for name, each in value.items()}
    return value


def revealed(text: str, environment: Mapping[str, str]) -> str:
    """Return a text with its variables' values.

    Raises
    ------
    DriverError
        If one is not set.
    """

    def value(reference: re.Match[str]) -> str:
        name = reference[1]
        if name not in environment:
            remedy = f"Set {name} for the process that runs the campaign, and for Ray's where agents are on Ray"
            raise DriverError(f"environment variable {name}", "is not set where the agent runs", remedy)
        return environment[name]

    return REFERENCE.sub(value, text)


class Secrets:
    """Values of the variables that an action or a check refers to, which are told to nobody."""

    def __init__(self, data: Any, environment: Mapping[str, str]) -> None:  # noqa: ANN401  (JSON)
        values = {environment.get(name, "") for name in referred(data)}
        forms = {form for value in values if len(value) >= SHORTEST_SECRET for form in _forms(value)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        """The longer first: one secret may be the beginning of another."""

    def hidden(self, text: str) -> str:
        """Return a text without them."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def last_words(self, text: str) -> str:
        """Return the end of what was said, in one line; they are hidden first, for a part of one is not known."""
        return last_words(self.hidden(text))

    def answer_words(self, text: str) -> str:
        """Return :func:`answer_words` of what was answered, likewise; also what stands there in characters' names."""
        return self.hidden(answer_words(self.hidden(text), self.hidden))


def _forms(secret: str) -> tuple[str, ...]:
    """Return how a secret is written: as it is, in one line, in an address, in JSON."""
    return secret, " ".join(secret.split()), quote(secret, safe=""), json.dumps(secret)[1:-1]


def referred(data: Any) -> tuple[str, ...]:  # noqa: ANN401  (JSON)
    """Return the names of all variables that an action's data refer to, sorted."""
    return tuple(sorted(set(REFERENCE.findall(json.dumps(data)))))


def last_words(text: str) -> str:
    """Return the end of what was said, in one line; where secrets may be in it, see :meth:`Secrets.last_words`."""
    return " ".join(text.split())[-WORDS:] or "nothing"


def answer_words(text: str, hidden: Callable[[str], str] = str) -> str:
    """Return what an answer over HTTP says, in one line; of a page for people its title, or its first words.

    Parameters
    ----------
    hidden
        Takes secrets out of a text.
    """
    if text.lstrip()[:1] != "<":
        return last_words(text)
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    bare = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    words = " ".join(hidden(html.unescape(title[1] if title else bare)).split())
    return f"a page, {words[:PAGE_WORDS]}" if words else "a page"


def at(data: Any, field: str) -> Any:  # noqa: ANN401  (JSON)
    """Return what a JSON value has at names and numbers with dots between.

    Raises
    ------
    KeyError
        If it has nothing there.
    """
    for name in field.split("."):
        if isinstance(data, dict) and name in data:
            data = data[name]
        elif isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            raise KeyError(field)
    return data


def as_text(value: Any) -> str:  # noqa: ANN401  (JSON)
    """Return a JSON value as it is compared: a text as it is, all else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value)
