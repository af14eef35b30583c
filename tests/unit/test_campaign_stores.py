"""Campaigns whose directory is in one place and whose journal is in another."""

import json

import pytest
from campaigns import planned_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.errors import ExecutionError, UsageError
from slacktide.executors.campaign_directory import begun_at, campaign_id, goes_on, journal_of, journal_standing
from slacktide.executors.campaign_file import CAMPAIGN_FILE, JOURNAL_FILE, kept_in
from slacktide.executors.journal import Journal
from slacktide.executors.run import RunOptions, run_campaign, simulation
from slacktide.executors.store.address import parse_store, store_in
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.planner.plan_files import write_plan
from slacktide.service.cli import main


def options(store=None, **more) -> RunOptions:
    return RunOptions(agents=1, use_ray=False, store=store, **more)


class StopHere(Exception):  # noqa: N818
    pass


def stop(_told) -> None:
    raise StopHere


def begin_and_stop(folder, store, monkeypatch) -> None:
    snapshot, plan = planned_fleet("urgent")
    with monkeypatch.context() as patch:
        patch.setattr("slacktide.executors.run.PROGRESS_INTERVAL_S", 0.01)
        with pytest.raises(StopHere):
            run_campaign(snapshot, plan, folder, options=options(store), progress=stop)


def test_a_campaign_in_a_store_gives_the_report_of_one_in_its_directory(store, tmp_path, monkeypatch) -> None:
    snapshot, plan = planned_fleet("urgent")
    begin_and_stop(tmp_path / "c", store, monkeypatch)
    assert not (tmp_path / "c" / JOURNAL_FILE).exists()
    assert goes_on(kept_in(tmp_path / "c"))
    assert not list_campaigns(store)[0].is_held
    report = run_campaign(snapshot, plan, tmp_path / "c", options=options(), resumed=lambda _done: None)
    whole = run_campaign(snapshot, plan, tmp_path / "whole", options=options())
    assert report.migrations.equals(whole.migrations)
    assert report.hosts.equals(whole.hosts)
    (listed,) = list_campaigns(store)
    assert (listed.generation, listed.state, listed.is_held) == (2, "finished", False)
    assert listed.record.campaign_id == report.summary.campaign_id
    assert journal_standing(snapshot, plan, tmp_path / "c")[1].finished


def test_from_another_directory_the_same_campaign_goes_on(store, tmp_path, monkeypatch) -> None:
    """As from another machine, after the first was lost."""
    snapshot, plan = planned_fleet("urgent")
    campaign = campaign_id(plan, simulation())
    assert begun_at(tmp_path / "other", store, campaign) is None
    begin_and_stop(tmp_path / "one", store, monkeypatch)
    assert begun_at(tmp_path / "other", store, campaign) == (store, campaign)
    assert begun_at(tmp_path / "other", None, campaign) is None
    told = []
    report = run_campaign(snapshot, plan, tmp_path / "other", options=options(store), resumed=told.append)
    whole = run_campaign(snapshot, plan, tmp_path / "whole", options=options())
    assert report.migrations.equals(whole.migrations)
    assert [campaign.generation for campaign in list_campaigns(store)] == [2]
    assert len(told) == 1
    assert 0 <= told[0].migrations_done < plan.migrations.height


def test_a_campaign_that_is_held_is_left_alone_unless_it_is_taken_over(store, tmp_path, monkeypatch) -> None:
    snapshot, plan = planned_fleet("urgent")
    begin_and_stop(tmp_path / "c", store, monkeypatch)
    holder = Journal.hold(store)
    with pytest.raises(ExecutionError, match="is carried out by"):
        run_campaign(snapshot, plan, tmp_path / "c", options=options(), resumed=lambda _far: pytest.fail("it is not"))
    report = run_campaign(snapshot, plan, tmp_path / "c", options=options(take_over=True))
    assert report.summary.finished
    reading = journal_of(tmp_path / "c")
    last = reading.read()[-1].event
    reading.close()
    with pytest.raises(ExecutionError, match="has taken this campaign over"):
        holder.append([last])
    holder.close()


def test_another_store_than_the_campaigns_is_refused(tmp_path, monkeypatch) -> None:
    snapshot, plan = planned_fleet("urgent")
    begin_and_stop(tmp_path / "c", None, monkeypatch)
    other = store_in(tmp_path / "other.sqlite")
    with pytest.raises(UsageError, match=f"is kept in {tmp_path}/c/journal.sqlite, not in {other.shown}"):
        run_campaign(snapshot, plan, tmp_path / "c", options=options(other))
    assert not other.path.exists()


def test_a_directory_without_its_note_goes_on_from_the_journal_within(tmp_path, monkeypatch) -> None:
    snapshot, plan = planned_fleet("urgent")
    begin_and_stop(tmp_path / "c", None, monkeypatch)
    (tmp_path / "c" / CAMPAIGN_FILE).unlink()
    with pytest.raises(ExecutionError, match="holds campaign"):
        run_campaign(snapshot, plan, tmp_path / "c", seed=99, options=options())
    assert run_campaign(snapshot, plan, tmp_path / "c", options=options()).summary.finished


@pytest.fixture
def work(tmp_path, monkeypatch):
    snapshot, plan = planned_fleet("urgent")
    write_snapshot(snapshot, tmp_path / "fleet")
    write_plan(plan, tmp_path / "plan")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLACKTIDE_STORE", raising=False)
    return tmp_path


def test_the_command_line_takes_a_url_and_finds_the_store_again(work, store, capsys, monkeypatch) -> None:
    command = ("run", "fleet", "plan", "--no-ray", "-o", "c", "--json")
    assert main([*command, "--store", store.kept]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads((work / "c" / CAMPAIGN_FILE).read_text())["campaign"] == told["campaign_id"]
    assert [listed.state for listed in list_campaigns(store)] == ["finished"]
    assert main(["revise", "fleet", "plan", "--campaign", "c", "-o", "rest"]) == 2
    assert "has brought back every host" in capsys.readouterr().err
    assert main(["report", "c", "--json"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("SLACKTIDE_STORE", store.kept)
    assert main(["run", "fleet", "plan", "--no-ray", "-o", "d", "--seed", "1"]) == 0
    assert len(list_campaigns(store)) == 2
    assert not (work / "d" / JOURNAL_FILE).exists()


def test_what_is_no_store_is_told_before_anything_is_made(work, capsys) -> None:
    assert main(["run", "fleet", "plan", "--no-ray", "-o", "c", "--store", "mysql://eva:hunter2@db/night"]) == 2
    said = capsys.readouterr().err
    assert "mysql:// is neither SQLite nor PostgreSQL" in said
    assert "hunter2" not in said
    assert not (work / "c").exists()


def test_a_database_that_does_not_answer_begins_nothing(work, capsys, monkeypatch) -> None:
    monkeypatch.setattr("slacktide.executors.store.patience.Patience.rest", lambda _patience, _until: True)
    store = parse_store("postgresql://eva:hunter2@127.0.0.1:9/night")
    given = ["--store", store.url.render_as_string(hide_password=False)]
    assert main(["run", "fleet", "plan", "--no-ray", "-o", "c", *given, "--wait-for-store", "1s"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("nothing is begun yet: ")
    assert said.count("does not answer") == 2, "once as it is waited for, once as it ends"
    assert "hunter2" not in said
    assert "Traceback" not in said
    assert not (work / "c" / CAMPAIGN_FILE).exists()
