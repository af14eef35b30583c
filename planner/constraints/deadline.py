"""The campaign ends in time, or says so."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from slacktide.findings import Finding
from slacktide.planner.replay import Replay


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last host has returned by the policy's deadline; a plan that is late is reported, not refused."""

    deadline_s: int | None
    rule: ClassVar[str] = "deadline"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield a warning if the plan is late."""
        hosts = replay.hosts
        makespan_s = int(hosts.over_s[hosts.planned].max(initial=0))
        if self.deadline_s is None or makespan_s <= self.deadline_s:
            return
        urgent = replay.policy.name == "urgent"
        remedy = (
            "Allow more hosts out or a larger link share, or move the deadline; `slacktide what-if` says what suffices"
            if urgent
            else "Allow more hosts out or a larger link share, take the preset `urgent`, or move the deadline"
        )
        late = int((hosts.over_s[hosts.planned] > self.deadline_s).sum())
        yield Finding(
            self.rule,
            f"the last host returns at {makespan_s:,} s, {makespan_s - self.deadline_s:,} s after the deadline; "
            f"{'1 host is' if late == 1 else f'{late} hosts are'} late",
            remedy,
            "warning",
            at_s=makespan_s,
        )
