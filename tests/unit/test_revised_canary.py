"""The canary of a revision: as large as the policy asks for until it has passed, and never behind itself."""

from dataclasses import replace
from functools import cache

import polars as pl
import pytest

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.audit import audit
from slacktide.planner.plan import Plan, Revision
from slacktide.planner.policy import Canary, Gates, Policy
from slacktide.planner.progress import progress_at
from slacktide.planner.revision import revise
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from tests.tiny_fleets import tiny_fleet, tiny_policy

BAKED = Gates(kind="baked", bake_s=30)


def terms(canary: int, gates: Gates = Gates(), out: int = 3) -> Policy:  # noqa: B008
    limits = {"canary": Canary(hosts=canary, bake_s=60), "gates": gates, "max_out": {"fleet": out}}
    return tiny_policy(reserve=0.0).model_copy(update=limits)


@cache
def planned(canary: int, strict: bool = False, out: int = 3) -> tuple[FleetSnapshot, Plan]:
    snapshot = tiny_fleet(9, 3, fill=0.4)
    return snapshot, make_plan(snapshot, terms(canary, BAKED if strict else Gates(), out), stop=Iterations(0))


def revised(now: FleetSnapshot, parent: Plan, at_s: int, policy: Policy, **facts) -> tuple[FleetSnapshot, Plan]:
    then, progress = progress_at(now, parent, at_s, **facts)
    child = revise(then, policy, parent, progress)
    assert [str(finding) for finding in audit(then, child).errors] == []
    return then, child


def revision_of(plan: Plan) -> Revision:
    assert plan.header.revision is not None
    return plan.header.revision


def canary_of(plan: Plan) -> pl.DataFrame:
    return plan.hosts.filter(pl.col("wave") == 0).sort("drain_start_s")


def waits_for_the_canary(plan: Plan, bake_s: int = 60) -> bool:
    back_s = int(canary_of(plan)["return_s"].to_numpy().max())
    return bool((plan.hosts.filter(pl.col("wave") > 0)["drain_start_s"] >= back_s + bake_s).all())


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("at_s", [0, 1])
def test_a_canary_that_is_to_be_larger_is_filled_up(at_s: int, strict: bool) -> None:
    snapshot, parent = planned(2, strict)
    assert canary_of(parent).height == 2
    _, child = revised(snapshot, parent, at_s, terms(4, BAKED if strict else Gates()))
    assert canary_of(child).height == 4
    assert set(canary_of(parent)["host_id"]) <= set(canary_of(child)["host_id"])
    assert waits_for_the_canary(child)
    assert child.deferred.equals(parent.deferred)


def test_others_take_the_places_of_canary_hosts_that_are_lost() -> None:
    snapshot, parent = planned(3)
    lost = canary_of(parent)["host_id"].to_list()[:2]
    _, child = revised(snapshot, parent, 1, terms(3), lost_hosts=lost)
    assert canary_of(child).height == 3
    assert waits_for_the_canary(child)


@pytest.mark.parametrize("strict", [False, True])
def test_where_the_whole_canary_is_lost_others_are_wave_0(strict: bool) -> None:
    snapshot, parent = planned(1, strict)
    lost = canary_of(parent)["host_id"].to_list()
    _, child = revised(snapshot, parent, 1, parent.header.policy, lost_hosts=lost)
    assert canary_of(child).height == 1
    assert child.waves["gate"].to_list()[:1] == ["start"]
    assert waits_for_the_canary(child)


def test_a_canary_is_as_large_as_hosts_are_left() -> None:
    snapshot, parent = planned(3)
    lost = parent.hosts["host_id"].to_list()[2:]
    _, child = revised(snapshot, parent, 0, terms(3), lost_hosts=lost)
    assert set(child.hosts["wave"]) == {0}


def between(parent: Plan) -> int:
    """Return the moment at which the first host of a serial canary has returned and the second is about to leave."""
    first, second = canary_of(parent).rows(named=True)
    assert first["return_s"] <= second["drain_start_s"]
    return int(first["return_s"])


