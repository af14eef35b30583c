"""A campaign whose first wave waits for a person."""

from small_fleet import POLICY, small_fleet
from story import Story

from slacktide.executors import events
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.decisions import Scheduler
from slacktide.executors.orders import Approve, answer
from slacktide.executors.program import build_program
from slacktide.executors.store.orders import StoredOrder
from slacktide.planner.audit import audit
from slacktide.planner.plan_files import first_gate, write_plan
from slacktide.planner.policy_files import policy_digest
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

ASKED = POLICY.model_copy(update={"approve_start": True})


def planned(policy):
    return make_plan(small_fleet(), policy, seed=1, stop=Iterations(5))


def test_the_plan_says_that_its_first_wave_waits_and_its_audit_agrees(tmp_path) -> None:
    plan = planned(ASKED)
    assert plan.waves["gate"][0] == "approval"
    assert not audit(small_fleet(), plan).errors
    write_plan(plan, tmp_path / "plan")
    assert first_gate(tmp_path / "plan") == "approval"
    assert first_gate(tmp_path / "none") is None


def test_a_plan_that_does_not_wait_as_its_policy_asks_is_refused() -> None:
    plan = planned(POLICY)
    header = plan.header.model_copy(update={"policy": ASKED})
    broken = audit(small_fleet(), type(plan)(header, plan.waves, plan.hosts, plan.migrations, plan.deferred))
    assert [found.message for found in broken.errors if found.rule == "waves-and-gates"] == [
        "wave 0 states gate start, but it is approval"
    ]


def test_policies_without_it_keep_their_digest() -> None:
    explicit = POLICY.model_copy(update={"approve_start": False})
    assert policy_digest(explicit) == policy_digest(POLICY) != policy_digest(ASKED)


def test_nothing_begins_before_a_person_approves() -> None:
    program = build_program(small_fleet(), planned(ASKED))
    story = Story(program, None)
    assert story.at(5000) == ()
    waits = Scheduler(program, story.state).waits_for()
    assert waits == "wave 0 waits for approval; give it with `slacktide campaign approve`"
    approve = Approve()
    stored = StoredOrder(1, "2026-01-01T00:00:00+00:00", "ada", "checked", approve.kind, approve.body())
    story.happens(answer(stored, story.state, 5001))
    begun = story.at(5002)
    assert begun[0] == events.WaveOpened(5002, 0)
    assert any(isinstance(action, events.HostDrainStarted) for action in begun)


def test_no_guest_is_told_before_a_person_approves() -> None:
    program = build_program(small_fleet(), planned(ASKED))
    told_s = [at_s for at_s in program.migrations.notified_s.tolist() if at_s < program.waves.start_s.max()]
    assert told_s, "by the plan guests are told before waves open"
    scheduler = Scheduler(program, initial_state(program))
    before = [event for now in sorted(told_s) for event in scheduler.decide(now)]
    assert before == []
    approved = events.WaveApproved(5001, 0, "ada", 1, "checked")
    scheduler.observe((approved,))
    after = scheduler.decide(5001)
    assert after[0] == events.WaveOpened(5001, 0)
    assert any(isinstance(event, events.MigrationNotified) for event in after)
