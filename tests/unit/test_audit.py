"""Every rule of the audit: a good plan is broken in one place, and exactly that is found."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_fleet import PLAN_TABLES, POLICY, edited, remade, small_fleet, small_plan

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.validation import snapshot_findings
from slacktide.findings import Finding
from slacktide.planner.audit import FINDINGS_PER_RULE, audit
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Canary, Gates, MigrationRules, Reserve, Selection
from slacktide.topology.routing import Routing

Changes = Mapping[str, Mapping[str, Any] | None]
SHARED = {"reserve": Reserve(share=0.1)}
"""Of hosts that fail nothing is asked."""


def found(
    policy: dict[str, Any] | None = None, fleet: dict[str, Changes] | None = None, **plan: Changes
) -> list[Finding]:
    """Return the findings about the small plan, with its policy, its fleet and its rows changed."""
    terms = POLICY.model_copy(update=policy or {})
    snapshot = small_fleet(**(fleet or {}))
    return list(audit(snapshot, edited(small_plan(), snapshot, terms, **plan)).findings)


def only(findings: list[Finding]) -> Finding:
    """Return the one finding that there is."""
    assert [str(finding) for finding in findings] == [str(findings[0])]
    assert findings[0].remedy
    return findings[0]


def of_rule(rule: str, findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule]


def move(row: str, source: str, target: str, start_s: int, **values: Any) -> Changes:
    """Return a further migration of a VM: m5's figures, an hour's worth of bandwidth for 8 GiB."""
    like = small_plan().migrations.row(by_predicate=pl.col("migration_id") == "m5", named=True)
    times = {"notified_s": start_s - 60, "start_s": start_s, "end_s": start_s + like["end_s"] - like["start_s"]}
    return {row: {**like, "source": source, "target": target, **times, "migration_id": row, **values}}


def with_summary(plan: Plan, **figures: Any) -> Plan:
    summary = plan.header.summary.model_copy(update=figures)
    return replace(plan, header=plan.header.model_copy(update={"summary": summary}))


def test_a_good_plan_has_no_finding() -> None:
    snapshot, plan = small_fleet(), small_plan()
    assert snapshot_findings(snapshot) == ()
    assert all(schema.is_valid(getattr(plan, name)) for name, schema in PLAN_TABLES.items())
    report = audit(snapshot, plan)
    assert report.findings == ()
    assert len(set(report.checked_rules)) == len(report.checked_rules) == 21


def test_an_empty_plan_of_a_patched_fleet_has_no_finding() -> None:
    snapshot = small_fleet()
    policy = POLICY.model_copy(update={"selection": Selection(hosts=())})
    plan = small_plan()
    none = {name: getattr(plan, name).clear() for name in ("waves", "hosts", "migrations", "deferred")}
    assert audit(snapshot, remade(snapshot, policy, **none)).findings == ()


# snapshot-digest


def test_a_plan_of_another_snapshot() -> None:
    finding = only(list(audit(small_fleet(vms={"v1": {"notice_s": 59}}), small_plan()).findings))
    assert finding.rule == "snapshot-digest"
    assert "another snapshot" in finding.message


def test_a_policy_that_is_not_the_one_of_the_digest() -> None:
    plan = small_plan()
    header = plan.header.model_copy(update={"policy": POLICY.model_copy(update={"link_share": 0.9})})
    finding = only(list(audit(small_fleet(), replace(plan, header=header)).findings))
    assert finding.rule == "snapshot-digest"
    assert "policy" in finding.message


# plan-complete


def test_a_due_host_neither_planned_nor_deferred() -> None:
    finding = only(found(deferred={"h3": None}))
    assert (finding.rule, finding.subjects) == ("plan-complete", ("h3",))
    assert "neither planned nor deferred" in finding.message


def test_a_host_both_planned_and_deferred() -> None:
    finding = only(found(deferred={"h1": {"reason": "down", "detail": "", "remedy": ""}}))
    assert (finding.rule, finding.subjects) == ("plan-complete", ("h1",))


def test_a_host_that_is_not_selected() -> None:
    finding = only(found(policy={"selection": Selection(exclude=("h3",))}))
    assert (finding.rule, finding.subjects) == ("plan-complete", ("h3",))
    assert "does not select" in finding.message


def test_a_vm_that_never_leaves_a_planned_host() -> None:
    findings = found(migrations={"m2": None})
    assert [finding.rule for finding in findings] == ["plan-complete", "drained-host-empty"]
    assert findings[0].subjects == ("v2", "h1")
    assert "never leaves" in findings[0].message


@pytest.mark.parametrize(
    ("table", "row", "name"),
    [
        ("deferred", {"h9": {"reason": "down", "detail": "", "remedy": ""}}, "h9"),
        ("migrations", move("m9", "h4", "h9", 100), "h9"),
        ("migrations", move("m9", "h9", "h4", 100), "h9"),
        ("migrations", move("m9", "h1", "h4", 100, vm_id="v9"), "v9"),
    ],
)
def test_a_name_that_the_fleet_does_not_have(table: str, row: Changes, name: str) -> None:
    finding = only(found(**{table: row}))
    assert (finding.rule, finding.subjects) == ("plan-complete", (name,))


def test_a_policy_that_names_an_unknown_host() -> None:
    finding = only(found(policy={"selection": Selection(exclude=("h9",))}))
    assert (finding.rule, finding.subjects) == ("plan-complete", ("h9",))


# vm-continuity


def test_a_migration_from_where_the_vm_is_not() -> None:
    findings = found(migrations={"m5": {"source": "h2", "wave": 1}})
    assert [finding.rule for finding in findings] == ["plan-complete", "vm-continuity"]
    assert "starts from h2, but the VM is on h4" in findings[1].message
    assert findings[1].at_s == 900


def test_a_migration_to_where_the_vm_is() -> None:
    findings = found(migrations=move("m9", "h1", "h1", 1600, wave=0))
    assert {finding.rule for finding in findings} == {"vm-continuity"}
    assert "ends on h1, where it starts" in findings[0].message


def test_a_migration_that_ends_before_it_starts() -> None:
    findings = found(migrations=move("m9", "h1", "h4", 1600, wave=0, end_s=1600))
    assert [finding.rule for finding in findings] == ["vm-continuity", "convergence"]
    assert "ends at 1600 s, not after its start" in findings[0].message


def test_migrations_of_one_vm_that_overlap() -> None:
    """The second cannot be notified in time either."""
    there = move("m8", "h6", "h1", 1600, vm_id="v2", wave=0)
    back = move("m9", "h1", "h6", 1639, vm_id="v2", wave=0)
    findings = found(migrations=there | back)
    assert [finding.rule for finding in findings] == ["vm-continuity", "notice"]
    assert "starts before the VM's migration before has ended at 1640 s" in findings[0].message


# drained-host-empty


def test_an_eviction_outside_its_drain() -> None:
    finding = only(found(hosts={"h4": {"drained_s": 939}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("drained-host-empty", ("m5", "h4"), 900)


def test_a_vm_that_came_before_the_drain_and_stays() -> None:
    finding = only(found(migrations=move("m9", "h3", "h4", 100, vm_id="v7", wave=0), fleet={"vms": {"v7": V7}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("drained-host-empty", ("v7", "h4"), 940)


V7 = small_fleet().vms.row(by_predicate=pl.col("vm_id") == "v5", named=True) | {"vm_id": "v7", "host_id": "h3"}
"""A seventh VM, on h3, which stays in service."""


# no-arrivals-while-out


def test_an_arrival_on_a_host_that_is_out() -> None:
    finding = only(found(migrations={"m5": {"target": "h2"}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("no-arrivals-while-out", ("m5", "h2"), 900)
    assert "out from 800 s to 1463 s" in finding.message


def test_an_arrival_on_a_host_that_is_down() -> None:
    finding = only(found(migrations=move("m9", "h3", "h5", 100, vm_id="v7", wave=0), fleet={"vms": {"v7": V7}}))
    assert (finding.rule, finding.subjects) == ("no-arrivals-while-out", ("m9", "h5"))


# maintenance-time


def test_a_host_that_returns_too_soon() -> None:
    finding = only(found(hosts={"h4": {"return_s": 1539}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("maintenance-time", ("h4",), 940)
    assert "599 s to be patched; it needs 600 s" in finding.message


# host-capacity


@pytest.mark.parametrize(("column", "size", "unit"), [("memory_mib", 16384, "MiB"), ("vcpus", 9, "vCPUs")])
def test_a_host_that_holds_too_much(column: str, size: int, unit: str) -> None:
    """h6 takes v1 and v2 at once; with h6 one short of both, it is overfull from 60 s on."""
    sold = {"memory_mib": 16383, "vcpus": 7}[column]
    finding = only(found(policy={"reserve": Reserve()}, fleet={"hosts": {"h6": {column: sold}}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("host-capacity", ("h6",), 60)
    assert unit in finding.message


def test_both_hosts_hold_a_vm_while_it_moves() -> None:
    """h1 is full with v3, v4, v5 and a guest of 4 vCPUs that leaves just after v5 has started: not soon enough."""
    v7 = V7 | {"host_id": "h6"}
    fleet = {"vms": {"v7": v7}, "hosts": {"h1": {"vcpus": 15}}}
    moves = move("m8", "h6", "h1", 720, vm_id="v7", wave=0)
    early, late = (moves | move("m9", "h1", "h3", start_s, vm_id="v7", wave=0) for start_s in (860, 861))
    loose = {"reserve": Reserve(), "migration": MigrationRules(allow_patched_to_unpatched=True)}
    assert found(policy=loose, fleet=fleet, migrations=early) == []
    finding = only(found(policy=loose, fleet=fleet, migrations=late))
    assert (finding.rule, finding.subjects, finding.at_s) == ("host-capacity", ("h1",), 900)
    assert "16 vCPUs; it sells 15 vCPUs" in finding.message


def test_a_host_overfull_from_the_start_may_stay_so() -> None:
    assert found(policy={"reserve": Reserve()}, fleet={"hosts": {"h3": {"vcpus": 3}}}) == []


# reserve


def test_a_share_that_does_not_stay_free() -> None:
    """80 vCPUs are sold; from 900 s on h1, h3 and h6 are in service, with 48 vCPUs and all six VMs."""
    assert found(policy={"reserve": Reserve(share=0.30)}) == []
    finding = only(found(policy={"reserve": Reserve(share=0.31)}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("reserve", ("fleet",), 900)
    assert "24 vCPUs are free on hosts in service; the reserve is 25 vCPUs" in finding.message


def test_the_largest_hosts_that_may_not_fail() -> None:
    assert found(policy={"reserve": Reserve(hosts=1)}) == []
    finding = only(of_rule("reserve", found(policy={"reserve": Reserve(hosts=2)})))
    assert (finding.rule, finding.subjects, finding.at_s) == ("reserve", ("fleet",), 900)
    assert "24 vCPUs are free on hosts in service; the reserve is 32 vCPUs" in finding.message


def test_the_largest_hosts_are_those_in_service() -> None:
    """h2 is the largest, and out from 800 s on: then 16 vCPUs are enough, before 20 are needed."""
    fleet = {"hosts": {"h2": {"vcpus": 25}, "h4": {"vcpus": 20}}}
    assert found(policy={"reserve": Reserve(hosts=1)}, fleet=fleet) == []
    vcpus, memory = of_rule("reserve", found(policy={"reserve": Reserve(hosts=3)}, fleet=fleet))
    assert "24 vCPUs are free on hosts in service; the reserve is 48 vCPUs" in vcpus.message
    assert "the reserve is 196,608 MiB" in memory.message


def test_a_reserve_in_each_domain() -> None:
    """With h4 out, rack r2 has h6 alone in service, which is half full; r1 keeps just enough."""
    findings = of_rule("reserve", found(policy={"reserve": Reserve(hosts=1, per="rack")}))
    assert [(finding.rule, finding.subjects, finding.at_s) for finding in findings] == [("reserve", ("r2",), 900)] * 2
    assert "in the rack r2 as little as 8 vCPUs are free on hosts in service; the reserve is 16" in findings[0].message
    assert "49,152 MiB are free on hosts in service; the reserve is 65,536 MiB" in findings[1].message


def test_a_fleet_short_at_the_start_may_stay_as_short() -> None:
    fleet = {"hosts": {"h3": {"vcpus": 4, "memory_mib": 8192}}}
    short = {"reserve": Reserve(hosts=1, per="host")}
    rules = [finding.subjects for finding in of_rule("reserve", found(policy=short, fleet=fleet))]
    assert ("h3",) not in rules


def test_a_reserve_per_unknown_kind_reserves_nothing() -> None:
    finding = only(found(policy={"reserve": Reserve(hosts=1, per="row")}))
    assert (finding.rule, finding.severity) == ("reserve", "warning")


# failures-restartable


def test_a_reserve_that_is_scattered_over_hosts() -> None:
    """From 900 s on 65,536 MiB and more are free on h1, h3 and h6, but v5 of h1 fits on neither of the others."""
    sizes = {"v1": {"memory_mib": 14_000}, "v2": {"memory_mib": 14_000}, "v6": {"memory_mib": 28_000}}
    anywhere = {"machine_types": None, "memory_mib": 37_536}
    loose = {"migrations": {"m5": {"end_s": 1_100}}, "hosts": {"h4": {"drained_s": 1_100, "return_s": 1_700}}}
    fits, scattered = ({"vms": sizes | {"v5": anywhere | {"memory_mib": mib}}} for mib in (37_536, 37_537))
    assert of_rule("failures-restartable", found(fleet=fits, **loose)) == []
    finding = only(of_rule("failures-restartable", found(fleet=scattered, **loose)))
    assert (finding.severity, finding.subjects, finding.at_s) == ("error", ("fleet", "h1", "v5"), 900)
    assert of_rule("reserve", found(fleet=scattered, **loose)) == []


# link-share


def test_a_link_with_too_much_on_it() -> None:
    """Both of h1's VMs leave at 2,000 Mbit/s each, over h1, leaf1, leaf2 and h6."""
    assert found(policy={"link_share": 0.4}) == []
    findings = found(policy={"link_share": 0.39})
    assert {finding.rule for finding in findings} == {"link-share"}
    assert [finding.subjects for finding in findings] == [("h1 -> leaf1",), ("leaf1 -> leaf2",), ("leaf2 -> h6",)]
    assert "carries up to 4,000 Mbit/s of migrations; allowed are 3,900 of 10,000 Mbit/s" in findings[0].message
    assert findings[0].at_s == 60


