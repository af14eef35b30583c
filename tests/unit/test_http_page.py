"""What the page is made of and asks for: its files, maps and curves as columns, a VM's story, events of some kinds."""

import re
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_server import InProcess, carry_out_launched, in_process

from slacktide.datasets.files import read_snapshot
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.changeover import first_course
from slacktide.executors.folding import apply
from slacktide.executors.store.reading import read_journal
from slacktide.ids import CampaignId
from slacktide.planner.plan_files import read_plan
from slacktide.service import folded_campaigns
from slacktide.service.curves_of_campaign import behind_s, expected_end_s, host_stages
from slacktide.service.http.kept import KeptAnswers
from slacktide.service.http.routes import following
from slacktide.service.store.runs import find_run

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
LOCAL = {"role": None, "base": "http://127.0.0.1:8780"}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """Return an API with a fleet of 24 hosts and an urgent campaign that is over."""
    process = in_process(tmp_path_factory.mktemp("night"))
    fleet_id = process.upload(FLEET).json()["fleet_id"]
    asked = {"fleet_id": fleet_id, "within_s": 14_400, "time_limit_s": 0}
    assert process.call("POST", "/v1/campaigns/urgent", "operator", json=asked).status_code == 202
    carry_out_launched(process)
    return process


@pytest.fixture(scope="module")
def run(night: InProcess) -> dict[str, Any]:
    found: dict[str, Any] = night.get("/v1/campaigns")["items"][0]
    return found


def area(curve: dict[str, list[float]], until_s: float) -> float:
    """Return the integral of a curve of steps."""
    moments = [*(each for each in curve["at_s"] if each < until_s), until_s]
    return sum(value * (end - begin) for value, (begin, end) in zip(curve["value"], pairwise(moments), strict=False))


def test_the_page_is_sent_to_whoever_asks_and_runs_nothing_else(night: InProcess) -> None:
    for path in ("/page/", "/page/campaigns/0b7d5a2f9c1e4d38", "/page/fleets/x/../../etc"):
        answer = night.call("GET", path, None, client=("192.0.2.7", 1))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/", "/page"):
        assert night.call("GET", path, None).headers["Location"] == "/page/"


