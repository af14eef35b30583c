"""Hosts fail on paper: a good plan is broken in one place, and exactly that is found."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_fleet import POLICY, edited, small_fleet, small_plan

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.findings import Finding
from slacktide.planner import hardening
from slacktide.planner.audit import AuditReport, audit
from slacktide.planner.constraints.failures import FailuresRestartable
from slacktide.planner.failing import proof, samples
from slacktide.planner.failing.trial import Trials
from slacktide.planner.policy import PRESETS, Policy, Reserve
from slacktide.planner.replay import BEFORE_ALL, Replay
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations, Progress

Changes = Mapping[str, Mapping[str, Any]]

SCATTERED = {
    "v1": {"memory_mib": 14_000},
    "v2": {"memory_mib": 14_000},
    "v5": {"memory_mib": 41_000, "machine_types": None},
    "v6": {"memory_mib": 28_000},
}
"""From 900 s on h1 (v3 v4 v5), h3 (v6) and h6 (v1 v2) are in service, and keep 83,224 MiB free: more than the 65,536
MiB of one host, but at most 37,536 MiB on one, too little for v5 of h1."""
APART = {"v5": {"vcpus": 8}, "v6": {"vcpus": 6}}
"""From 900 s on 18 vCPUs are free, 10 on h3 and 8 on h6.  If h1 fails, v5 must go to h3 for its machine type, and v4
for its service, whose v1 is on h6: there is room for one of them."""


def audited(vms: Changes, policy: Policy = POLICY, **plan: Mapping[str, Mapping[str, Any] | None]) -> AuditReport:
    snapshot = small_fleet(vms=vms)
    return audit(snapshot, edited(small_plan(), snapshot, policy, **plan))


def only(report: AuditReport) -> Finding:
    """Return the one finding of the rule."""
    (finding,) = [finding for finding in report.findings if finding.rule == FailuresRestartable.rule]
    assert finding.remedy
    return finding


def of_failures(report: AuditReport) -> list[str]:
    return [finding.message for finding in report.findings if finding.rule == FailuresRestartable.rule]


def test_a_good_plan_says_what_was_tried() -> None:
    report = audited({})
    assert report.findings == ()
    (note,) = report.notes
    assert note.startswith("the worst host of the fleet failed at each of ")
    assert note.endswith(" sampled moments: all VMs restarted on paper")


def test_a_reserve_that_is_there_but_scattered() -> None:
    report = audited(SCATTERED, replace_reserve(Reserve(hosts=1)))
    finding = only(report)
    assert (finding.severity, finding.at_s) == ("error", 900)
    assert finding.subjects == ("fleet", "h1", "v5")
    assert "if h1 failed, v5 (4 vCPUs, 41,000 MiB), of 3 VMs to restart in the fleet, would have no room" in str(
        finding
    )
    assert "reserve" not in {each.rule for each in report.findings}
    assert report.notes == (
        f"the worst host of the fleet failed at each of {moments()} sampled moments: not all VMs find room",
    )


def replace_reserve(reserve: Reserve) -> Policy:
    return POLICY.model_copy(update={"reserve": reserve})


def moments() -> int:
    snapshot = small_fleet(vms=SCATTERED)
    plan = edited(small_plan(), snapshot, replace_reserve(Reserve(hosts=1)))
    return len(samples.sampled(Replay(snapshot, plan), np.zeros(6, np.int64), 1))


def test_a_vm_that_fits_after_all_is_no_finding() -> None:
    fits = SCATTERED | {"v5": {"memory_mib": 37_536, "machine_types": None}}
    assert of_failures(audited(fits, replace_reserve(Reserve(hosts=1)))) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [({}, 1), ({"v5": {"vcpus": 8, "machine_types": None}}, 0), ({"v4": {"service_id": None}}, 0)],
)
def test_machine_types_and_spread_hold_for_restarts(change: dict[str, Any], found: int) -> None:
    report = audited(APART | change)
    assert len(of_failures(report)) == found
    assert len(report.findings) == found
    assert all(finding.severity == "error" for finding in report.findings)


def test_what_is_neither_packed_nor_disproved_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "STEPS", 1)
    finding = only(audited(APART))
    assert (finding.severity, finding.at_s) == ("warning", 900)
    assert "none of 6 ways of packing found any; that there is none is not proven" in finding.message


def test_what_is_short_before_the_plan_begins_is_a_warning() -> None:
    """h4 holds a VM as large as itself, and only h6 is empty: which may not run it."""
    finding = only(audited({"v5": {"vcpus": 16}}, replace_reserve(Reserve(hosts=1))))
    assert (finding.severity, finding.at_s, finding.subjects) == ("warning", None, ("fleet", "h4", "v5"))
    assert "so it is before the plan begins" in finding.message


def test_in_its_domain_a_host_without_others_cannot_fail() -> None:
    """h4 and h6 are in service in r2, and h6's type is not for v5; in r1 there is room at first."""
    report = audited({}, replace_reserve(Reserve(hosts=1, per="rack")))
    found = {finding.subjects[0]: finding for finding in report.findings if finding.rule == FailuresRestartable.rule}
    assert found["r2"].severity == "warning"
    assert "to restart in the rack r2" in found["r2"].message
    assert report.notes[0].startswith("the worst host of each rack failed")


def test_a_share_promises_nothing_about_failures() -> None:
    report = audited(SCATTERED, replace_reserve(Reserve(share=0.1)))
    assert (of_failures(report), report.notes) == ([], ())


def test_a_domain_that_is_not_there_is_left_to_the_reserve() -> None:
    report = audited({}, replace_reserve(Reserve(hosts=1, per="row")))
    assert [finding.rule for finding in report.findings] == ["reserve"]
    assert report.notes == ()


