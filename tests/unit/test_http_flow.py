"""A night through the API: a fleet, a plan, a campaign, and everything that can be asked about them."""

import io
import json
from pathlib import Path

import httpx
import polars as pl
import pytest
from http_server import InProcess, carry_out_launched, in_process

from slacktide.service.one_line import MOST_SAID, is_one_line
from slacktide.service.store.runs import change_run

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """Return an API with a fleet of 24 hosts, an urgent campaign that is over, and one that is proposed."""
    process = in_process(tmp_path_factory.mktemp("night"))
    fleet_id = process.upload(FLEET).json()["fleet_id"]
    asked = {"fleet_id": fleet_id, "hosts": "due", "within_s": 14_400, "time_limit_s": 0}
    answer = process.call("POST", "/v1/campaigns/urgent", "operator", json=asked)
    assert answer.status_code == 202, answer.text
    carry_out_launched(process)
    return process


@pytest.fixture(scope="module")
def campaign(night: InProcess) -> str:
    found: str = night.get("/v1/campaigns")["items"][0]["campaign_id"]
    return found


def test_a_fleet_is_uploaded_once_and_looked_at(night: InProcess) -> None:
    again = night.upload(FLEET)
    assert again.status_code == 200
    fleet = again.json()
    assert fleet["summary"]["hosts"] == 24
    assert night.get("/v1/fleets")["items"] == [fleet]
    assert night.get(again.headers["Location"]) == fleet
    page = night.get(f"/v1/fleets/{fleet['fleet_id']}/hosts?limit=10")
    rest = night.get(f"/v1/fleets/{fleet['fleet_id']}/hosts?limit=100&cursor={page['next']}")
    assert len(page["items"]) == 10
    assert len(rest["items"]) == 14
    assert rest["next"] is None
    host = page["items"][3]["host_id"]
    vms = night.get(f"/v1/fleets/{fleet['fleet_id']}/vms?host_id={host}")["items"]
    assert vms
    assert {vm["host_id"] for vm in vms} == {host}
    table = night.call("GET", f"/v1/fleets/{fleet['fleet_id']}/tables/vms?format=csv")
    assert pl.read_csv(table.content).height == fleet["summary"]["vms"]
    assert list((night.folder / "data" / "uploads").iterdir()) == []


def test_an_urgent_call_makes_a_plan_and_a_campaign(night: InProcess, campaign: str) -> None:
    (job,) = night.get("/v1/jobs?kind=urgent")["items"]
    assert job["state"] == "done"
    assert job["fraction"] == 1.0
    assert job["result"]["campaign_id"] == campaign
    assert job["result"]["late_by_s"] == job["result"]["makespan_s"] - 14_400 > 0
    assert night.named[0] == f"urgent for fleet {job['asked']['fleet_id']}"
    plan = night.get(f"/v1/plans/{job['result']['plan_id']}")
    assert plan["header"]["policy"]["deadline_s"] == 14_400
    assert plan["header"]["policy"]["name"] == "urgent"
    assert plan["header"]["summary"]["hosts"] == job["result"]["hosts"] > 0


def test_a_plan_is_looked_at_in_pages_and_as_files(night: InProcess) -> None:
    plan = night.get("/v1/plans")["items"][0]
    path = f"/v1/plans/{plan['plan_id']}"
    count = plan["header"]["summary"]["migrations"]
    seen, cursor = [], ""
    while cursor is not None:
        page = night.get(f"{path}/migrations?limit=50{cursor and f'&cursor={cursor}'}")
        seen += [row["migration_id"] for row in page["items"]]
        cursor = page["next"]
    assert len(seen) == count
    assert seen == sorted(set(seen))
    whole = night.call("GET", f"{path}/tables/migrations").content
    assert pl.read_parquet(io.BytesIO(whole)).height == count
    assert sum(wave["migrations"] for wave in night.get(f"{path}/waves")) == count
    assert night.get(f"{path}/hosts?wave=0")["items"]
    assert night.get(f"{path}/deferred")["items"] == []


