"""What a meter reads off a campaign: every migration once, whoever carries the campaign out and by whatever plan."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from campaigns import RULES, SOME_WRONG, agents_of, coordinator_of, planned_fleet, program_of, record_of
from revised_campaigns import agents_of as agents_for
from revised_campaigns import begun, coordinator_in

from slacktide.executors import events
from slacktide.executors.coordinator import Coordinator
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.events import Stage
from slacktide.executors.journal import Journal
from slacktide.executors.measuring import metrics
from slacktide.executors.measuring.meter import Meter
from slacktide.executors.measuring.readings import Readings

REVISING = replace(RULES, on_drift="revise")
SETTINGS = SimulationSettings(seed=3, failures=SOME_WRONG)


def value(readings: Readings, metric: metrics.Metric, *labels: str) -> float:
    (found,) = [value for each, given, value in readings.values if (each, given) == (metric, labels)]
    return found


def read_to_the_end(coordinator: Coordinator, meter: Meter, every: int = 7) -> Iterator[Readings]:
    rounds = 0
    while not coordinator.state.finished:
        coordinator.round()
        rounds += 1
        if rounds % every == 0 or coordinator.state.finished:
            yield meter.read(coordinator.standing())


def observed(readings: list[Readings], metric: metrics.Metric) -> list[float]:
    return [value for each in readings for one, _, values in each.observed if one is metric for value in values]


def counted(readings: list[Readings], metric: metrics.Metric) -> int:
    return sum(grown for each in readings for one, _, grown in each.counts if one is metric)


def test_every_migration_is_read_once_and_the_figures_are_those_of_the_journal(tmp_path) -> None:
    snapshot, program = planned_fleet()[0], program_of()
    journal = Journal.create(tmp_path / "j.sqlite", record_of(), durability="process")
    coordinator = coordinator_of(program, journal, agents_of(program, SETTINGS))
    meter = Meter(snapshot, program)
    meter.begin(coordinator.state)
    readings = list(read_to_the_end(coordinator, meter))
    entries, state, last = journal.read(), coordinator.state, readings[-1]
    kinds = Counter(type(entry.event) for entry in entries)
    assert counted(readings, metrics.EVENTS) == len(entries) - 1, "all but the one before the first reading"
    failed = sum(value(last, metrics.FAILED_ATTEMPTS, stage) for stage in ("intended", "prepared", "brownout"))
    assert 0 < failed <= kinds[events.MigrationFailed]
    done = state.stage == Stage.DONE
    assert value(last, metrics.MIGRATIONS_DONE) == value(last, metrics.MIGRATIONS, "done") == done.sum()
    assert sorted(observed(readings, metrics.BLACKOUT)) == pytest.approx(sorted(state.blackout_ms[done] / 1000))
    live = done & ~program.migrations.restarts
    assert len(observed(readings, metrics.BROWNOUT)) == live.sum()
    assert value(last, metrics.HOSTS_DONE) == value(last, metrics.HOSTS, "returned") == kinds[events.HostReturned]
    for each in readings:
        assert sum(v for m, _, v in each.values if m is metrics.HOSTS) == value(each, metrics.HOSTS_PLANNED)
        assert sum(v for m, _, v in each.values if m is metrics.MIGRATIONS) == value(each, metrics.MIGRATIONS_PLANNED)
        assert value(each, metrics.HOSTS_OUT) <= value(each, metrics.HOSTS_OUT_LIMIT)
        share = value(each, metrics.LINK_SHARE)
        assert all(0 <= v <= share + 1e-9 for m, _, v in each.values if m in (metrics.LINK_USE, metrics.LINKS_MOST))
    assert max(value(each, metrics.IN_FLIGHT) for each in readings) > 0
    assert value(last, metrics.IN_FLIGHT) == 0
    assert not coordinator.standing().append_s
    journal.close()


def test_no_label_has_a_value_for_each_host_or_vm(tmp_path) -> None:
    program = program_of()
    journal = Journal.create(tmp_path / "j.sqlite", record_of(), durability="process")
    coordinator = coordinator_of(program, journal, agents_of(program, SETTINGS))
    meter = Meter(planned_fleet()[0], program)
    meter.begin(coordinator.state)
    sets = [{(m, labels) for m, labels, _ in each.values} for each in read_to_the_end(coordinator, meter)]
    assert all(each == sets[0] for each in sets), "no series comes or goes"
    assert len(sets[0]) < 80
    assert sum(m is metrics.LINK_USE for m, _ in sets[0]) == 8
    ids = {*program.hosts.ids, *program.vms.ids, *program.migrations.ids}
    assert not ids.intersection(label for _, labels in sets[0] for label in labels)
    journal.close()


def test_the_next_coordinator_counts_nothing_again(tmp_path) -> None:
    snapshot, program = planned_fleet()[0], program_of()
    agents, journal = agents_of(program, SETTINGS), Journal.create(tmp_path / "j", record_of(), durability="process")
    readings = []
    for rounds in (60, 100_000):
        coordinator = coordinator_of(program, journal, agents)
        meter = Meter(snapshot, program)
        meter.begin(coordinator.state)
        for _, each in zip(range(rounds), read_to_the_end(coordinator, meter, every=1), strict=False):
            readings.append(each)
        generation = value(readings[-1], metrics.GENERATION)
        finished = coordinator.state.finished
        if not finished:
            coordinator.close()
            journal.close()
            journal = Journal.hold(tmp_path / "j", durability="process")
    assert finished
    assert generation == 2
    done = coordinator.state.stage == Stage.DONE
    resolved = {e.event.migration_id for e in journal.read() if isinstance(e.event, events.MigrationResolved)}
    known = np.array([name not in resolved for name in program.migrations.ids])
    assert (done & known).sum() <= len(observed(readings, metrics.BLACKOUT)) <= done.sum()
    journal.close()


def test_a_revision_makes_no_migration_count_twice(tmp_path) -> None:
    simulated = SimulationSettings(seed=5, failures=Failures(migrations_per_mille=80, retryable_share=0.3))
    begun("urgent", tmp_path)
    journal = Journal.hold(tmp_path / "journal.sqlite", durability="process")
    coordinator = coordinator_in("urgent", tmp_path, journal, agents_for("urgent", simulated), REVISING)
    meter = Meter(planned_fleet()[0], program_of())
    meter.begin(coordinator.state)
    readings = list(read_to_the_end(coordinator, meter))
    assert value(readings[-1], metrics.REVISIONS) > 0
    measured = {e.event.migration_id for e in journal.read() if isinstance(e.event, events.MigrationDone)}
    assert len(observed(readings, metrics.BLACKOUT)) == len(measured)
    journal.close()
