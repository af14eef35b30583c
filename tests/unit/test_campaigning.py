"""Campaigns that are wanted: started, left alone while they are carried out, started again, and given up."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from campaigns import planned_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.errors import ExecutionError, InputError, OutputError, UsageError
from slacktide.executors.campaign_directory import campaign_id, open_campaign
from slacktide.executors.detached import LOG_FILE, begin, is_running
from slacktide.executors.events import CampaignFinished
from slacktide.executors.health.settings import Budgets
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.report import PAGE_FILE, SUMMARY_FILE, TABLES
from slacktide.executors.run import simulation
from slacktide.executors.store.address import store_in
from slacktide.executors.store.campaigns import begin_campaign, list_campaigns
from slacktide.executors.store.restored import fence_restored, release
from slacktide.planner.plan_files import write_plan
from slacktide.service.campaign_terms import CampaignTerms, Profile, Simulation
from slacktide.service.campaigning import MOST_STARTS, Campaigning
from slacktide.service.fleet_intake import fleet_id_of
from slacktide.service.launching import CampaignLaunch
from slacktide.service.places import Places
from slacktide.service.store.database import open_database
from slacktide.service.store.runs import Run, add_run, change_run, find_run, want_run

PAST = "2026-01-01T00:00:00.000Z"
FLEET_ID = fleet_id_of(planned_fleet()[0])
SEEDED = CampaignTerms(simulation=Simulation(seed=7))


class Started:
    """What it takes, and what was started."""

    def __init__(self, folder: Path, ray_address: str | None = None) -> None:
        self.places = Places(folder)
        self.places.make()
        snapshot, plan = planned_fleet()
        write_snapshot(snapshot, self.places.fleet(FLEET_ID))
        write_plan(plan, self.places.plan(plan.header.id))
        self.database = open_database(store_in(self.places.store))
        self.launched: list[CampaignLaunch] = []
        profiles = {"lab": Profile(connections=folder / "c.json", health=folder / "h.yaml")}
        self.campaigning = Campaigning(self.places, self.database, profiles, self.launched.append, ray_address)

    def propose(self, terms: CampaignTerms = SEEDED, *, start: bool = True) -> Run:
        return self.campaigning.propose(planned_fleet()[1], FLEET_ID, terms, "eva", start=start)[0]

    def look(self, run: Run) -> Run:
        """Look once it is due."""
        change_run(self.database, run.campaign_id, next_look_at=PAST)
        self.campaigning.look()
        found = find_run(self.database, run.campaign_id)
        assert found is not None
        return found


def write_all_of_a_report(directory: Path) -> None:
    for name in (SUMMARY_FILE, PAGE_FILE, *(f"{table}.parquet" for table in TABLES)):
        (directory / name).touch()


@contextmanager
def process_in(folder: Path) -> Iterator[None]:
    """Have a process in the folder of a campaign's run, until the block ends."""
    reader, writer = os.pipe()
    begin(folder, ["sh", "-c", f"read line < /proc/{os.getpid()}/fd/{reader}"], os.environ)
    try:
        yield
    finally:
        os.write(writer, b"end\n")
        while is_running(folder):
            os.sched_yield()
        os.close(reader)
        os.close(writer)


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


def test_it_is_the_campaign_that_run_makes_of_the_same_terms(started: Started) -> None:
    run = started.propose()
    assert run.campaign_id == campaign_id(planned_fleet()[1], simulation(7))
    started.campaigning.look()
    (launch,) = started.launched
    assert launch.directory == started.places.campaign(run.campaign_id)
    assert launch.plan.name == run.plan_id
    assert launch.store == started.database.store
    started.campaigning.look()
    assert len(started.launched) == 1


@pytest.mark.parametrize(
    ("address", "asked", "alone"),
    [(None, None, True), ("192.0.2.10:6379", None, False), (None, True, False), ("192.0.2.10:6379", False, True)],
)
def test_it_is_on_ray_where_there_is_a_cluster_or_the_terms_say_so(
    tmp_path: Path, address: str | None, asked: bool | None, alone: bool
) -> None:
    started = Started(tmp_path, address)
    started.look(started.propose(SEEDED.model_copy(update={"ray": asked})))
    (launch,) = started.launched
    assert ("--no-ray" in launch.options) is alone
    assert launch.ray_address == address


