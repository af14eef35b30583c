"""The plan's figures are those of its tables, and no bound is above what it bounds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import polars as pl

from slacktide.findings import Finding
from slacktide.planner.plan import PlanSummary
from slacktide.planner.replay import Replay
from slacktide.planner.weights import THOUSANDTHS, host_weights
from slacktide.units import SECONDS_PER_HOUR

AGREEMENT: Final = 1e-9
"""Relative difference up to which two figures are the same: they are sums of whole seconds."""
SHARES: Final = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))


@dataclass(frozen=True, slots=True)
class SummaryTrue:
    """Every figure of the summary that the tables and the snapshot determine is what they say."""

    rule: ClassVar[str] = "summary"

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield figures that are wrong, and bounds above the value they bound."""
        summary = replay.plan.header.summary
        for name, true in self._figures(replay).items():
            said = getattr(summary, name)
            if said is None or not math.isclose(said, true, rel_tol=AGREEMENT, abs_tol=AGREEMENT):
                stated = "is missing" if said is None else f"is stated as {said:,}"
                yield Finding(self.rule, f"{name} {stated}, but it is {true:,}", "Plan again")
        header = replay.plan.header
        if header.objective != header.policy.objective:
            fact = f"objective is stated as {', '.join(header.objective)}, but the policy's is another"
            yield Finding(self.rule, fact, "Plan again")
        yield from self._others(replay)
        yield from self._bounds(summary)

    def _figures(self, replay: Replay) -> dict[str, float]:
        """Return the summary's figures, counted again.

        Exposure is the sum over the due hosts of their return times; hosts that do not return in this plan count
        until the makespan.
        """
        hosts, plan = replay.hosts, replay.plan
        makespan_s = int(hosts.over_s[hosts.planned].max(initial=0))
        evacuated = int(hosts.evacuated.sum())
        exposed_s = np.where(hosts.planned, np.minimum(hosts.return_s, makespan_s), makespan_s)[hosts.due]
        vms = 0 if replay.policy.in_place else int(hosts.planned[replay.vms.host].sum())
        figures = {
            "hosts": plan.hosts.height - evacuated,
            "evacuated": evacuated,
            "vms": vms,
            "waves": plan.waves.height,
            "migrations": plan.migrations.height,
            "moves_per_vm": plan.migrations.height / vms if vms else 0.0,
            "makespan_s": makespan_s,
            "exposure_host_h": int(exposed_s.sum()) / SECONDS_PER_HOUR,
        }
        if replay.policy.weights:
            weight = host_weights(replay.snapshot, replay.policy)[hosts.due]
            figures["weighted_exposure_host_h"] = int((weight * exposed_s).sum()) / THOUSANDTHS / SECONDS_PER_HOUR
        return figures

    def _others(self, replay: Replay) -> Iterator[Finding]:
        summary = replay.plan.header.summary
        if summary.weighted_exposure_host_h is not None and not replay.policy.weights:
            yield Finding(self.rule, "weighted_exposure_host_h is stated, but the policy has no weights", "Plan again")
        reasons = replay.plan.deferred["reason"].value_counts(sort=False)
        true = dict(sorted(reasons.iter_rows()))
        if summary.deferred != true:
            yield Finding(self.rule, f"deferred is stated as {summary.deferred}, but it is {true}", "Plan again")
        yield from self._blackouts(replay)

    def _blackouts(self, replay: Replay) -> Iterator[Finding]:
        """Yield blackouts that are neither those of live migrations nor, as once was stated, those of all."""
        table, said = replay.plan.migrations, replay.plan.header.summary.predicted_blackout_ms
        live, every = (
            {name: part["predicted_blackout_ms"].quantile(share, interpolation="nearest") for name, share in SHARES}
            for part in (table.filter(pl.col("strategy") != "restart"), table)
        )
        if said.model_dump() in (live, every):
            return
        for name, true_ms in live.items():
            if true_ms != getattr(said, name):
                fact = f"predicted_blackout_ms.{name} is stated as {getattr(said, name)}, but it is {true_ms}"
                yield Finding(self.rule, fact, "Plan again")

    def _bounds(self, summary: PlanSummary) -> Iterator[Finding]:
        """Yield bounds above what they bound, gaps that are not theirs, and a binding resource that does not bind."""
        for value_name, bound_name, gap_name in (
            ("makespan_s", "makespan_bound_s", "makespan_gap"),
            ("exposure_host_h", "exposure_bound_host_h", "exposure_gap"),
            ("weighted_exposure_host_h", "weighted_exposure_bound_host_h", "weighted_exposure_gap"),
        ):
            value, bound, gap = (getattr(summary, name) for name in (value_name, bound_name, gap_name))
            if value is None and bound is None and gap is None:
                continue
            if value is None or bound is None or gap is None:
                yield Finding(self.rule, f"{value_name} is without its bound or gap, or they without it", "Plan again")
                continue
            if not math.isfinite(bound) or bound < 0 or (bound == 0 < value):
                yield Finding(self.rule, f"{bound_name} is stated as {bound}, which bounds nothing", "Plan again")
                continue
            if bound > value * (1 + AGREEMENT) + AGREEMENT:
                fact = f"{bound_name} {bound:,} is above {value_name} {value:,}, which it is to bound from below"
                yield Finding(self.rule, fact, "Report this: a proof is wrong")
            true = (value - bound) / bound if bound > 0 else 0.0
            if not math.isclose(gap, true, rel_tol=1e-6, abs_tol=1e-6):
                yield Finding(self.rule, f"{gap_name} is stated as {gap:.6f}, but it is {true:.6f}", "Plan again")
        binding = summary.bounds.get(summary.binding_resource)
        if not binding == summary.makespan_bound_s == max(summary.bounds.values(), default=0.0):
            fact = (
                f"binding_resource {summary.binding_resource} gives the bound {binding}, makespan_bound_s is "
                f"{summary.makespan_bound_s}, and the highest bound {max(summary.bounds.values(), default=0.0)}"
            )
            yield Finding(self.rule, fact, "Plan again")
