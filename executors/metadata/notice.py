"""What one VM is told of its maintenance: a state machine, pure.

``none -> announced -> under way -> none``.  Announced again, the same migration stays acknowledged.  A migration may be
under way while the VM's next is announced already; then what is under way is what the guest is told.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from slacktide.ids import MigrationId

NONE: Final = "NONE"
ETAG_BYTES: Final = 8
"""Of a digest that tells states of one VM apart, of which there are a handful in a night."""


class Kind(StrEnum):
    """What is done with the VM, in the words of public clouds, whose agents read them."""

    MIGRATE = "MIGRATE_ON_HOST_MAINTENANCE"
    TERMINATE = "TERMINATE_ON_HOST_MAINTENANCE"
    """It is shut down, and started on another host."""


def kind_of(strategy: str) -> Kind:
    """Return what a guest is told of a migration by this strategy."""
    return Kind.TERMINATE if strategy == "restart" else Kind.MIGRATE


@dataclass(frozen=True, slots=True)
class Announcement:
    """One migration, as its guest is told of it."""

    migration_id: MigrationId
    kind: Kind
    window_start: datetime
    """When it begins at the earliest, in UTC, unless the guest is ready before."""
    window_end: datetime
    """When it will be over, as far as is known."""
    notice_s: int
    """How long before it begins the guest is to be told; 0: it is not told before."""
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class MaintenanceNotice:
    """What one VM is told; each transition returns the notice after it."""

    coming: tuple[Announcement, ...] = ()
    """In the order in which they begin."""
    under_way: Announcement | None = None

    def announce(self, new: Announcement) -> "MaintenanceNotice":
        """Announce a migration; one that is under way stays so."""
        if self.under_way is not None and self.under_way.migration_id == new.migration_id:
            return self
        before = next((each for each in self.coming if each.migration_id == new.migration_id), new)
        told = replace(new, acknowledged=new.acknowledged or before.acknowledged)
        others = [each for each in self.coming if each.migration_id != new.migration_id]
        return replace(self, coming=tuple(sorted([*others, told], key=_order)))

    def acknowledge(self) -> "MaintenanceNotice":
        """Take note that the guest is ready for what comes next; the same notice where there is nothing to be."""
        if not self.can_acknowledge:
            return self
        first, *others = self.coming
        return replace(self, coming=(replace(first, acknowledged=True), *others))

    def begin(self, begun: Announcement) -> "MaintenanceNotice":
        """Have a migration under way, announced or not."""
        known = next((each for each in self.coming if each.migration_id == begun.migration_id), begun)
        others = tuple(each for each in self.coming if each.migration_id != begun.migration_id)
        return MaintenanceNotice(others, replace(begun, acknowledged=known.acknowledged, notice_s=known.notice_s))

    def end(self, migration: MigrationId) -> "MaintenanceNotice":
        """Forget a migration that is done, has failed or will not be."""
        under_way = self.under_way
        return MaintenanceNotice(
            tuple(each for each in self.coming if each.migration_id != migration),
            None if under_way is not None and under_way.migration_id == migration else under_way,
        )

    @property
    def shown(self) -> Announcement | None:
        """What the guest is told; None: nothing is to come."""
        return self.under_way or next(iter(self.coming), None)

    @property
    def can_acknowledge(self) -> bool:
        """Whether the guest's word would end a notice period."""
        return self.under_way is None and bool(self.coming) and not self.coming[0].acknowledged

    @property
    def event(self) -> str:
        """What ``maintenance-event`` says."""
        return NONE if self.shown is None else self.shown.kind.value

    @property
    def upcoming(self) -> dict[str, str | int | bool | None]:
        """What ``upcoming-maintenance`` says."""
        shown = self.shown
        return {
            "kind": self.event,
            "window_start": None if shown is None else _moment(shown.window_start),
            "window_end": None if shown is None else _moment(shown.window_end),
            "notice_s": None if shown is None else shown.notice_s,
            "under_way": self.under_way is not None,
            "acknowledged": shown is not None and shown.acknowledged,
            "can_acknowledge": self.can_acknowledge,
        }

    def etag(self, body: str) -> str:
        """Return what tells ``body`` from what this VM was told at other times.

        It is the same at every host, so that a guest may go on waiting where it has come to; two migrations that are
        told in the same words differ.
        """
        whose = "" if self.shown is None else self.shown.migration_id
        return blake2b(f"{whose}\0{body}".encode(), digest_size=ETAG_BYTES).hexdigest()


def _order(announcement: Announcement) -> tuple[datetime, str]:
    return announcement.window_start, announcement.migration_id


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