def test_a_nic_with_too_much_on_it() -> None:
    sends = only(found(fleet={"hosts": {"h1": {"migration_mbit_s": 3999}}}))
    assert (sends.rule, sends.subjects, sends.at_s) == ("link-share", ("h1",), 60)
    assert "sends up to 4,000 Mbit/s" in sends.message
    receives = only(found(fleet={"hosts": {"h6": {"migration_mbit_s": 3999}}}))
    assert "h6 receives up to 4,000 Mbit/s" in receives.message


def test_a_link_is_free_again_when_a_migration_ends() -> None:
    """m2 starts when m1 ends, and with m4 and m5 one at a time 2,000 Mbit/s are enough on every link."""
    one_by_one = {"m2": {"notified_s": 39, "start_s": 100, "end_s": 140}}
    later = {"h1": {"drained_s": 140, "return_s": 740}}
    narrow = {"link_share": 0.2, "canary": Canary(hosts=1, bake_s=60)}
    assert found(policy=narrow, migrations=one_by_one, hosts=later) == []
    one_by_one["m2"]["start_s"] = 99
    assert {finding.rule for finding in found(policy=narrow, migrations=one_by_one, hosts=later)} == {"link-share"}


def test_blocks_of_migrations_are_swept_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> list[str]:
        return [str(finding) for finding in found(policy={"link_share": 0.19})]

    whole = said()
    monkeypatch.setattr("slacktide.planner.constraints.link_share.PROBED", 1)
    monkeypatch.setattr("slacktide.planner.constraints.link_share.ENTRIES_AT_ONCE", 1)
    assert said() == whole
    assert len(whole) > 3