def test_one_that_hangs_elsewhere_is_taken_over_and_one_of_this_machine_is_not(started: Started) -> None:
    run = started.look(started.propose(SEEDED.model_copy(update={"agents": 2})))
    assert list(started.launched[0].options)[:2] == ["--agents", "2"]
    change_run(started.database, run.campaign_id, state="failed")
    started.campaigning.take_over(run, None)
    assert list(started.launched[1].options)[-1] == "--take-over"
    found = find_run(started.database, run.campaign_id)
    assert found is not None
    assert found.state == "wanted"
    folder = started.places.run(run.campaign_id)
    with process_in(folder), pytest.raises(ExecutionError, match="has not ended"):
        started.campaigning.take_over(run, None)


def test_one_that_came_back_from_a_backup_is_begun_by_nobody_before_its_release(started: Started) -> None:
    run = started.propose(start=False)
    real = CampaignRecord(run.campaign_id, run.plan_id, "s", "p", planned_fleet()[0].meta.taken_at, "{}")
    begin_campaign(started.database.store, real)
    with started.database.writing() as transaction:
        fence_restored(transaction)
    (stored,) = list_campaigns(started.database.store)
    for begun in (started.campaigning.start, started.campaigning.take_over):
        with pytest.raises(ExecutionError, match="came back from a backup, and waits for its release"):
            begun(run, stored)
    assert find_run(started.database, run.campaign_id) == run
    assert started.launched == []
    release(started.database.store, run.campaign_id)
    (stored,) = list_campaigns(started.database.store)
    started.campaigning.start(run, stored)
    assert len(started.launched) == 1
    with pytest.raises(ExecutionError, match="is wanted already"):
        started.campaigning.start(run._replace(state="wanted"), stored)


def test_one_that_is_only_proposed_waits(started: Started) -> None:
    run = started.propose(start=False)
    started.campaigning.look()
    assert started.launched == []
    assert want_run(started.database, run.campaign_id)
    started.campaigning.look()
    assert len(started.launched) == 1


def test_one_that_is_carried_out_is_left_alone_until_its_process_ends(started: Started) -> None:
    run = started.look(started.propose())
    snapshot, plan = planned_fleet()
    directory = started.places.campaign(run.campaign_id)
    store = started.database.store
    open_campaign(snapshot, plan, simulation(7), directory, (None, None), store)
    journal = Journal.hold(store, run.campaign_id)
    assert started.look(run).starts == 0
    assert len(started.launched) == 1
    journal.close()
    assert started.look(run).starts == 1
    assert len(started.launched) == 2
    journal = Journal.hold(store, run.campaign_id)
    journal.append([CampaignFinished(9.0)])
    journal.close()
    write_all_of_a_report(directory)
    assert started.look(run).state == "ended"
    assert len(started.launched) == 2


def test_one_whose_process_ended_before_its_report_is_started_again_for_it(started: Started) -> None:
    run = started.look(started.propose())
    directory = started.places.campaign(run.campaign_id)
    snapshot, plan = planned_fleet()
    open_campaign(snapshot, plan, simulation(7), directory, (None, None), started.database.store)
    journal = Journal.hold(started.database.store, run.campaign_id)
    journal.append([CampaignFinished(9.0)])
    assert started.look(run).state == "wanted", "whoever holds it may be about to write it"
    journal.close()
    with process_in(started.places.run(run.campaign_id)):
        assert started.look(run).state == "wanted"
        assert len(started.launched) == 1
    for number in range(2, MOST_STARTS + 1):
        assert started.look(run).starts == number
    assert started.look(run).state == "failed"
    assert len(started.launched) == MOST_STARTS
    assert want_run(started.database, run.campaign_id)
    write_all_of_a_report(directory)
    (directory / PAGE_FILE).unlink()
    assert started.look(run).starts == 1, "the page is the last of it"
    write_all_of_a_report(directory)
    assert started.look(run).state == "ended"


def test_one_whose_process_ends_every_time_is_given_up_with_what_it_said(started: Started) -> None:
    run = started.propose()
    folder = started.places.run(run.campaign_id)
    for number in range(1, MOST_STARTS + 1):
        assert started.look(run).starts == number
        (folder / LOG_FILE).write_text("Reading fleet and plan\nerror: the disk is full\n\n")
    failed = started.look(run)
    assert (failed.state, failed.said) == ("failed", "the disk is full")
    assert len(started.launched) == MOST_STARTS
    assert want_run(started.database, run.campaign_id)
    assert started.look(run).starts == 1


def test_of_a_process_that_could_not_use_its_store_others_do_not_hear_where_that_is(started: Started) -> None:
    run = started.look(started.propose())
    where = started.database.store.shown
    said = f"error: {where}: refuses the user: no role eva at 10.0.0.7. Give a user that may use the database\n"
    (started.places.run(run.campaign_id) / LOG_FILE).write_text(said)
    assert started.look(run).said == "store: refuses the user"


