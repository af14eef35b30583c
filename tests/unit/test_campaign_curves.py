"""Curves of a campaign with an evacuated host and a revision are its report's, and what was asked of it is audited."""

import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sql
from http_server import InProcess, in_process

from slacktide.datasets.files import read_snapshot
from slacktide.executors.orders import Approve, Evacuate, Resume
from slacktide.executors.progress import Progress
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store import schema
from slacktide.planner.plan_files import read_plan
from slacktide.planner.policy import PRESETS
from slacktide.service.store.runs import list_runs

FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
COUNTED = ((450.0, 664.0, 659.0), (520.0, None, 520.0), (450.0, 504.0, 499.0))
"""Blackouts by the hypervisor, by a probe that sees 5 ms or is not there, and as they are held against 500 ms."""
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
    path, asking = f"/v1/campaigns/{launch.directory.name}/orders", []

    def ask() -> None:
        for order in (Resume(), EVACUATED, Approve()):
            body = {"order": {"kind": order.kind, **json.loads(order.body())}, "why": "its fan"}
            process.call("POST", path, "operator", json=body)

    def evacuate(_: Progress) -> None:
        """Have it asked while the campaign waits for a person, who then lets it go on."""
        if not asking:
            asking.append(threading.Thread(target=ask, daemon=True))
            asking[0].start()

    place = {"plan_path": launch.plan, "fleet_path": launch.fleet, "store": launch.store}
    options = RunOptions(use_ray=False, ask_for_approval=True, **place)
    snapshot, plan = read_snapshot(launch.fleet), read_plan(launch.plan)
    run_campaign(snapshot, plan, launch.directory, progress=evacuate, options=options)
    asking[0].join()
    _count_otherwise(process)
    return process


def _count_otherwise(process: InProcess) -> None:
    """Have hypervisor and probe count the last blackouts as in :data:`COUNTED`."""
    events = schema.EVENTS
    with process.server.database.writing() as transaction:
        read = sql.select(events).where(events.c.type == "migration-done").order_by(events.c.number.desc())
        done = transaction.execute(read).all()[: len(COUNTED)]
        for row, (by_hypervisor, by_probe, _) in zip(done, COUNTED, strict=True):
            body = json.loads(row.body)
            body |= {"probe_blackout_ms": by_probe, "probe_resolution_ms": None if by_probe is None else 5.0}
            transaction.execute(events.update().where(events.c.number == row.number).values(body=json.dumps(body)))
            paused = (events.c.type == "forwarding-started") & (events.c.subject == row.subject)
            text = transaction.execute(sql.select(events.c.body).where(paused)).scalar_one()
            body = json.dumps(json.loads(text) | {"blackout_ms": by_hypervisor})
            transaction.execute(events.update().where(paused).values(body=body))


def report_now(process: InProcess) -> dict[str, Any]:
    """Return the figures of a report that is made of the campaign's journal as it is."""
    (run,) = list_runs(process.server.database, "", 10, None)
    stored = process.server.views.stored(run.campaign_id)
    assert stored is not None
    told: dict[str, Any] = process.server.views.report(run, stored).summary.model_dump(mode="json")
    return told


def fleet_of(process: InProcess) -> str:
    found: str = process.get("/v1/fleets")["items"][0]["fleet_id"]
    return found


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


def test_blackouts_are_above_their_limit_everywhere_or_nowhere(night: InProcess) -> None:
    path = f"/v1/campaigns/{night.get('/v1/campaigns')['items'][0]['campaign_id']}"
    over = {"count": 2, "longest_ms": 659.0, "longest_limit_ms": 500.0}
    assert report_now(night)["over_limits"]["blackouts"] == over
    told = night.get(f"{path}/curves")["blackouts"]
    assert [told[name] for name in ("above", "longest_above_ms", "longest_above_limit_ms")] == list(over.values())
    rows = night.get(f"{path}/blackouts?at_least_ms=490&limit=1000")["items"]
    rows = [row for row in rows if row["strategy"] != "restart"]
    assert {(row["blackout_ms"], row["probe_blackout_ms"], row["counted_blackout_ms"]) for row in rows} == {*COUNTED}
    assert [row["counted_blackout_ms"] > 500 for row in rows] == [row["above_limit"] for row in rows]
    stories = [night.get(f"{path}/vms/{row['vm_id']}")["migrations"] for row in rows]
    found = {move["migration_id"]: move["above_limit"] for story in stories for move in story}
    assert {row["migration_id"]: row["above_limit"] for row in rows}.items() <= found.items()
    table = night.call("GET", f"{path}/tables/blackouts")
    assert pl.read_parquet(table.content)["above_limit"].sum() == 2


def test_quantiles_and_makespan_of_curves_are_those_of_the_report(night: InProcess) -> None:
    path = f"/v1/campaigns/{night.get('/v1/campaigns')['items'][0]['campaign_id']}"
    report, curves = report_now(night), night.get(f"{path}/curves")
    series = curves["blackouts"]["series"]
    for name, counted in (("measured", "hypervisor_ms"), ("probe", "probe_ms")):
        assert report["blackout"][counted] == {key: series[name][f"{key}_ms"] for key in ("p50", "p99", "max")}
    assert curves["makespan_s"] == report["makespan"]["measured_s"]


def test_the_audit_log_says_what_was_asked_and_what_came_of_it(night: InProcess) -> None:
    log = night.get("/v1/audit")["items"]
    (made,) = (call for call in log if call["action"] == "create-urgent-campaign")
    assert made["made"] == f"job {night.get('/v1/jobs')['items'][0]['job_id']}"
    assert {each["made"] for each in log if each["action"] == "upload-fleet"} == {f"fleet {fleet_of(night)}"}
    orders = [call for call in log if call["action"] == "order-campaign"]
    assert [(call["asked"], call["granted"]) for call in orders[:2]] == [("resume", False), ("evacuate", True)]
    assert [call["why"] for call in orders] == ["its fan"] * 3
    assert "paused" in orders[0]["outcome"]
    assert orders[1]["outcome"] is None