def test_a_migration_that_ends_before_it_starts_hides_nothing() -> None:
    """h1 hangs on both leaves: what goes to h2 is not on its link to leaf2, but takes from what h1 sends in all."""
    snapshot = small_fleet()
    second = [("h1", "leaf2", 10_000), ("leaf2", "h1", 10_000)]
    cables = pl.DataFrame(second, schema=snapshot.links.schema, orient="row")
    snapshot = replace(snapshot, links=pl.concat([snapshot.links, cables]).sort("tail", "head"))
    policy = POLICY.model_copy(update={"link_share": 0.39})
    backwards = move("m9", "h1", "h2", 100, end_s=60, bandwidth_mbit_s=4000)
    for changes in ({}, backwards):
        plan = edited(small_plan(), snapshot, policy, migrations=changes)
        findings = of_rule("link-share", list(audit(snapshot, plan).findings))
        assert "h1 -> leaf2" in {finding.subjects[0] for finding in findings}


def two_spines() -> FleetSnapshot:
    """The small fleet with two spines of 2,000 Mbit/s a link between its leaves."""
    snapshot = small_fleet()
    hosts = snapshot.links.filter(~(pl.col("tail").str.contains("leaf") & pl.col("head").str.contains("leaf")))
    up = [(leaf, spine, 2000) for leaf in ("leaf1", "leaf2") for spine in ("spine1", "spine2")]
    spines = pl.DataFrame([*up, *((head, tail, rate) for tail, head, rate in up)], schema=hosts.schema, orient="row")
    return replace(snapshot, links=pl.concat([hosts, spines]).sort("tail", "head"))


