"""Events to and from rows of text, and whole events to and from JSON.

The format's version is the journal's (:data:`slacktide.executors.store.schema.FORMAT_VERSION`): a field is never given
another meaning, and a type is never taken away while a journal of its version can be read.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from math import isfinite
from typing import Any, Final, NamedTuple

from slacktide.errors import InputError
from slacktide.executors import control_events, events
from slacktide.executors.events import Event, field_names


class Row(NamedTuple):
    """An event as the journal keeps it."""

    at_s: float
    type: str
    subject: str | None
    """Id of the migration or host; null for events of the whole campaign."""
    body: str | None
    """All other fields as a JSON object; null where there are none."""


def _concrete() -> dict[str, type[Event]]:
    known = [*vars(events).values(), *vars(control_events).values()]
    kinds = [kind for kind in known if isinstance(kind, type) and issubclass(kind, Event)]
    return {kind.type: kind for kind in kinds if "type" in vars(kind) and isinstance(vars(kind)["type"], str)}


EVENT_TYPES: Final[dict[str, type[Event]]] = _concrete()
"""Every type of event by the name it is stored under."""


def _body_fields(kind: type[Event]) -> tuple[str, ...]:
    return tuple(name for name in field_names(kind) if name not in ("at_s", kind.subject_field))


def _optional_fields(kind: type[Event]) -> frozenset[str]:
    """Return the fields that are left out where they are null: those that came after the first journals."""
    return frozenset(field.name for field in fields(kind) if field.default is None)


_BODY_FIELDS: Final = {kind: _body_fields(kind) for kind in EVENT_TYPES.values()}
_to_text: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@lru_cache(maxsize=256)
def _attempt_body(attempt: int) -> str:
    return f'{{"attempt":{attempt}}}'


def _encoder(kind: type[Event]) -> Callable[[Any], Row]:
    """Return the function that makes rows of events of one kind; a campaign has a dozen events for every migration."""
    name, names, subject_field = kind.type, _BODY_FIELDS[kind], kind.subject_field
    optional = _optional_fields(kind)
    if names == ("attempt",):
        return lambda event: Row(event.at_s, name, event.migration_id, _attempt_body(event.attempt))

    def encode_one(event: Event) -> Row:
        subject = None if subject_field is None else getattr(event, subject_field)
        body = _to_text({field: getattr(event, field) for field in names}) if names else None
        return Row(event.at_s, name, subject, body)

    def encode_some(event: Event) -> Row:
        subject = None if subject_field is None else getattr(event, subject_field)
        body = {
            field: value for field in names if (value := getattr(event, field)) is not None or field not in optional
        }
        return Row(event.at_s, name, subject, _to_text(body))

    return encode_some if optional else encode_one


_ENCODERS: Final = {kind: _encoder(kind) for kind in EVENT_TYPES.values()}


@lru_cache(maxsize=256)
def _attempt_fields(body: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(body)
    return fields


def encode(event: Event) -> Row:
    """Return the event as a row."""
    return _ENCODERS[type(event)](event)


def decode(row: Row) -> Event:
    """Return the row's event.

    Raises
    ------
    InputError
        If the type is unknown or the fields are not its own.
    """
    kind: Callable[..., Event] | None = EVENT_TYPES.get(row.type)
    if kind is None:
        raise InputError(
            f"event {row.type}",
            "is unknown to this version",
            "Read the journal with the version of Slacktide that wrote it, or a newer one.",
        )
    try:
        if not isfinite(row.at_s):
            raise ValueError(f"at_s is {row.at_s}")
        fields = _attempt_fields(row.body) if row.body and len(row.body) < 20 else json.loads(row.body or "{}")
        if row.subject is None:
            return kind(row.at_s, **fields)
        return kind(row.at_s, row.subject, **fields)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"event {row.type} at {row.at_s} s",
            f"does not have its fields ({error})",
            "The journal was changed by hand or is damaged; restore it from a copy.",
        ) from error


def to_json(event: Event) -> dict[str, Any]:
    """Return the event as plain data with its ``type``."""
    names = field_names(type(event))
    return {"type": event.type} | {name: getattr(event, name) for name in names}


def from_json(data: dict[str, Any]) -> Event:
    """Return the event of which ``data`` is :func:`to_json`.

    Raises
    ------
    InputError
        If the type is unknown or the fields are not its own.
    """
    fields = dict(data)
    name = fields.pop("type", None)
    kind = EVENT_TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"event {name}", "is unknown to this version", "Use the version of Slacktide that wrote it.")
    try:
        return kind(**fields)
    except TypeError as error:
        raise InputError(f"event {name}", f"does not have its fields ({error})", "Restore it from a copy.") from error
