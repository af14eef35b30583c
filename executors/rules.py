"""How execution reacts where the plan is silent: attempts, pauses, deadlines."""

from dataclasses import dataclass
from typing import Final, Literal

from slacktide.executors.health.settings import Health

OnDrift = Literal["ask", "revise", "ignore"]
"""What is done where a campaign departs from its plan so that something planned can no longer happen.

``ignore``: what depends on it is given up at once.  ``revise``: the rest is planned anew, and where that does not help,
given up.  ``ask``: what depends on it waits until a person has the rest planned anew, or gives it up.
"""

Hearing = Literal["nothing", "told", "asked"]
"""How it is known what others do with VMs.

``nothing``: nobody else is there.  ``told``: simulated agents say it, all in time.  ``asked``: real ones are asked what
is on a host, and only by their answer a host counts as drained, and a failed migration's VM as one that stays.
"""

MAX_ATTEMPTS: Final = 2
"""How often a migration is begun.

A failure that passes (a lost connection, a busy target) rarely comes twice a minute apart; one that does has a cause
which a third attempt does not mend, while the source stays out of service.
"""
RETRY_AFTER_S: Final = 60.0
"""Pause before the second attempt: longer than a switch or a daemon takes to come back, short beside a drain."""
MIGRATION_DEADLINE_FACTOR: Final = 5.0
"""Multiple of its planned duration after which a migration is stopped.

Below it a slow link or a busy guest may still converge; beyond it the prediction was wrong, and the room it holds twice
is worth more.
"""
PATCH_DEADLINE_FACTOR: Final = 4.0
"""Multiple of a host's ``maintenance_s`` after which it counts as lost: two reboots and a file-system check fit in."""
DEADLINE_FLOOR_S: Final = 120.0
"""Added to every deadline, so that the shortest actions are not judged by seconds."""
MOST_TRIED: Final = 2 * MAX_ATTEMPTS
"""How often a VM is tried to be moved from one host, whatever the target: after that a revision leaves the host alone.

A second target tells whether the first one was the cause; a third would be tried for the sake of trying.
"""


NOTHING: Final = Health()
"""Nothing pauses a campaign but a person."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How execution reacts where the plan is silent."""

    max_attempts: int = MAX_ATTEMPTS
    retry_after_s: float = RETRY_AFTER_S
    migration_deadline_factor: float = MIGRATION_DEADLINE_FACTOR
    patch_deadline_factor: float = PATCH_DEADLINE_FACTOR
    deadline_floor_s: float = DEADLINE_FLOOR_S
    approve_as: str | None = None
    """Who approves waves whose gate asks for it; null: a person has to, with an event of their own."""

    on_drift: OnDrift = "ignore"

    speed: float | None = None
    """Seconds of a simulated campaign for each second of this machine; null: as fast as it goes."""

    vms: Hearing = "nothing"
    """How it is known what others do with VMs."""

    health: Health = NOTHING
    """What pauses the campaign."""

    def migration_limit_s(self, planned_s: float) -> float:
        """Return how long an attempt may take that is planned to take so long."""
        return self.migration_deadline_factor * planned_s + self.deadline_floor_s

    def patch_limit_s(self, maintenance_s: float) -> float:
        """Return how long a host may take to come back from a patch that is planned to take so long."""
        return self.patch_deadline_factor * maintenance_s + self.deadline_floor_s
