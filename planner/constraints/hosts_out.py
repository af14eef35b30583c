"""No more hosts are out than the policy allows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from slacktide.findings import Finding
from slacktide.planner.limits import resolved
from slacktide.planner.replay import Ints, Replay
from slacktide.planner.sweep import Excess, Levels, excess, levels

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class HostsOut:
    """At most so many hosts drain or are patched at once, in the fleet and in each domain of each kind.

    A host that is evacuated is out until it is empty.  Where more are out when a revision begins, no other host leaves
    until they are few enough.
    """

    max_out: Mapping[str, int | str]
    rule: ClassVar[str] = "hosts-out"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Limit how many hosts of each group are out at once."""
        for kind in range(problem.out.group.shape[1]):
            group = problem.out.group[:, kind]
            for number in np.unique(group[group >= 0]).tolist():
                outs = encoding.out_of(np.flatnonzero(group == number).tolist())
                limit = int(problem.out.limit[number])
                encoding.cumulative([out.interval for out in outs], [1] * len(outs), limit)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield domains with too many hosts out: the first moment and the peak."""
        for kind, limit in self.max_out.items():
            found = _groups(replay, kind)
            if found is None:
                fact = f"no host is in a failure domain of kind {kind}, so its limit limits nothing"
                remedy = f"Remove {kind} from max_out, or add the domains to the snapshot"
                yield Finding(self.rule, fact, remedy, "warning", (kind,))
                continue
            group, names = found
            sizes = np.bincount(group[group >= 0], minlength=len(names))
            most = np.array([resolved(limit, size) for size in sizes.tolist()], dtype=np.int64)
            host, at_s, change = replay.place_changes
            inside = group[host] >= 0
            over = _too_many(replay, group[host][inside], at_s[inside], change[inside], host[inside], most)
            for key, moment, peak in zip(over.key.tolist(), over.at_s.tolist(), over.peak.tolist(), strict=True):
                where = names[key] if kind == "fleet" else f"{kind} {names[key]}"
                yield Finding(
                    self.rule,
                    f"up to {peak} hosts of the {where} are out at once; the policy allows {most[key]} of {sizes[key]}",
                    "Drain one of them later, or raise max_out",
                    subjects=(names[key],),
                    at_s=moment,
                )


def _groups(replay: Replay, kind: str) -> tuple[Ints, tuple[str, ...]] | None:
    if kind == "fleet":
        return np.zeros(len(replay.hosts.ids), dtype=np.int64), ("fleet",)
    return replay.domain_of(kind)


def _too_many(replay: Replay, group: Ints, at_s: Ints, change: Ints, host: Ints, most: Ints) -> Excess:
    """Return the groups with too many hosts out, but for those that were out before the plan began."""
    begun = np.where(replay.hosts.drain_start_s[host] < replay.from_s, change, 0)
    swept = levels(group, at_s, np.column_stack([change, begun]), np.zeros((len(most), 2), dtype=np.int64))
    out, before = swept.level[:, 0], swept.level[:, 1]
    return excess(Levels(swept.key, swept.at_s, np.where(out > before, out, 0)), most)
