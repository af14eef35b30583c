"""Curves of a campaign in which a host was evacuated, and which went over to a revision, are those of its report."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from http_server import InProcess, in_process

from slacktide.datasets.files import read_snapshot
from slacktide.executors.orders import Approve, Evacuate
from slacktide.executors.progress import Progress
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.orders import ask
from slacktide.ids import CampaignId
from slacktide.planner.plan_files import read_plan
from slacktide.planner.policy import PRESETS

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
EVACUATED = Evacuate(host_id="host-000018")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    """Return an API with a campaign that is over, of which an evacuation was asked at its beginning."""
    process = in_process(tmp_path_factory.mktemp("evacuated"))
    fleet_id = process.upload(FLEET).json()["fleet_id"]
    asks = PRESETS["urgent"].model_copy(update={"approve_start": True}).model_dump(mode="json")
    asked = {"fleet_id": fleet_id, "within_s": 14_400, "time_limit_s": 0, "policy": asks}
    assert process.call("POST", "/v1/campaigns/urgent", "operator", json=asked).status_code == 202
    launch = process.launched.pop()
    name, told = CampaignId(launch.directory.name), []

    def evacuate(_: Progress) -> None:
        """Ask it while the campaign waits for a person, and then let it go on."""
        for order in () if told else (EVACUATED, Approve()):
            body, store = order.body(), process.server.database.store
            told.append(ask(store, name, by="ada", why="its fan", kind=order.kind, body=body))

    place = {"plan_path": launch.plan, "fleet_path": launch.fleet, "store": launch.store}
    options = RunOptions(use_ray=False, ask_for_approval=True, **place)
    snapshot, plan = read_snapshot(launch.fleet), read_plan(launch.plan)
    run_campaign(snapshot, plan, launch.directory, progress=evacuate, options=options)
    return process


def area_h(curve: dict[str, list[float]], until_s: float) -> float:
    """Return the integral of a curve of steps, in hours."""
    moments = [*(each for each in curve["at_s"] if each < until_s), until_s]
    return (
        sum(value * (end - begin) for value, (begin, end) in zip(curve["value"], pairwise(moments), strict=False))
        / 3600
    )


def test_evacuated_hosts_and_what_a_revision_defers_count_as_in_the_report(night: InProcess) -> None:
    path = f"/v1/campaigns/{night.get('/v1/campaigns')['items'][0]['campaign_id']}"
    found: dict[str, Any] = night.get(path)
    report, curves = night.get(f"{path}/report"), night.get(f"{path}/curves")
    assert found["progress"]["hosts"]["evacuated"] == 1
    assert len(found["progress"]["revisions"]) == 1
    measured = report["exposure"]["measured_host_h"]
    assert curves["exposed_host_h"] == pytest.approx(measured)
    assert area_h(curves["returned"], curves["now_s"]) == pytest.approx(measured, rel=1e-3)
    look = night.get(f"{path}/look")
    assert curves["due"] == look["planned_hosts"] - 1 + look["deferred_hosts"]
    assert curves["returned"]["value"][-1] == curves["due"] - found["progress"]["hosts"]["returned"]
