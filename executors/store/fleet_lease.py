"""The lease of a fleet: one watcher carries its triggers out, however many watch with one store.

It is as a campaign's: some seconds long by the database's clock, and each holder is a new generation.  It is changed
within transactions that all others wait for who decide on triggers.
"""

import time
from typing import Final

import sqlalchemy as sql

from slacktide.errors import ExecutionError
from slacktide.executors.store.connection import now_text
from slacktide.executors.store.holder import is_gone, new_holder
from slacktide.executors.store.lease import LEASE_S, RENEW_S
from slacktide.executors.store.schema import TRIGGER_LEASES

_C: Final = TRIGGER_LEASES.c


class FleetLease:
    """What one watcher holds of a fleet."""

    def __init__(self, fleet: str) -> None:
        self._fleet = fleet
        self.holder = new_holder()
        self.generation = 0
        """0: another holds it, or nobody."""
        self._renewed_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is to be taken, or it is time to renew it."""
        return not self.generation or _now_s() >= self._renewed_s + RENEW_S

    def others(self, transaction: sql.Connection) -> str | None:
        """Return who else has the lease now; None: it can be taken, or is held here."""
        is_held = _C.lease_until > now_text(transaction.dialect.name)
        query = sql.select(_C.generation, _C.holder).where(_C.fleet == self._fleet, is_held)
        found = transaction.execute(query).first()
        if found is None or found.holder is None or found.generation == self.generation or is_gone(found.holder):
            return None
        return str(found.holder)

    def hold(self, transaction: sql.Connection) -> str | None:
        """Renew the lease, or take it where nobody else has it; return who does, as :meth:`others`."""
        if (other := self.others(transaction)) is not None:
            self.generation = 0
            return other
        begun_s = _now_s()
        query = sql.select(_C.generation).where(_C.fleet == self._fleet)
        newest = transaction.execute(query).scalar()
        generation = self.generation if self.generation and newest == self.generation else (newest or 0) + 1
        until = now_text(transaction.dialect.name, LEASE_S)
        values = {"generation": generation, "holder": self.holder, "lease_until": until}
        if newest is None:
            transaction.execute(sql.insert(TRIGGER_LEASES).values(fleet=self._fleet, **values))
        else:
            transaction.execute(sql.update(TRIGGER_LEASES).where(_C.fleet == self._fleet).values(values))
        self.generation, self._renewed_s = generation, begun_s
        return None

    def check(self, transaction: sql.Connection) -> None:
        """Refuse to go on where another has taken the fleet.

        Raises
        ------
        ExecutionError
            If it has: nothing of the transaction is to be written.
        """
        query = sql.select(_C.generation, _C.holder).where(_C.fleet == self._fleet)
        found = transaction.execute(query).first()
        if found is None or found.generation != self.generation:
            self.generation = 0
            holder = "ended since" if found is None or found.holder is None else found.holder
            fact = f"another watcher ({holder}) has taken it over"
            raise ExecutionError(f"fleet {self._fleet}", fact, "This one waits until it has ended")

    def give_back(self, transaction: sql.Connection) -> None:
        """Let others have the fleet at once, if it is still held."""
        mine = sql.and_(_C.fleet == self._fleet, _C.generation == self.generation)
        transaction.execute(sql.update(TRIGGER_LEASES).where(mine).values(holder=None, lease_until=None))


def _now_s() -> float:
    """Return seconds of a clock that goes on while the process, or the machine, is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
