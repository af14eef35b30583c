"""How a campaign stands is said in the same words by list and show, and of its holder what is known and no more."""

import json
import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql
from campaigns import REPLAY
from http_server import carry_out_launched, in_process
from small_fleet import POLICY, small_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.executors import control_events, events
from slacktide.executors.campaign_file import JOURNAL_FILE, Command, left_behind, write_campaign_file
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.starting import starting
from slacktide.executors.store.address import parse_store, store_in
from slacktide.executors.store.lease import LEASE_S
from slacktide.executors.store.reading import read_journal
from slacktide.executors.store.schema import CAMPAIGNS, EVENTS
from slacktide.executors.triggers.making import CAMPAIGN
from slacktide.planner.plan_files import read_plan, write_plan
from slacktide.planner.policy import Gates as GatePolicy
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.service import campaign_view
from slacktide.service.campaign_news import CampaignNews
from slacktide.service.campaign_view import view
from slacktide.service.cli import main

FLEET, PLAN = REPLAY / "urgent" / "fleet", REPLAY / "urgent" / "plan"
PAST, FUTURE = "2026-11-29T01:02:03.000Z", "2999-01-01T00:00:00.000Z"
PAUSED = control_events.CampaignPaused(1.0, 1, "ada", "lunch", cancel=False)
CONTINUED = control_events.CampaignContinued(2.0, 2, "ada", "")
ABORTED = control_events.CampaignAborted(3.0, 3, "ada", "", cancel=False)


def record_of(fleet: Path, plan: Path) -> CampaignRecord:
    origin = datetime(2014, 4, 8, 20, tzinfo=UTC)
    return CampaignRecord(
        "c1", read_plan(plan).header.id, "s", "p", origin, '{"driver": "simulated"}', str(plan), str(fleet)
    )


@pytest.fixture
def journal(tmp_path: Path):
    made = Journal.create(tmp_path / JOURNAL_FILE, record_of(FLEET, PLAN))
    made.append([events.CampaignCreated(0.0, "c1", "plan"), events.WaveOpened(0.0, 0)])
    yield made
    made.close()


