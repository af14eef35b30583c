"""From a driver's requests and outcomes to what its guests are told."""

from datetime import UTC, datetime

import pytest

from slacktide.errors import UsageError
from slacktide.executors import events
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings, MetadataSettings
from slacktide.executors.drivers.making import settings_of_agent
from slacktide.executors.drivers.protocol import MigrationRequest, NotifyRequest
from slacktide.executors.maintenance.action import command_action
from slacktide.service.libvirt_run import libvirt_settings

libvirt = pytest.importorskip("libvirt")
ORIGIN = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOTICE = NotifyRequest("m1", "vm1", "h1", 10.0, 70.0, 90.0, 60, "precopy")
ATTEMPT = MigrationRequest("m1", 1, "vm1", "h1", "h2", "precopy", 100, 300, 4.0, 500.0, 60.0, 70.0)
SETTINGS = LibvirtSettings(
    addresses={name: HostAddress("x") for name in ("h1", "h2", "h3")}, maintenance=command_action(("true",))
)


class Told:
    """A driver's telling at 12:00:12, without an endpoint."""

    def __init__(self) -> None:
        from slacktide.executors.drivers.libvirt.telling import Telling

        self.reported: list[events.Event] = []
        self.telling = Telling(SETTINGS, None, ORIGIN, lambda: 12.0, self.reported.append)

    def event(self, vm: str = "vm1") -> str:
        return self.telling.board.notice(vm).event


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_guest_is_told_from_its_notice_to_the_end_of_its_migration(told: Told) -> None:
    told.telling.notify(NOTICE)
    assert told.reported == [events.MigrationWaiting(12.0, "m1")]
    upcoming = told.telling.board.notice("vm1").upcoming
    assert (upcoming["window_start"], upcoming["window_end"]) == ("2026-11-29T12:01:10Z", "2026-11-29T12:01:30Z")
    told.telling.begin(ATTEMPT)
    assert (told.event(), told.telling.board.notice("vm1").upcoming["under_way"]) == (
        "MIGRATE_ON_HOST_MAINTENANCE",
        True,
    )
    told.telling.hear(events.BlackoutStarted(75.0, "m1", 1))
    assert told.event() != "NONE"
    told.telling.hear(events.MigrationDone(76.0, "m1", 1, None, None))
    assert told.event() == "NONE"


def test_a_migration_that_fails_is_over_and_the_next_attempt_under_way_again(told: Told) -> None:
    told.telling.begin(ATTEMPT._replace(strategy="restart"))
    assert told.event() == "TERMINATE_ON_HOST_MAINTENANCE"
    told.telling.hear(events.MigrationFailed(75.0, "m1", 1, "brownout", "it broke", retryable=True))
    assert told.event() == "NONE"
    told.telling.begin(ATTEMPT._replace(attempt=2))
    assert told.event() == "MIGRATE_ON_HOST_MAINTENANCE"
    told.telling.hear(events.VmLost(80.0, "m1", 2, "gone"))
    assert told.event() == "NONE"


def test_a_notice_that_is_withdrawn_is_gone_and_one_that_is_told_again_is_not_reported(told: Told) -> None:
    told.telling.notify(NOTICE)
    told.telling.notify(NOTICE._replace(telling="withdrawn"))
    assert told.event() == "NONE"
    told.telling.notify(NOTICE._replace(telling="again"))
    assert told.telling.board.acknowledge("vm1")
    told.telling.notify(NOTICE._replace(migration_id="m2", vm_id="vm2", telling="ready"))
    assert not told.telling.board.acknowledge("vm2"), "it has before"
    kinds = [type(event) for event in told.reported]
    assert kinds == [events.MigrationWaiting, events.GuestAcknowledged]


def test_each_agent_answers_the_guests_of_its_own_hosts() -> None:
    asking = SETTINGS.model_copy(update={"metadata": MetadataSettings()})
    hosts = ("h1", "h2", "gone", "h3")
    found = [settings_of_agent(asking, hosts, number, 2).metadata.hosts for number in range(2)]
    assert found == [("h1",), ("h2", "h3")]
    assert settings_of_agent(SETTINGS, hosts, 0, 2) is SETTINGS


def test_what_is_no_address_is_refused(tmp_path) -> None:
    file = tmp_path / "connections.json"
    file.write_text('{"h1": "qemu:///system"}')

    def settings(*metadata: str | None):
        return libvirt_settings(file, command_action(("true",)), (), (None, None), None, metadata).metadata

    assert settings(None, None, None) is None
    found = settings("169.254.169.254", None, "lab-{host}")
    assert (str(found.address), found.port, found.bridge, found.namespace) == (
        "169.254.169.254",
        80,
        "br0",
        "lab-{host}",
    )
    assert settings("10.0.0.1:8080", "br1", None).port == 8080
    for wrong in ("here", "10.0.0.1:x", "10.0.0.1:70000", "::1"):
        with pytest.raises(UsageError, match="is no address to listen at"):
            settings(wrong, None, None)
    with pytest.raises(UsageError, match="--metadata-bridge: says where an address is, but not which"):
        settings(None, "br1", None)