def links_found(snapshot: FleetSnapshot, share: float) -> list[Finding]:
    policy = POLICY.model_copy(update={"link_share": share})
    findings = audit(snapshot, edited(small_plan(), snapshot, policy)).findings
    assert {finding.rule for finding in findings} <= {"link-share"}
    return list(findings)


def test_equal_cost_paths_carry_equal_parts() -> None:
    assert links_found(two_spines(), 1.0) == []
    findings = links_found(two_spines(), 0.9)
    assert [finding.subjects[0] for finding in findings] == [
        "leaf1 -> spine1",
        "leaf1 -> spine2",
        "spine1 -> leaf2",
        "spine2 -> leaf2",
    ]
    assert "carries up to 2,000 Mbit/s of migrations; allowed are 1,800 of 2,000 Mbit/s" in findings[0].message


def test_bundles_of_links_are_swept_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slacktide.planner.constraints.link_share.ENTRIES_BY_LINK", 0)
    assert links_found(two_spines(), 1.0) == []
    findings = links_found(two_spines(), 0.9)
    assert [finding.subjects[0] for finding in findings] == ["leaf1 -> spine1", "spine1 -> leaf2"]
    assert findings[0].message.startswith("leaf1 -> spine1 and 1 links like it, each, carries up to 2,000 Mbit/s")
    assert findings[0].at_s == 60