def both(capsys, folder: Path) -> tuple[str, str]:
    """Return how a campaign stands, and who carries it out, after checking that list and show agree."""
    assert main(["campaign", "show", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["campaign", "list", str(folder), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["standing"], listed["holder"]) == (told["standing"], told["holder"])
    assert main(["campaign", "list", str(folder)]) == 0
    assert f"  {told['standing']}" in capsys.readouterr().out
    assert main(["campaign", "show", str(folder)]) == 0
    rows = {line[:16].strip(): line[16:].strip() for line in capsys.readouterr().out.splitlines()}
    assert rows["stands"].startswith(told["standing"])
    return told["standing"], rows["carried out by"]


def held_by(journal: Journal, holder: str | None, until: str | None) -> None:
    with journal._connection.writing() as transaction:
        values = sql.text("UPDATE campaigns SET holder = :holder, lease_until = :until")
        transaction.execute(values, {"holder": holder, "until": until})


@pytest.mark.parametrize(
    ("told", "stands"),
    [
        ([], "running"),
        ([PAUSED], "paused"),
        ([PAUSED, CONTINUED], "running"),
        ([PAUSED, ABORTED], "ending, aborted"),
        ([ABORTED, events.CampaignFinished(4.0)], "aborted"),
        ([events.CampaignFinished(4.0)], "finished"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_list_and_show_say_the_same(journal, tmp_path, capsys, told, stands) -> None:
    journal.append(told)
    assert both(capsys, tmp_path)[0] == stands


def test_a_wave_that_waits_for_a_person_is_said_by_both(tmp_path, capsys) -> None:
    asks = POLICY.model_copy(update={"approve_start": True})
    write_snapshot(small_fleet(), tmp_path / "fleet")
    write_plan(make_plan(small_fleet(), asks, seed=1, stop=Iterations(5)), tmp_path / "plan")
    folder = tmp_path / "campaign"
    folder.mkdir()
    made = Journal.create(folder / JOURNAL_FILE, record_of(tmp_path / "fleet", tmp_path / "plan"))
    made.append(
        [events.CampaignCreated(0.0, "c1", "plan"), control_events.OrderRefused(900.0, 1, "ada", "", "skip", "")]
    )
    assert both(capsys, folder)[0] == "waiting for approval"
    made.append([events.WaveApproved(901.0, 0, "ada"), events.WaveOpened(901.0, 0)])
    assert both(capsys, folder)[0] == "running"
    made.close()


def test_a_server_lists_a_later_wave_that_waits_for_a_person_as_it_is_listed_here(tmp_path, capsys) -> None:
    api = in_process(tmp_path)
    policy = read_plan(PLAN).header.policy.model_copy(
        update={"gates": GatePolicy(kind="approval", bake_s=60, max_wave_hosts=8)}
    )
    fleet_id = api.upload(FLEET).json()["fleet_id"]
    asked = {"fleet_id": fleet_id, "policy": policy.model_dump(mode="json"), "iterations": 0}
    job = api.get(api.call("POST", "/v1/plans", json=asked).headers["Location"])
    campaign = api.call("POST", "/v1/campaigns", json={"plan_id": job["result"]["plan_id"]}).json()["campaign_id"]
    carry_out_launched(api)
    store = api.server.database.store
    journal = read_journal(store, campaign)
    approved = next(each for each in journal.read() if isinstance(each.event, events.WaveApproved))
    journal.close()
    with api.server.database.writing() as transaction:
        transaction.execute(sql.delete(EVENTS).where(EVENTS.c.number >= approved.number))
        transaction.execute(sql.update(CAMPAIGNS).values(state=None))
    held = Journal.hold(store, campaign)
    held.append([control_events.OrderRefused(approved.event.at_s, 1, "ada", "", "skip", "")])
    assert main(["campaign", "list", str(tmp_path / "data" / "campaigns"), "--json"]) == 0
    (here,) = json.loads(capsys.readouterr().out)
    (there,) = api.get("/v1/campaigns?standing=true")["items"]
    assert approved.event.wave > 0
    assert (here["standing"], here["waits_for_approval"]) == ("waiting for approval", True)
    assert (there["standing"], there["waits_for_approval"]) == ("waiting for approval", True)
    held.close()
    (there,) = api.get("/v1/campaigns?standing=true")["items"]
    assert (there["standing"], there["waits_for_approval"]) == ("stopped", True)


def test_a_process_of_this_machine_that_was_killed_is_known_to_have_ended_at_once(journal, tmp_path, capsys) -> None:
    host, _, token = journal.holder.split(":")
    with subprocess.Popen(["true"]) as ended:
        pass
    held_by(journal, f"{host}:{ended.pid}:{token}", FUTURE)
    stands, by = both(capsys, tmp_path)
    assert stands == "stopped"
    assert f"process {ended.pid} of this machine, which held it, has ended; the command that began it goes on" in by


def test_the_moment_of_one_that_takes_its_time_is_its_clocks_while_somebody_holds_it(journal, tmp_path) -> None:
    journal.append([PAUSED])
    assert view(tmp_path).now_s == 1.0
    journal.tell_clock(500.0, 60.0)
    journal._lease._renewed_s = -LEASE_S
    journal.keep()
    assert 500.0 <= view(tmp_path).now_s < 500.0 + 60 * LEASE_S
    held_by(journal, None, None)
    assert view(tmp_path).now_s == 1.0


def test_the_moment_of_a_rehearsal_is_its_clocks(tmp_path) -> None:
    origin = datetime.now(UTC) - timedelta(seconds=100)
    settings = '{"driver": "simulated", "simulation": {"pace": 60.0}}'
    made = Journal.create(tmp_path / JOURNAL_FILE, replace(record_of(FLEET, PLAN), origin=origin, settings=settings))
    made.append([events.CampaignCreated(0.0, "c1", "plan"), events.WaveOpened(0.0, 0)])
    assert 6000.0 <= view(tmp_path).now_s < 12_000.0
    made.close()
    assert view(tmp_path).now_s == 0.0


def test_that_nobody_carries_it_out_comes_before_what_it_waits_for_with_the_command(journal, tmp_path, capsys) -> None:
    write_campaign_file(tmp_path, store_in(tmp_path / JOURNAL_FILE), "c1", Command("slacktide run f p -o c", "/night"))
    journal.append([PAUSED])
    assert both(capsys, tmp_path)[0] == "paused"
    held_by(journal, None, None)
    assert both(capsys, tmp_path)[0] == "stopped"
    main(["campaign", "show", str(tmp_path)])
    rows = {line[:16].strip(): line[16:].strip() for line in capsys.readouterr().out.splitlines()}
    assert rows["stands"].split(maxsplit=1)[1].startswith("paused at 1 s")
    assert rows["goes on with"] == "`slacktide run f p -o c`, in /night"
    told = list(CampaignNews().lines(view(tmp_path), [], []))
    assert told[-1].endswith(" with it: `slacktide run f p -o c`, in /night. It is paused, asked for by ada: lunch")
    assert main(["campaign", "resume", str(tmp_path)]) == 0
    assert "given again: `slacktide run f p -o c`, in /night" in capsys.readouterr().out


def test_a_process_that_has_ray_start_first_is_said_to_start_it(journal, tmp_path, capsys) -> None:
    held_by(journal, None, None)
    with starting(tmp_path):
        stands, by = both(capsys, tmp_path)
    assert stands == "starting"
    assert by.startswith(f"process {os.getpid()} of this machine")
    assert both(capsys, tmp_path)[0] == "stopped"
    with starting(tmp_path / "new"):
        assert main(["campaign", "show", str(tmp_path / "new")]) == 2
        assert f"its campaign is being started by process {os.getpid()}" in capsys.readouterr().err
    assert left_behind(tmp_path / "new") == []


def test_an_order_is_not_waited_for_where_its_process_has_ended(journal, tmp_path, monkeypatch) -> None:
    host, _, token = journal.holder.split(":")
    with subprocess.Popen(["true"]) as ended:
        pass
    held_by(journal, f"{host}:{ended.pid}:{token}", FUTURE)
    monkeypatch.setattr(campaign_view, "LOOK_S", None)
    assert main(["campaign", "resume", str(tmp_path)]) == 0, "nobody sleeps until the next look"


def test_one_whose_store_is_away_keeps_no_other_from_being_listed(journal, tmp_path, capsys) -> None:
    (tmp_path / "here").mkdir()
    write_campaign_file(tmp_path / "here", store_in(tmp_path / JOURNAL_FILE), "c1")
    (tmp_path / "there").mkdir()
    write_campaign_file(tmp_path / "there", parse_store("postgresql://nobody@127.0.0.1:1/none"), "c2")
    assert main(["campaign", "list", str(tmp_path), "--json"]) == 1
    said = capsys.readouterr()
    assert [each["directory"] for each in json.loads(said.out)] == [str(tmp_path), str(tmp_path / "here")]
    (line,) = said.err.splitlines()
    assert f"{tmp_path / 'there'}, whose campaign cannot be listed now: postgresql://" in line


def test_the_only_one_whose_store_is_away_is_told_as_the_error(tmp_path, capsys) -> None:
    (tmp_path / CAMPAIGN).mkdir()
    write_campaign_file(tmp_path / CAMPAIGN, parse_store("postgresql://nobody@127.0.0.1:1/none"), "c1")
    assert main(["campaign", "list", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: postgresql://nobody@127.0.0.1:1/none: does not answer")


def test_watching_begins_once_the_store_answers(journal, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "there").mkdir()
    write_campaign_file(tmp_path / "there", parse_store("postgresql://nobody@127.0.0.1:1/none"), "c1")
    journal.append([ABORTED, events.CampaignFinished(4.0)])

    def mended(_wait_s: float) -> None:
        write_campaign_file(tmp_path / "there", store_in(tmp_path / JOURNAL_FILE), "c1")

    monkeypatch.setattr(time, "sleep", mended)
    assert main(["campaign", "watch", str(tmp_path / "there")]) == 0
    said = capsys.readouterr().err
    assert "it cannot be looked at now: postgresql://nobody@127.0.0.1:1/none" in said
    assert "the campaign is aborted" in said


def test_a_process_that_lives_and_cannot_renew_its_lease_is_not_to_be_doubled(journal, tmp_path, capsys) -> None:
    held_by(journal, journal.holder, PAST)
    stands, by = both(capsys, tmp_path)
    assert stands == "held up"
    assert by.startswith(f"process {journal.holder.split(':')[1]} of this machine")
    assert f"which lives; its lease ran out at {PAST}, so it cannot write its store" in by
    assert by.endswith("begin no other beside it")
    assert main(["campaign", "pause", str(tmp_path)]) == 0
    assert (
        f"asked, as order 1: {journal.holder} carries the campaign out and has not answered" in capsys.readouterr().out
    )


def test_of_a_process_elsewhere_it_is_said_that_nothing_is_known(journal, tmp_path, capsys) -> None:
    held_by(journal, "elsewhere:7:000000000000", PAST)
    stands, by = both(capsys, tmp_path)
    assert stands == "stopped"
    assert "whether elsewhere:7:000000000000 still lives cannot be seen from here" in by
    held_by(journal, "elsewhere:7:000000000000", FUTURE)
    assert both(capsys, tmp_path)[0] == "running"
    held_by(journal, None, None)
    assert both(capsys, tmp_path)[1].split(maxsplit=1) == ["nobody", "the command that began it goes on with it"]


def test_where_fleet_and_plan_are_away_the_store_is_enough_to_list_it(journal, tmp_path, capsys) -> None:
    journal.append([PAUSED])
    with journal._connection.writing() as transaction:
        transaction.execute(sql.text("UPDATE campaigns SET fleet_path = '/nowhere', plan_path = '/nowhere'"))
    assert main(["campaign", "list", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["standing"] == "paused"
