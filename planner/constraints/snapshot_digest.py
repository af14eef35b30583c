"""The plan was made for this snapshot, and says truly by which policy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from slacktide.findings import Finding
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.replay import Replay


@dataclass(frozen=True, slots=True)
class SnapshotDigest:
    """The plan's digests are those of the snapshot and of the policy in it."""

    rule: ClassVar[str] = "snapshot-digest"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield a finding for a digest that differs."""
        header = replay.plan.header
        found = replay.snapshot_digest
        if found != header.snapshot_digest:
            yield Finding(
                self.rule,
                f"the plan was made for another snapshot: digest {header.snapshot_digest[:16]}, here {found[:16]}",
                "Audit it with its own snapshot, or plan this one",
            )
        if policy_digest(header.policy) != header.policy_digest:
            yield Finding(self.rule, "the plan's policy is not the one whose digest it carries", "Make the plan again")
