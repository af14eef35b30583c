"""Rules of the audit that limit what is taken at one moment: capacity, reserves, links, hosts out, services."""

from dataclasses import replace

import polars as pl
import pytest
from broken_plans import SHARED, V7, found, move, of_rule, only
from small_fleet import POLICY, edited, small_fleet, small_plan

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.findings import Finding
from slacktide.planner.audit import audit
from slacktide.planner.policy import Canary, MigrationRules, Reserve
from slacktide.topology.routing import Routing

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