def test_one_whose_process_has_yet_to_hold_the_lease_is_not_started_again(started: Started) -> None:
    run = started.look(started.propose())
    folder = started.places.run(run.campaign_id)
    with process_in(folder):
        assert started.look(run).starts == 1
        assert len(started.launched) == 1
    assert started.look(run).starts == 2


def test_a_job_that_is_begun_again_is_given_the_campaign_that_it_asked_for(started: Started) -> None:
    plan, other = planned_fleet()[1], CampaignTerms(simulation=Simulation(seed=8))
    first, is_new = started.campaigning.propose(plan, FLEET_ID, SEEDED, "eva", start=True, job_id="j1")
    again, is_again_new = started.campaigning.propose(plan, FLEET_ID, other, "eva", start=True, job_id="j1")
    assert (is_new, is_again_new) == (True, False)
    assert again == first
    started.campaigning.look()
    assert len(started.launched) == 1


def test_real_hosts_have_one_campaign_at_a_time(started: Started) -> None:
    one = started.propose(start=False)._replace(profile="lab")
    assert add_run(started.database, one._replace(campaign_id="c9", state="wanted"))
    assert add_run(started.database, one._replace(campaign_id="c8"))
    other = find_run(started.database, "c8")
    assert other is not None
    with pytest.raises(ExecutionError, match="campaign c9: is carried out on the hosts of profile lab"):
        started.campaigning.take_over(other, None)
    assert started.launched == []
    change_run(started.database, "c9", state="ended")
    started.campaigning.take_over(other, None)
    assert [launch.directory.name for launch in started.launched] == ["c8"]


def test_one_that_cannot_be_taken_over_is_as_it_was(tmp_path: Path) -> None:
    def full(_launch: CampaignLaunch) -> None:
        raise OutputError("runs", "the disk is full", "Free some space")

    started = Started(tmp_path)
    name = started.propose(start=False).campaign_id
    change_run(started.database, name, state="failed", starts=MOST_STARTS, said="the disk is full")
    run = find_run(started.database, name)
    assert run is not None
    without = Campaigning(started.places, started.database, {}, full)
    with pytest.raises(OutputError):
        without.take_over(run, None)
    assert find_run(started.database, name) == run


def test_one_that_cannot_be_begun_keeps_no_other_from_it(started: Started) -> None:
    run = started.propose()
    terms = CampaignTerms(profile="gone").model_dump(mode="json")
    broken = run._replace(campaign_id="0", asked=terms, next_look_at=PAST)
    assert add_run(started.database, broken)
    started.campaigning.look()
    assert [launch.directory.name for launch in started.launched] == [run.campaign_id]
    said = find_run(started.database, "0")
    assert said is not None
    assert "the server has no such profile" in str(said.said)


def test_one_whose_files_are_damaged_says_so_and_is_begun_once_they_are_back(started: Started) -> None:
    run = started.propose()
    file = started.places.plan(run.plan_id) / "hosts.parquet"
    before = file.read_bytes()
    file.write_bytes(before[:100])
    found = started.look(run)
    assert (found.state, started.launched) == ("wanted", [])
    assert (found.said or "").startswith(f"plan {run.plan_id}: has files that are gone or damaged.")
    file.write_bytes(before)
    assert started.look(run).said is None
    assert len(started.launched) == 1


def test_budgets_are_written_for_the_process(started: Started) -> None:
    terms = CampaignTerms(budgets=Budgets(lost_hosts=2), on_drift="ask")
    run = started.propose(terms)
    started.campaigning.look()
    options = list(started.launched[0].options)
    health = Path(options[options.index("--health") + 1])
    assert health.parent == started.places.run(run.campaign_id)
    assert '"lost_hosts": 2' in health.read_text()
    assert options[options.index("--on-drift") + 1] == "ask"


def test_what_cannot_be_carried_out_is_refused(started: Started) -> None:
    with pytest.raises(UsageError, match="no such profile"):
        started.propose(CampaignTerms(profile="prod"))
    with pytest.raises(UsageError, match="of its own"):
        started.propose(CampaignTerms(profile="lab", budgets=Budgets(lost_hosts=1)))
    plan = planned_fleet()[1]
    broken = plan.header.summary.audit.model_copy(update={"findings": ({"severity": "error"},)})
    summary = plan.header.summary.model_copy(update={"audit": broken})
    wrong = type(plan)(
        plan.header.model_copy(update={"summary": summary}), plan.waves, plan.hosts, plan.migrations, plan.deferred
    )
    with pytest.raises(InputError, match="breaks the rules"):
        started.campaigning.propose(wrong, FLEET_ID, SEEDED, "eva", start=True)
