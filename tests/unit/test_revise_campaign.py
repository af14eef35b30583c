"""The rest of a campaign is planned anew from its journal, wherever it ends."""

from dataclasses import replace

import polars as pl
import pytest
from campaigns import coordinator_of, drivers_of, planned_fleet, program_of, record_of

from slacktide.errors import InputError
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_progress import journaled_state, progress_of
from slacktide.executors.campaign_state import HostStage
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.journal import Journal
from slacktide.executors.store.reading import read_journal
from slacktide.ids import PlanId
from slacktide.planner.audit import audit
from slacktide.planner.progress import fleet_at, without_hosts
from slacktide.planner.revision import revise

WRONG = Failures(migrations_per_mille=60, lost_hosts_per_mille=100, overruns_per_mille=200, overrun_factor=1.5)


def stopped_after(path, name: str, rounds: int, failures: Failures = WRONG, sigma: float = 0.05):
    """Carry a campaign out for some rounds and leave its journal at ``path``."""
    program, plan = program_of(name), planned_fleet(name)[1]
    drivers = drivers_of(program, SimulationSettings(seed=3, failures=failures, duration_sigma=sigma))
    journal = Journal.create(path, replace(record_of(), plan_id=PlanId(plan.header.id)), durability="process")
    coordinator = coordinator_of(program, journal, LocalAgents([HostAgent(driver) for driver in drivers]))
    for _ in range(rounds):
        if coordinator.state.finished:
            break
        coordinator.round()
    journal.close()


@pytest.mark.parametrize("name", ["urgent", "baked"])
@pytest.mark.parametrize("rounds", [3, 40, 120, 200, 320])
def test_a_stopped_campaign_is_planned_anew(tmp_path, name, rounds) -> None:
    snapshot, plan = planned_fleet(name)
    stopped_after(tmp_path / "journal.sqlite", name, rounds)
    state = journaled_state(snapshot, plan, read_journal(tmp_path / "journal.sqlite"), "c")
    progress, lost = progress_of(snapshot, plan, state)
    now = fleet_at(snapshot, plan, progress, lost_hosts=lost)
    child = revise(now, plan.header.policy, plan, progress)
    assert [str(finding) for finding in audit(now, child).errors] == []
    assert child.header.parent == plan.header.id
    hosts = state.program.hosts.ids
    returned = {hosts[host] for host in range(len(hosts)) if state.host_stage[host] == HostStage.RETURNED}
    assert not returned & set(child.hosts["host_id"])
    assert set(lost) <= set(child.deferred["host_id"])
    assert child.hosts.filter(pl.col("return_s") <= progress.at_s).is_empty()
    guests = dict(zip(state.program.vms.ids, state.vm_host.tolist(), strict=True))
    running = set(child.migrations.filter(pl.col("start_s") < progress.at_s)["vm_id"])
    for vm, host in now.vms.select("vm_id", "host_id").iter_rows():
        assert hosts[guests[vm]] == host or vm in running


@pytest.mark.parametrize("name", ["urgent", "baked"])
@pytest.mark.parametrize("rounds", [3, 40, 120, 200])
def test_where_all_is_a_little_late_and_nothing_lost_no_guest_gets_another_target(tmp_path, name, rounds) -> None:
    snapshot, plan = planned_fleet(name)
    stopped_after(tmp_path / "journal.sqlite", name, rounds, Failures(), 0.2)
    progress, lost = progress_of(
        snapshot, plan, journaled_state(snapshot, plan, read_journal(tmp_path / "journal.sqlite"), "c")
    )
    assert not lost
    child = revise(fleet_at(snapshot, plan, progress), plan.header.policy, plan, progress)
    changes = child.header.revision.changes
    assert changes.moves_under_way + changes.moves_kept + changes.moves_rescheduled > 0
    assert (changes.moves_led_elsewhere, changes.moves_new, changes.moves_dropped, changes.hosts_deferred) == (0,) * 4


@pytest.mark.parametrize("rounds", [40, 120, 200])
def test_guests_were_notified_when_the_journal_says_or_are_to_be(tmp_path, rounds) -> None:
    snapshot, plan = planned_fleet("baked")
    stopped_after(tmp_path / "journal.sqlite", "baked", rounds)
    state = journaled_state(snapshot, plan, read_journal(tmp_path / "journal.sqlite"), "c")
    progress, lost = progress_of(snapshot, plan, state)
    child = revise(fleet_at(snapshot, plan, progress, lost_hosts=lost), plan.header.policy, plan, progress)
    told = dict(progress.notified.iter_rows())
    ahead = child.migrations.filter(pl.col("start_s") >= progress.at_s)
    notices = dict(snapshot.vms.select("vm_id", "notice_s").iter_rows())
    assert ahead.height > 0
    for name, vm, notified_s, start_s in ahead.select("migration_id", "vm_id", "notified_s", "start_s").iter_rows():
        assert notified_s >= progress.at_s or notified_s == told[name]
        assert start_s - notified_s >= notices[vm]


def test_a_host_that_is_lost_besides_ends_what_is_under_way_to_it(tmp_path) -> None:
    snapshot, plan = planned_fleet()
    stopped_after(tmp_path / "journal.sqlite", "urgent", 60)
    state = journaled_state(snapshot, plan, read_journal(tmp_path / "journal.sqlite"), "c")
    progress, lost = progress_of(snapshot, plan, state)
    target = plan.migrations.join(
        progress.migrations.filter(pl.col("state") == "running"), on="migration_id", how="semi"
    )["target"]
    gone = (*lost, *target[:1])
    progress = without_hosts(snapshot, plan, progress, gone)
    now = fleet_at(snapshot, plan, progress, lost_hosts=gone)
    child = revise(now, plan.header.policy, plan, progress)
    assert [str(finding) for finding in audit(now, child).errors] == []
    assert child.migrations.filter(pl.col("target").is_in(list(gone))).is_empty()


def test_a_campaign_of_another_plan_is_refused(tmp_path) -> None:
    stopped_after(tmp_path / "journal.sqlite", "urgent", 1)
    with pytest.raises(InputError, match="is a campaign of plan"):
        journaled_state(*planned_fleet("baked"), read_journal(tmp_path / "journal.sqlite"), "c")