@pytest.mark.parametrize("strict", [False, True])
def test_a_serial_canary_does_not_wait_for_itself(strict: bool) -> None:
    snapshot, parent = planned(2, strict, out=1)
    now, child = revised(snapshot, parent, between(parent), parent.header.policy)
    assert revision_of(child).canary_returned == 1
    assert revision_of(child).gate_s > between(parent)
    rest = parent.hosts.filter(pl.col("return_s") > between(parent))
    assert child.hosts.equals(rest)
    _, again = revised(now, child, between(parent), parent.header.policy)
    assert revision_of(again).canary_returned == 1
    assert again.hosts.equals(rest)


def test_a_lost_host_of_a_serial_canary_is_replaced_once_the_other_is_back() -> None:
    snapshot, parent = planned(2, out=1)
    _, child = revised(
        snapshot, parent, between(parent), parent.header.policy, lost_hosts=canary_of(parent)["host_id"].to_list()[1:]
    )
    assert not revision_of(child).canary_passed
    assert canary_of(child).height == 1
    assert waits_for_the_canary(child)


def test_a_canary_has_passed_once_as_many_as_asked_for_have_returned() -> None:
    snapshot, parent = planned(2, out=1)
    _, child = revised(snapshot, parent, between(parent), terms(1, out=1))
    assert revision_of(child).canary_passed
    assert child.hosts["drain_start_s"].to_numpy().min() >= revision_of(child).gate_s > between(parent)


def with_revision(plan: Plan, **values) -> Plan:
    changed = revision_of(plan).model_copy(update=values)
    return replace(plan, header=plan.header.model_copy(update={"revision": changed}))


def messages(now: FleetSnapshot, plan: Plan) -> list[str]:
    return [finding.message for finding in audit(now, plan).errors if finding.rule == "waves-and-gates"]


def test_the_audit_counts_the_canary_with_those_that_have_returned() -> None:
    snapshot, parent = planned(2, out=1)
    now, child = revised(snapshot, parent, between(parent), parent.header.policy)
    few = with_revision(child, canary_returned=0)
    assert messages(now, few) == ["the canary has 1 of the 2 hosts that it is to have"]
    assert messages(now, with_revision(child, canary_returned=None)) == []


def test_the_audit_lets_the_waves_behind_a_canary_wait_for_what_has_returned() -> None:
    snapshot, parent = planned(2, out=1)
    now, child = revised(snapshot, parent, between(parent), parent.header.policy)
    last_s = int(child.hosts["drain_start_s"].to_numpy().max()) + 1
    late = messages(now, with_revision(child, gate_s=last_s))
    assert late[0].startswith("wave 1 starts before")
    assert not any(message.startswith("wave 0") for message in late)
    passed = messages(now, with_revision(child, canary_passed=True))
    assert passed[0].startswith("wave 0 starts before")


def test_what_an_older_revision_does_not_say_is_not_written() -> None:
    snapshot, parent = planned(2)
    _, child = revised(snapshot, parent, 1, parent.header.policy)
    old = revision_of(with_revision(child, canary_returned=None)).model_dump(mode="json")
    assert "canary_returned" not in old
    assert Revision.model_validate(old).canary_returned is None


def test_a_canary_is_complete_though_others_were_promised_the_room_that_it_needs_now() -> None:
    snapshot, parent = planned(2, out=1)
    host = canary_of(parent)["host_id"][1]
    size = snapshot.hosts.row(by_predicate=pl.col("host_id") == host, named=True)
    large = snapshot.vms.head(1).with_columns(
        vm_id=pl.lit("vm-large"),
        host_id=pl.lit(host),
        service_id=pl.lit(None, pl.String),
        vcpus=pl.lit(size["vcpus"]),
        memory_mib=pl.lit(size["memory_mib"]),
        eviction=pl.lit("live"),
    )
    gone = snapshot.vms.filter(pl.col("host_id") == host)["vm_id"].to_list()
    facts = {"new_vms": large, "gone_vms": gone}
    _, child = revised(snapshot, parent, between(parent), parent.header.policy, **facts)
    assert canary_of(child).height == 1
    assert waits_for_the_canary(child)