def test_questions_about_a_plan_are_jobs(night: InProcess) -> None:
    plan_id = night.get("/v1/plans")["items"][0]["plan_id"]
    for question, body in (("audit", None), ("compare", {"constants": ["nova"]}), ("explain", None)):
        answer = night.call("POST", f"/v1/plans/{plan_id}/{question}", "operator", json=body)
        assert answer.status_code == 202, answer.text
        job = night.get(answer.headers["Location"])
        assert job["state"] == "done", job
        assert job["result"]["plan_id"] == plan_id if question != "explain" else job["result"]["bounds"]
        if question == "audit":
            assert job["result"]["errors"] == 0
        if question == "compare":
            assert [row["name"] for row in job["result"]["rows"]] == ["plan", "nova"]


def test_a_what_if_keeps_its_plans(night: InProcess) -> None:
    fleet_id = night.get("/v1/fleets")["items"][0]["fleet_id"]
    asked = {
        "fleet_id": fleet_id,
        "preset": "urgent",
        "relax": ["max_out.fleet"],
        "iterations": 1,
        "time_limit_s": None,
    }
    answer = night.call("POST", "/v1/what-ifs", "operator", json=asked)
    job = night.get(answer.headers["Location"])
    assert job["state"] == "done", job
    plan = night.get(f"/v1/plans/{job['result']['present']['plan_id']}")
    assert plan["header"]["summary"]["hosts"] == job["result"]["present"]["hosts"]


def test_a_campaign_that_is_over_is_looked_at(night: InProcess, campaign: str) -> None:
    found = night.get(f"/v1/campaigns/{campaign}")
    assert found["standing"] == "finished"
    assert found["finished"]
    hosts = found["progress"]["hosts"]["returned"]
    migrations = found["progress"]["migrations"]["done"]
    path = f"/v1/campaigns/{campaign}"
    assert len(night.get(f"{path}/hosts?state=returned&limit=1000")["items"]) == hosts
    assert len(night.get(f"{path}/migrations?state=done&limit=1000")["items"]) == migrations
    assert night.get(f"{path}/migrations?state=failed")["items"] == []
    blackouts = night.get(f"{path}/blackouts?limit=1000")["items"]
    worst = max(row["blackout_ms"] for row in blackouts)
    assert [row["blackout_ms"] for row in night.get(f"{path}/blackouts?at_least_ms={worst}")["items"]] == [worst]
    table = night.call("GET", f"{path}/tables/blackouts?format=csv")
    assert pl.read_csv(table.content).height == len(blackouts)
    assert night.get(f"{path}/waiting")["items"] == []
    assert night.get(f"{path}/guests")["items"] == []
    for guests in ("/v1/guests", f"{path}/guests"):
        nobody = night.call("GET", f"{guests}/nobody")
        assert (nobody.status_code, nobody.json()["object"]) == (404, "VM nobody")
        vm = night.get(f"/v1/fleets/{night.get(path)['fleet_id']}/vms?limit=1")["items"][0]["vm_id"]
        assert night.get(f"{guests}/{vm}")["maintenance_event"] == "NONE"


def test_a_guest_that_asks_again_has_no_file_read(night: InProcess, campaign: str) -> None:
    fleet_id = night.get(f"/v1/campaigns/{campaign}")["fleet_id"]
    vm = night.get(f"/v1/fleets/{fleet_id}/vms?limit=1")["items"][0]["vm_id"]
    told = night.get(f"/v1/guests/{vm}")
    file = night.server.places.fleet(fleet_id) / "vms.parquet"
    away = file.rename(file.with_name("away"))
    try:
        assert night.get(f"/v1/guests/{vm}") == told
        assert night.call("GET", f"/v1/guests/{vm}x").status_code == 404
    finally:
        away.rename(file)


