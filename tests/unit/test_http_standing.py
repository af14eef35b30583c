"""Where a campaign stands over the API, by the clock and the lease too, and by whom it is carried out."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from http_server import InProcess, in_process

from slacktide.executors import control_events, events
from slacktide.executors.journal import CampaignRecord, Journal
from slacktide.executors.order_state import DECIDE
from slacktide.executors.starting import starting
from slacktide.executors.store.campaigns import RESTORED
from slacktide.executors.store.orders import ask
from slacktide.executors.store.restored import release
from slacktide.executors.store.schema import CAMPAIGNS
from slacktide.ids import CampaignId, HostId, PlanId
from slacktide.planner.policy import PRESETS
from slacktide.service.campaigning import RELEASED, WAITS_FOR_RELEASE
from slacktide.service.http.server import Server
from slacktide.service.store.runs import change_run, find_run

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
PAST, FUTURE = "2026-11-29T01:02:03.000Z", "2999-01-01T00:00:00.000Z"
ORIGIN = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    made = in_process(tmp_path_factory.mktemp("standing"))
    made.upload(FLEET)
    return made


@pytest.fixture(scope="module")
def plan_id(process: InProcess) -> str:
    """Return a plan whose first wave waits for a person's approval."""
    fleet_id = process.get("/v1/fleets")["items"][0]["fleet_id"]
    asks = PRESETS["urgent"].model_copy(update={"approve_start": True}).model_dump(mode="json")
    asked = {"fleet_id": fleet_id, "policy": asks, "time_limit_s": 0}
    job = process.call("POST", "/v1/plans", "operator", json=asked).json()
    found: str = process.get(f"/v1/jobs/{job['job_id']}")["result"]["plan_id"]
    return found


class Held:
    """A campaign that this process holds and in which nothing happens."""

    def __init__(self, process: InProcess, plan_id: str, seed: int) -> None:
        self.process, self._server = process, process.server
        terms = {"simulation": {"seed": seed, "ask_for_approval": True}}
        made = {"plan_id": plan_id, "start": "on-approval", "terms": terms}
        self.id: str = process.call("POST", "/v1/campaigns", "operator", json=made).json()["campaign_id"]
        self.journal = Journal.create(self._server.database.store, _record(self._server, self.id))
        self.journal.append([events.CampaignCreated(0.0, CampaignId(self.id), PlanId(plan_id))])

    def held_by(self, holder: str | None, until: str | None, state: str | None = None) -> None:
        """Have the store say who holds it, until when; nothing is written to its journal."""
        self.set(holder=holder, lease_until=until, state=state)

    def set(self, **values: str | None) -> None:
        """Change columns of the campaign in the store."""
        with self._server.database.writing() as transaction:
            change = sql.update(CAMPAIGNS).where(CAMPAIGNS.c.campaign_id == self.id)
            transaction.execute(change.values(values))

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.process.get(f"/v1/campaigns/{self.id}")
        return found

    def refresh(self) -> None:
        """Have nothing answered again that was seen a moment ago."""
        run = find_run(self._server.database, self.id)
        assert run is not None
        self._server.views.refresh(run)

    def look_anew(self, standing: str) -> dict[str, Any]:
        """Return where it stands now, which is so."""
        self.refresh()
        found = self.look()
        assert found["standing"] == standing
        return found


def _record(server: Server, campaign_id: str) -> CampaignRecord:
    run = find_run(server.database, campaign_id)
    assert run is not None
    plan, fleet = str(server.places.plan(run.plan_id)), str(server.places.fleet(run.fleet_id))
    settings = '{"driver": "simulated"}'
    return CampaignRecord(CampaignId(campaign_id), PlanId(run.plan_id), "s", "p", ORIGIN, settings, plan, fleet)


@pytest.fixture
def held(process: InProcess, plan_id: str) -> Iterator[Held]:
    made = Held(process, plan_id, seed=len(process.get("/v1/campaigns")["items"]))
    yield made
    made.journal.close()


def opened(held: Held) -> None:
    held.journal.append([events.WaveApproved(1.0, 0, "ada"), events.WaveOpened(1.0, 0)])


def test_one_whose_holder_has_died_is_stopped_without_a_new_event(held: Held) -> None:
    opened(held)
    first = held.look()
    assert (first["standing"], first["carried_out"]["word"]) == ("running", "running")
    host, _, token = held.journal.holder.rsplit(":", 2)
    with subprocess.Popen(["true"]) as ended:
        pass
    held.held_by(f"{host}:{ended.pid}:{token}", FUTURE)
    found = held.look_anew("stopped")
    assert found["carried_out"]["who"] == "nobody"
    assert f"process {ended.pid} of this machine, which held it, has ended" in found["carried_out"]["beside"]
    assert found["progress"]["now_s"] == first["progress"]["now_s"]


def test_what_holds_it_up_is_said(held: Held) -> None:
    opened(held)
    assert held.look()["standing"] == "running"
    held.held_by(held.journal.holder, PAST)
    carried = held.look_anew("held up")["carried_out"]
    assert carried["who"].startswith("process ")
    assert carried["beside"].startswith(f"which lives; its lease ran out at {PAST}")


