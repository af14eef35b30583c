"""Campaigns over the API that have not begun: what keeps them from it, and that they are taken back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from http_server import InProcess, carry_out_launched, in_process

from slacktide.errors import ExecutionError
from slacktide.executors.beginning import BEGINNING_FILE, beginning
from slacktide.executors.campaign_file import write_campaign_file
from slacktide.ids import CampaignId
from slacktide.service.campaign_terms import Profile
from slacktide.service.campaigning import MOST_STARTS
from slacktide.service.client.refusals import failure_of
from slacktide.service.store.runs import change_run, find_run

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
ABORT = {"order": {"kind": "abort"}, "why": "the wrong hosts"}
REFUSED = "hosts: do not answer. See to them"
DARK = {"probe_port": 4789, "probe_namespace": "nowhere"}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    folder = tmp_path_factory.mktemp("not-begun")
    (folder / "c.json").write_text('{"h1": "qemu+tcp://127.0.0.1:1/system"}')
    lab = Profile(connections=folder / "c.json", patch_command="true {host}")
    made = in_process(folder, profiles={"lab": lab, "dark": lab.model_copy(update=DARK)})
    fleet = made.upload(FLEET).json()["fleet_id"]
    asked = {"fleet_id": fleet, "preset": "urgent", "time_limit_s": 0}
    assert made.call("POST", "/v1/plans", "operator", json=asked).status_code == 202
    return made


@pytest.fixture
def campaign(process: InProcess) -> str:
    """Return the path of a campaign that waits to be started; the first has seed 0."""
    process.launched.clear()
    seed = len(process.get("/v1/campaigns")["items"])
    plan = process.get("/v1/plans")["items"][0]["plan_id"]
    asked = {"plan_id": plan, "start": "on-approval", "terms": {"simulation": {"seed": seed}}}
    made: str = process.call("POST", "/v1/campaigns", "operator", json=asked).headers["Location"]
    return made


def asked(process: InProcess, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
    answer = process.call("POST", path, "operator", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def assert_taken_back(process: InProcess, campaign: str) -> None:
    told = asked(process, f"{campaign}/orders", ABORT)
    assert (told["order"], told["granted"], told["answer"]) == (None, True, None)
    found = process.get(campaign)
    assert (found["state"], found["standing"], found["tries"]) == ("aborted", "aborted before it began", 0)
    assert found["said"].startswith("aborted before it began, by token:")
    assert found["said"].endswith("(the operator): the wrong hosts")
    (listed,) = process.get(f"/v1/campaigns?campaign_id={campaign.rpartition('/')[2]}&standing=true")["items"]
    assert listed["standing"] == found["standing"]


def test_one_that_is_taken_back_is_begun_by_no_process_until_it_is_started(process: InProcess, campaign: str) -> None:
    asked(process, f"{campaign}/start")
    assert_taken_back(process, campaign)
    (launched,) = process.launched
    with pytest.raises(ExecutionError, match=r"does not begin: aborted before it began, by .*: the wrong hosts"):
        carry_out_launched(process)
    process.server.campaigning.look()
    assert process.launched == []
    assert process.get(campaign)["standing"] == "aborted before it began"
    assert asked(process, f"{campaign}/start")["standing"] == "starting"
    carry_out_launched(process)
    assert process.get(campaign)["standing"] == "finished"
    assert not (launched.directory / BEGINNING_FILE).exists()
    assert "has finished" in asked(process, f"{campaign}/orders", ABORT, 409)["fact"]


def test_one_that_is_proposed_is_taken_back_and_may_be_started(process: InProcess, campaign: str) -> None:
    assert_taken_back(process, campaign)
    assert process.launched == []
    assert process.get(campaign)["progress"] is None
    asked(process, f"{campaign}/start")
    assert len(process.launched) == 1
    assert_taken_back(process, campaign)


def test_what_keeps_it_from_beginning_is_said_wherever_it_is_asked_for(process: InProcess, campaign: str) -> None:
    pause = {"order": {"kind": "pause"}}
    waits = asked(process, f"{campaign}/orders", pause, 409)
    assert waits["fact"] == "has not begun: it waits until somebody starts it"
    assert waits["remedy"] == f"Start it: POST {campaign}/start"
    asked(process, f"{campaign}/start")
    change_run(process.server.database, campaign.rpartition("/")[2], starts=6, said=REFUSED)
    found = process.get(campaign)
    assert (found["tries"], found["most_tries"], found["said"]) == (6, MOST_STARTS, REFUSED)
    why = f"has not begun: its process is starting, try 6 of {MOST_STARTS}; the one before said: {REFUSED}"
    told = asked(process, f"{campaign}/orders", pause, 409)
    assert (told["fact"], told["remedy"]) == (why, "Wait until its process has begun, or abort it")
    for part in ("look", "progress", "hosts"):
        assert process.call("GET", f"{campaign}/{part}").json()["fact"] == why
    assert_taken_back(process, campaign)


def test_one_that_begins_at_that_moment_is_not_taken_back(process: InProcess, campaign: str) -> None:
    asked(process, f"{campaign}/start")
    run = find_run(process.server.database, campaign.rpartition("/")[2])
    assert run is not None
    (launched,) = process.launched
    with ThreadPoolExecutor(1) as others:
        with beginning(launched.directory):
            taken = others.submit(process.server.campaigning.take_back, run, "too late")
            write_campaign_file(launched.directory, process.server.database.store, CampaignId(run.campaign_id))
        assert taken.result() is False
    assert process.get(campaign)["state"] == "wanted"


def test_the_same_plan_again_says_what_is_to_be_done_instead(process: InProcess, campaign: str) -> None:
    again = {name: process.get(campaign)[name] for name in ("plan_id", "terms")}
    assert asked(process, "/v1/campaigns", again, 409)["remedy"].startswith(f"Start that one: POST {campaign}/start")
    change_run(process.server.database, campaign.rpartition("/")[2], state="ended")
    assert "another seed" in asked(process, "/v1/campaigns", again, 409)["remedy"]
    real = {"plan_id": again["plan_id"], "start": "on-approval", "terms": {"profile": "lab"}}
    made = asked(process, "/v1/campaigns", real, 201)["campaign_id"]
    change_run(process.server.database, made, state="ended")
    remedy = asked(process, "/v1/campaigns", real, 409)["remedy"]
    assert remedy.startswith("To have hosts of the profile patched again, import them as they are now and plan")
    assert remedy.endswith(f"look at it: GET /v1/campaigns/{made}")


def test_what_a_profile_lacks_is_told_by_its_keys(process: InProcess, campaign: str) -> None:
    plan = process.get(campaign)["plan_id"]
    told = asked(process, "/v1/campaigns", {"plan_id": plan, "terms": {"profile": "dark"}}, 422)
    assert told["object"] == "profile dark, network namespace nowhere"
    assert "--" not in told["detail"]
    assert told["remedy"].endswith(", in the server's profile")


def test_an_urgent_call_for_a_profile_that_is_not_there_is_refused_at_once(process: InProcess) -> None:
    fleet = process.get("/v1/fleets")["items"][0]["fleet_id"]
    urgent = {"fleet_id": fleet, "preset": "urgent", "time_limit_s": 0, "terms": {"profile": "light"}}
    told = asked(process, "/v1/campaigns/urgent", urgent, 422)
    assert (told["object"], told["remedy"]) == ("profile light", "Name one that it has: dark, lab")


def test_an_urgent_job_that_fails_names_the_plan_that_it_made(process: InProcess) -> None:
    fleet = process.get("/v1/fleets")["items"][0]["fleet_id"]
    urgent = {"fleet_id": fleet, "preset": "urgent", "time_limit_s": 0, "seed": 9, "terms": {"profile": "dark"}}
    job = process.get(f"/v1/jobs/{asked(process, '/v1/campaigns/urgent', urgent, 202)['job_id']}")
    assert (job["state"], job["error"]["object"]) == ("failed", "profile dark, network namespace nowhere")
    assert process.get(f"/v1/plans/{job['error']['plan_id']}")["plan_id"] == job["error"]["plan_id"]
    remedy = failure_of(job["error"]).remedy
    assert remedy.endswith(f"The plan that was made is kept: `slacktide server plan {job['error']['plan_id']}`")
