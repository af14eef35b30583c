"""A store that does not answer holds a campaign up, and changes nothing else."""

import random

import pytest
from campaigns import SOME_WRONG, assert_safe, assert_same, coordinator_of, drivers_of, program_of, record_of, run

from slacktide.errors import ExecutionError, StoreError
from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import Journal
from slacktide.executors.store.patience import Patience
from slacktide.service.stalled import Stalled


class Flaky:
    """A journal whose store goes away now and then, before a write or after it."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self._journal = journal
        self._random = random.Random(seed)
        self.failed = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    def keep(self) -> None:
        self._perhaps(0.02)
        self._journal.keep()

    def append(self, news: list[events.Event]) -> list:
        self._perhaps(0.15)
        last = self._journal.last
        entries = self._journal.append(news)
        if news and self._random.random() < 0.15:
            self._journal._last = last  # committed, and the answer lost
            self._perhaps(1.0)
        return entries

    def _perhaps(self, share: float) -> None:
        if self._random.random() < share:
            self.failed += 1
            raise StoreError("journal", "does not answer", "Wait", retryable=True)


class Watching(LocalAgents):
    """Agents that look whether what they are asked to do is in the journal."""

    journal: Journal
    seen = 0

    def exchange(self, turns):
        for number, event in self.journal.read(self.seen):
            self.seen = number
            if isinstance(event, events.MigrationIntended):
                self.intents.add((event.migration_id, event.attempt))
            elif isinstance(event, events.PatchIntended):
                self.intents.add(event.host_id)
        for turn in turns.values():
            for request in turn.migrate:
                assert (request.migration_id, request.attempt) in self.intents, "a migration is begun unwritten"
                self.begun += 1
            for request in turn.patch:
                assert request.host_id in self.intents, "a patch is begun unwritten"
        return super().exchange(turns)


@pytest.mark.parametrize("seed", range(3))
def test_a_campaign_on_a_store_that_comes_and_goes_ends_as_on_one_that_stays(tmp_path, seed) -> None:
    program = program_of()
    (tmp_path / "whole").mkdir()
    whole = run(program, tmp_path / "whole", SOME_WRONG, seed=4, agents=2)
    journal = Journal.create(tmp_path / "journal.sqlite", record_of(), durability="process")
    drivers = drivers_of(program, SimulationSettings(seed=4, failures=SOME_WRONG), 2)
    agents = Watching([HostAgent(driver) for driver in drivers])
    agents.journal, agents.intents, agents.begun = journal, set(), 0
    coordinator = coordinator_of(program, journal, agents)
    coordinator._ledger.journal = flaky = Flaky(journal, seed)
    while not coordinator.state.finished:
        try:
            coordinator.round()
        except StoreError:
            continue
    entries = journal.read()
    journal.close()
    assert flaky.failed > 20
    assert agents.begun >= len(program.migrations.ids)
    assert entries == whole.entries
    assert_safe(program, entries)
    assert_same(whole.coordinator.state, coordinator.state)


class Hours:
    """A clock that goes on by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, duration_s: float) -> None:
        self.slept.append(duration_s)
        self.now += duration_s


AWAY = StoreError("night.sqlite", "is locked", "End what holds it", retryable=True)


def test_patience_tries_again_more_and_more_seldom_and_ends() -> None:
    hours = Hours()
    patience = Patience(60.0, hours, hours.sleep)
    assert patience.rest(hours.now)
    assert hours.slept == []
    while sum(hours.slept) < 60:
        patience.bear(AWAY)
        assert patience.waits_for == "night.sqlite: is locked. End what holds it"
        assert patience.rest(hours.now + 1e9)
    with pytest.raises(StoreError, match="is locked"):
        patience.bear(AWAY)
    assert hours.slept[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert set(hours.slept[5:]) == {5.0}
    assert 60 <= sum(hours.slept) <= 65
    patience.end()
    assert patience.waits_for is None
    patience.bear(AWAY)


def test_patience_sleeps_no_longer_than_it_is_told() -> None:
    hours = Hours()
    patience = Patience(60.0, hours, hours.sleep)
    patience.bear(AWAY)
    assert not patience.rest(hours.now + 0.1)
    assert not patience.rest(hours.now + 0.1)
    assert patience.rest(hours.now + 0.1)
    assert sum(hours.slept) == pytest.approx(0.25)


def test_what_is_wrong_for_good_ends_a_campaign_at_once() -> None:
    for error in (
        StoreError("night", "is gone", "Make it"),
        StoreError("night", "is gone", "Make it", retryable=False),
    ):
        with pytest.raises(ExecutionError, match="is gone"):
            Patience().bear(error)


def test_that_a_campaign_waits_is_told_once(capsys) -> None:
    stalled = Stalled()
    for waits_for in (None, "it: is locked. Wait", "it: is starting. Wait", None, None, "it: is full. Free some"):
        stalled.tell(waits_for)
    assert capsys.readouterr().err.splitlines() == [
        "nothing new is begun: it: is locked. Wait",
        "the campaign goes on",
        "nothing new is begun: it: is full. Free some",
    ]