def test_files_of_the_page_are_asked_for_again_only_where_they_have_changed(night: InProcess) -> None:
    first = night.call("GET", "/page/static/views/campaign.js", None)
    assert first.headers["Content-Type"].startswith("text/javascript")
    again = night.call("GET", "/page/static/views/campaign.js", None, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("../http/app.py", "..%2fhttp%2fapp.py", "views/../../cli.py", "nothing.js", "views"):
        answer = night.call("GET", f"/page/static/{path}", None)
        assert answer.status_code == 404 or answer.headers["Content-Type"].startswith("text/html"), path
        assert "import" not in answer.text


def test_every_file_that_the_page_names_is_there(night: InProcess) -> None:
    page = night.call("GET", "/page/", None).text
    named = [part.split('"')[0] for part in page.split('"/page/static/')[1:]]
    assert len(named) > 20
    for name in named:
        assert night.call("GET", f"/page/static/{name}", None).status_code == 200, name
    folder = Path(__file__).parents[2] / "service" / "page"
    modules = {str(path.relative_to(folder)) for path in folder.rglob("*.js")}
    assert modules == {*(name for name in named if name.endswith(".js")), "stream.js"}


def test_a_fleets_map_has_every_host_where_it_is(night: InProcess, run: dict[str, Any]) -> None:
    path = f"/v1/fleets/{run['fleet_id']}"
    columns = night.get(f"{path}/map")
    hosts = night.get(f"{path}/hosts?limit=1000")["items"]
    assert columns["host_id"] == [host["host_id"] for host in hosts]
    assert [columns["racks"][rack] for rack in columns["rack"]] == [host["rack_id"] for host in hosts]
    assert [columns["states"][state] for state in columns["state"]] == [host["state"] for host in hosts]
    assert [columns["types"][each] for each in columns["type"]] == [host["machine_type"] for host in hosts]
    vms = night.get(f"{path}/vms?limit=1000")["items"]
    used: Counter[str] = Counter()
    for vm in vms:
        used[vm["host_id"]] += vm["memory_mib"]
    fill = [round(1000 * used[host["host_id"]] / host["memory_mib"]) for host in hosts]
    assert np.abs(np.array(columns["memory_fill"]) - fill).max() <= 1
    assert sum(columns["vms"]) == len(vms)
    assert night.get(f"{path}/map") == columns


def test_a_plans_map_and_curves_are_the_plan(night: InProcess, run: dict[str, Any]) -> None:
    path = f"/v1/plans/{run['plan_id']}"
    header = night.get(path)["header"]
    columns = night.get(f"{path}/map")
    rows = {row["host_id"]: row for row in night.get(f"{path}/hosts?limit=1000")["items"]}
    ids = night.get(f"/v1/fleets/{run['fleet_id']}/map")["host_id"]
    for name in ("wave", "drain_start_s", "drained_s", "return_s"):
        assert columns[name] == [rows[host][name] if host in rows else None for host in ids]
    curves = night.get(f"{path}/curves")
    fleet = next(each for each in curves["out"] if each["kind"] == "fleet")
    assert 0 < max(fleet["planned"]["value"]) <= fleet["limit"]
    summary = header["summary"]
    assert area(curves["exposure"], curves["horizon_s"]) / 3600 == pytest.approx(summary["exposure_host_h"], rel=1e-3)
    bound = night.get(f"{path}/exposure-bound")["bound"]
    assert area(bound, curves["horizon_s"]) / 3600 <= summary["exposure_host_h"]
    assert curves["blackouts"]["series"]["predicted"]["max_ms"] == pytest.approx(
        summary["predicted_blackout_ms"]["max"]
    )
    assert sum(curves["blackouts"]["series"]["predicted"]["share"]) == pytest.approx(1, abs=1e-4)
    assert all(0 < link["peak_share"] <= 1.000001 for link in curves["links"])
    assert [span["wave"] for span in curves["waves"]] == [wave["wave"] for wave in night.get(f"{path}/waves")]


def test_a_campaigns_map_and_curves_are_where_it_stands(night: InProcess, run: dict[str, Any]) -> None:
    path = f"/v1/campaigns/{run['campaign_id']}"
    found, progress = night.get(f"{path}/map"), night.get(path)["progress"]
    assert found["finished"]
    assert Counter(found["stages"])["5"] == progress["hosts"]["returned"]
    assert len(found["stages"]) == 24
    assert progress["expected_end_s"] == progress["now_s"]
    events = night.get(f"{path}/events?after={found['number'] - 1}")["items"]
    assert [each["number"] for each in events] == [found["number"]]
    curves, report = night.get(f"{path}/curves"), night.get(f"{path}/report")
    assert curves["exposed_host_h"] == pytest.approx(report["exposure"]["measured_host_h"], rel=1e-3)
    assert curves["returned"]["value"][-1] == 0
    blackouts = curves["blackouts"]
    assert blackouts["series"]["measured"]["count"] + blackouts["restarts"] == progress["migrations"]["done"]
    assert curves["blackouts"]["above"] == 0
    for each in curves["out"]:
        assert max(each["measured"]["value"]) > 0
        assert each["measured"]["value"][-1] == 0


def test_the_expected_end_follows_what_has_returned(night: InProcess, run: dict[str, Any]) -> None:
    """At every event: never before now, unknown until something is known, at the end exact."""
    places = night.server.places
    snapshot, plan = read_snapshot(places.fleet(run["fleet_id"])), read_plan(places.plan(run["plan_id"]))
    journal = read_journal(night.server.database.store, CampaignId(run["campaign_id"]))
    entries = journal.read()
    journal.close()
    state = initial_state(first_course(snapshot, plan).program)
    seen = []
    for entry in entries:
        apply(state, [entry])
        expected, late = expected_end_s(state, state.end_s), behind_s(state, state.end_s)
        assert expected is None or expected >= state.end_s or state.finished
        assert late is not None or expected is None or state.finished
        seen.append(expected)
    known = [each for each in seen if each is not None]
    assert seen[0] is None
    assert known[-1] == state.end_s
    assert abs(known[len(known) // 2] - state.end_s) < 0.1 * state.end_s
    late = behind_s(state, state.end_s)
    assert late is not None
    assert host_stages(state)["stages"].count("5") == plan.header.summary.hosts


def test_a_vms_story_has_its_migrations_and_all_events_about_it(night: InProcess, run: dict[str, Any]) -> None:
    path = f"/v1/campaigns/{run['campaign_id']}"
    move = night.get(f"{path}/migrations?limit=1")["items"][0]
    story = night.get(f"{path}/vms/{move['vm_id']}")
    assert story["vm"]["vm_id"] == move["vm_id"]
    assert any(move.items() <= each.items() for each in story["migrations"])
    mine = {each["migration_id"] for each in story["migrations"]}
    assert {each["event"].get("migration_id") for each in story["events"]} == mine
    types = [each["event"]["type"] for each in story["events"]]
    assert types.count("migration-done") == len(mine)
    assert [each["number"] for each in story["events"]] == sorted(each["number"] for each in story["events"])
    assert night.call("GET", f"{path}/vms/nobody").status_code == 404


def test_events_about_some_things_alone(night: InProcess, run: dict[str, Any]) -> None:
    path = f"/v1/campaigns/{run['campaign_id']}/events"
    whole: list[dict[str, Any]] = []
    while True:
        page = night.get(f"{path}?limit=1000&after={whole[-1]['number'] if whole else 0}")["items"]
        whole += page
        if len(page) < 1000:
            break
    hosts = [each for each in whole if "host_id" in each["event"]]
    assert night.get(f"{path}?about=hosts&limit=1000")["items"] == hosts[:1000]
    stream = night.call("GET", f"{path}/stream?about=campaign&about=hosts").text
    kinds = {line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event: ")}
    assert {"host-returned", "wave-opened", "campaign-finished"} <= kinds
    assert not any(kind.startswith("migration") for kind in kinds)
    assert stream.rstrip().splitlines()[-2] == "event: campaign-finished"
    assert night.call("GET", f"{path}?about=nothing").status_code == 422


def returned(stream: str) -> int:
    """Return how many hosts a stream of news says to have returned."""
    return sum(int(many) for many in re.findall(r"\b(\d+) hosts? returned: ", stream))


def test_news_are_told_to_the_last_event_however_many_there_are(
    night: InProcess, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A campaign that is over, followed from its first event on, in small pieces."""
    path = f"/v1/campaigns/{run['campaign_id']}"
    monkeypatch.setattr(following, "TOLD_AT_ONCE", 100)
    stream = night.call("GET", f"{path}/progress/stream?news=true", headers={"Last-Event-ID": "1"}).text
    assert stream.count("event: end") == 1
    assert stream.count("\nid: ") > 2
    assert int(re.findall(r"\nid: (\d+)", stream)[-1]) == night.get(f"{path}/map")["number"]
    assert returned(stream) == night.get(path)["progress"]["hosts"]["returned"]


def test_jobs_about_a_plan(night: InProcess, run: dict[str, Any]) -> None:
    asked = night.call("POST", f"/v1/plans/{run['plan_id']}/explain", "operator").json()
    found = night.get(f"/v1/jobs?kind=explain&about={run['plan_id']}")["items"]
    assert [job["job_id"] for job in found] == [asked["job_id"]]
    assert night.get(f"/v1/jobs?kind=explain&about={'f' * 16}")["items"] == []


def test_what_never_changes_is_worked_out_once() -> None:
    kept, made = KeptAnswers(), []

    def make() -> int:
        made.append(1)
        return len(made)

    asking = [threading.Thread(target=kept.get, args=("a plan", "1", make)) for _ in range(8)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert made == [1]
    assert kept.get("a plan", "2", make) == 2
    with pytest.raises(ZeroDivisionError):
        kept.get("a plan", "3", lambda: 1 // 0)
    assert kept.get("a plan", "3", make) == 3
    few = KeptAnswers(most=1)
    assert [few.get("a plan", name, make) for name in ("1", "1", "2", "1")] == [4, 4, 5, 6]


def test_whoever_derives_something_from_a_report_holds_nobody_up(night: InProcess, run: dict[str, Any]) -> None:
    views, campaign = night.server.views, run["campaign_id"]
    one, stored = find_run(night.server.database, campaign), views.stored(campaign)
    assert one is not None
    assert stored is not None
    begun, enough = threading.Event(), threading.Event()

    def see(*_: object) -> bool:
        begun.set()
        return enough.wait(60)

    found: list[bool] = []
    drawing = threading.Thread(target=lambda: found.append(views.derive(one, stored, "slow", see)))
    drawing.start()
    assert begun.wait(60)
    assert views.look(one, stored, "quick", lambda _: "seen") == "seen"
    enough.set()
    drawing.join()
    assert found == [True]


def test_what_was_seen_is_not_taken_for_new_because_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too old is seen anew, whatever the pace; what nothing has happened to since is not."""
    seen = folded_campaigns._Seen()
    assert seen.see(1, lambda: "first", is_over=False) == "first"
    assert seen.see(2, lambda: "second", is_over=False) == "first"
    monkeypatch.setattr(folded_campaigns, "STALE_S", 0.0)
    assert seen.see(2, lambda: "second", is_over=False) == "second"
    assert seen.see(2, lambda: "third", is_over=False) == "second"


def test_a_pace_counts_what_it_takes_of_the_processor_alone() -> None:
    pace = folded_campaigns._Pace()
    with pace.timed():
        threading.Event().wait(0.3)
    assert pace._took_s < 0.1