@pytest.mark.parametrize(
    ("failed", "at_s", "fallen"),
    [
        (("h1",), BEFORE_ALL, {"v1", "v2"}),
        (("h1",), 60, set()),
        (("h6",), 60, {"v1", "v2"}),
        (("h1", "h6"), 60, {"v1", "v2"}),
        (("h3",), 60, set()),
        (("h2",), 795, {"v3", "v4"}),
        (("h1",), 800, {"v3", "v4"}),
        (("h1",), 900, {"v3", "v4", "v5"}),
    ],
)
def test_vms_fall_with_the_host_that_they_go_to(failed: tuple[str, ...], at_s: int, fallen: set[str]) -> None:
    """From 60 s v1 and v2 go from h1 to h6; from 795 s h2 is out and still full; v6 of h3 is pinned and waits."""
    snapshot = small_fleet()
    replay = Replay(snapshot, edited(small_plan(), snapshot, hosts={"h2": {"drain_start_s": 795}}))
    trials = Trials(replay, np.zeros(6, np.int64), 1, len(failed))
    numbers = np.sort([replay.hosts.ids.index(host) for host in failed])
    trials.samples = replace(trials.samples, domain=np.zeros(1, np.int64), at_s=np.array([at_s]))
    trials.beside = samples.beside(replay, np.zeros(6, np.int64), trials.samples)
    trials.failures = samples.Failures(np.zeros(1, np.int64), numbers[None])
    trial = trials.trial(np.zeros(1, np.int64), narrow=True)
    assert {replay.vms.ids[vm] for vm in trial.vm} == fallen
    takes = {replay.hosts.ids[host] for host in trial.host[0, trial.free[0, 0] > 0].tolist()}
    out = {"h1": (60, 700), "h2": (795, 1463), "h4": (900, 1540)}
    in_service = {host for host in replay.hosts.ids if not (host in out and out[host][0] <= at_s < out[host][1])}
    full = {host for host in in_service if host == "h5"}
    assert takes == in_service - full - set(failed)


def test_a_fleet_without_vms_has_nothing_to_restart() -> None:
    snapshot = small_fleet()
    bare = replace(snapshot, vms=snapshot.vms.clear())
    policy = replace_reserve(Reserve(hosts=1))
    assert FailuresRestartable(policy.reserve).examine(Replay(bare, small_plan())) == ((), "")


def test_a_fleet_without_services() -> None:
    snapshot = small_fleet(vms={"v1": {"service_id": None}, "v4": {"service_id": None}})
    bare = replace(snapshot, services=snapshot.services.clear())
    found, note = FailuresRestartable(Reserve(hosts=1)).examine(Replay(bare, small_plan()))
    assert found == ()
    assert note.endswith("all VMs restarted on paper")


def hard_policy() -> Policy:
    return PRESETS["urgent"].model_copy(update={"reserve": Reserve(hosts=2)})


def test_the_planner_keeps_room_together_where_it_was_scattered(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=200, seed=1, fill=0.75))
    hardened = make_plan(fleet, hard_policy(), stop=Iterations(0))
    monkeypatch.setattr(hardening, "ROUNDS", 0)
    plain = make_plan(fleet, hard_policy(), stop=Iterations(0))
    assert [finding["rule"] for finding in plain.header.summary.audit.findings] == [FailuresRestartable.rule]
    assert hardened.header.summary.audit.findings == ()
    assert hardened.header.summary.hosts == plain.header.summary.hosts
    assert "all VMs restarted on paper" in hardened.header.summary.audit.notes[0]


def test_an_interrupt_between_rounds_keeps_the_plan_with_its_finding() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=200, seed=1, fill=0.75))
    seen: list[str] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress.phase)
        if seen.count("first plan") == 2:
            raise KeyboardInterrupt

    plan = make_plan(fleet, hard_policy(), stop=Iterations(0), progress=interrupt)
    assert [finding["severity"] for finding in plan.header.summary.audit.findings] == ["error"]


def test_an_interrupted_search_is_not_begun_again_after_the_rounds() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=200, seed=1, fill=0.75))
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if progress.phase == "improving" and progress.iteration == 4:
            raise KeyboardInterrupt

    plan = make_plan(fleet, hard_policy(), stop=Iterations(40), progress=interrupt)
    assert plan.header.summary.audit.findings == ()
    assert max(progress.iteration for progress in seen) == 4


def test_a_light_host_whose_vm_may_run_nowhere_else() -> None:
    """Of 60 hosts the emptiest becomes the only one of its machine type, and its VM may run on that type alone."""
    fleet = generate_fleet(GeneratorSettings(hosts=60, seed=3))
    used = fleet.vms.group_by("host_id").agg(pl.col("memory_mib").sum(), pl.col("vm_id").first())
    host, _, vm = used.sort("memory_mib", "host_id").row(0)
    alone = pl.col("host_id") == host
    hosts = fleet.hosts.with_columns(
        pl.when(alone).then(pl.lit("rare")).otherwise("machine_type").alias("machine_type")
    )
    rare = pl.when(pl.col("vm_id") == vm).then(pl.lit(["rare"])).otherwise("machine_types")
    fleet = replace(fleet, hosts=hosts, vms=fleet.vms.with_columns(rare.alias("machine_types")))
    policy = PRESETS["urgent"].model_copy(update={"reserve": Reserve(hosts=1)})
    finding = only(audit(fleet, make_plan(fleet, policy, stop=Iterations(0))))
    assert (finding.severity, finding.subjects) == ("warning", ("fleet", host, vm))
