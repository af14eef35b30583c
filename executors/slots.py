"""Places for hosts that are out: the policy's ``max_out`` at run time, in the fleet and in every failure domain.

Hosts queue in planned order in each domain that they count against, and each keeps its place there while something
else delays it: a host never takes the last place of one that was planned before it and that it may depend on.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping

import numpy as np

from slacktide.executors.campaign_state import OUT_STAGES, CampaignState, HostStage
from slacktide.executors.program import Program
from slacktide.planner.limits import resolved


class OutSlots:
    """Counts hosts out by limit and queues those that are due."""

    def __init__(self, program: Program, state: CampaignState) -> None:
        self._kinds, self._sizes = program.out.kinds, program.out.sizes.tolist()
        self._limit: list[int] = program.out.limit.tolist()
        self.change(state.max_out)
        self._names = program.out.names
        self._of_host = program.out.of_host
        hosts, self._ids = program.hosts, program.hosts.ids
        order = np.lexsort((np.arange(len(hosts.ids)), ~hosts.evacuated, hosts.drain_start_s))
        self.rank = np.empty(len(order), np.int64)
        self.rank[order] = np.arange(len(order))
        self._ranks: list[int] = self.rank.tolist()
        self._host_at: list[int] = order.tolist()
        self._out = [0] * len(self._limit)
        self._queue: list[list[int]] = [[] for _ in self._limit]
        self._queued: set[int] = set()
        for host in np.flatnonzero(np.isin(state.host_stage, OUT_STAGES)).tolist():
            self._count(host, 1)
        self._lost: list[int] = np.flatnonzero(state.host_stage == HostStage.LOST).tolist()

    def lose(self, host: int) -> None:
        """Note that a host that is out does not come back: its place stays taken."""
        self._lost.append(host)

    def enqueue(self, host: int) -> None:
        """Queue a host that is due."""
        if host not in self._queued:
            self._queued.add(host)
            for limit in self._of_host[host]:
                insort(self._queue[limit], self._ranks[host])

    def obstacle(self, host: int) -> str | None:
        """Return the name of a limit that keeps a queued host, or None where it may leave service."""
        rank = self._ranks[host]
        for limit in self._of_host[host]:
            ahead = bisect_left(self._queue[limit], rank)
            if self._out[limit] + ahead >= self._limit[limit]:
                most = self._limit[limit]
                words = f"{self._names[limit]}: at most {most} {'host' if most == 1 else 'hosts'} out"
                return words + self._taken_for_good(limit)
        return None

    def _taken_for_good(self, limit: int) -> str:
        """Return which hosts that are lost count against a limit, in words."""
        lost = [self._ids[host] for host in self._lost if limit in self._of_host[host]]
        if not lost:
            return ""
        if len(lost) == 1:
            return f", and {lost[0]}, which is lost, counts as out"
        return f", and {len(lost)} lost hosts count as out, first {min(lost)}"

    def take(self, host: int) -> None:
        """Let a queued host out."""
        self._dequeue(host)
        self._count(host, 1)

    def leave_queue(self, host: int) -> list[int]:
        """Take back a host's place in the queues, and return who may now leave service."""
        if host not in self._queued:
            return []
        self._dequeue(host)
        return self._next(host)

    def change(self, max_out: Mapping[str, int | str]) -> None:
        """Let other limits hold for some kinds of failure domains."""
        for place, (kind, size) in enumerate(zip(self._kinds, self._sizes, strict=True)):
            if kind in max_out:
                self._limit[place] = resolved(max_out[kind], size)

    @property
    def waiting(self) -> int:
        """How many hosts wait for a place."""
        return len(self._queued)

    def queued(self) -> set[int]:
        """Return the hosts that wait for a place."""
        return set(self._queued)

    def release(self, host: int) -> list[int]:
        """Take a host back in, and return who may now leave service."""
        self._count(host, -1)
        return self._next(host)

    def _next(self, host: int) -> list[int]:
        """Return the host in each queue that one freed place has just come to."""
        hosts = []
        for limit in self._of_host[host]:
            place = self._limit[limit] - self._out[limit] - 1
            if 0 <= place < len(self._queue[limit]):
                hosts.append(self._host_at[self._queue[limit][place]])
        return hosts

    def _count(self, host: int, sign: int) -> None:
        for limit in self._of_host[host]:
            self._out[limit] += sign

    def _dequeue(self, host: int) -> None:
        self._queued.discard(host)
        for limit in self._of_host[host]:
            queue = self._queue[limit]
            del queue[bisect_left(queue, self._ranks[host])]
