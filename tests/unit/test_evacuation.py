"""Hosts that are evacuated, in plans and revisions small enough to follow by eye."""

import json

import polars as pl
import pytest
from small_fleet import POLICY, small_fleet
from tiny_fleets import heuristic, tiny_fleet, tiny_policy

from slacktide.datasets.files import write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.validation import snapshot_findings
from slacktide.errors import InputError
from slacktide.executors.report import read_report
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import write_plan
from slacktide.planner.policy import Policy, Reserve, Selection
from slacktide.planner.policy_files import policy_digest, write_policy
from slacktide.planner.problem_building import build_problem
from slacktide.planner.progress import progress_at
from slacktide.planner.revision import revise
from slacktide.planner.solve import assemble, make_plan
from slacktide.planner.stopping import Iterations
from slacktide.service.cli import main
from slacktide.service.planning import evacuating

LOOSE = POLICY.model_copy(update={"reserve": Reserve(share=0.1)})


def planned(snapshot: FleetSnapshot, policy: Policy) -> Plan:
    problem = build_problem(snapshot, policy)
    plan = assemble(snapshot, problem, heuristic(problem), 0, 0.0)
    assert audit(snapshot, plan).errors == ()
    return plan


def with_evacuation(policy: Policy, *hosts: str) -> Policy:
    return policy.model_copy(update={"evacuate": hosts})


def row_of(plan: Plan, host: str) -> dict[str, int]:
    return plan.hosts.row(by_predicate=pl.col("host_id") == host, named=True)


def test_an_evacuated_host_leaves_at_once_and_nobody_before_it() -> None:
    """h4's only VM wants 60 s of notice, but h4 takes no VM from the beginning; h1 is the canary all the same."""
    plan = planned(small_fleet(), with_evacuation(LOOSE, "h4"))
    h4 = row_of(plan, "h4")
    assert (h4["drain_start_s"], h4["return_s"]) == (0, h4["drained_s"])
    assert plan.migrations.filter(pl.col("source") == "h4")["start_s"].to_list() == [60]
    assert plan.migrations.filter(pl.col("target") == "h4").is_empty()
    summary = plan.header.summary
    assert (summary.hosts, summary.evacuated, summary.deferred) == (2, 1, {"host-down": 1, "pinned-vm": 1})
    waves = plan.waves.select("wave", "gate", "hosts").rows()
    assert waves == [(0, "start", 1), (1, "canary", 1), (2, "start", 1)]
    assert h4["wave"] == 2


@pytest.mark.parametrize("selection", [Selection(), Selection(hosts=())])
def test_a_search_goes_on_beside_hosts_that_are_evacuated(selection: Selection) -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=60, seed=4, hosts_per_rack=10))
    sick = fleet.hosts["host_id"].to_list()[7]
    policy = Policy(selection=selection, evacuate=(sick,), max_out={"fleet": 12})
    plan = make_plan(fleet, policy, stop=Iterations(40))
    assert audit(fleet, plan).errors == ()
    assert plan.header.summary.evacuated == 1
    assert plan.hosts.height == (1 if selection.hosts == () else 60 - plan.deferred.height)


def test_its_place_is_free_for_others_once_it_is_empty() -> None:
    """One host may be out at once: the canary leaves the second in which h4 is empty."""
    plan = planned(small_fleet(), with_evacuation(LOOSE.model_copy(update={"max_out": {"fleet": 1}}), "h4"))
    first_s = plan.hosts.filter(pl.col("host_id") != "h4")["drain_start_s"].min()
    assert row_of(plan, "h4")["drained_s"] <= first_s <= row_of(plan, "h4")["drained_s"] + 1


def test_a_host_can_be_evacuated_alone() -> None:
    """No canary, no gate, no patch: the plan ends when h2 is empty."""
    policy = evacuating(LOOSE, ("h2",))
    assert (policy.selection, policy.canary.hosts) == (Selection(hosts=()), 0)
    plan = planned(small_fleet(), policy)
    assert plan.hosts["host_id"].to_list() == ["h2"]
    assert plan.deferred.is_empty()
    summary = plan.header.summary
    assert (summary.hosts, summary.evacuated, summary.exposure_host_h) == (0, 1, 0.0)
    assert summary.makespan_s == row_of(plan, "h2")["drained_s"]
    assert 0 < summary.bounds["evacuated"] <= summary.makespan_s
    assert summary.binding_resource == "evacuated"


