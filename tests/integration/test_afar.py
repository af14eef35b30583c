"""The command line against a server: the same words, documents, files and exit codes as where this machine does it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from afar_place import FLEET, OTHER, REPLAY, Place, until

from slacktide.executors.journal import CampaignRecord
from slacktide.executors.store.campaigns import RESTORED, begin_campaign
from slacktide.executors.store.schema import CAMPAIGNS
from slacktide.planner.plan_files import read_plan
from slacktide.service.campaigning import WAITS_FOR_RELEASE
from slacktide.service.store.runs import change_run

pytestmark = [pytest.mark.integration]
CHANGING = {"planning_s", "elapsed_s", "execution_wall_s", "origin", "plan_path", "fleet_path", "id", "plan_id"}
"""What two runs of the same differ in."""


def lasting(data: Any) -> Any:
    """Return a document without what two runs differ in."""
    if isinstance(data, dict):
        return {name: lasting(value) for name, value in data.items() if name not in CHANGING}
    return [lasting(value) for value in data] if isinstance(data, list) else data


def test_fleets(place: Place) -> None:
    here, there = place.documents("fleet", "check", FLEET)
    assert here == there
    here, there = place.documents("fleet", "show", FLEET)
    assert here == there
    assert "is sent to" not in place.told
    sent = json.loads(place.there("fleet", "upload", FLEET, "--json"))
    assert f"fleet {FLEET} is sent to {place.url}, where it is fleet {sent['fleet_id']}" in place.told
    place.there("fleet", "upload", FLEET)
    assert place.told == ""
    assert sent["summary"] == here
    assert json.loads(place.there("fleet", "show", sent["fleet_id"], "--json")) == here
    assert sent["fleet_id"] in place.there("fleet", "list")
    place.there("fleet", "fetch", sent["fleet_id"], "-o", place.folder / "fetched")
    assert {path.name for path in FLEET.iterdir()} == {path.name for path in (place.folder / "fetched").iterdir()}
    assert json.loads(place.here("fleet", "show", place.folder / "fetched", "--json")) == here


def test_a_fleet_that_is_wrong(place: Place, tmp_path: Path) -> None:
    (tmp_path / "wrong").mkdir()
    for file in FLEET.iterdir():
        (tmp_path / "wrong" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "wrong" / "hosts.parquet").write_bytes((FLEET / "vms.parquet").read_bytes())
    for words in (("check",), ("show",)):
        here, there = place.documents("fleet", *words, tmp_path / "wrong", code=1)
        assert here == there
    (tmp_path / "wrong" / "vms.parquet").unlink()
    here, there = place.documents("fleet", "check", tmp_path / "wrong", code=1)
    assert here == there


def test_a_plan(place: Place, planned: Path) -> None:
    words = ("plan", FLEET, "--preset", "urgent", "--iterations", 2)
    here = json.loads(place.here(*words, "-o", place.folder / "local-plan", "--json"))
    there = json.loads(
        place.there(*words, "-o", place.folder / "afar-plan", "--json", "--html", place.folder / "p.html")
    )
    assert lasting(here) == lasting(there)
    assert (place.folder / "p.html").read_text().startswith("<!")
    for name in ("waves", "hosts", "migrations", "deferred"):
        file = f"{name}.parquet"
        assert (place.folder / "local-plan" / file).read_bytes() == (planned / file).read_bytes()
    header, local = (
        json.loads((folder / "plan.json").read_text()) for folder in (planned, place.folder / "local-plan")
    )
    assert header["id"] == local["id"]
    text = place.there(*words, "-o", place.folder / "afar-plan")
    assert text.startswith(f"Plan {header['id']}, policy urgent: ")


def test_a_plan_to_evacuate_and_one_of_a_policy(place: Place, tmp_path: Path) -> None:
    host = json.loads(place.there("fleet", "show", FLEET, "--json"))["hosts_by_state"]
    assert host
    evacuated = place.process.get("/v1/fleets")["items"][0]["fleet_id"]
    name = place.process.get(f"/v1/fleets/{evacuated}/hosts?limit=1")["items"][0]["host_id"]
    (tmp_path / "mine.yaml").write_text(place.called(["policy", "show", "--preset", "urgent"], 0))
    for more in (("--evacuate", name), ("--policy", tmp_path / "mine.yaml")):
        words = ("plan", FLEET, "--time-limit", 0, *more)
        here = json.loads(place.here(*words, "-o", tmp_path / "here", "--json"))
        assert lasting(json.loads(place.there(*words, "-o", tmp_path / "there", "--json"))) == lasting(here)


def test_questions_about_a_plan(place: Place, planned: Path) -> None:
    for words in (("audit",), ("compare", "--constants", "nova"), ("explain",)):
        question = (words[0], FLEET, planned, *words[1:])
        here, there = place.documents(*question)
        assert here == there
        here, there = place.both(*question)
        assert here == there


def test_policies(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nmax_out: {rack: 1, aisle: 2, fleet: 0}\n")
    for words, code in (((), 0), (("--fleet", FLEET), 1)):
        here, there = place.both("policy", "check", file, *words, code=code)
        assert here == there
        here, there = place.documents("policy", "check", file, *words, code=code)
        assert here == there


def test_what_must_give(place: Place, tmp_path: Path) -> None:
    words = ("what-if", FLEET, "--preset", "urgent", "--by", "1h", "--relax", "max_out.fleet", "--iterations", 1)
    here = json.loads(place.here(*words, "-o", tmp_path / "here", "--json"))
    there = json.loads(place.there(*words, "-o", tmp_path / "there", "--json"))
    assert lasting(here) == lasting(there)
    assert here["purchases"]
    names = [{path.relative_to(tmp_path / side) for path in (tmp_path / side).rglob("*")} for side in ("here", "there")]
    assert names[0] == names[1]
    words = ("pareto", FLEET, "--preset", "urgent", "--points", 2, "--iterations", 1)
    here = json.loads(place.here(*words, "-o", tmp_path / "h", "--json"))
    there = json.loads(place.there(*words, "-o", tmp_path / "t", "--json"))
    assert lasting(here) == lasting(there)
    assert here["front"]
    assert (tmp_path / "t" / "front.csv").read_bytes() == (tmp_path / "h" / "front.csv").read_bytes()


@pytest.fixture
def ran(place: Place, planned: Path) -> str:
    """Return the id of a campaign that the server has carried out."""
    directory = place.folder / "campaign"
    if not directory.exists():
        words = ("run", FLEET, planned, "--seed", 3, "--failures", 30, "-o", directory)
        assert "patched in" in place.there(*words)
        assert "is carried out on" in place.told
    found: str = json.loads((directory / "server.json").read_text())["campaign_id"]
    return found


def test_a_campaign(place: Place, planned: Path, ran: str) -> None:
    words = ("run", FLEET, planned, "--seed", 3, "--failures", 30)
    here = json.loads(place.here(*words, "--no-ray", "-o", place.folder / "local", "--json"))
    again = json.loads(place.there(*words, "-o", place.folder / "campaign", "--json"))
    assert "had finished" in place.told
    assert "give another --seed for the same plan" in " ".join(place.told.split())
    assert again["campaign_id"] == here["campaign_id"] == ran
    assert lasting(again) == lasting(here)
    for table in ("hosts", "migrations", "troubles", "others"):
        file = f"{table}.parquet"
        assert (place.folder / "campaign" / file).read_bytes() == (place.folder / "local" / file).read_bytes()
    assert "<html" in (place.folder / "campaign" / "report.html").read_text()
    fetched = json.loads(place.there("report", ran, "-o", place.folder / "fetched-report", "--json"))
    assert fetched == again
    rows = [re.sub(r"\s+", " ", place.here("report", place.folder / "local"))]
    rows.append(re.sub(r"\s+", " ", place.there("report", place.folder / "campaign")))
    assert rows[0].partition(" execution ")[0] == rows[1].partition(" execution ")[0]


def test_a_campaign_is_looked_at(place: Place, ran: str) -> None:
    kept = place.process.server.places.campaign(ran)
    store = f"sqlite:///{place.process.server.places.store}"
    here = place.here("campaign", "show", kept, "--store", store)
    assert place.there("campaign", "show", ran) == here
    document = json.loads(place.here("campaign", "show", kept, "--store", store, "--json"))
    assert document["command"]["words"].startswith("slacktide run "), "whoever asks from afar has no use for it"
    assert json.loads(place.there("campaign", "show", ran, "--json")) == document | {"command": None}
    listed = json.loads(place.here("campaign", "list", "--store", store, "--json"))
    assert [each for each in json.loads(place.there("campaign", "list", "--json")) if each["origin"]] == listed
    place.here("campaign", "show", place.folder / "campaign", code=2)
    assert f"Ask that: --server {place.url}" in place.told
    place.there("campaign", "watch", place.folder / "campaign")
    assert "the campaign is finished" in place.told


def test_a_campaign_is_told_what_to_do(place: Place, planned: Path) -> None:
    words = ("run", FLEET, planned, "--seed", 4, "--speed", 20, "--detach", "--json")
    campaign = json.loads(place.there(*words))["campaign_id"]
    until(lambda: place.process.get(f"/v1/campaigns/{campaign}")["progress"] is not None)
    assert "paused" in place.there("campaign", "pause", campaign, "--why", "power feed B")
    shown = json.loads(place.there("campaign", "show", campaign, "--json"))
    assert shown["standing"] == "paused"
    assert shown["orders"][0]["why"] == "power feed B"
    assert "goes on" in place.there("campaign", "resume", campaign)
    wrong = json.loads(place.there("campaign", "skip", campaign, "nobody", "--json", code=2))
    assert wrong["error"]["subject"] == "host nobody"
    document = json.loads(place.there("campaign", "limits", campaign, "fleet=2", "--json"))
    place.there("campaign", "take-over", campaign, code=1)
    assert "has not ended" in place.told
    assert document["answer"]["max_out"] == '{"fleet": 2}'
    place.there("campaign", "pause", campaign, "--by", "me", code=2)
    assert "aborted" in place.there("campaign", "abort", campaign, "--cancel")
    place.there("campaign", "watch", campaign)
    assert "the campaign is aborted" in place.told


def test_a_campaign_that_has_not_begun_is_taken_back(place: Place, planned: Path) -> None:
    asked = {"plan_id": read_plan(planned).header.id, "start": "on-approval", "terms": {"simulation": {"seed": 98}}}
    campaign = place.process.call("POST", "/v1/campaigns", json=asked).json()["campaign_id"]
    place.there("campaign", "pause", campaign, code=1)
    assert f"`slacktide campaign start {campaign}`" in " ".join(place.told.split())
    assert "proposed" in place.there("campaign", "show", campaign)
    database = place.process.server.database
    change_run(database, campaign, state="wanted", starts=6, said="hosts: do not answer", next_look_at=None)
    why = "its process is starting, try 6 of 8; the one before said: hosts: do not answer"
    for words in (("list",), ("show", campaign)):
        assert why in " ".join(place.there("campaign", *words).split())
    assert "nothing of it is carried out" in place.there("campaign", "abort", campaign, "--why", "the wrong hosts")
    for words, code in ((("list",), 0), (("show", campaign), 0), (("watch", campaign), 1)):
        shown = " ".join((place.there("campaign", *words, code=code) + place.told).split())
        assert "aborted before it began, by token:" in shown
        assert ": the wrong hosts" in shown
    assert json.loads(place.there("campaign", "show", campaign, "--json"))["state"] == "aborted"
    document = json.loads(place.there("campaign", "abort", campaign, "--json"))
    assert (document["order"], document["answer"]) == (None, None)


def test_a_campaign_that_waits_for_its_release_or_is_given_up(place: Place, planned: Path) -> None:
    database = place.process.server.database
    plan_id = read_plan(planned).header.id
    asked = {"plan_id": plan_id, "start": "on-approval", "terms": {"simulation": {"seed": 99}}}
    campaign = place.process.call("POST", "/v1/campaigns", json=asked).json()["campaign_id"]
    begin_campaign(database.store, CampaignRecord(campaign, plan_id, "s", "p", datetime.now(UTC), "{}"))
    with database.writing() as transaction:
        transaction.execute(sql.update(CAMPAIGNS).where(CAMPAIGNS.c.campaign_id == campaign).values(state=RESTORED))
    for word in ("start", "take-over"):
        place.there("campaign", word, campaign, code=1)
        assert "came back from a backup, and waits for its release" in place.told
    assert place.process.get(f"/v1/campaigns/{campaign}")["state"] == "proposed"
    for said, words in (
        (WAITS_FOR_RELEASE, f"has been given up by the server: {WAITS_FOR_RELEASE}"),
        ("line\nthe disk is full", "has been given up by the server: the disk is full"),
        (None, "has been given up by the server, since its process ended every time and said nothing"),
    ):
        change_run(database, campaign, state="failed", said=said)
        place.there("campaign", "watch", campaign, code=1)
        assert words in " ".join(place.told.split())


def test_real_hosts_by_the_name_of_their_profile(place: Place, tmp_path: Path) -> None:
    assert json.loads(place.there("server", "status", "--json"))["profiles"] == ["lab"]
    found = json.loads(place.there("campaign", "signals", "lab", "--json", code=1))
    assert [(each["name"], each["healthy"]) for each in found] == [("nobody", False)]
    assert "not well" in place.there("campaign", "signals", "lab", code=1)
    place.there("fleet", "import", "libvirt", "--migration-mbit-s", 1000, code=2)
    place.there("fleet", "import", "libvirt", "--migration-mbit-s", 1000, "--profile", "other", code=2)
    place.there("fleet", "import", "libvirt", "--migration-mbit-s", 1000, "--profile", "lab", code=1)
    assert "127.0.0.1:1" in place.told


def test_what_campaigns_have_taught(place: Place, ran: str, tmp_path: Path) -> None:
    """A campaign whose report says that it was measured on real hosts teaches the same here and there."""
    kept = place.process.server.places.campaign(ran)
    report = kept / "report.json"
    before = report.read_text()
    place.there("calibrate", ran, "-o", tmp_path / "p.yaml", code=1)
    assert "is simulated" in place.told
    report.write_text(json.dumps({**json.loads(before), "simulated": False}))
    here, there = (place.here("calibrate", kept, "-o", tmp_path / "h.yaml"), "")
    there = place.there("calibrate", ran, "-o", tmp_path / "t.yaml")
    assert there.replace("t.yaml", "h.yaml") == here
    assert (tmp_path / "t.yaml").read_text() == (tmp_path / "h.yaml").read_text()
    document = json.loads(place.here("calibrate", kept, "-o", tmp_path / "h.yaml", "--json"))
    assert json.loads(place.there("calibrate", ran, "-o", tmp_path / "t.yaml", "--json")) == document
    report.write_text(before)


def test_an_urgent_call(place: Place) -> None:
    made = place.there("urgent", OTHER, "--within", "4h", "--time-limit", 0, "--seed", 1, "-o", place.folder / "urgent")
    assert "patched in" in made
    assert (place.folder / "urgent" / "report.html").is_file()
    waits = place.there("urgent", OTHER, "--time-limit", 0, "--seed", 2, "--speed", 1, "--on-approval")
    assert "slacktide campaign start" in place.told
    assert waits.startswith("campaign")
    assert "is not there" not in place.told
    place.there("urgent", OTHER, "--within", "10min", "--time-limit", 0, "--seed", 3, "--on-approval")
    assert "after the deadline, " in place.told


def test_refusals(place: Place, planned: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*words: object, code: int = 2) -> dict[str, str]:
        found: dict[str, str] = json.loads(place.there(*words, "--json", code=code))["error"]
        return found

    assert refused("fleet", "show", "f" * 16)["fact"] == "is not there"
    assert "slacktide fleet list" in refused("fleet", "show", "f" * 16)["remedy"]
    assert "neither a directory here" in refused("plan", "nowhere", "-o", tmp_path / "p")["fact"]
    assert "does not have" in refused("audit", FLEET, REPLAY / "urgent" / "plan")["fact"]
    assert "was made for another snapshot" in refused("audit", OTHER, planned, code=1)["fact"]
    assert "profile" in refused("run", FLEET, planned, "--driver", "libvirt")["fact"]
    assert "profile" in refused("run", FLEET, planned, "--patch-command", "reboot {host}")["fact"]
    assert "for simulated hosts" in refused("run", FLEET, planned, "--profile", "p", "--failures", 3)["fact"]
    assert "no such profile" in refused("run", FLEET, planned, "--profile", "production")["fact"]
    assert "this machine alone" in refused("token", "list")["fact"]
    data = place.process.server.places.data
    for words in (("--server", "local"), ("--server=local",)):
        assert "the operator" in place.called(["token", "list", "--data", str(data), *words], 0)
    assert "is none of" not in refused("what-if", FLEET, "--relax", "nothing", "-o", tmp_path / "w")["fact"]
    monkeypatch.delenv("SLACKTIDE_TOKEN")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "lets nobody in" in refused("fleet", "upload", FLEET)["fact"]
    (tmp_path / "slacktide").mkdir()
    (tmp_path / "slacktide" / "token").write_text(place.process.tokens["viewer"])
    assert "this is for operators" in refused("plan", FLEET, "-o", tmp_path / "p")["fact"]
    assert "can be read by other users" in place.told
    place.here("fleet", "list", code=2)
    assert "is needed" in place.told
    place.called(["fleet", "list", "--server", "http://slacktide.example"], 2)
    assert "could read the token" in place.told
    place.called(["fleet", "list", "--server", "https://eva:secret@slacktide.example"], 2)
    assert "secret" not in place.told
