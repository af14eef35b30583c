"""Waves are what their table says, and start when their gates allow."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from slacktide.findings import Finding
from slacktide.planner.limits import resolved
from slacktide.planner.policy import Canary, Gates
from slacktide.planner.replay import Replay

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class WavesAndGates:
    """The canary is complete, alone and baked; later waves wait as the policy's gates say, and are not too large.

    The canary has as many hosts as the policy asks for, as one wave may have, or all that are planned.  Shares
    (``canary.hosts``, ``max_wave_hosts``) are of the hosts that the policy selects.

    A revision has its parent's numbers of waves, those left out that have returned.  Until its canary has passed, hosts
    of it that have returned count with those that are planned, and hosts that are lost do not.  No wave starts before
    what has returned has baked, but for a canary that has not passed: it does not wait for itself.  Waves that began
    before the revision are not too early, nor too large with the hosts that had left by then.

    Hosts that are evacuated are a wave of their own, which waits for no gate, and which no other waits for.
    """

    canary: Canary
    gates: Gates
    approve_start: bool = False
    rule: ClassVar[str] = "waves-and-gates"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Choose the canary hosts, and let all others start to drain once these have returned and baked.

        Gates between later waves are not encoded: only ``pipelined`` ones, which wait for nothing, can be solved.
        """
        outs, limit = encoding.outs, encoding.canary_hosts
        if limit == 0:
            return
        baked_s = encoding.time("the canary has baked", self.canary.bake_s)
        full = encoding.choice("the canary has all its hosts")
        for host, out in outs.items():
            canary = encoding.canary[host] = encoding.choice(f"{problem.hosts.ids[host]} is a canary")
            encoding.equal(out.patched, 1, canary)
            encoding.at_least(baked_s, out.return_s + self.canary.bake_s, canary)
            encoding.at_least(out.drain_start_s, baked_s, out.patched, ~canary)
        patched, canaries = sum(out.patched for out in outs.values()), sum(encoding.canary.values())
        encoding.at_least(limit, canaries)
        encoding.equal(canaries, limit, full)
        encoding.equal(canaries, patched, ~full)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield waves that are too large, too early, or not as stated."""
        waves = _counted(replay)
        yield from self._table(replay, waves)
        waves = waves.filter(pl.col("apart") == 0)
        revision, selected = replay.plan.header.revision, replay.selected
        passed = revision is not None and revision.canary_passed
        canary_hosts = 0 if passed else resolved(self.canary.hosts, selected)
        yield from self._sizes(replay, waves, canary_hosts)
        yield from self._gates(replay, waves.drop_nulls("first_s").rows(named=True), canary_hosts > 0)

    def _gates(self, replay: Replay, waves: list[dict[str, int]], canary: bool) -> Iterator[Finding]:
        """Yield waves that do not wait for what has returned, for the canary (if it is due) or the wave before."""
        revision, from_s = replay.plan.header.revision, replay.from_s
        if revision is not None:
            for row in waves:
                waits = not (canary and row["wave"] == 0)
                if waits and from_s <= row["first_s"] < revision.gate_s:
                    yield self._early(row, revision.gate_s, "what has returned has baked")
        canary = canary and bool(waves) and (revision is None or waves[0]["wave"] == 0)
        for before, row in itertools.pairwise(waves):
            if row["first_s"] < from_s:
                continue
            if canary:
                allowed_s = waves[0]["last_s"] + self.canary.bake_s
                if row["first_s"] < allowed_s:
                    yield self._early(row, allowed_s, "the canary has returned and baked")
            if self.gates.kind != "pipelined" and not (before is waves[0] and canary):
                allowed_s = before["last_s"] + self.gates.bake_s
                if row["first_s"] < allowed_s:
                    yield self._early(row, allowed_s, "the wave before has returned and baked")

    def _table(self, replay: Replay, waves: pl.DataFrame) -> Iterator[Finding]:
        """Yield where the table of waves differs from hosts and migrations."""
        numbers = waves["wave"].to_list()
        if replay.plan.header.revision is None and numbers != list(range(len(numbers))):
            yield Finding(self.rule, f"the waves are numbered {numbers}, not from 0 without gaps", "Plan again")
        for row in waves.iter_rows(named=True):
            if replay.plan.header.revision is not None and row["true_hosts"] == 0:
                continue
            wave, canary = row["wave"], resolved(self.canary.hosts, replay.selected) > 0
            gate = self._gate(wave, apart=bool(row["apart"]), canary=canary)
            for column, true in (
                ("gate", gate),
                ("start_s", row["first_s"]),
                ("end_s", row["last_s"]),
                ("hosts", row["true_hosts"]),
                ("migrations", row["true_migrations"]),
            ):
                if row[column] != true:
                    fact = f"wave {wave} states {column} {row[column]}, but it is {true}"
                    yield Finding(self.rule, fact, "Plan again", subjects=(f"wave {wave}",))
        moves, hosts = replay.moves, replay.hosts
        wrong = hosts.planned[moves.source] & (moves.wave != hosts.wave[moves.source])
        for name in replay.ids(wrong.nonzero()[0]):
            fact = f"{name} is in another wave than the host it leaves"
            yield Finding(self.rule, fact, "Plan again", subjects=(name,))

    def _gate(self, wave: int, *, apart: bool, canary: bool) -> str:
        """Return what opens a wave; hosts that are evacuated wait for nothing but the start."""
        if wave == 0:
            return "approval" if self.approve_start else "start"
        if apart:
            return "start"
        return "canary" if wave == 1 and canary else self.gates.kind

    def _sizes(self, replay: Replay, waves: pl.DataFrame, canary_hosts: int) -> Iterator[Finding]:
        selected, revision = replay.selected, replay.plan.header.revision
        most = None if self.gates.max_wave_hosts is None else resolved(self.gates.max_wave_hosts, selected)
        returned = 0 if revision is None else revision.canary_returned
        if returned is not None:
            planned = int((replay.hosts.planned & ~replay.hosts.evacuated).sum()) + returned
            there = returned + _hosts_of_first(waves)
            least = min(canary_hosts, planned, planned if most is None else most)
            if there < least:
                fact = f"the canary has {there} of the {least} hosts that it is to have"
                yield Finding(self.rule, fact, "Let more hosts leave with the first wave", subjects=("wave 0",))
        for row in waves.iter_rows(named=True):
            limits = [most, canary_hosts if row["wave"] == 0 and canary_hosts > 0 else None]
            for limit in limits:
                if limit is not None and row["true_hosts"] > max(limit, row["begun_hosts"]):
                    fact = f"wave {row['wave']} has {row['true_hosts']} hosts; the policy allows {limit}"
                    yield Finding(self.rule, fact, "Split the wave", subjects=(f"wave {row['wave']}",))

    def _early(self, row: dict[str, int], allowed_s: int, when: str) -> Finding:
        return Finding(
            self.rule,
            f"wave {row['wave']} starts before {allowed_s} s, when {when}",
            "Start it later",
            subjects=(f"wave {row['wave']}",),
            at_s=row["first_s"],
        )


def _hosts_of_first(waves: pl.DataFrame) -> int:
    """Return how many hosts wave 0 has."""
    return int(waves.filter(pl.col("wave") == 0)["true_hosts"].sum())


def _counted(replay: Replay) -> pl.DataFrame:
    """Return the plan's waves beside what its hosts and migrations say of them, sorted by wave.

    ``apart`` are those of hosts that are evacuated.
    """
    plan = replay.plan
    leaves = pl.col("host_id").is_in(list(replay.policy.evacuate))
    hosts = plan.hosts.group_by("wave").agg(
        first_s=pl.col("drain_start_s").min(),
        last_s=pl.col("return_s").max(),
        true_hosts=pl.len().cast(pl.Int64),
        begun_hosts=(pl.col("drain_start_s") < replay.from_s).sum().cast(pl.Int64),
        apart=leaves.all().cast(pl.Int64),
    )
    migrations = plan.migrations.group_by("wave").agg(true_migrations=pl.len().cast(pl.Int64))
    return (
        plan.waves.join(hosts, on="wave", how="full", coalesce=True)
        .join(migrations, on="wave", how="full", coalesce=True)
        .with_columns(pl.col("true_hosts", "begun_hosts", "true_migrations", "apart").fill_null(0))
        .sort("wave")
    )
