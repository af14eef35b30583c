"""Limits that a revision tightens: what comes after keeps them, what was under way is not blamed."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.audit import audit
from slacktide.planner.constraints import link_share
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Gates, Reserve
from slacktide.planner.progress import progress_at
from slacktide.planner.revision import revise
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from tests.tiny_fleets import tiny_fleet, tiny_policy

POLICY = PRESETS["urgent"]


@cache
def parent() -> tuple[FleetSnapshot, Plan]:
    settings = GeneratorSettings(hosts=40, seed=3, fill=0.6, hosts_per_rack=8, host_link_mbit_s=10_000)
    snapshot = generate_fleet(settings)
    return snapshot, make_plan(snapshot, POLICY, stop=Iterations(0))


def behind_the_canary() -> int:
    """Return a moment at which migrations of a later wave are under way."""
    moves = parent()[1].migrations
    return int(moves.filter(pl.col("wave") > 0)["start_s"].to_numpy().min()) + 3


def revised(at_s: int, **limits: Any) -> tuple[FleetSnapshot, Plan]:
    snapshot, plan = parent()
    now, progress = progress_at(snapshot, plan, at_s)
    return now, revise(now, POLICY.model_copy(update=limits), plan, progress)


def errors_in(now: FleetSnapshot, plan: Plan) -> list[str]:
    return [str(finding) for finding in audit(now, plan).errors]


def test_waves_that_have_not_begun_are_split() -> None:
    now, child = revised(5, gates=Gates(max_wave_hosts=2))
    assert errors_in(now, child) == []
    assert parent()[1].waves["hosts"].to_numpy().max() > 2
    assert child.waves["hosts"].to_numpy().max() == 2
    assert child.hosts.drop("wave").equals(
        parent()[1].hosts.filter(pl.col("host_id").is_in(child.hosts["host_id"].implode())).drop("wave")
    )


def test_hosts_that_have_left_stay_in_their_wave_and_no_others_do() -> None:
    at_s = behind_the_canary()
    now, child = revised(at_s, gates=Gates(max_wave_hosts=2))
    assert errors_in(now, child) == []
    gone = child.hosts.filter(pl.col("drain_start_s") < at_s)
    waves = gone["wave"].unique()
    assert gone.height > 2
    assert gone.join(parent()[1].hosts, on=("host_id", "wave"), how="semi").equals(gone)
    assert child.hosts.filter(pl.col("wave").is_in(waves.implode())).equals(gone)
    one = child.hosts.filter(pl.col("drain_start_s") >= at_s)["host_id"][0]
    wave = pl.when(pl.col("host_id") == one).then(int(waves[0])).otherwise("wave").cast(pl.Int32)
    found = errors_in(now, replace(child, hosts=child.hosts.with_columns(wave=wave)))
    assert any("the policy allows 2" in error for error in found)


def test_those_that_have_returned_keep_their_places_in_a_wave() -> None:
    snapshot, plan = parent()
    hosts = plan.hosts.with_columns(wave=pl.col("wave").clip(upper_bound=1))
    whole = replace(plan, hosts=hosts)
    at_s = int(plan.hosts.filter(pl.col("wave") == 3)["drain_start_s"].to_numpy().max()) + 1
    back = hosts.filter((pl.col("wave") == 1) & (pl.col("return_s") <= at_s)).height
    out = hosts.filter((pl.col("drain_start_s") < at_s) & (pl.col("return_s") > at_s)).height
    assert 0 < out < back < hosts.height - 20
    now, progress = progress_at(snapshot, whole, at_s)
    child = revise(now, POLICY.model_copy(update={"gates": Gates(max_wave_hosts=back)}), whole, progress)
    assert errors_in(now, child) == []
    assert child.hosts.filter((pl.col("drain_start_s") >= at_s) & (pl.col("wave") == 1)).is_empty()


def test_a_wave_that_left_before_gates_were_asked_for_is_not_too_early() -> None:
    at_s = behind_the_canary()
    snapshot, plan = parent()
    pipelined = plan.hosts.filter(pl.col("wave") > 0).sort("drain_start_s").with_row_index("place")
    halves = plan.hosts.join(pipelined.select("host_id", "place"), on="host_id", how="left", maintain_order="left")
    wave = pl.when(pl.col("wave") > 0).then(1 + pl.col("place").fill_null(0) % 2).otherwise("wave").cast(pl.Int32)
    split = replace(plan, hosts=halves.with_columns(wave=wave).drop("place"))
    now, progress = progress_at(snapshot, split, at_s)
    child = revise(now, POLICY.model_copy(update={"gates": Gates(kind="baked", bake_s=60)}), split, progress)
    begun = child.waves.filter(pl.col("start_s") < at_s)
    assert begun["wave"].to_list() == [1, 2]
    assert errors_in(now, child) == []
    later = child.waves.filter(pl.col("start_s") >= at_s).sort("wave").row(0, named=True)
    hosts = child.hosts.with_columns(
        drain_start_s=pl.when(pl.col("wave") == later["wave"]).then(at_s).otherwise("drain_start_s")
    )
    assert any(f"wave {later['wave']} starts before" in error for error in errors_in(now, replace(child, hosts=hosts)))


def full_links(monkeypatch: Any, by_bundle: bool) -> tuple[FleetSnapshot, Plan, int]:
    if by_bundle:
        monkeypatch.setattr(link_share, "ENTRIES_BY_LINK", 0)
    at_s = behind_the_canary()
    now, child = revised(at_s, link_share=0.1)
    under_way = child.migrations.filter(pl.col("start_s") < at_s)
    assert under_way["bandwidth_mbit_s"].to_numpy().max() > 1_000
    return now, child, at_s


def test_migrations_under_way_may_fill_more_than_a_lower_share(monkeypatch) -> None:
    now, child, _ = full_links(monkeypatch, by_bundle=False)
    assert errors_in(now, child) == []
    first = replace(child, header=child.header.model_copy(update={"revision": None}))
    assert any("link-share" in error for error in errors_in(now, first))


def test_migrations_under_way_may_fill_bundles(monkeypatch) -> None:
    now, child, _ = full_links(monkeypatch, by_bundle=True)
    assert errors_in(now, child) == []


def test_no_other_migration_starts_on_a_link_that_is_too_full(monkeypatch) -> None:
    for by_bundle in (False, True):
        now, child, at_s = full_links(monkeypatch, by_bundle)
        under_way = child.migrations.filter((pl.col("start_s") < at_s) & (pl.col("bandwidth_mbit_s") > 1_000))
        source = under_way["source"][0]
        ahead = child.migrations.filter(pl.col("start_s") >= at_s)
        name = ahead.filter(pl.col("bandwidth_mbit_s") > 0)["migration_id"][0]
        joins = pl.col("migration_id") == name
        broken = child.migrations.with_columns(
            source=pl.when(joins).then(pl.lit(source)).otherwise("source"),
            start_s=pl.when(joins).then(at_s).otherwise("start_s"),
            bandwidth_mbit_s=pl.when(joins).then(1).otherwise("bandwidth_mbit_s"),
        )
        found = errors_in(now, replace(child, migrations=broken))
        assert any("link-share" in error and source in error for error in found)


def test_on_other_links_a_lower_share_holds(monkeypatch) -> None:
    now, child, at_s = full_links(monkeypatch, by_bundle=False)
    ahead = child.migrations.filter((pl.col("start_s") >= at_s) & (pl.col("bandwidth_mbit_s") > 0))
    busy = set(child.migrations.filter(pl.col("start_s") < at_s)["source"])
    move = next(row for row in ahead.iter_rows(named=True) if row["source"] not in busy)
    fast = pl.when(pl.col("migration_id") == move["migration_id"]).then(2_000).otherwise("bandwidth_mbit_s")
    found = errors_in(now, replace(child, migrations=child.migrations.with_columns(bandwidth_mbit_s=fast)))
    assert any("link-share" in error and move["source"] in error for error in found)
    assert np.all(ahead["bandwidth_mbit_s"].to_numpy() <= 1_000)


def test_where_failing_hosts_would_find_no_room_a_revision_is_planned_again() -> None:
    snapshot, policy = tiny_fleet(9, 0, fill=0.6), tiny_policy(out=3, reserve=0.0)
    plan = make_plan(snapshot, policy, stop=Iterations(0))
    now, progress = progress_at(snapshot, plan, 0)
    child = revise(now, policy.model_copy(update={"reserve": Reserve(hosts=1)}), plan, progress)
    assert errors_in(now, child) == []
    assert child.hosts.height > 0
