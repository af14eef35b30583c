"""What a guest is told, who asks, and what is asked: the pure parts of the metadata endpoint."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from slacktide.executors.metadata import callers
from slacktide.executors.metadata.asked import LONGEST_WAIT_S, Asked, Refused, Resource, asked
from slacktide.executors.metadata.board import NoticeBoard
from slacktide.executors.metadata.callers import Callers, Seen
from slacktide.executors.metadata.guests import cards
from slacktide.executors.metadata.limits import Gate, Limits
from slacktide.executors.metadata.notice import Announcement, Kind, MaintenanceNotice, kind_of

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def announcement(name: str = "m1", *, minute: int = 0, notice_s: int = 60, kind: Kind = Kind.MIGRATE) -> Announcement:
    start = NOON + timedelta(minutes=minute)
    return Announcement(name, kind, start, start + timedelta(seconds=20), notice_s)


# The state machine


def test_a_guest_is_told_before_while_and_no_longer_after() -> None:
    none = MaintenanceNotice()
    announced = none.announce(announcement())
    under_way = announced.begin(announcement(notice_s=0))
    assert [notice.event for notice in (none, announced, under_way, under_way.end("m1"))] == [
        "NONE",
        "MIGRATE_ON_HOST_MAINTENANCE",
        "MIGRATE_ON_HOST_MAINTENANCE",
        "NONE",
    ]
    assert under_way.end("m1") == none
    assert announced.end("m1") == none


def test_upcoming_says_when_and_whether_a_word_would_help() -> None:
    announced = MaintenanceNotice().announce(announcement())
    assert announced.upcoming == {
        "kind": "MIGRATE_ON_HOST_MAINTENANCE",
        "window_start": "2026-11-29T12:00:00Z",
        "window_end": "2026-11-29T12:00:20Z",
        "notice_s": 60,
        "under_way": False,
        "acknowledged": False,
        "can_acknowledge": True,
    }
    ready = announced.acknowledge()
    assert (ready.upcoming["acknowledged"], ready.upcoming["can_acknowledge"]) == (True, False)
    begun = ready.begin(announcement(notice_s=0))
    assert (begun.upcoming["under_way"], begun.upcoming["acknowledged"], begun.upcoming["notice_s"]) == (True, True, 60)
    assert set(MaintenanceNotice().upcoming.values()) == {"NONE", None, False}


def test_told_again_a_guest_stays_ready_and_another_migration_is_another_matter() -> None:
    ready = MaintenanceNotice().announce(announcement()).acknowledge()
    assert ready.announce(announcement(minute=1)).coming[0].acknowledged
    assert ready.acknowledge() is ready
    assert not ready.end("m1").announce(announcement("m2")).coming[0].acknowledged


def test_what_is_under_way_comes_before_what_is_announced() -> None:
    both = MaintenanceNotice().begin(announcement("m1", kind=Kind.TERMINATE)).announce(announcement("m2", minute=9))
    assert both.event == "TERMINATE_ON_HOST_MAINTENANCE"
    assert not both.can_acknowledge
    after = both.end("m1")
    assert (after.event, after.can_acknowledge) == ("MIGRATE_ON_HOST_MAINTENANCE", True)
    assert both.announce(announcement("m1")) == both, "it is under way and not announced anew"


def test_migrations_are_told_in_the_order_in_which_they_begin_whoever_was_announced_first() -> None:
    three = [announcement(f"m{minute}", minute=minute) for minute in (1, 2, 3)]
    for order in permutations(three):
        notice = MaintenanceNotice()
        for each in order:
            notice = notice.announce(each)
        assert [each.migration_id for each in notice.coming] == ["m1", "m2", "m3"]


def test_the_same_is_told_under_the_same_tag_everywhere_and_two_migrations_under_two() -> None:
    one, other = (MaintenanceNotice().announce(announcement(name)) for name in ("m1", "m2"))
    assert one.event == other.event
    assert one.etag(one.event) != other.etag(other.event)
    assert MaintenanceNotice().etag("NONE") == one.end("m1").etag("NONE")
    assert kind_of("restart") is Kind.TERMINATE
    assert {kind_of(strategy) for strategy in ("precopy", "autoconverge", "postcopy")} == {Kind.MIGRATE}


def test_a_board_tells_who_listens_of_changes_alone_and_reports_a_word_once() -> None:
    ready: list[str] = []
    changed: list[str] = []
    board = NoticeBoard(ready.append)
    board.listen(changed.append)
    assert not board.acknowledge("vm1"), "nothing is announced"
    for _ in range(2):
        board.announce("vm1", announcement())
    assert changed == ["vm1"]
    assert [board.acknowledge("vm1") for _ in range(2)] == [True, False]
    assert ready == ["m1"]
    board.begin("vm1", announcement(notice_s=0))
    board.end("vm1", "m1")
    board.end("vm2", "m1")
    assert changed == ["vm1"] * 4
    assert board.notice("vm1") == MaintenanceNotice()


# Who asks


class Bridge:
    """A bridge as its host sees it."""

    def __init__(self, **seen: Seen) -> None:
        self.at = {name.replace("_", "."): value for name, value in seen.items()}

    def seen(self, address: str) -> Seen | None:
        return self.at.get(address)


ONE, TWO = Seen("52:54:00:00:00:01", "vnet0"), Seen("52:54:00:00:00:02", "vnet1")


class Hypervisor:
    """Knows two guests, and counts how often it is asked."""

    def __init__(self) -> None:
        self.guests = {ONE: "vm1", TWO: "vm2"}
        self.asked = 0

    def __call__(self) -> dict[Seen, str]:
        self.asked += 1
        return self.guests


def test_a_guest_is_known_by_its_card_and_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge, hypervisor = Bridge(), Hypervisor()
    known = Callers(bridge, hypervisor)
    bridge.at = {"10.0.0.1": ONE, "10.0.0.2": TWO}
    assert (known.vm("10.0.0.1"), known.vm("10.0.0.2"), known.vm("10.0.0.3")) == ("vm1", "vm2", None)
    assert hypervisor.asked == 1
    bridge.at["10.0.0.2"] = ONE
    assert known.vm("10.0.0.2") == "vm1", "who has taken another's address is who it is"
    bridge.at["10.0.0.2"] = Seen(TWO.card, ONE.port)
    assert known.vm("10.0.0.2") is None, "who has taken another's card as well is nobody"
    bridge.at["10.0.0.9"] = Seen(TWO.card, "eth0")
    assert known.vm("10.0.0.9") is None, "a guest of another host"
    assert hypervisor.asked == 1, "strangers cost a hypervisor one question a second at most"
    monkeypatch.setattr(callers, "ASK_AGAIN_S", 0.0)
    hypervisor.guests = {**hypervisor.guests, Seen("52:54:00:00:00:03", "vnet2"): "vm3"}
    bridge.at["10.0.0.4"] = Seen("52:54:00:00:00:03", "vnet2")
    assert known.vm("10.0.0.4") == "vm3", "a guest that has come"


def test_a_domains_cards_are_read_with_their_ports() -> None:
    description = """<domain><devices>
      <interface type='bridge'><mac address='52:54:00:AB:00:01'/><target dev='vnet7'/></interface>
      <interface type='user'><mac address='52:54:00:ab:00:02'/></interface>
    </devices></domain>"""
    assert cards(description) == [Seen("52:54:00:ab:00:01", "vnet7")]


def test_a_gate_counts_who_is_in_and_who_comes_too_often() -> None:
    gate = Gate(Limits(connections=3, of_one_address=2, a_second=4))
    assert [gate.enter("a") for _ in range(3)] == [True, True, False]
    assert [gate.enter("b") for _ in range(2)] == [True, False]
    gate.leave("a")
    assert gate.enter("c")
    gate.leave("a")
    assert gate.enter("a"), "the fourth in this second"
    gate.leave("a")
    assert not gate.enter("a"), "the fifth"


# What is asked

HEADERS = {"Metadata-Flavor": "Google"}
EVENT, GOOGLES = "/slacktide/v1/maintenance-event", "/computeMetadata/v1/instance/maintenance-event"


def test_agents_of_public_clouds_find_what_they_know() -> None:
    assert asked("GET", GOOGLES, {}, HEADERS) == asked("GET", EVENT, {}, {"Slacktide-Metadata": "true"})
    assert asked("GET", GOOGLES, {"alt": "json"}, HEADERS) == Asked(Resource.EVENT, as_json=True)
    query = {"wait_for_change": "true", "timeout_sec": "30", "last_etag": "abc"}
    assert asked("GET", GOOGLES, query, HEADERS) == Asked(Resource.EVENT, 30.0, "abc")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "status"),
    [
        ("GET", EVENT, {}, {}, 403),
        ("GET", EVENT, {}, {"Metadata-Flavor": "Other"}, 403),
        ("GET", EVENT, {}, HEADERS | {"X-Forwarded-For": "10.0.0.1"}, 403),
        ("GET", "/", {}, HEADERS, 404),
        ("GET", "/slacktide/v1/acknowledge", {}, HEADERS, 405),
        ("POST", EVENT, {}, HEADERS, 405),
        ("GET", EVENT, {"wait_for_change": "true", "timeout_sec": "-1"}, HEADERS, 400),
        ("GET", EVENT, {"wait_for_change": "true", "timeout_sec": "1e9"}, HEADERS, 400),
        ("GET", EVENT, {"wait_for_change": "true", "timeout_sec": "²"}, HEADERS, 400),
    ],
)
def test_what_is_refused(method, path, query, headers, status) -> None:
    found = asked(method, path, query, headers)
    assert isinstance(found, Refused)
    assert found.status == status


def test_nobody_waits_for_ever() -> None:
    for query in ({}, {"timeout_sec": "99999999999999999999"}):
        found = asked("GET", EVENT, {"wait_for_change": "TRUE", **query}, HEADERS)
        assert found == Asked(Resource.EVENT, LONGEST_WAIT_S)
