"""Revisions of small plans: what is kept, what changes, and what is refused."""

from dataclasses import replace
from functools import cache
from typing import Any

import polars as pl
import pytest

from slacktide.datasets.files import write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import read_plan, write_plan
from slacktide.planner.policy import PRESETS, Policy, Reserve
from slacktide.planner.progress import fleet_at, progress_at
from slacktide.planner.revision import revise
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.service.cli import main

POLICY = PRESETS["urgent"]


@cache
def parent() -> tuple[FleetSnapshot, Plan]:
    snapshot = generate_fleet(GeneratorSettings(hosts=60, seed=4, pinned_share=0.0))
    return snapshot, make_plan(snapshot, POLICY, stop=Iterations(0))


def half_way() -> int:
    return parent()[1].header.summary.makespan_s // 2


def revised(at_s: int, policy: Policy = POLICY, **facts: Any) -> tuple[FleetSnapshot, Plan]:
    snapshot, plan = parent()
    now, progress = progress_at(snapshot, plan, at_s, **facts)
    child = revise(now, policy, plan, progress)
    assert audit(now, child).errors == ()
    return now, child


def changes(child: Plan) -> dict[str, int]:
    assert child.header.revision is not None
    return child.header.revision.changes.model_dump()


def test_a_lost_host_is_deferred_and_its_guests_are_counted() -> None:
    plan = parent()[1]
    waiting = plan.hosts.filter(pl.col("drain_start_s") > half_way())["host_id"][0]
    now, child = revised(half_way(), lost_hosts=[waiting])
    there = now.vms.filter(pl.col("host_id") == waiting).height
    assert there > 0
    assert changes(child)["stranded_vms"] == there
    assert child.deferred.row(by_predicate=pl.col("host_id") == waiting, named=True)["reason"] == "host-down"
    assert child.migrations.filter((pl.col("source") == waiting) | (pl.col("target") == waiting)).is_empty()


def test_a_late_return_leads_no_guest_elsewhere_and_makes_nobody_later_than_it_is() -> None:
    plan = parent()[1]
    out = plan.hosts.filter((pl.col("drained_s") <= half_way()) & (pl.col("return_s") > half_way()))
    host, back_s = out.sort("return_s").select("host_id", "return_s").row(0)
    _, child = revised(half_way(), late={host: back_s + 300})
    row = child.hosts.row(by_predicate=pl.col("host_id") == host, named=True)
    assert row["return_s"] == back_s + 300
    assert changes(child)["moves_led_elsewhere"] == changes(child)["moves_new"] == changes(child)["moves_dropped"] == 0
    both = child.hosts.join(plan.hosts, on="host_id", suffix="_before")
    later_s = both["return_s"] - both["return_s_before"]
    assert 0 <= later_s.min() <= later_s.max() <= 300
    assert both.filter((pl.col("drained_s") > half_way()) & (pl.col("return_s") == pl.col("return_s_before"))).height