def test_a_campaign_that_is_over_has_a_report(night: InProcess, campaign: str) -> None:
    path = f"/v1/campaigns/{campaign}"
    report = night.get(f"{path}/report")
    assert report["campaign_id"] == campaign
    assert str(night.folder) not in str(report)
    page = night.call("GET", f"{path}/report.html")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "sandbox" in page.headers["Content-Security-Policy"]


def test_a_report_that_is_not_there_is_explained(night: InProcess, campaign: str) -> None:
    path, database = f"/v1/campaigns/{campaign}/report.html", night.server.database
    page = night.server.places.campaign(campaign) / "report.html"
    page.unlink()
    for state, said in (
        ("wanted", "has finished, and its report is not written yet"),
        ("failed", "has finished, and its report was not written: the disk is full"),
        ("ended", "has finished, and its report is gone"),
    ):
        change_run(database, campaign, state=state, said="the disk is full" if state == "failed" else None)
        answer = night.call("GET", path)
        assert (answer.status_code, answer.json()["fact"]) == (409, said)
    due = {"state": "wanted", "said": None, "starts": 0, "next_look_at": "2026-01-01T00:00:00.000Z"}
    change_run(database, campaign, **due)
    night.server.campaigning.look()
    carry_out_launched(night)
    change_run(database, campaign, **due)
    night.server.campaigning.look()
    assert night.launched == []
    assert night.get(f"/v1/campaigns/{campaign}")["state"] == "ended"
    assert night.call("GET", path).status_code == 200


def test_events_are_paged_filtered_and_streamed_from_where_one_was(night: InProcess, campaign: str) -> None:
    path = f"/v1/campaigns/{campaign}/events"
    first = night.get(f"{path}?limit=10")
    assert [event["number"] for event in first["items"]] == list(range(1, 11))
    second = night.get(f"{path}?limit=10&after={first['last']}")
    assert second["items"][0]["number"] == 11
    done = night.get(f"{path}?type=campaign-finished")["items"]
    assert [event["event"]["type"] for event in done] == ["campaign-finished"]
    last = done[0]["number"]
    stream = night.call("GET", f"{path}/stream", headers={"Last-Event-ID": str(last - 3)})
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    lines = stream.text.splitlines()
    assert [line for line in lines if line.startswith("id:")] == [f"id: {n}" for n in (last - 2, last - 1, last)]
    assert lines[-3] == "event: campaign-finished"
    assert night.call("GET", f"{path}/stream", headers={"Last-Event-ID": "x"}).status_code == 422
    assert night.call("GET", f"{path}/stream", headers={"Last-Event-ID": str(last)}).text == "retry: 2000\n\n"
    beyond = night.call("GET", f"{path}/stream", headers={"Last-Event-ID": str(last + 1)})
    assert (beyond.status_code, beyond.json()["object"]) == (422, "Last-Event-ID")
    assert night.call("GET", f"{path}/stream?after={last + 1}").json()["object"] == "after"


def test_streams_take_room_only_while_they_are_sent(night: InProcess, campaign: str) -> None:
    streams = night.server.streams
    assert streams.open == 0
    others: list[str] = []
    while streams.take(f"other {len(others)}") is None:
        others.append(f"other {len(others)}")
    for path in ("events/stream", "progress/stream"):
        refused = night.call("GET", f"/v1/campaigns/{campaign}/{path}")
        assert (refused.status_code, refused.json()["fact"]) == (503, "has as many streams as it may")
        assert refused.json()["request_id"] == refused.headers["X-Request-Id"]
    for other in others:
        streams.leave(other)
    assert night.call("GET", f"/v1/campaigns/{campaign}/events/stream").status_code == 200
    assert streams.open == 0


