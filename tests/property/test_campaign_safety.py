"""Whatever fails and however late things are: no VM is lost or doubled, no limit broken, and every campaign ends."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from campaigns import RULES, assert_all_ended, assert_safe, assert_same, planned_fleet, program_of, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.executors import events
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.decisions import Scheduler, next_actions
from slacktide.executors.drivers.settings import FAILURE_STAGES, Failures
from slacktide.executors.events import Stage
from slacktide.executors.folding import fold

failures = st.builds(
    Failures,
    migrations_per_mille=st.sampled_from([0, 5, 50, 500, 1000]),
    retryable_share=st.sampled_from([0, 0.5, 1]),
    stages=st.lists(st.sampled_from(FAILURE_STAGES), min_size=1, max_size=3, unique=True).map(tuple),
    lost_hosts_per_mille=st.sampled_from([0, 20, 300]),
    overruns_per_mille=st.sampled_from([0, 200]),
    overrun_factor=st.sampled_from([1, 3, 10]),
)
sigmas = st.sampled_from([0, 0.05, 0.5, 2])
campaigns = st.tuples(st.sampled_from(["urgent", "baked"]), failures, sigmas)
few = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@few
@given(campaigns, st.integers(0, 1000))
def test_nothing_is_violated_and_everything_ends(campaign, seed) -> None:
    plan, wrong, sigma = campaign
    program = program_of(plan)
    with TemporaryDirectory() as folder:
        ran = run(program, Path(folder), wrong, seed, sigma=sigma)
    assert_safe(program, ran.entries)
    assert_all_ended(program, ran)


@few
@given(campaigns, st.integers(0, 1000), st.data())
def test_fold_is_idempotent_at_every_prefix(campaign, seed, data) -> None:
    plan, wrong, sigma = campaign
    program = program_of(plan)
    with TemporaryDirectory() as folder:
        entries = run(program, Path(folder), wrong, seed, sigma=sigma).entries
    whole = fold(initial_state(program), entries)
    cut = data.draw(st.integers(0, len(entries)))
    part = fold(initial_state(program), entries[:cut])
    for again in (fold(part, entries[:cut]), fold(part, entries[cut // 2 : cut])):
        assert_same(part, again)
    assert_same(whole, fold(part, entries))
    assert_same(whole, fold(part, entries[cut:]))


@few
@given(campaigns, st.integers(0, 1000), st.data())
def test_decisions_from_the_state_alone_are_those_of_the_scheduler(campaign, seed, data) -> None:
    """What next_actions says of the folded journal at any moment is what the running scheduler did then."""
    plan, wrong, sigma = campaign
    program = program_of(plan)
    with TemporaryDirectory() as folder:
        entries = run(program, Path(folder), wrong, seed, sigma=sigma).entries
    cut = data.draw(st.integers(1, len(entries)))
    now = max(entry.event.at_s for entry in entries[:cut])
    state = fold(initial_state(program), entries[:cut])
    before = state.copy()
    once = next_actions(program, state, now, RULES)
    assert_same(before, state)
    assert once == next_actions(program, state, now, RULES)
    scheduler = Scheduler(program, state, RULES)
    assert scheduler.decide(now) == once
    assert scheduler.decide(now) == ()


@pytest.mark.parametrize("name", ["urgent", "baked"])
def test_a_journal_that_ends_while_things_fall_lets_the_rest_fall(tmp_path, name) -> None:
    """A crash between a thing given up and what depends on it: the rest is given up at once, not waited for."""
    program = program_of(name)
    wrong = Failures(migrations_per_mille=50, retryable_share=0, lost_hosts_per_mille=300)
    entries = run(program, tmp_path, wrong, seed=2).entries
    falls = (events.MigrationGivenUp, events.HostBlocked, events.HostFailed)
    causes = (*falls, events.WaveClosed)
    cuts = [at for at, entry in enumerate(entries, start=1) if isinstance(entry.event, causes)]
    assert len(cuts) > 20
    state, done = initial_state(program), 0
    for cut in cuts:
        state, done, now = fold(state, entries[done:cut]), cut, entries[cut - 1].event.at_s
        together = itertools.takewhile(lambda entry: isinstance(entry.event, causes), entries[cut:])
        still = {_subject(entry.event) for entry in together if entry.event.at_s == now}
        fallen = {_subject(event) for event in next_actions(program, state, now, RULES) if isinstance(event, falls)}
        assert still - {"wave"} <= fallen


def _subject(event: events.Event) -> str:
    return "wave" if event.subject_field is None else str(getattr(event, event.subject_field))


def test_the_number_of_agents_changes_nothing(tmp_path) -> None:
    program = program_of()
    wrong = Failures(migrations_per_mille=30, lost_hosts_per_mille=50, overruns_per_mille=100)
    states = []
    for agents in (1, 3):
        folder = tmp_path / str(agents)
        folder.mkdir()
        states.append(run(program, folder, wrong, seed=5, agents=agents).entries)
    assert states[0] == states[1]


def test_noise_belongs_to_the_vm_and_not_to_the_order(tmp_path) -> None:
    """Losing one host leaves all blackouts of migrations that still happen as they were."""
    program = program_of()
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    calm.mkdir()
    rough.mkdir()
    first = run(program, calm, seed=3).coordinator.state
    second = run(program, rough, Failures(lost_hosts_per_mille=100), seed=3).coordinator.state
    both = (first.stage == Stage.DONE) & (second.stage == Stage.DONE)
    assert both.any()
    assert (first.blackout_ms[both] == second.blackout_ms[both]).all()


@pytest.mark.parametrize("name", ["urgent", "baked"])
def test_without_failures_every_host_returns(tmp_path, name) -> None:
    program = program_of(name)
    ran = run(program, tmp_path, seed=1)
    assert_safe(program, ran.entries)
    assert (ran.coordinator.state.host_stage[program.hosts.planned] == HostStage.RETURNED).all()
    assert (ran.coordinator.state.stage == Stage.DONE).all()
    _, plan = planned_fleet(name)
    assert ran.coordinator.state.end_s < 1.25 * plan.header.summary.makespan_s
