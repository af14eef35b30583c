"""What every event has, and what those about one migration, host or agent have."""

from dataclasses import dataclass, fields
from typing import ClassVar

from slacktide.ids import HostId, MigrationId


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment of the campaign."""

    type: ClassVar[str]
    subject_field: ClassVar[str | None] = None
    """Field that names whom it is about; the journal keeps it in a column of its own."""

    at_s: float

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), tuple(getattr(self, name) for name in field_names(type(self)))


_FIELD_NAMES: dict[type[Event], tuple[str, ...]] = {}


def field_names(kind: type[Event]) -> tuple[str, ...]:
    """Return the names of an event's fields in order, ``at_s`` first."""
    names = _FIELD_NAMES.get(kind)
    if names is None:
        names = _FIELD_NAMES[kind] = tuple(field.name for field in fields(kind))
    return names


@dataclass(frozen=True, slots=True)
class MigrationEvent(Event):
    """Something about one migration."""

    subject_field = "migration_id"
    migration_id: MigrationId


@dataclass(frozen=True, slots=True)
class AttemptEvent(MigrationEvent):
    """Something about one attempt at a migration, counted from 1."""

    attempt: int


@dataclass(frozen=True, slots=True)
class HostEvent(Event):
    """Something about one host."""

    subject_field = "host_id"
    host_id: HostId


@dataclass(frozen=True, slots=True)
class AgentEvent(Event):
    """Something about one agent."""

    subject_field = "agent"
    agent: str
    """Its name, without that of the campaign."""
