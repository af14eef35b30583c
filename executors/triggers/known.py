"""The triggers of a fleet in memory, found by what they are about: a flood of them is gone through once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

from slacktide.executors.triggers.trigger import Change, Trigger

Names = Iterable[Any]


def _keys(trigger: Trigger) -> Names:
    return [(trigger.kind, trigger.key)]


def _alerts(trigger: Trigger) -> Names:
    """Return the fingerprints that an alert's trigger knows of."""
    return [trigger.key, *trigger.course.firing, *trigger.course.resolved] if trigger.kind == "alert" else ()


def _hosts(trigger: Trigger) -> Names:
    return [trigger.asked.host] if trigger.kind == "alert" and trigger.asked.host is not None else ()


def _work(trigger: Trigger) -> Names:
    return [trigger.asked.work] if trigger.is_open else ()


def _named(trigger: Trigger) -> Names:
    """Return which hosts an open request names whose level has an age."""
    due = trigger.asked.due
    wanted = trigger.is_open and trigger.kind == "request" and due is not None and due.order == "version"
    return [due.named] if wanted and due is not None else ()


_INDEXES: Final[Mapping[str, Callable[[Trigger], Names]]] = {
    "key": _keys,
    "alert": _alerts,
    "host": _hosts,
    "work": _work,
    "named": _named,
}


class Known(Sequence[Trigger]):
    """Triggers, the oldest first; what is decided is put in before the next is decided on."""

    def __init__(self, triggers: Iterable[Trigger] = ()) -> None:
        self._rows = {each.number: each for each in sorted(triggers, key=lambda each: each.number)}
        self._indexes: dict[str, dict[Any, set[int]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Trigger]:
        return iter(self._rows.values())

    @overload
    def __getitem__(self, place: int) -> Trigger: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Trigger]: ...

    def __getitem__(self, place: int | slice) -> Trigger | Sequence[Trigger]:
        return list(self._rows.values())[place]

    def numbered(self, number: int | None) -> Trigger | None:
        """Return a trigger by its number; None: it is not known here."""
        return None if number is None else self._rows.get(number)

    def put(self, trigger: Trigger) -> None:
        """Have a trigger be as it is now."""
        before = self._rows.get(trigger.number)
        self._rows[trigger.number] = trigger
        for name, index in self._indexes.items():
            old = set() if before is None else set(_INDEXES[name](before))
            new = set(_INDEXES[name](trigger))
            for gone in old - new:
                index[gone].discard(trigger.number)
            for fresh in new - old:
                index.setdefault(fresh, set()).add(trigger.number)

    def of_key(self, kind: str, key: str) -> list[Trigger]:
        """Return triggers of a kind with a key."""
        return self._found("key", (kind, key))

    def of_alert(self, fingerprint: str, host: str | None) -> list[Trigger]:
        """Return triggers that know of an alert, or are of its host."""
        numbers = self._index("alert").get(fingerprint, set()) | self._index("host").get(host, set())
        return [self._rows[number] for number in sorted(numbers)]

    def of_work(self, work: str) -> list[Trigger]:
        """Return open triggers that ask for the same."""
        return self._found("work", work)

    def of_hosts(self, named: tuple[frozenset[str], ...]) -> list[Trigger]:
        """Return open requests for the same hosts whose levels can be told apart by age."""
        return self._found("named", named)

    def _found(self, name: str, value: object) -> list[Trigger]:
        return [self._rows[number] for number in sorted(self._index(name).get(value, ()))]

    def _index(self, name: str) -> dict[Any, set[int]]:
        if name not in self._indexes:
            index: dict[Any, set[int]] = {}
            for each in self:
                for value in _INDEXES[name](each):
                    index.setdefault(value, set()).add(each.number)
            self._indexes[name] = index
        return self._indexes[name]


@dataclass(frozen=True, slots=True)
class Decision:
    """Something to be decided on, with the keys of closed triggers that it asks for however old they are."""

    decide: Callable[[Known], Sequence[Change]]
    """From the triggers of a fleet to what becomes of some."""
    keys: tuple[str, ...] = ()

    def __call__(self, triggers: Known) -> Sequence[Change]:
        """Decide."""
        return self.decide(triggers)
