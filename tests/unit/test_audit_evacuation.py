"""Hosts that are evacuated, in the audit: the small plan with h4 evacuated, broken in one place."""

from typing import Any

import pytest
from broken_plans import SHARED, V7, Changes, found, move, of_rule, only

from slacktide.findings import Finding
from slacktide.planner.policy import Reserve

LEAVES = {"wave": 2, "drain_start_s": 0, "drained_s": 100, "return_s": 100}
GATE = {2: {"gate": "start", "start_s": 0, "end_s": 100, "hosts": 1, "migrations": 1}}


def m5(start_s: int = 60, **values: Any) -> Changes:
    return move("m5", "h4", "h3", start_s, **values)


def with_h4_evacuated(
    h4: dict[str, Any] | None = None,
    policy: dict[str, Any] | None = None,
    fleet: dict[str, Changes] | None = None,
    **plan: Changes,
) -> list[Finding]:
    """Return the findings about the small plan in which h4 is evacuated: v5 goes to h3 at once, beside the canary."""
    terms = {"evacuate": ("h4",), **(policy or {})}
    host = {**LEAVES, **(h4 or {})}
    gate = {2: {**GATE[2], "start_s": host["drain_start_s"], "end_s": host["return_s"]}}
    waves: Changes = {0: {}, 1: {}, **gate}
    parts: dict[str, Changes] = {"hosts": {"h4": host}, "migrations": m5(), "waves": waves, **plan}
    return found(terms, fleet, **parts)


def test_a_good_evacuation_breaks_no_rule() -> None:
    assert with_h4_evacuated() == []


def test_a_host_that_leaves_before_one_that_is_evacuated() -> None:
    finding = only(with_h4_evacuated({"drain_start_s": 61, "drained_s": 101, "return_s": 101}, migrations=m5(61)))
    assert (finding.rule, finding.subjects, finding.at_s) == ("evacuation", ("h1", "h4"), 60)
    assert "h1 leaves at 60 s, before h4, which is evacuated" in finding.message


def test_hosts_may_leave_at_the_same_second() -> None:
    assert with_h4_evacuated({"drain_start_s": 60}) == []


def test_no_time_to_patch_a_host_that_is_evacuated() -> None:
    finding = only(with_h4_evacuated({"return_s": 700}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("evacuation", ("h4",), 100)
    assert "out until 700 s" in finding.message


def test_a_vm_that_comes_to_a_host_that_is_to_be_evacuated_and_cannot_be() -> None:
    """h3 holds a pinned VM and is deferred; v5 must not go there all the same."""
    finding = only(found(policy={"evacuate": ("h3",)}, migrations={"m5": {"target": "h3"}}))
    assert (finding.rule, finding.subjects, finding.at_s) == ("evacuation", ("m5", "h3"), 900)


def test_a_vm_that_comes_back_to_an_evacuated_host() -> None:
    finding = only(with_h4_evacuated(migrations=m5() | {"m4": {"target": "h4"}}, policy=SHARED))
    assert (finding.rule, finding.subjects) == ("no-arrivals-while-out", ("m4", "h4"))


def test_a_host_to_be_evacuated_that_the_plan_forgets() -> None:
    forgotten = found(policy={"evacuate": ("h4",)}, hosts={"h4": None}, migrations={"m5": None})
    finding = only(of_rule("plan-complete", forgotten))
    assert "h4 is to be evacuated, but neither planned nor deferred" in finding.message


def test_a_vm_that_stays_on_an_evacuated_host() -> None:
    findings = with_h4_evacuated(migrations={"m5": None}, waves={0: {}, 1: {}, 2: {**GATE[2], "migrations": 0}})
    assert {finding.rule for finding in findings} == {"plan-complete", "drained-host-empty"}
    assert all("evacuated" in finding.message for finding in findings)


def test_an_evacuated_host_is_in_no_wave_of_others() -> None:
    waves: Changes = {0: {}, 1: {"start_s": 0, "hosts": 2, "migrations": 3}, 2: None}
    findings = with_h4_evacuated({"wave": 1}, migrations=m5(wave=1), waves=waves)
    finding = only(of_rule("evacuation", findings))
    assert "h4 is evacuated, but wave 1 has hosts that are patched" in finding.message


def test_an_evacuation_is_no_canary() -> None:
    """h1 alone is the canary: a second host of wave 0 would be one too many."""
    waves: Changes = {0: {"start_s": 0, "hosts": 2, "migrations": 3}, 1: {}, 2: None}
    findings = with_h4_evacuated({"wave": 0}, migrations=m5(wave=0), waves=waves)
    assert {finding.rule for finding in findings} == {"evacuation", "waves-and-gates"}


@pytest.mark.parametrize(("share", "rules"), [(0.30, set()), (0.31, {"reserve"})])
def test_the_capacity_of_an_evacuated_host_is_gone(share: float, rules: set[str]) -> None:
    """With h2 out, h1, h3 and h6 sell 48 of 80 vCPUs and hold all six VMs; h4 has none free any more."""
    findings = with_h4_evacuated(policy={"reserve": Reserve(share=share)})
    assert {finding.rule for finding in findings} == rules


@pytest.mark.parametrize(("empty_s", "rules"), [(60, set()), (61, {"hosts-out"})])
def test_its_place_among_the_hosts_out_is_free_once_it_is_empty(empty_s: int, rules: set[str]) -> None:
    """The canary leaves at 60 s, and one host may be out; v5 wants no notice."""
    late = {"drained_s": empty_s, "return_s": empty_s}
    fleet = {"vms": {"v5": {"notice_s": 0}}}
    findings = with_h4_evacuated(late, {"max_out": {"fleet": 1}}, fleet, migrations=m5(20, notified_s=20))
    assert {finding.rule for finding in findings} == rules


def test_a_patched_host_may_be_evacuated_to_an_unpatched_one() -> None:
    """h6 is patched and holds v7; it is evacuated to h3, and so the canary's VMs go to h3 as well."""
    fleet = {"vms": {"v7": V7 | {"host_id": "h6", "machine_types": None}}}
    h6 = {"wave": 3, "drain_start_s": 60, "drained_s": 140, "return_s": 140}
    elsewhere = {"m1": {"target": "h3"}, "m2": {"target": "h3"}}
    moves = elsewhere | move("m8", "h6", "h3", 100, vm_id="v7", wave=3)
    waves: Changes = {
        0: {},
        1: {},
        2: {},
        3: {"gate": "start", "start_s": 60, "end_s": 140, "hosts": 1, "migrations": 1},
    }
    leaves = {"policy": {"evacuate": ("h6",), "reserve": Reserve()}, "hosts": {"h6": h6}, "waves": waves}
    assert found(fleet=fleet, migrations=moves, **leaves) == []
    finding = only(
        found({"reserve": Reserve()}, fleet, migrations=elsewhere | move("m8", "h6", "h3", 100, vm_id="v7", wave=0))
    )
    assert finding.rule == "patch-direction"