def test_that_a_process_is_about_to_take_it_up_is_said_by_list_and_view(held: Held) -> None:
    opened(held)
    held.held_by(None, None)
    assert held.look()["standing"] == "stopped"
    with starting(held.process.server.places.campaign(held.id)):
        found = held.look_anew("starting")
        (listed,) = held.process.get(f"/v1/campaigns?campaign_id={held.id}&standing=true")["items"]
    assert found["carried_out"]["who"] == f"process {os.getpid()} of this machine"
    assert (listed["standing"], listed["carried_out"]) == ("starting", found["carried_out"])
    assert held.look_anew("stopped")["carried_out"]["word"] == "stopped"


def test_what_its_release_waits_for_is_said(held: Held) -> None:
    assert held.look()["standing"] == "waiting for approval"
    held.held_by(None, None, RESTORED)
    assert "slacktide store release" in held.look_anew("waits for its release")["carried_out"]["beside"]


def test_an_order_is_answered_from_the_moment_that_its_answer_is_journaled(held: Held) -> None:
    opened(held)
    path = f"/v1/campaigns/{held.id}/orders"
    ask(held.process.server.database.store, held.id, by="ada", why="lunch", kind="pause", body="{}")
    told = held.process.get(path)
    before = [each["type"] for each in told["answered"]]
    assert ([each["order"] for each in told["waiting"]], before) == ([1], ["wave-approved"])
    held.journal.append([control_events.CampaignPaused(2.0, 1, "ada", "lunch", cancel=False)])
    told = held.process.get(path)
    assert (told["waiting"], [each["type"] for each in told["answered"]]) == ([], [*before, "campaign-paused"])


def test_what_waits_for_its_release_takes_no_order_and_says_so_no_more_once_released(held: Held) -> None:
    path, server = f"/v1/campaigns/{held.id}", held.process.server
    ask(server.database.store, held.id, by="ada", why="lunch", kind="pause", body="{}")
    told = held.process.get(f"{path}/orders")
    assert (told["newest"], [(each["order"], each["kind"], each["by"]) for each in told["waiting"]]) == (
        1,
        [(1, "pause", "ada")],
    )
    held.held_by(None, None, RESTORED)
    change_run(server.database, held.id, state="failed", said=WAITS_FOR_RELEASE)
    refused = held.process.call("POST", f"{path}/orders", "operator", json={"order": {"kind": "pause"}})
    assert refused.status_code == 409, refused.text
    assert "waits for its release" in refused.json()["fact"]
    assert f"slacktide store release {held.id}" in refused.json()["remedy"]
    assert held.process.get(f"{path}/orders")["newest"] == 1
    assert held.process.get(path)["said"] == WAITS_FOR_RELEASE
    release(server.database.store, held.id)
    assert held.process.get(path)["said"] == RELEASED


def test_whether_it_waits_for_a_person_is_said_by_list_and_view(held: Held) -> None:
    assert held.look()["waits_for_approval"] is True
    listed = f"/v1/campaigns?campaign_id={held.id}&standing=true"
    assert held.process.get(listed)["items"][0]["waits_for_approval"] is True
    opened(held)
    assert held.look_anew("running")["waits_for_approval"] is False
    held.journal.append([control_events.CampaignPaused(2.0, 1, "ada", "lunch", cancel=False)])
    assert held.look_anew("paused")["carried_out"]["word"] == "running"


def test_once_it_is_refreshed_nothing_of_before_is_answered(held: Held) -> None:
    opened(held)
    held.look()
    held.journal.append([control_events.CampaignPaused(2.0, 1, "ada", "lunch", cancel=False)])
    held.refresh()
    assert held.look()["standing"] == "paused"


def test_one_that_nobody_has_begun_waits_for_nobody(process: InProcess, plan_id: str) -> None:
    terms = {"simulation": {"seed": 10_001}}
    asked = {"plan_id": plan_id, "start": "on-approval", "terms": terms}
    made = process.call("POST", "/v1/campaigns", "operator", json=asked).json()
    found = process.get(f"/v1/campaigns/{made['campaign_id']}")
    assert (found["standing"], found["waits_for_approval"], found["carried_out"]) == ("proposed", False, None)


def test_what_is_late_by_the_clock_is_listed_without_a_new_event(held: Held) -> None:
    """On real hosts: first it is early in the campaign, then long after its hosts were to leave."""
    opened(held)
    path = f"/v1/campaigns/{held.id}/waiting"
    held.set(settings='{"driver": "libvirt"}', origin=FUTURE)
    held.held_by(held.journal.holder, FUTURE)
    held.journal.append([events.HostDrainStarted(1.0, HostId(host)) for host in ("host-000015", "host-000017")])
    early = held.process.get(path)["items"]
    held.set(settings='{"driver": "libvirt"}', origin=PAST)
    held.refresh()
    assert len(held.process.get(path)["items"]) > len(early)


def test_what_a_person_has_to_decide_is_said_by_list_view_and_progress(held: Held) -> None:
    opened(held)
    assert held.look()["progress"]["decision"] is None
    held.journal.append([control_events.DecisionAwaited(60.0, "h2 is lost")])
    found = held.look_anew("waiting for a decision")
    assert found["progress"]["decision"] == {"since_s": 60.0, "why": "h2 is lost", "remedy": DECIDE}
    (listed,) = [
        each for each in held.process.get("/v1/campaigns?standing=true")["items"] if each["campaign_id"] == held.id
    ]
    assert listed["standing"] == "waiting for a decision"
    assert held.process.get(f"/v1/campaigns/{held.id}/progress")["waits_for"] == f"h2 is lost; {DECIDE}"