def test_bundles_are_tried_before_they_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slacktide.planner.constraints.link_share.ENTRIES_BY_LINK", 0)
    bundle_loads = Routing.bundle_loads
    monkeypatch.setattr(Routing, "bundle_loads", lambda *arguments: bundle_loads(*arguments) * 0.5)
    findings = links_found(two_spines(), 0.9)
    assert findings[0].severity == "warning"
    assert "not loaded alike" in findings[0].message
    assert len(findings) == 5


def test_hosts_without_a_route_between_them() -> None:
    snapshot = small_fleet()
    cut = replace(snapshot, links=snapshot.links.filter(pl.col("tail") != "leaf1"))
    findings = audit(cut, edited(small_plan(), cut)).findings
    assert {finding.rule for finding in findings} == {"link-share"}
    assert "no path" in findings[0].message


# hosts-out


def test_too_many_hosts_out() -> None:
    finding = only(found(policy={"max_out": {"fleet": 1}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("hosts-out", ("fleet",), 900)
    assert "up to 2 hosts of the fleet are out at once; the policy allows 1 of 6" in finding.message


def test_too_many_hosts_of_a_domain_out() -> None:
    findings = found(policy={"max_out": {"rack": 0}})
    assert {finding.rule for finding in findings} == {"hosts-out"}
    assert [(finding.subjects, finding.at_s) for finding in findings] == [(("r1",), 60), (("r2",), 900)]
    assert "up to 1 hosts of the rack r1 are out at once; the policy allows 0 of 3" in findings[0].message


def test_a_limit_for_an_unknown_kind_limits_nothing() -> None:
    finding = only(found(policy={"max_out": {"row": 1}}))
    assert (finding.rule, finding.severity) == ("hosts-out", "warning")


# service-spread


def test_a_service_too_close_together() -> None:
    """v1 and v4 are one service: v4 follows v1 to h6."""
    finding = only(found(migrations={"m4": {"target": "h6"}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("service-spread", ("web", "h6"), 800)


def test_a_service_that_was_as_close_at_the_start() -> None:
    rack = {"services": {"web": {"spread_over": "rack"}}}
    assert found(fleet=rack, migrations={"m1": {"target": "h3"}, "m2": {"target": "h3"}}) == []
    finding = only(found(SHARED, fleet=rack, migrations={"m4": {"target": "h6"}}))
    assert finding.subjects == ("web", "r2")


def test_a_spread_over_an_unknown_kind() -> None:
    finding = only(found(fleet={"services": {"web": {"spread_over": "row"}}}))
    assert (finding.rule, finding.severity) == ("service-spread", "warning")


# service-moving


def test_too_many_vms_of_a_service_moving() -> None:
    finding = only(found(fleet={"vms": {"v2": {"service_id": "web"}}, "services": {"web": {"max_per_domain": 9}}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("service-moving", ("web",), 60)
    assert "up to 2 VMs of web migrate at once; it allows 1" in finding.message


# eligibility


def test_a_machine_type_that_the_vm_may_not_run_on() -> None:
    finding = only(found(migrations={"m5": {"target": "h6"}}))
    assert (finding.rule, finding.subjects) == ("eligibility", ("m5", "v5", "h6"))
    assert "machine type m2" in finding.message


def test_a_pinned_vm_that_moves() -> None:
    finding = only(found(fleet={"vms": {"v5": {"eviction": "pinned"}}}))
    assert (finding.rule, finding.subjects) == ("eligibility", ("m5", "v5", "h1"))


def test_a_live_vm_that_is_restarted_and_the_reverse() -> None:
    finding = only(found(fleet={"vms": {"v3": {"eviction": "live"}}}))
    assert (finding.rule, finding.subjects) == ("eligibility", ("m3", "v3", "h1"))
    finding = only(found(fleet={"vms": {"v5": {"eviction": "restart"}}}))
    assert (finding.rule, finding.subjects) == ("eligibility", ("m5", "v5", "h1"))


# patch-direction


def test_from_patched_to_unpatched() -> None:
    back = {"migrations": move("m9", "h6", "h3", 1700, vm_id="v2", wave=0)}
    finding = only(found(**back))
    assert (finding.rule, finding.subjects, finding.at_s) == ("patch-direction", ("m9", "h6", "h3"), 1700)
    assert found(policy={"migration": MigrationRules(allow_patched_to_unpatched=True)}, **back) == []


def test_a_host_is_patched_from_its_return() -> None:
    """v5 leaves h1, which has returned, for h4, which has from 1,540 s on."""
    assert found(migrations=move("m9", "h1", "h4", 1540, wave=0)) == []
    findings = found(migrations=move("m9", "h1", "h4", 1539, wave=0))
    assert {finding.rule for finding in findings} == {"patch-direction", "no-arrivals-while-out"}


# notice


def test_too_short_a_notice() -> None:
    finding = only(found(migrations={"m5": {"notified_s": 841}}))
    assert (finding.rule, finding.subjects) == ("notice", ("m5", "v5"))
    assert "has 59 s of notice; it needs 60 s" in finding.message


def test_a_notice_before_the_last_migration_has_ended() -> None:
    finding = only(found(migrations=move("m9", "h1", "h4", 1600, wave=0, notified_s=939)))
    assert (finding.rule, finding.subjects) == ("notice", ("m9", "v5"))
    assert "before 940 s" in finding.message


# convergence


def test_a_strategy_that_the_policy_does_not_allow() -> None:
    findings = found(policy={"migration": MigrationRules(strategies=("autoconverge",))})
    assert {finding.rule for finding in findings} == {"convergence"}
    assert "m1 of v1 is planned as precopy, which the policy does not allow" in {f.message for f in findings}


def test_a_migration_that_does_not_converge() -> None:
    finding = only(found(fleet={"vms": {"v5": {"dirty_mib_s": 1000.0}}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("convergence", ("m5", "v5"), 900)
    assert "cannot keep its blackout limit by precopy at 2,000 Mbit/s" in finding.message


def test_what_is_unknown_and_not_assumed_does_not_converge() -> None:
    finding = only(found(policy={"assume": POLICY.assume.model_copy(update={"hot_mib": None})}))
    assert (finding.rule, finding.subjects) == ("convergence", ("m2", "v2"))


def test_a_migration_with_too_little_time() -> None:
    finding = only(found(migrations={"m5": {"end_s": 939}}))
    assert (finding.rule, finding.subjects) == ("convergence", ("m5", "v5"))
    assert "is given 39 s; at its bandwidth it takes 40 s" in finding.message


@pytest.mark.parametrize("column", ["predicted_brownout_s", "predicted_blackout_ms", "predicted_transfer_mib"])
def test_a_prediction_that_is_not_the_models(column: str) -> None:
    finding = only(found(migrations={"m5": {column: 1.0}}))
    assert (finding.rule, finding.subjects) == ("convergence", ("m5", "v5"))
    assert "states 1.000" in finding.message


# waves-and-gates


def test_a_wave_before_the_canary_has_baked() -> None:
    finding = only(found(policy={"canary": Canary(hosts=1, bake_s=101)}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("waves-and-gates", ("wave 1",), 800)
    assert "before 801 s, when the canary has returned and baked" in finding.message


def test_a_canary_that_is_too_large() -> None:
    finding = only(
        found(
            hosts={"h2": {"wave": 0}, "h4": None},
            migrations={"m3": {"wave": 0}, "m4": {"wave": 0}, "m5": None},
            deferred={"h4": {"reason": "capacity", "detail": "", "remedy": ""}},
        )
    )
    assert (finding.rule, finding.subjects) == ("waves-and-gates", ("wave 0",))
    assert "wave 0 has 2 hosts; the policy allows 1" in finding.message


def test_a_canary_that_is_too_small() -> None:
    finding = only(found(policy={"canary": Canary(hosts=2, bake_s=100)}))
    assert (finding.rule, finding.subjects) == ("waves-and-gates", ("wave 0",))
    assert "the canary has 1 of the 2 hosts that it is to have" in finding.message


def test_a_canary_is_no_larger_than_a_wave_may_be() -> None:
    waves = {"canary": Canary(hosts=2, bake_s=100), "gates": Gates(max_wave_hosts=1)}
    assert not [finding for finding in found(policy=waves) if "the canary has" in finding.message]


def test_a_wave_that_is_too_large() -> None:
    gates = {"gates": Gates(max_wave_hosts=1)}
    assert found(policy=gates) == []
    finding = only(found(policy=gates, hosts={"h4": {"wave": 1}}, migrations={"m5": {"wave": 1}}))
    assert (finding.rule, finding.subjects) == ("waves-and-gates", ("wave 1",))
    assert "wave 1 has 2 hosts; the policy allows 1" in finding.message


def test_a_wave_before_the_one_before_has_baked() -> None:
    baked = {"gates": Gates(kind="baked", bake_s=0)}
    gates = {0: {"gate": "start"}, 1: {"gate": "canary"}, 2: {"gate": "baked"}}
    finding = only(found(policy=baked, waves=gates))
    assert (finding.rule, finding.subjects, finding.at_s) == ("waves-and-gates", ("wave 2",), 900)
    assert "before 1463 s" in finding.message


@pytest.mark.parametrize(
    ("column", "value"), [("gate", "baked"), ("start_s", 1), ("end_s", 1), ("hosts", 7), ("migrations", 7)]
)
def test_a_wave_table_that_says_otherwise(column: str, value: object) -> None:
    finding = only(found(waves={2: {column: value}}))
    assert (finding.rule, finding.subjects) == ("waves-and-gates", ("wave 2",))
    assert f"wave 2 states {column} {value}" in finding.message


def test_a_migration_in_another_wave_than_its_host() -> None:
    finding = only(found(migrations={"m5": {"wave": 1}}))
    assert (finding.rule, finding.subjects) == ("waves-and-gates", ("m5",))


def test_waves_with_a_gap() -> None:
    finding = only(found(hosts={"h4": {"wave": 3}}, migrations={"m5": {"wave": 3}}))
    assert finding.rule == "waves-and-gates"
    assert "[0, 1, 3]" in finding.message


# after-order


def test_what_comes_after_starts_after() -> None:
    assert found(migrations={"m5": {"after": ["m4"]}}) == []
    finding = only(found(migrations={"m5": {"after": ["m4", "m5"]}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("after-order", ("m5", "m5"), 900)
    finding = only(found(migrations={"m5": {"after": ["m9"]}}))
    assert (finding.rule, finding.subjects) == ("after-order", ("m5", "m9"))


# deadline


def test_a_late_plan_is_a_warning() -> None:
    assert found(policy={"deadline_s": 1540}) == []
    finding = only(found(policy={"deadline_s": 1500}))
    assert (finding.rule, finding.severity, finding.at_s) == ("deadline", "warning", 1540)
    assert "40 s after the deadline; 1 hosts are late" in finding.message


# summary


@pytest.mark.parametrize(
    "name", ["hosts", "vms", "waves", "migrations", "moves_per_vm", "makespan_s", "exposure_host_h"]
)
def test_a_figure_that_is_wrong(name: str) -> None:
    """The gap that is stated is then wrong too, where the figure has one."""
    plan = small_plan()
    wrong = getattr(plan.header.summary, name) + 1
    findings = audit(small_fleet(), with_summary(plan, **{name: wrong})).findings
    assert {finding.rule for finding in findings} == {"summary"}
    assert findings[0].message.startswith(f"{name} is stated as")
    gap = {"makespan_s": "makespan_gap", "exposure_host_h": "exposure_gap"}.get(name)
    assert [finding.message.split()[0] for finding in findings[1:]] == ([gap] if gap else [])


def test_exposure_by_hand() -> None:
    """h1 returns at 700 s, h2 at 1,463 s, h4 at 1,540 s; h3 and h5 are deferred and count until then."""
    assert small_plan().header.summary.exposure_host_h == pytest.approx((700 + 1463 + 3 * 1540) / 3600)


@pytest.mark.parametrize("name", ["p50", "p99", "max"])
def test_a_blackout_that_is_wrong(name: str) -> None:
    plan = small_plan()
    blackout = plan.header.summary.predicted_blackout_ms.model_copy(update={name: 1.0})
    finding = only(list(audit(small_fleet(), with_summary(plan, predicted_blackout_ms=blackout)).findings))
    assert finding.rule == "summary"
    assert f"predicted_blackout_ms.{name} is stated as 1.0" in finding.message


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"deferred": {"down": 2}}, "deferred is stated"),
        ({"makespan_gap": 0.0}, "makespan_gap is stated as 0.000000, but it is 1.200000"),
        ({"exposure_gap": 0.0}, "exposure_gap is stated"),
        ({"binding_resource": "rack"}, "binding_resource rack gives the bound None"),
        (
            {"bounds": {"chain": 1600.0}, "makespan_bound_s": 1600.0, "makespan_gap": -0.0375},
            "makespan_bound_s 1,600.0 is above makespan_s 1,540",
        ),
        ({"exposure_bound_host_h": 9.0, "exposure_gap": -0.790648}, "exposure_bound_host_h 9.0 is above"),
        ({"exposure_bound_host_h": 0.0, "exposure_gap": 0.0}, "exposure_bound_host_h is stated as 0.0, which bounds"),
        ({"exposure_bound_host_h": math.nan, "exposure_gap": 0.0}, "exposure_bound_host_h is stated as nan"),
        ({"bounds": {"chain": 700.0, "memory": 1e9}}, "and the highest bound 1000000000.0"),
    ],
)
def test_other_figures_that_are_wrong(figures: dict[str, Any], text: str) -> None:
    finding = only(list(audit(small_fleet(), with_summary(small_plan(), **figures)).findings))
    assert finding.rule == "summary"
    assert text in finding.message


def test_an_objective_that_is_not_the_policy_s() -> None:
    plan = small_plan()
    other = replace(plan, header=plan.header.model_copy(update={"objective": ("moves",)}))
    finding = only(list(audit(small_fleet(), other).findings))
    assert finding.message == "objective is stated as moves, but the policy's is another"


# the report


def test_a_rule_broken_often_is_counted() -> None:
    extra = {f"x{number}": {"reason": "down", "detail": "", "remedy": ""} for number in range(FINDINGS_PER_RULE + 5)}
    findings = found(deferred=extra)
    assert len(findings) == FINDINGS_PER_RULE + 1
    assert findings[-1].message == "5 more findings of this rule"
    assert findings[-1].severity == "error"


def test_every_rule_is_broken_here() -> None:
    """A rule without such a test does not exist."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [rule for rule in audit(small_fleet(), small_plan()).checked_rules if f"\n# {rule}\n" not in text] == []