def test_a_domain_short_before_the_first_plan_is_no_error_of_its_revisions() -> None:
    snapshot = generate_fleet(GeneratorSettings(hosts=60, seed=4))
    policy = POLICY.model_copy(update={"reserve": Reserve(share=0.0, hosts=1, per="rack")})
    plan = make_plan(snapshot, policy, stop=Iterations(0))
    now, progress = progress_at(snapshot, plan, plan.header.summary.makespan_s // 5)
    child = revise(now, policy, plan, progress)
    assert child.header.revision.short_at_start == ("rack-00001",)
    assert audit(now, child).errors == ()
    silent = child.header.revision.model_copy(update={"short_at_start": ()})
    blamed = audit(now, replace(child, header=child.header.model_copy(update={"revision": silent}))).errors
    assert {finding.rule for finding in blamed} == {"failures-restartable"}
    then, progress = progress_at(now, child, plan.header.summary.makespan_s // 4)
    grandchild = revise(then, policy, child, progress)
    assert grandchild.header.revision.short_at_start == ("rack-00001",)
    assert audit(then, grandchild).errors == ()
    other = policy.model_copy(update={"reserve": Reserve(share=0.0, hosts=1, per="power")})
    assert revise(now, other, plan, progress_at(snapshot, plan, progress.at_s)[1]).header.revision.short_at_start == ()


def test_a_failed_migration_is_made_again_under_another_id() -> None:
    _, plan = parent()
    moves = plan.migrations.join(plan.hosts.select(source="host_id", drained_s="drained_s"), on="source")
    move = moves.filter(pl.col("end_s") < pl.col("drained_s")).sort("end_s").row(0, named=True)
    at_s = move["end_s"] + 1
    now, child = revised(at_s, failed=[move["migration_id"]])
    assert now.vms.row(by_predicate=pl.col("vm_id") == move["vm_id"], named=True)["host_id"] == move["source"]
    again = child.migrations.filter(pl.col("vm_id") == move["vm_id"]).sort("start_s").row(0, named=True)
    assert again["migration_id"] not in set(plan.migrations["migration_id"])
    assert again["notified_s"] >= at_s


def test_new_and_gone_guests_are_planned_for() -> None:
    snapshot, plan = parent()
    host = plan.hosts.sort("drain_start_s")["host_id"][-1]
    there = snapshot.vms.filter(pl.col("host_id") == host)
    new = there.head(1).with_columns(
        vm_id=pl.lit("vm-new"), service_id=pl.lit(None, pl.String), vcpus=1, memory_mib=512
    )
    gone = there["vm_id"][1]
    _, child = revised(half_way(), new_vms=new, gone_vms=[gone])
    assert "vm-new" in set(child.migrations["vm_id"])
    assert gone not in set(child.migrations["vm_id"])


def test_tighter_limits_hold_and_a_looser_one_keeps_everything() -> None:
    _, tight = revised(half_way(), POLICY.model_copy(update={"max_out": {"fleet": 4}}))
    assert changes(tight)["hosts_changed"] > 0
    _, loose = revised(half_way(), POLICY.model_copy(update={"max_out": {"fleet": "40%"}}))
    assert changes(loose)["hosts_changed"] == 0
    assert changes(loose)["moves_kept"] == loose.migrations.height - changes(loose)["moves_under_way"]


def test_a_revision_is_read_as_it_was_written(tmp_path) -> None:
    _, child = revised(half_way())
    write_plan(child, tmp_path / "child")
    assert read_plan(tmp_path / "child").header == child.header


def with_revision(child: Plan, **values: Any) -> Plan:
    revision = child.header.revision
    assert revision is not None
    changed = revision.model_copy(update=values)
    return replace(child, header=child.header.model_copy(update={"revision": changed}))


def rules_broken(now: FleetSnapshot, child: Plan) -> set[str]:
    return {finding.rule for finding in audit(now, child).errors}


def test_notices_before_a_revision_are_its_parents_alone() -> None:
    now, child = revised(half_way())
    told = child.migrations.filter((pl.col("notified_s") < half_way()) & (pl.col("start_s") >= half_way()))
    assert told.height > 0
    assert rules_broken(now, with_revision(child, first_new_id=0)) == {"notice"}


def test_no_wave_starts_before_what_has_returned_has_baked() -> None:
    now, child = revised(half_way())
    last_s = child.waves.filter(pl.col("start_s") >= half_way())["start_s"].to_numpy().max()
    assert "waves-and-gates" in rules_broken(now, with_revision(child, gate_s=int(last_s) + 1))


def test_a_canary_that_has_passed_is_asked_for_once() -> None:
    now, child = revised(half_way())
    assert child.header.revision is not None
    assert child.header.revision.canary_passed
    assert "waves-and-gates" in rules_broken(now, with_revision(child, canary_passed=False, canary_returned=0))


def test_hosts_that_were_out_before_may_be_too_many_and_no_others() -> None:
    tight = POLICY.model_copy(update={"max_out": {"fleet": 2}})
    now, child = revised(half_way(), tight)
    assert changes(child)["hosts_under_way"] > 2
    first = child.hosts.filter(pl.col("drain_start_s") >= half_way()).sort("drain_start_s")["host_id"][0]
    early = pl.when(pl.col("host_id") == first).then(half_way()).otherwise("drain_start_s")
    broken = replace(child, hosts=child.hosts.with_columns(drain_start_s=early))
    assert "hosts-out" in rules_broken(now, broken)


def test_a_host_that_is_filled_again_and_drains_long_after_all_should_have_been_over_is_planned_for() -> None:
    snapshot, plan = parent()
    last_s = plan.header.summary.makespan_s
    _, late = progress_at(snapshot, plan, last_s - 1)
    first, second = plan.hosts.sort("drain_start_s")["host_id"].to_list()[-2:]
    is_first, states = pl.col("host_id") == first, late.hosts.schema["state"]
    hosts = late.hosts.filter(pl.col("host_id") != second).with_columns(
        state=pl.when(is_first).then(pl.lit("out")).otherwise(pl.lit("returned")).cast(states),
        drained_s=pl.when(~is_first).then("drained_s"),
        return_s=pl.when(~is_first).then("return_s"),
    )
    left = plan.migrations.filter(pl.col("source") == second)["migration_id"].implode()
    moves = late.migrations.filter(~pl.col("migration_id").is_in(left))
    so_far = replace(late, at_s=last_s + 3600, hosts=hosts, migrations=moves)
    now = fleet_at(snapshot, plan, so_far)
    there = now.vms.filter(pl.col("host_id") != second)["vm_id"][0]
    put = pl.when(pl.col("vm_id") == there).then(pl.lit(first)).otherwise("host_id")
    child = revise(replace(now, vms=now.vms.with_columns(host_id=put)), plan.header.policy, plan, so_far)
    assert not [row for row in child.header.summary.audit.findings if row["severity"] == "error"]
    assert set(child.hosts["host_id"]) == {first, second}


@pytest.mark.parametrize(
    ("at_s", "facts", "words"),
    [
        (10**7, {}, "is outside the plan"),
        (600, {"lost_hosts": ["nowhere"]}, "does not have 'nowhere'"),
        (600, {"failed": ["m999999"]}, "does not have 'm999999'"),
        (1, {"failed": ["m000400"]}, "cannot have failed at 1 s"),
        (1, {"late": {"m000400": 9999}}, "is not under way"),
        (600, {"gone_vms": ["vm-none"]}, "does not have 'vm-none'"),
    ],
)
def test_what_cannot_have_happened_is_refused(at_s: int, facts: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        progress_at(*parent(), at_s, **facts)


def test_another_patch_and_a_policy_without_a_host_that_is_out_are_refused() -> None:
    snapshot, plan = parent()
    now, progress = progress_at(snapshot, plan, half_way())
    with pytest.raises(InputError, match="brings hosts to 'other'"):
        revise(now, POLICY.model_copy(update={"patch_level": "other"}), plan, progress)
    out = progress.hosts.filter(pl.col("state") == "out")["host_id"][0]
    without = POLICY.model_copy(update={"selection": POLICY.selection.model_copy(update={"exclude": (out,)})})
    with pytest.raises(InputError, match=f"{out} is out"):
        revise(now, without, plan, progress)


def test_the_command_writes_a_revision_and_its_fleet(tmp_path, capsys) -> None:
    snapshot, plan = parent()
    write_snapshot(snapshot, tmp_path / "fleet")
    write_plan(plan, tmp_path / "plan")
    places = [str(tmp_path / name) for name in ("fleet", "plan")]
    lost = snapshot.hosts["host_id"][3]
    arguments = ["revise", *places, "--at", str(half_way()), "--lost-host", lost, "-o", str(tmp_path / "child")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"revises {plan.header.id}" in said
    assert "stranded" in said or "left alone" in said
    assert main(["audit", str(tmp_path / "child-fleet"), str(tmp_path / "child")]) == 0
    assert main(["revise", *places, "-o", str(tmp_path / "other")]) == 2
    assert main(["revise", *places, "--at", "99999999", "-o", str(tmp_path / "other")]) == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("command", ["explain", "compare", "run"])
def test_what_is_for_whole_plans_refuses_a_revision(tmp_path, capsys, command) -> None:
    snapshot, plan = parent()
    now, so_far = progress_at(snapshot, plan, half_way())
    write_snapshot(now, tmp_path / "fleet")
    write_plan(revise(now, plan.header.policy, plan, so_far), tmp_path / "rest")
    assert main([command, str(tmp_path / "fleet"), str(tmp_path / "rest")]) == 1
    assert "is a revision" in capsys.readouterr().err


def test_a_revision_does_not_replace_what_it_is_made_from(tmp_path, capsys) -> None:
    snapshot, plan = parent()
    write_snapshot(snapshot, tmp_path / "fleet")
    write_plan(plan, tmp_path / "plan")
    fleet, made, other = (str(tmp_path / name) for name in ("fleet", "plan", "other"))
    arguments = ["revise", fleet, made, "--at", str(half_way()), "-o"]
    for outputs in ([made], [other, "--fleet-now", fleet], [other, "--fleet-now", other]):
        assert main([*arguments, *outputs]) == 2
        assert capsys.readouterr().out == ""
    assert read_plan(tmp_path / "plan").header.id == plan.header.id
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fleet", "plan"]
