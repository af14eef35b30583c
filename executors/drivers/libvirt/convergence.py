"""What is done when a migration does not converge: pure, from samples of its progress.

The ladder, each rung only if the policy allows it:

1. ``raise-limit``: a copy begins with the pause that the plan predicted as its limit.  Where that is not reached in
   :data:`PATIENCE` times the predicted brownout, the pause may last as long as the VM's blackout limit allows.
2. ``throttle``: with ``autoconverge`` allowed, the hypervisor slows the guest by itself, first by 20 % and then in
   steps of 10, once it has dirtied more than half of what was sent in two rounds.  Seen here and told, not done here.
3. ``postcopy``: at once after the first round where the plan says so; otherwise after :data:`LONG` times the predicted
   brownout.  The guest moves, and fetches what is missing.
4. Cancelled by the coordinator's deadline (:mod:`slacktide.executors.rules`): the guest goes on on its source.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from slacktide.planner.policy import MigrationRules

PATIENCE: Final = 1.25
"""Multiple of the predicted brownout after which the pause may be as long as allowed: predictions are as exact as the
dirty rates measured for them, which one look gives to a quarter or so."""
LONG: Final = 2.0
"""Multiple of the predicted brownout after which post-copy ends a copy that was not planned to need it: by then all
rounds that were foreseen have been sent twice."""
GRACE_S: Final = 2.0
"""Added to both: the shortest copies are not judged by fractions of a second."""
LEAST_LIMIT_MS: Final = 20
"""The shortest pause that is asked for; below it the copy would wait for a luckier moment than a busy host gives."""


class Sample(NamedTuple):
    """What the hypervisor says of a copy under way."""

    at_s: float
    """Since the attempt began."""
    iteration: int
    sent_mib: float
    remaining_mib: float
    dirty_mib_s: float
    rate_mib_s: float
    throttle: float

    @property
    def estimate_s(self) -> float | None:
        """How long the rest takes if nothing changes; None: for ever."""
        net_mib_s = self.rate_mib_s - self.dirty_mib_s
        return self.remaining_mib / net_mib_s if net_mib_s > 0 else None


class Step(NamedTuple):
    """A rung of the ladder, and why it was taken."""

    name: str
    reason: str


@dataclass(slots=True)
class Ladder:
    """Decides, sample by sample, for one attempt."""

    strategy: str
    predicted_brownout_s: float
    predicted_blackout_ms: float
    limit_ms: int
    """What the blackout may be."""
    rules: MigrationRules
    raised: bool = False
    throttled: bool = False
    switched: bool = False

    @property
    def first_limit_ms(self) -> int:
        """Pause that the hypervisor is to aim at in the beginning, without what a switch takes anyway."""
        predicted_ms = self.predicted_blackout_ms - self.rules.switchover_ms
        return max(LEAST_LIMIT_MS, min(round(predicted_ms), self.longest_ms))

    @property
    def longest_ms(self) -> int:
        """Longest pause that it may aim at."""
        return max(LEAST_LIMIT_MS, self.limit_ms - self.rules.switchover_ms)

    @property
    def may_throttle(self) -> bool:
        """Whether the hypervisor may slow the guest."""
        return self.strategy == "autoconverge" or "autoconverge" in self.rules.strategies

    @property
    def may_switch(self) -> bool:
        """Whether the guest may move before its memory has."""
        return self.strategy == "postcopy" or "postcopy" in self.rules.strategies

    def next_step(self, sample: Sample) -> Step | None:
        """Return the rung to take now, if any, until :meth:`took` says that it was taken."""
        if self.switched or sample.iteration < 2:
            return None
        if self.may_switch and self._must_switch(sample):
            return Step("postcopy", self._why(sample))
        late_s = PATIENCE * self.predicted_brownout_s + GRACE_S
        if not self.raised and sample.at_s > late_s and self.longest_ms > self.first_limit_ms:
            return Step("raise-limit", self._why(sample))
        if not self.throttled and sample.throttle > 0:
            return Step("throttle", f"the hypervisor takes {sample.throttle:.0%} of its time, {self._why(sample)}")
        return None

    def took(self, step: Step) -> None:
        """Note that a rung was taken: the hypervisor has done it."""
        self.switched |= step.name == "postcopy"
        self.raised |= step.name == "raise-limit"
        self.throttled |= step.name == "throttle"

    def _must_switch(self, sample: Sample) -> bool:
        """Return whether the guest is to move now; the first round has been sent."""
        return self.strategy == "postcopy" or sample.at_s > LONG * self.predicted_brownout_s + GRACE_S

    def _why(self, sample: Sample) -> str:
        return (
            f"after {sample.at_s:.1f} s, round {sample.iteration}, {sample.remaining_mib:,.0f} MiB remain; the guest "
            f"dirties {sample.dirty_mib_s:,.0f} MiB/s and {sample.rate_mib_s:,.0f} MiB/s are sent"
        )
