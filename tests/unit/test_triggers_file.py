"""The file that says what is watched, what it would begin, and the commands that look."""

import json

import pytest
from small_fleet import small_fleet
from triggers_at_hand import NOW, request

from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.errors import InputError
from slacktide.executors.triggers.settings import read_triggers
from slacktide.executors.triggers.terms import due_hosts, policy_of, without_sick
from slacktide.executors.triggers.trigger import Asked, Course, State, Trigger
from slacktide.service.cli import main

WHOLE = """
fleet: {name: east, directory: fleet}
campaigns: campaigns
calendars:
  nights: {rule: FREQ=DAILY, begins: 2026-11-01T22:00:00, zone: Europe/Berlin, lasts_s: 21600}
requests: {paths: [requests], calendar: nights}
standing: [{name: weekly, calendar: nights, patch_level: patched, order: other}]
alerts: {listen: "127.0.0.1:0"}
policies: {alert: mine.yaml}
"""


@pytest.fixture
def file(tmp_path):
    write_snapshot(small_fleet(), tmp_path / "fleet")
    (tmp_path / "requests").mkdir()
    (tmp_path / "mine.yaml").write_text("canary: {hosts: 1}\nmax_out: {fleet: 1}\n")
    (tmp_path / "triggers.yaml").write_text(WHOLE)
    return tmp_path / "triggers.yaml"


def test_paths_begin_at_the_folder_of_the_file(file) -> None:
    read = read_triggers(file)
    assert read.fleet.directory == file.parent / "fleet"
    assert read.requests.paths == (file.parent / "requests",)
    assert (read.policies.routine, read.policies.alert) == ("routine", str(file.parent / "mine.yaml"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fleet: {directory: f}\ncampaigns: c\n", "nothing would ever begin"),
        ("fleet: {}\ncampaigns: c\nalerts: {}\n", "needs one of `directory` and `command`"),
        ("fleet: {command: make-fleet}\ncampaigns: c\nalerts: {}\n", "does not say where it writes"),
        ("fleet: {directory: f}\ncampaigns: c\nrequests: {paths: [r], calendar: x}\n", "there is no calendar x"),
        ("fleet: {directory: f}\ncampaigns: c\nalerts: {listen: '0.0.0.0:9096'}\n", "open to other machines"),
        ("fleet: {directory: f}\ncampaigns: c\nalerts: {listen: here}\n", "is no address with a port"),
        ("fleet: {directory: f}\ncampaigns: c\nalerts: {}\nrun: {driver: libvirt}\n", "how real hosts are patched"),
        ("fleet: {directory: f}\ncampaigns: c\nalrets: {}\n", "`alrets` in line 3 is not a field here"),
    ],
)
def test_what_is_wrong_in_it_is_said(tmp_path, text, says) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_triggers(tmp_path / "t.yaml")
    assert says in str(caught.value)


def test_check_says_what_would_be_due_and_when(file, capsys) -> None:
    (file.parent / "requests" / "k.yaml").write_text(
        "id: kernel\npatch_level: patched\norder: other\nhosts: [h1, h9]\n"
    )
    (file.parent / "requests" / "bad.yaml").write_text("id: [")
    assert main(["triggers", "check", str(file), "--json"]) == 1
    seen = json.loads(capsys.readouterr().out)
    assert (seen["fleet"], seen["hosts"], len(seen["windows"]["nights"])) == ("east", 6, 3)
    assert [(each["name"], each["due"], each["start"]) for each in seen["ahead"]] == [
        ("kernel", 1, "approve"),
        ("weekly", len(small_fleet().hosts.filter(small_fleet().hosts["patch_level"] != "patched")), "approve"),
    ]
    assert {finding["rule"] for finding in seen["findings"]} == {"request-file", "unknown-host"}
    (file.parent / "requests" / "bad.yaml").unlink()
    assert main(["triggers", "check", str(file)]) == 0
    assert "waits for approval (k.yaml)" in capsys.readouterr().out


def test_list_and_show_of_what_was_never_watched(file, capsys) -> None:
    assert main(["triggers", "list", str(file)]) == 2
    assert "nothing was watched for yet" in capsys.readouterr().err


def trigger(kind: str, asked: Asked, **course: object) -> Trigger:
    return Trigger(7, kind, "k", "here", NOW, State.BEGINS, asked, Course(attempt=2, **course))


def test_the_policy_of_an_alert_evacuates_one_host_within_the_same_limits(file) -> None:
    snapshot, read = read_snapshot(file.parent / "fleet"), read_triggers(file)
    dying = trigger("alert", Asked(start="at-once", host="h1"))
    assert due_hosts(dying, snapshot, ()) == ["h1"]
    policy = policy_of(read, dying, snapshot, ["h1"], NOW)
    assert (policy.evacuate, policy.selection.hosts, policy.max_out) == (("h1",), (), {"fleet": 1})
    assert (policy.canary.hosts, policy.gates.kind, policy.approve_start) == (0, "pipelined", False)
    assert policy.deadline_s is None
    assert due_hosts(trigger("alert", Asked(start="at-once", host="h9")), snapshot, ()) == []


def test_the_policy_of_a_request_keeps_to_its_window_and_to_hosts_that_are_well(file) -> None:
    snapshot, read = read_snapshot(file.parent / "fleet"), read_triggers(file)
    asked = Asked(start="approve", due=request("k", "patched", order="other").due)
    due = trigger("request", asked, until=NOW.replace(hour=16))
    assert "h1" in due_hosts(due, snapshot, ())
    assert "h1" not in due_hosts(due, snapshot, ("h1",))
    policy = policy_of(read, due, snapshot, ["h1"], NOW)
    assert (policy.deadline_s, policy.approve_start, policy.patch_level) == (3600, True, "patched")
    assert "7-2" in policy.name
    kept = trigger("request", asked, only=("h1",))
    assert due_hosts(kept, snapshot, ()) == ["h1"]


def test_an_empty_host_that_is_about_to_fail_takes_no_vms(file) -> None:
    snapshot = read_snapshot(file.parent / "fleet")
    taken = set(snapshot.vms["host_id"])
    empty = [host for host in snapshot.hosts["host_id"] if host not in taken]
    sick = without_sick(snapshot, [*empty, *sorted(taken)])
    states = dict(zip(sick.hosts["host_id"], sick.hosts["state"].cast(str), strict=True))
    assert {states[host] for host in empty} <= {"quarantined", "down"}
    assert "quarantined" not in {states[host] for host in taken}
