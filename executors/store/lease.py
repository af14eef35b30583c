"""The lease of a campaign: one coordinator holds it, for some seconds at a time, and each holder is a new generation.

The clock is the database's.  A lease that has run out stays with its holder until another takes it; from then on the
generation is another, and nothing that the old holder appends is accepted.
"""

import time
from typing import Final

import sqlalchemy as sql

from slacktide.errors import ExecutionError
from slacktide.executors.store.campaigns import RESTORED, StoredCampaign
from slacktide.executors.store.connection import now_text
from slacktide.executors.store.holder import is_gone, new_holder
from slacktide.executors.store.schema import CAMPAIGNS

LEASE_S: Final = 15.0
"""How long a lease lasts: so long others wait after a machine was lost."""
RENEW_S: Final = 5.0
"""How often it is renewed: two renewals may fail before it runs out."""

_NEWEST: Final = {
    "sqlite": "SELECT generation, holder, (SELECT max(number) FROM events WHERE campaign = ?) "
    "FROM campaigns WHERE number = ?",
    "postgresql": "SELECT generation, holder, (SELECT max(number) FROM events WHERE campaign = %s) "
    "FROM campaigns WHERE number = %s FOR SHARE",
}
"""As text, since it is asked with every batch: to have SQLAlchemy write it takes longer than the answer."""


class Lease:
    """What one coordinator holds of a campaign."""

    def __init__(self, campaign: int, name: str) -> None:
        self._campaign = campaign
        self._name = name
        self.holder = new_holder()
        self.generation = 0
        self.clock: tuple[float, float] | None = None
        """Moment of the campaign's clock and its pace, to be told with each renewal; null: none is told."""
        self._renewed_s = 0.0

    def take(self, transaction: sql.Connection, found: StoredCampaign, *, take_over: bool) -> None:
        """Take the lease of a campaign that was found so in the same transaction.

        Raises
        ------
        ExecutionError
            If another holds it, unless ``take_over`` says that this does not count; or it came back from a backup.
        """
        if found.state == RESTORED:
            fact = "came back from a backup, and what was done on its hosts since is not in its journal"
            remedy = (
                "Import the hosts as they are now and plan anew; or, if nothing was done since, have it go on: "
                f"`slacktide store release {found.record.campaign_id}`"
            )
            raise ExecutionError(self._name, fact, remedy)
        if found.is_held and not take_over and not is_gone(found.holder or ""):
            fact = f"is carried out by {found.holder}, whose lease lasts until {found.lease_until}"
            raise ExecutionError(self._name, fact, "Wait for that one, end it, or give --take-over to fence it off")
        self.generation = found.generation + 1
        begun_s = _now_s()
        until = now_text(transaction.dialect.name, LEASE_S)
        mine = {"generation": self.generation, "holder": self.holder, "lease_until": until, "clock_s": None}
        transaction.execute(sql.update(CAMPAIGNS).where(CAMPAIGNS.c.number == self._campaign).values(mine))
        self._renewed_s = begun_s

    @property
    def is_due(self) -> bool:
        """Whether it is time to renew."""
        return _now_s() >= self._renewed_s + RENEW_S

    def renew(self, transaction: sql.Connection) -> None:
        """Have the lease last again.

        Raises
        ------
        ExecutionError
            If another coordinator has taken the campaign over.
        """
        begun_s = _now_s()
        until = now_text(transaction.dialect.name, LEASE_S)
        told: dict[str, object] = {}
        if self.clock is not None:
            moment_s, pace = self.clock
            told = {"clock_s": moment_s, "clock_at": now_text(transaction.dialect.name), "clock_pace": pace}
        self.change(transaction, lease_until=until, holder=self.holder, **told)
        self._renewed_s = begun_s

    def change(self, transaction: sql.Connection, **values: object) -> None:
        """Change columns of the campaign that only its holder may; errors as :meth:`renew`."""
        mine = sql.and_(CAMPAIGNS.c.number == self._campaign, CAMPAIGNS.c.generation == self.generation)
        if transaction.execute(sql.update(CAMPAIGNS).where(mine).values(values)).rowcount != 1:
            query = sql.select(CAMPAIGNS.c.holder).where(CAMPAIGNS.c.number == self._campaign)
            raise self._fenced(transaction.execute(query).scalar())

    def newest(self, transaction: sql.Connection) -> int:
        """Return the number of the campaign's newest event, and keep others from taking over until all is committed.

        Errors as :meth:`renew`.
        """
        query = _NEWEST[transaction.dialect.name]
        generation, holder, newest = transaction.exec_driver_sql(query, (self._campaign, self._campaign)).one()
        if generation != self.generation:
            raise self._fenced(holder)
        return newest or 0

    def give_back(self, transaction: sql.Connection) -> None:
        """Let others have the campaign at once, if it is still held."""
        mine = sql.and_(CAMPAIGNS.c.number == self._campaign, CAMPAIGNS.c.generation == self.generation)
        transaction.execute(sql.update(CAMPAIGNS).where(mine).values(holder=None, lease_until=None))

    def _fenced(self, holder: str | None) -> ExecutionError:
        fact = f"another coordinator ({holder or 'ended since'}) has taken this campaign over"
        return ExecutionError(self._name, fact, "Let that one go on; this one has stopped")


def _now_s() -> float:
    """Return seconds of a clock that goes on while the process, or the machine, is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