def test_a_campaign_waits_for_its_start_where_it_is_to(night: InProcess) -> None:
    plan_id = night.get("/v1/plans")["items"][0]["plan_id"]
    asked = {"plan_id": plan_id, "start": "on-approval", "terms": {"simulation": {"seed": 5}}}
    made = night.call("POST", "/v1/campaigns", "operator", json=asked)
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    assert night.get(path)["standing"] == "proposed"
    assert night.launched == []
    assert night.call("POST", f"{path}/orders", "operator", json={"order": {"kind": "pause"}}).status_code == 409
    for why, code in (
        *(("x" * 500, 409), ("ждём\u00a0…", 409)),
        *(("x" * 501, 422), ("two\nlines", 422), ("end\n", 422), ("a\u2028b", 422), ("\x85", 422), ("\ud800", 422)),
    ):
        body = json.dumps({"order": {"kind": "pause"}, "why": why})
        headers = {"Content-Type": "application/json"}
        answer = night.call("POST", f"{path}/orders", "operator", content=body, headers=headers)
        assert (answer.status_code, is_one_line(why) and len(why) <= MOST_SAID) == (code, code == 409), repr(why)
    assert night.call("GET", f"{path}/hosts").status_code == 409
    assert night.call("POST", "/v1/campaigns", "operator", json=asked).status_code == 409
    started = night.call("POST", f"{path}/start", "operator")
    assert (started.json()["state"], started.json()["standing"]) == ("wanted", "starting")
    (launch,) = night.launched
    assert list(launch.options)[:2] == ["--seed", "5"]
    assert launch.directory.name == made.json()["campaign_id"]
    assert night.get(path)["standing"] == "starting"
    assert night.call("POST", f"{path}/start", "operator").status_code == 409
    night.launched.clear()


def test_a_job_that_waits_is_cancelled(night: InProcess) -> None:
    night.held = True
    asked = {"fleet_id": night.get("/v1/fleets")["items"][0]["fleet_id"]}
    made = night.call("POST", "/v1/plans", "operator", json=asked)
    night.held = False
    path = made.headers["Location"]
    assert night.get(path)["state"] == "queued"
    ended = night.call("POST", f"{path}/cancel", "operator").json()
    assert (ended["state"], ended["words"]) == ("cancelled", "cancelled")
    assert night.call("POST", f"{path}/cancel", "operator").status_code == 409


def test_what_is_not_there_is_said_with_a_remedy(night: InProcess) -> None:
    nothing = "f" * 16
    for path in (f"/v1/fleets/{nothing}", f"/v1/plans/{nothing}/hosts", f"/v1/campaigns/{nothing}/events", "/v1/x"):
        answer = night.call("GET", path)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"object", "fact", "remedy", "detail", "type", "title"} <= answer.json().keys()
    none = night.call("POST", "/v1/plans", content=b'{"fleet_id" 7}', headers={"Content-Type": "application/json"})
    assert none.json()["object"] == "body"
    assert none.json()["fact"] == "is no JSON at character 12: expecting ':' delimiter"
    assert "/openapi.json" in none.json()["remedy"]
    other_way = night.call("DELETE", "/v1/fleets")
    assert (other_way.status_code, "/openapi.json" in other_way.json()["remedy"]) == (405, True)
    wrong = night.call("POST", "/v1/plans", json={"fleet_id": "../../etc", "prest": "urgent"})
    assert wrong.status_code == 422
    assert len(wrong.json()["findings"]) == 2
    plan = night.call("POST", "/v1/plans", json={"fleet_id": nothing})
    assert (plan.status_code, plan.json()["object"]) == (404, f"fleet {nothing}")


def test_a_plan_that_cannot_be_made_is_a_job_that_failed(night: InProcess) -> None:
    fleet_id = night.get("/v1/fleets")["items"][0]["fleet_id"]
    asked = {"fleet_id": fleet_id, "relax": ["nothing"], "time_limit_s": 0}
    job = night.get(night.call("POST", "/v1/what-ifs", json=asked).headers["Location"])
    assert job["state"] == "failed"
    assert "nothing" in str(job["error"])
    assert job["error"]["fact"] in job["words"]


