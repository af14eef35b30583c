"""Every rule of the audit: a good plan is broken in one place, and exactly that is found."""

from dataclasses import replace
from pathlib import Path

import pytest
from broken_plans import V7, Changes, found, move, only
from small_fleet import PLAN_TABLES, POLICY, remade, small_fleet, small_plan

from slacktide.datasets.validation import snapshot_findings
from slacktide.planner.audit import FINDINGS_PER_RULE, audit
from slacktide.planner.policy import Canary, Gates, MigrationRules, Selection


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
    assert "40 s after the deadline; 1 host is late" in finding.message
    assert "take the preset `urgent`" in finding.remedy
    urgent = only(found(policy={"deadline_s": 1500, "name": "urgent"}))
    assert "preset" not in urgent.remedy
    assert "`slacktide what-if` says what suffices" in urgent.remedy


# the report


def test_a_rule_broken_often_is_counted() -> None:
    extra = {f"x{number}": {"reason": "down", "detail": "", "remedy": ""} for number in range(FINDINGS_PER_RULE + 5)}
    findings = found(deferred=extra)
    assert len(findings) == FINDINGS_PER_RULE + 1
    assert findings[-1].message == "5 more findings of this rule"
    assert findings[-1].severity == "error"


def test_every_rule_is_broken_here() -> None:
    """A rule without such a test does not exist."""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_audit*.py"))
    assert [rule for rule in audit(small_fleet(), small_plan()).checked_rules if f"\n# {rule}\n" not in text] == []