def test_a_host_that_cannot_be_emptied_is_deferred_and_takes_no_vm() -> None:
    plan = planned(small_fleet(), with_evacuation(LOOSE, "h3"))
    reason = plan.deferred.row(by_predicate=pl.col("host_id") == "h3", named=True)["reason"]
    assert reason == "pinned-vm"
    assert plan.migrations.filter(pl.col("target") == "h3").is_empty()
    assert plan.header.summary.hosts > 0


def test_one_that_finds_no_room_is_deferred_after_all_that_was_out_is_back_and_others_go_on() -> None:
    """v5 runs on machine type m1 only, and every other host of it is full."""
    full = {name: {"vcpus": 8} for name in ("h1", "h2")} | {"h3": {"vcpus": 4}}
    plan = planned(small_fleet(hosts=full), with_evacuation(LOOSE.model_copy(update={"reserve": Reserve()}), "h4"))
    assert plan.deferred.row(by_predicate=pl.col("host_id") == "h4", named=True)["reason"] == "no-room"
    assert plan.hosts["host_id"].to_list() == ["h1", "h2"]
    assert plan.migrations.filter(pl.col("target") == "h4").is_empty()


def test_a_patched_host_is_evacuated_to_unpatched_ones_only_where_it_must_be() -> None:
    """h6 is patched and holds v5; h4, empty, is patched too, or is not."""
    guest = {"v5": {"host_id": "h6", "machine_types": None}}
    for level, target in (("patched", "h4"), ("old", None)):
        fleet = small_fleet(
            vms=guest, hosts={"h4": {"patch_level": level, "state": "empty"}, "h6": {"state": "active"}}
        )
        plan = planned(fleet, evacuating(LOOSE, ("h6",)))
        found = plan.migrations["target"].to_list()
        assert len(found) == 1
        assert target is None or found == [target]


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(InputError, match="h9"):
        build_problem(small_fleet(), with_evacuation(POLICY, "h9"))


def test_policies_and_plans_without_evacuations_are_as_before(tmp_path) -> None:
    assert policy_digest(POLICY) == policy_digest(Policy.model_validate(POLICY.model_dump()))
    assert "evacuate" not in POLICY.model_dump()
    write_plan(planned(small_fleet(), LOOSE), tmp_path / "plan")
    header = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert "evacuate" not in header["policy"]
    assert "evacuated" not in header["summary"]


def test_a_plan_of_an_evacuation_alone_is_made_carried_out_and_reported_by_commands(tmp_path, capsys) -> None:
    snapshot = tiny_fleet(6, 3, fill=0.4)
    host = snapshot.vms["host_id"][0]
    write_snapshot(snapshot, tmp_path / "fleet")
    write_policy(tiny_policy(canary=1), tmp_path / "policy.yaml")
    fleet, plan, campaign = (str(tmp_path / name) for name in ("fleet", "plan", "campaign"))
    words = ["plan", fleet, "-o", plan, "--policy", str(tmp_path / "policy.yaml"), "--evacuate", host]
    assert main(words) == 0
    assert "1 host evacuated within" in capsys.readouterr().out
    assert main(["audit", fleet, plan]) == 0
    assert main(["run", fleet, plan, "-o", campaign, "--no-ray"]) == 0
    assert "0 of 0 planned hosts patched, 1 evacuated" in capsys.readouterr().out
    report = read_report(tmp_path / "campaign")
    assert report.hosts.select("host_id", "state", "return_s").rows() == [(host, "evacuated", None)]
    assert [(each.host_id, each.why) for each in report.summary.evacuations] == [
        (host, "asked for by the plan's policy")
    ]
    assert main(["report", campaign]) == 0


# In the middle of a campaign


def revised(at_s: int, host: str, policy: Policy, **facts: object) -> tuple[FleetSnapshot, Plan, Plan]:
    snapshot = tiny_fleet(8, 3, fill=0.4)
    parent = planned(snapshot, policy)
    now, progress = progress_at(snapshot, parent, at_s, **facts)  # type: ignore[arg-type]
    child = revise(now, with_evacuation(policy, host), parent, progress)
    assert audit(now, child).errors == ()
    return now, parent, child


def last_to_leave(policy: Policy) -> tuple[str, int]:
    parent = planned(tiny_fleet(8, 3, fill=0.4), policy)
    last = parent.hosts.sort("drain_start_s").row(-1, named=True)
    return last["host_id"], last["drain_start_s"]