@pytest.mark.parametrize(
    ("hosts", "object_", "fact", "remedy"),
    [
        (["host-00000"], "body.hosts", "the fleet has no host host-00000", "such as host-0"),
        ({"machine_type": "nothing"}, "body.hosts.machine_type", "no host of the fleet has 'nothing'", "such as "),
        ({"patch_level": "newer"}, "body.hosts.patch_level", "no host of the fleet has 'newer'", "such as "),
        ({"domain": {"kind": "rack", "id": "r"}}, "body.hosts.domain.id", "no host of the fleet has 'r'", "such as "),
        ({"domain": {"kind": "moon", "id": "r"}}, "body.hosts.domain.kind", "no host of the fleet has 'moon'", "rack"),
    ],
)
def test_hosts_that_the_fleet_does_not_have_are_refused_at_once(
    night: InProcess, hosts: object, object_: str, fact: str, remedy: str
) -> None:
    asked = {"fleet_id": night.get("/v1/fleets")["items"][0]["fleet_id"], "hosts": hosts}
    answer = night.call("POST", "/v1/campaigns/urgent", json=asked)
    assert answer.status_code == 422
    told = answer.json()
    assert told["object"] == object_
    assert told["fact"].startswith(fact)
    assert remedy in told["remedy"]


def test_a_deadline_that_is_over_is_refused_with_the_servers_time(night: InProcess) -> None:
    fleet_id = night.get("/v1/fleets")["items"][0]["fleet_id"]
    asked = {"fleet_id": fleet_id, "deadline": "2026-01-01T00:00:00Z"}
    answer = night.call("POST", "/v1/campaigns/urgent", json=asked)
    assert (answer.status_code, answer.json()["object"]) == (422, "body.deadline")
    assert "by the server's clock it is 2" in answer.json()["fact"]


def test_a_plan_that_misses_its_deadline_says_so(night: InProcess) -> None:
    fleet_id = night.get("/v1/fleets")["items"][0]["fleet_id"]
    asked = {"fleet_id": fleet_id, "within_s": 600, "time_limit_s": 0, "seed": 3, "start": "on-approval"}
    job = night.get(night.call("POST", "/v1/campaigns/urgent", json=asked).headers["Location"])
    result = job["result"]
    assert result["deadline_s"] == 600
    assert result["late_by_s"] == result["makespan_s"] - 600 > 0
    assert result["late_hosts"] > 0
    assert job["words"] == f"done; {result['said']}"
    assert f"after the deadline, {result['late_hosts']} hosts late" in result["said"]
    made = night.get(night.call("POST", "/v1/plans", json={"fleet_id": fleet_id, "iterations": 0}).headers["Location"])
    assert (made["words"], made["result"]["late_by_s"], made["result"]["said"]) == ("done", 0, None)


def test_events_after_one_that_is_not_there_are_refused_in_page_and_stream(night: InProcess, campaign: str) -> None:
    path = f"/v1/campaigns/{campaign}/events"
    for each in (path, f"{path}/stream"):
        answer = night.call("GET", f"{each}?after=999999")
        assert (answer.status_code, answer.json()["object"]) == (422, "after")
    last = night.get(f"{path}?limit=1000")["last"]
    while (page := night.get(f"{path}?after={last}"))["items"]:
        last = page["last"]
    assert page == {"items": [], "last": last}


def test_nothing_says_where_the_data_is(night: InProcess, campaign: str) -> None:
    """A plan whose files are gone is an error that names the plan, and no folder of the server's."""
    answer = night.call("GET", f"/v1/campaigns/{campaign}/events?after=-1")
    assert answer.status_code == 422
    assert isinstance(answer, httpx.Response)
    assert str(night.folder) not in answer.text
