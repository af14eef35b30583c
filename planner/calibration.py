"""What measured campaigns teach about migrations: the figures of the model, by pair of machine types.

===================  ===================================================================================================
``setup_s``          reserve, prepare and connect together: what passes before the first byte of memory
``goodput``          share of the planned bandwidth that carried guest memory: what was sent, over brownout and the part
                     of the blackout in which memory was sent, over the bandwidth; of copies of a second or more
``switchover_ms``    the blackout without what the model sends in it at the goodput that was measured
``forwarding_s``     forwarding and the deletion on the source: how long its memory is held after the blackout
``sent_share``       share of a guest's memory that was sent in the first round; no policy has a place for it
===================  ===================================================================================================

A blackout is the longer of the hypervisor's count and the probe's: who cannot reach a guest does not care why.  Sending
is counted over brownout and blackout together, because what waits in buffers when the guest is paused belongs to both.

Pure: tables in, tables out.  Only what was measured is learnt, and what was not stays as the policy has it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from slacktide import units
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.policy import Policy
from slacktide.planner.precopy import CEIL_TOLERANCE, Floats, estimate

FEWEST: Final = 10
"""Migrations from which a pair of machine types has figures of its own; with fewer it has those of all together.

The least number of which a tenth is one: the cautious quantile then leaves out the most extreme and is not made by it.
"""
CAUTION: Final = 0.9
"""Share of the migrations that must not be slower than a learnt figure says, unless the operator wants another.

The median would make every second migration longer than planned, the largest a single busy moment the rule for a whole
fleet.  For ``goodput``, where less is slower, it is the quantile ``1 - CAUTION``.  Every plan pays for it: the times
are added up, and each is rounded up to whole seconds.
"""
SPREAD: Final = (0.1, 0.9)
"""Quantiles shown beside a median."""
KEEPS_PACE: Final = 0.95
"""Share of the planned rate from which a copy counts as having kept it.

Copies are paced: the hypervisor is given the planned rate as a limit, and falls short of it by a few per cent until the
pace makes up for it.  So such a copy shows what was asked for and not what the link could carry; learning the shortfall
would lower the pace, and with it the next campaign's measurement, again and again.
"""
SHORTEST_COPY_S: Final = 1.0
"""Seconds of copying from which a migration says something about goodput.