@pytest.mark.parametrize(("canary", "start_s"), [(0, 240), (2, 30)])
def test_the_last_host_leaves_first_also_while_a_canary_is_out(canary: int, start_s: int) -> None:
    """Without a canary the other host of its rack is out until 240 s, and one of a rack may be: all others wait too."""
    policy = tiny_policy(out=3, canary=canary)
    host, planned_s = last_to_leave(policy)
    assert planned_s > 30
    now, parent, child = revised(30, host, policy)
    begun = parent.hosts.filter(pl.col("drain_start_s") < 30)["host_id"].to_list()
    others = child.hosts.filter(~pl.col("host_id").is_in([*begun, host]))
    assert row_of(child, host)["drain_start_s"] == start_s <= others["drain_start_s"].min()
    rack = now.domains.filter((pl.col("kind") == "rack") & (pl.col("host_id") == host))["domain_id"][0]
    beside = now.domains.filter((pl.col("domain_id") == rack) & pl.col("host_id").is_in(begun))["host_id"].to_list()
    assert [row_of(child, name)["return_s"] for name in beside] == ([start_s] if beside else [])
    assert row_of(child, host)["return_s"] == row_of(child, host)["drained_s"]
    assert child.migrations.filter((pl.col("target") == host) & (pl.col("start_s") >= 30)).is_empty()
    for name in begun:
        assert row_of(child, name)["drain_start_s"] == row_of(parent, name)["drain_start_s"]
    assert child.header.summary.hosts == parent.header.summary.hosts - 1


def test_a_host_that_drains_goes_on_and_is_not_patched_and_another_takes_its_place_as_canary() -> None:
    policy = tiny_policy(out=3, canary=1)
    parent = planned(tiny_fleet(8, 3, fill=0.4), policy)
    canary = parent.hosts.filter(pl.col("wave") == 0)["host_id"][0]
    start_s, drained_s = (row_of(parent, canary)[name] for name in ("drain_start_s", "drained_s"))
    _, _, child = revised((start_s + drained_s) // 2, canary, policy)
    assert row_of(child, canary)["drain_start_s"] == start_s
    assert row_of(child, canary)["return_s"] == row_of(child, canary)["drained_s"] <= drained_s
    instead = child.hosts.filter(pl.col("wave") == 0)["host_id"].to_list()
    assert len(instead) == 1
    assert instead != [canary]


def test_once_it_is_empty_it_is_out_of_the_fleet_and_stays_so_in_further_revisions() -> None:
    policy = tiny_policy(out=3)
    host, _ = last_to_leave(policy)
    now, _, child = revised(30, host, policy)
    at_s = row_of(child, host)["drained_s"] + 1
    then, progress = progress_at(now, child, at_s)
    assert host not in set(progress.hosts["host_id"])
    assert then.hosts.row(by_predicate=pl.col("host_id") == host, named=True)["state"] == "quarantined"
    assert [finding for finding in snapshot_findings(then) if finding.severity == "error"] == []
    grandchild = revise(then, child.header.policy, child, progress)
    assert audit(then, grandchild).errors == ()
    assert host not in {*grandchild.hosts["host_id"], *grandchild.deferred["host_id"], *grandchild.migrations["target"]}
    assert grandchild.header.summary.evacuated == 0


def test_hosts_behind_a_closed_gate_are_left_alone_for_that_reason() -> None:
    policy = tiny_policy(out=3, canary=1)
    snapshot = tiny_fleet(8, 3, fill=0.4)
    parent = planned(snapshot, policy)
    canary = parent.hosts.filter(pl.col("wave") == 0)["host_id"][0]
    at_s = row_of(parent, canary)["drained_s"] + 1
    now, progress = progress_at(snapshot, parent, at_s, lost_hosts=[canary])
    host = parent.hosts.sort("drain_start_s")["host_id"][-1]
    held = {name: "wave 1 never opens" for name in parent.hosts["host_id"] if name != host}
    child = revise(now, with_evacuation(policy, host), parent, progress, held=held)
    assert audit(now, child).errors == ()
    assert child.hosts["host_id"].to_list() == [host]
    reasons = dict(child.deferred.select("host_id", "reason").rows())
    assert set(reasons.values()) == {"host-down", "gate-closed"}
    again = revise(now, child.header.policy, parent, progress)
    assert again.header.summary.hosts > 0