Hypervisors tell of a copy's rounds within some hundredths of a second, a tenth on a busy host; and in its first second
nothing makes up for a slow start (``PACE_S`` of the driver).  What is lost there is lost once: no share of a rate.
"""
REFINEMENTS: Final = 4
"""Times that goodput and switchover are told apart anew; each takes about a tenth of the error that is left."""

FIGURES: Final = {
    "setup_s": "setup_s",
    "goodput": "kept_goodput",
    "switchover_ms": "switchover_ms",
    "forwarding_s": "forwarding_s",
    "sent_share": "sent_share",
}
"""Figure: the column that it is learnt from."""
IN_POLICY: Final = ("setup_s", "goodput", "switchover_ms", "forwarding_s")
LIVE: Final = ("precopy", "autoconverge")
"""Strategies whose figures can be told apart: post-copy sends in both directions of the switch."""
PAIR: Final = ("source_type", "target_type")


@dataclass(frozen=True, slots=True)
class MeasuredCampaign:
    """One campaign on real hosts."""

    name: str
    migrations: pl.DataFrame
    """Of its report (``ReportMigrationTable``)."""
    snapshot: FleetSnapshot
    """That it ran on."""
    policy: Policy
    """That it was planned under."""


@dataclass(frozen=True, slots=True)
class Observations:
    """Migrations with what the model takes and what was measured, one row each."""

    table: pl.DataFrame
    policies: tuple[Policy, ...]
    """By the table's ``campaign``."""
    not_done: int
    """Planned, and not carried out to their end."""
    other_strategies: int
    """Done, and of a strategy that is none of :data:`LIVE`."""

    def only(self, rows: pl.Expr) -> "Observations":
        """Return some of the rows."""
        return Observations(self.table.filter(rows), self.policies, 0, 0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was learnt."""

    figures: pl.DataFrame
    """By pair and figure: ``migrations``, ``median``, ``low`` and ``high`` (10 % and 90 %), ``learnt`` (null: nothing),
    ``pooled``: whether that is from all pairs together.  All together is the pair of nulls."""
    values: pl.DataFrame
    """By migration, as :class:`Observations`: each figure as it was measured."""
    caution: float
    """Share of the migrations that were not slower than a learnt figure says."""

    @property
    def nothing(self) -> bool:
        """Whether no figure could be learnt."""
        return bool(self.figures["learnt"].is_null().all())

    def most_cautious(self, figure: str) -> dict[str, object] | None:
        """Return the row of the pair whose figure plans the longest; None: nothing was learnt."""
        rows = self.figures.filter(
            (pl.col("figure") == figure) & pl.col("learnt").is_not_null() & pl.col(PAIR[0]).is_not_null()
        ).sort("learnt", *PAIR, descending=[figure != "goodput", False, False])
        return rows.row(0, named=True) if rows.height else None


def observe(campaigns: Sequence[MeasuredCampaign]) -> Observations:
    """Return the migrations of campaigns that can be learnt from: done, and copied before the guest moved."""
    tables, not_done, others = [], 0, 0
    for number, campaign in enumerate(campaigns):
        done = campaign.migrations.filter(pl.col("state") == "done")
        live = done.filter(pl.col("strategy").cast(pl.String).is_in(LIVE) & (pl.col("bandwidth_mbit_s") > 0))
        not_done += campaign.migrations.height - done.height
        others += done.height - live.height
        tables.append(_with_guests(live, campaign).with_columns(campaign=pl.lit(number, pl.Int64)))
    return Observations(pl.concat(tables), tuple(campaign.policy for campaign in campaigns), not_done, others)


def learn(observations: Observations, caution: float = CAUTION) -> Calibration:
    """Return each figure of the model by pair of machine types, with its spread and the number of migrations."""
    values = _measured(observations)
    together = _summary(values.with_columns(*(pl.lit(None, pl.String).alias(name) for name in PAIR)), caution)
    together = together.with_columns(
        learnt=pl.when(pl.col("migrations") >= FEWEST).then("learnt"), pooled=pl.lit(value=False)
    )
    pairs = _summary(values, caution).join(together.select("figure", all="learnt"), on="figure")
    few = pl.col("migrations") < FEWEST
    pairs = pairs.with_columns(learnt=pl.when(few).then("all").otherwise("learnt"), pooled=few).drop("all")
    order = pl.col("figure").replace_strict({name: place for place, name in enumerate(FIGURES)}, return_dtype=pl.Int64)
    return Calibration(pl.concat([pairs.sort(*PAIR, order), together.sort(order)]), values, caution)


def calibrated(policy: Policy, calibration: Calibration) -> Policy:
    """Return the policy with the figures of the most cautious pair: whole seconds and milliseconds, rounded up."""
    changes: dict[str, int | float] = {}
    for figure in IN_POLICY:
        row = calibration.most_cautious(figure)
        if row is not None:
            learnt = float(str(row["learnt"]))
            changes[figure] = _rounded_down(learnt) if figure == "goodput" else math.ceil(learnt - CEIL_TOLERANCE)
    return policy.model_copy(update={"migration": policy.migration.model_copy(update=changes)})


@dataclass(frozen=True, slots=True)
class Copies:
    """What the model says of each row's copying; NaN where no strategy keeps the blackout limit."""

    brownout_s: Floats
    sending_ms: Floats
    """Of the blackout, without the switchover."""
    resent_mib: Floats
    """Sent beyond the guest's memory: what it dirtied meanwhile, and its local disk."""


def copied(
    observations: Observations, goodput: Floats, switchover_ms: Floats, memory_mib: Floats | None = None
) -> Copies:
    """Return what the model says with each row's own goodput and switchover, and its memory if that is given."""
    table = observations.table
    columns = {name: table[name].to_numpy() for name in ("campaign", "hot_mib", "dirty_mib_s", "local_disk_mib")}
    memory = table["memory_mib"].to_numpy() if memory_mib is None else memory_mib
    limit_ms = table["blackout_limit_ms"].to_numpy() - switchover_ms
    rate_mbit_s = table["bandwidth_mbit_s"].to_numpy() * goodput
    found = np.full((3, table.height), np.nan)
    for number, policy in enumerate(observations.policies):
        rows = np.flatnonzero(columns["campaign"] == number)
        # The model takes one goodput and one switchover for all; by row they go into the rate and the limit.
        rules = policy.migration.model_copy(update={"goodput": 1.0, "switchover_ms": 0})
        model = estimate(
            memory[rows],
            columns["hot_mib"][rows],
            columns["dirty_mib_s"][rows],
            columns["local_disk_mib"][rows],
            limit_ms[rows],
            rate_mbit_s[rows],
            rules,
        )
        found[:, rows] = model.brownout_s, model.blackout_ms, model.transfer_mib - memory[rows]
    return Copies(*found)


def _with_guests(live: pl.DataFrame, campaign: MeasuredCampaign) -> pl.DataFrame:
    """Return migrations with machine types, what the model takes of their VMs, and the rules they were planned by."""
    types = campaign.snapshot.hosts.select("host_id", "machine_type")
    policy = campaign.policy
    known = ("vm_id", "memory_mib", "hot_mib", "dirty_mib_s", "local_disk_mib", "blackout_limit_ms")
    vms = campaign.snapshot.vms.with_columns(memory_mib=pl.min_horizontal("used_mib", "memory_mib"))
    table = live.join(vms.select(known), on="vm_id", how="inner", maintain_order="left")
    for place, name in zip(("source", "target"), PAIR, strict=True):
        hosts = types.rename({"host_id": place, "machine_type": name})
        table = table.join(hosts, on=place, how="inner", maintain_order="left")
    return table.with_columns(
        pl.col("memory_mib", "local_disk_mib", "bandwidth_mbit_s").cast(pl.Float64),
        pl.col("hot_mib").fill_null(pl.lit(policy.assume.hot_mib, pl.Float64)),
        pl.col("dirty_mib_s").fill_null(pl.lit(policy.assume.dirty_mib_s, pl.Float64)),
        pl.col("blackout_limit_ms").cast(pl.Float64).fill_null(float(policy.migration.blackout_limit_ms)),
        pl.max_horizontal("blackout_ms", "probe_blackout_ms").alias("blackout_ms"),
        planned_goodput=pl.lit(policy.migration.goodput),
        planned_switchover_ms=pl.lit(float(policy.migration.switchover_ms)),
    )


def _measured(observations: Observations) -> pl.DataFrame:
    """Return the rows with each figure as it was measured; null where a part of it was not."""
    table = observations.table.with_columns(
        setup_s=pl.col("reserve_s") + pl.col("prepare_s") + pl.col("connect_s"),
        forwarding_s=pl.col("forwarding_s") + pl.col("delete_s"),
        sent_mib=pl.col("memory_mib"),
    )
    goodput, switchover_ms = (table[f"planned_{name}"].to_numpy() for name in ("goodput", "switchover_ms"))
    for _ in range(REFINEMENTS):
        # When to pause was decided with the planned switchover, whatever it then was.
        copies = copied(observations, goodput, switchover_ms, table["sent_mib"].to_numpy())
        table = _told_apart(table, copies)
        usual = table.select(typical("goodput").clip(upper_bound=1).fill_null(pl.col("planned_goodput")))
        goodput = usual.to_series().to_numpy()
    kept = pl.col("goodput") >= KEEPS_PACE * pl.col("planned_goodput")
    return table.with_columns(
        kept_goodput=pl.when(kept).then("planned_goodput").otherwise("goodput"),
        sent_share=pl.when(pl.col("transfer_mib").is_not_null()).then(pl.col("sent_mib") / pl.col("memory_mib")),
    )


def _told_apart(table: pl.DataFrame, copies: Copies) -> pl.DataFrame:
    """Return the rows with switchover, goodput and memory sent, as they follow from what the model says of the rest."""
    sending_ms, resent_mib = (pl.Series(values).fill_nan(None) for values in (copies.sending_ms, copies.resent_mib))
    rate_mib_s = units.mib_s(table["bandwidth_mbit_s"].to_numpy())
    sent_mib = (pl.col("transfer_mib") - resent_mib).clip(0, pl.col("memory_mib"))
    table = table.with_columns(
        switchover_ms=(pl.col("blackout_ms") - sending_ms).clip(0),
        sent_mib=sent_mib.fill_null(pl.col("memory_mib")),
    )
    copying_s = pl.col("brownout_s") + (pl.col("blackout_ms") - typical("switchover_ms")) / 1000
    table = table.with_columns(copying_s=copying_s)
    goodput = pl.col("transfer_mib") / pl.col("copying_s") / rate_mib_s
    return table.with_columns(goodput=pl.when(pl.col("copying_s") >= SHORTEST_COPY_S).then(goodput))


def typical(figure: str) -> pl.Expr:
    """Return the median of each row's pair, of all rows where the pair has too few, null where these are too few."""
    value = pl.col(figure)
    own, together = (pl.when(count >= FEWEST) for count in (value.count().over(PAIR), value.count()))
    return own.then(value.median().over(PAIR)).otherwise(together.then(value.median()))


def _summary(values: pl.DataFrame, caution: float) -> pl.DataFrame:
    """Return count, spread and cautious quantile of every figure by pair."""
    parts = []
    for figure, column in FIGURES.items():
        value, quantile = pl.col(figure), 1 - caution if figure == "goodput" else caution
        part = values.group_by(PAIR).agg(
            migrations=value.count().cast(pl.Int64),
            median=value.median(),
            low=value.quantile(SPREAD[0], "nearest"),
            high=value.quantile(SPREAD[1], "nearest"),
            learnt=pl.col(column).quantile(quantile, "nearest"),
        )
        parts.append(part.select(*PAIR, pl.lit(figure).alias("figure"), pl.exclude(*PAIR)))
    return pl.concat(parts)


def _rounded_down(goodput: float) -> float:
    """Return a goodput to three decimals, not above it, within what a policy takes."""
    return min(1.0, max(0.001, math.floor(goodput * 1000 + CEIL_TOLERANCE) / 1000))
