"""Migrations over a fabric that has to be told: real hosts on VXLAN, and one guest that goes from one to another."""

import json
import os
import pickle
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from lab_tests import ON_A_LAB

from slacktide.clock import SystemClock
from slacktide.executors import events
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.driver import LibvirtDriver
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.protocol import Adoption, CancelRequest, MigrationRequest
from slacktide.executors.events import Event, Stage
from slacktide.executors.fabrics.endpoint import QUEUE_PACKETS, EndpointTables
from slacktide.executors.fabrics.settings import BridgeFabricSettings, BridgePlace, VxlanFabricSettings, read_fabric
from slacktide.executors.maintenance.action import command_action
from slacktide.ids import HostId, MigrationId, VmId
from slacktide.lab import host as hosts
from slacktide.lab.commands import run
from slacktide.lab.guests import Guest, guests_on
from slacktide.lab.layout import FABRIC_FILE, Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.lab.questions import ask, verify
from slacktide.planner.policy import MigrationRules

pytestmark = ON_A_LAB
VM, NEIGHBOUR = Guest(1, beat_ms=50), Guest(2, beat_ms=50)
RULES = MigrationRules(strategies=("precopy",))
PATIENCE_S = 60.0
OUTCOMES = events.MigrationDone | events.MigrationFailed | events.VmLost


class Tunnelled:
    """The lab, where the guest is on it, and drivers with fabrics of different manners."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.drivers: list[LibvirtDriver] = []
        self._numbers = count(1)

    def settings(self, **changes: object) -> LibvirtSettings:
        fabric = read_fabric(self.lab.folder / FABRIC_FILE)
        assert isinstance(fabric, VxlanFabricSettings)
        changed = VxlanFabricSettings.model_validate(fabric.model_dump() | changes)
        addresses = {HostId(host.name): HostAddress(host.uri) for host in self.lab.hosts}
        return LibvirtSettings(addresses=addresses, maintenance=command_action(("true",)), fabric=changed)

    def driver(self, **changes: object) -> LibvirtDriver:
        self.drivers.append(LibvirtDriver(self.settings(**changes), RULES, datetime.now(UTC), SystemClock()))
        return self.drivers[-1]

    def request(self, strategy: str = "precopy", mbit_s: int = 1000) -> MigrationRequest:
        """Ask for the guest's way from the host that it is on to the other."""
        source = next(host.name for host in self.lab.hosts if VM.name in guests_on(host))
        target = next(host.name for host in self.lab.hosts if host.name != source)
        return MigrationRequest(
            MigrationId(f"m{next(self._numbers)}"), 1, VmId(VM.name), HostId(source), HostId(target), strategy,
            predicted_blackout_ms=60.0, predicted_transfer_mib=64.0, at_s=0.0,
            bandwidth_mbit_s=mbit_s, blackout_limit_ms=500, predicted_brownout_s=3.0,
        )  # fmt: skip

    def migrated(self, **changes: object) -> tuple[list[Event], events.ForwardingEnded]:
        """Migrate the guest; return what was reported, and of the fabric."""
        driver = self.driver(**changes)
        driver.migrate([self.request()])
        found = until(driver, OUTCOMES)
        assert isinstance(found[-1], events.MigrationDone), found
        return found, next(event for event in found if isinstance(event, events.ForwardingEnded))

    def forwarded_anywhere(self) -> list[str]:
        """Return the cards whose packets are forwarded by any host."""
        fabric = self.settings().fabric
        found: list[str] = []
        for host in fabric.endpoints:
            tables = EndpointTables(host, fabric)
            found += tables.forwarded_cards()
            tables.close()
        return found

    def answers(self) -> bool:
        return ask(self.lab, VM, "status")["bad"] == "0"


def until(driver: LibvirtDriver, kinds: type[Event]) -> list[Event]:
    """Return what a driver reports, until an event of one of these kinds is there."""
    found: list[Event] = []
    until_s = time.monotonic() + PATIENCE_S
    while not any(isinstance(event, kinds) for event in found):
        assert time.monotonic() < until_s, found
        time.sleep(0.02)
        found += driver.poll(0.0)
    return found


@pytest.fixture(scope="module")
def lab_of_this_file() -> Iterator[Lab]:
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 1000, "vxlan"), [VM, NEIGHBOUR], lambda *_: None)
    finally:
        down(name)


@pytest.fixture
def tunnelled(lab_of_this_file: Lab) -> Iterator[Tunnelled]:
    made = Tunnelled(lab_of_this_file)
    yield made
    for driver in made.drivers:
        driver.close()
    assert made.forwarded_anywhere() == [], "whatever happened, nothing is forwarded any more"
    assert made.answers(), "whatever happened, the guest is reached"


def test_the_source_is_let_go_only_once_the_fabric_has_caught_up(tunnelled: Tunnelled) -> None:
    found, ended = tunnelled.migrated(update_delay_ms=400.0)
    assert [event.type for event in found if event.type != "migration-progress"][-4:] == [
        "forwarding-started",
        "forwarding-ended",
        "source-deleted",
        "migration-done",
    ]
    times = {event.type: event.at_s for event in found}
    assert times["forwarding-ended"] - times["forwarding-started"] > 0.3, "the control namespace was told late"
    assert times["source-deleted"] >= times["forwarding-ended"]
    assert ended.unconfirmed is None
    assert ended.forwarded_packets is not None
    host = next(host for host in tunnelled.lab.hosts if VM.name in guests_on(host))
    port = json.loads(run(["ip", "-n", host.namespace, "-j", "link"]))
    kept = [each["txqlen"] for each in port if each["address"] == f"fe{VM.card[2:]}"]
    assert kept == [QUEUE_PACKETS], "its port keeps more than one does by itself"
    assert verify(tunnelled.lab, [VM]) == {VM.name: 0}


def test_the_guest_is_reached_by_way_of_its_source_while_nobody_else_knows(tunnelled: Tunnelled) -> None:
    driver = tunnelled.driver(update_delay_ms=1500.0)
    driver.migrate([tunnelled.request()])
    found = until(driver, events.ForwardingStarted)
    asked = sum(tunnelled.answers() for _ in range(3))
    found += until(driver, OUTCOMES)
    ended = next(event for event in found if isinstance(event, events.ForwardingEnded))
    assert asked == 3
    assert ended.unconfirmed is None
    assert ended.forwarded_packets is not None
    assert ended.forwarded_packets >= 3


def test_a_guest_that_goes_and_comes_back_at_once_is_reached(tunnelled: Tunnelled) -> None:
    for _ in range(2):
        _, ended = tunnelled.migrated(update_delay_ms=300.0)
        assert ended.unconfirmed is None
        assert tunnelled.answers()


def test_rules_that_a_host_has_lost_between_two_migrations_are_written_again(tunnelled: Tunnelled) -> None:
    driver = tunnelled.driver(update_delay_ms=300.0)
    for _ in range(2):
        request = tunnelled.request()
        source = next(host for host in tunnelled.lab.hosts if host.name == request.source)
        run(["ip", "netns", "exec", source.namespace, "nft", "flush", "ruleset"])
        driver.migrate([request])
        found = until(driver, events.ForwardingStarted)
        assert tunnelled.forwarded_anywhere() == [VM.card]
        found += until(driver, OUTCOMES)
        ended = next(event for event in found if isinstance(event, events.ForwardingEnded))
        assert ended.unconfirmed is None
        assert ended.forwarded_packets is not None
        assert tunnelled.answers()


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_way_from_or_to_a_host_outside_is_refused_before_its_target_is_reserved(
    tunnelled: Tunnelled, end: str
) -> None:
    request = tunnelled.request()
    outside = getattr(request, end)
    inside = tunnelled.settings().fabric.model_dump()["endpoints"]
    driver = tunnelled.driver(endpoints={name: each for name, each in inside.items() if name != outside})
    driver.migrate([request])
    (failed,) = until(driver, OUTCOMES)
    assert isinstance(failed, events.MigrationFailed)
    assert (failed.stage, failed.retryable) == ("intended", False)
    assert f"{outside} is not in the file of --fabric" in failed.error
    assert tunnelled.request().source == request.source, "the guest is where it was"


def test_an_endpoint_that_does_not_confirm_is_named_when_the_limit_is_reached(tunnelled: Tunnelled) -> None:
    _, ended = tunnelled.migrated(update_delay_ms=20_000.0, limit_s=1.0)
    assert ended.unconfirmed is not None
    assert ended.unconfirmed.startswith("1 s after vm1 moved to h")
    assert "control sends to h" in ended.unconfirmed
    assert ended.unconfirmed.endswith("nobody forwards its packets: see docs/fabric.md, told too late")
    _, ended = tunnelled.migrated(limit_s=3.0)  # the way back tells the control namespace what it knows already
    assert ended.unconfirmed is None


def test_an_endpoint_that_is_not_there_ends_no_migration(tunnelled: Tunnelled) -> None:
    fabric = tunnelled.settings().fabric
    endpoints = {name: each.model_dump() for name, each in fabric.endpoints.items()}
    nowhere = {"far": {"namespace": "there-is-none-of-this-name", "address": "10.7.99.1"}}
    _, ended = tunnelled.migrated(endpoints=endpoints | nowhere, limit_s=2.0)
    assert ended.unconfirmed is not None
    assert "far cannot be asked or told" in ended.unconfirmed
    assert "control" not in ended.unconfirmed, "it keeps nobody else from hearing"
    assert tunnelled.answers()
    tunnelled.migrated()


def test_a_migration_that_is_stopped_leaves_the_fabric_as_it_was(tunnelled: Tunnelled) -> None:
    driver = tunnelled.driver()
    request = tunnelled.request(mbit_s=20)
    driver.migrate([request])
    until(driver, events.BrownoutStarted)
    driver.cancel([CancelRequest(request.migration_id, 1, "enough", 0.0)])
    found = until(driver, OUTCOMES)
    assert isinstance(found[-1], events.MigrationFailed), found
    assert not any(isinstance(event, events.ForwardingEnded) for event in found)


AGENT = """
import pickle, sys, time
from datetime import UTC, datetime
from slacktide.clock import SystemClock
from slacktide.executors import events
from slacktide.executors.drivers.libvirt.driver import LibvirtDriver
settings, rules, request = pickle.load(open(sys.argv[1], "rb"))
driver = LibvirtDriver(settings, rules, datetime.now(UTC), SystemClock())
driver.migrate([request])
while True:
    for event in driver.poll(0.0):
        print(event.type, flush=True)
    time.sleep(0.01)
"""


def killed_while_forwarding(tunnelled: Tunnelled, folder: Path) -> MigrationRequest:
    """Have an agent of its own migrate the guest over a fabric that hears of it too late, and kill it meanwhile."""
    request, given = tunnelled.request(), folder / "given"
    given.write_bytes(pickle.dumps((tunnelled.settings(update_delay_ms=60_000.0), RULES, request)))
    with subprocess.Popen([sys.executable, "-c", AGENT, str(given)], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        reported = any(line.strip() == "forwarding-started" for line in agent.stdout)
        agent.kill()
    assert reported
    return request


def test_what_an_agent_forwarded_when_it_was_killed_is_seen_through_by_the_next(
    tunnelled: Tunnelled, tmp_path: Path
) -> None:
    request = killed_while_forwarding(tunnelled, tmp_path)
    assert tunnelled.forwarded_anywhere() == [VM.card], "the source forwards by itself"
    assert tunnelled.answers()
    driver = tunnelled.driver()
    driver.adopt(Adoption(((request, Stage.FORWARDING),), ()))
    found = until(driver, OUTCOMES)
    ended = next(event for event in found if isinstance(event, events.ForwardingEnded))
    assert isinstance(found[-1], events.MigrationDone), found
    assert ended.unconfirmed is None
    assert ended.forwarded_packets
    assert ended.lost_packets is None, "what the guest had not read when it was paused, the first one knew"


def test_whoever_cannot_be_asked_for_cards_at_first_is_asked_again(tunnelled: Tunnelled, tmp_path: Path) -> None:
    """The next agent begins while the target's libvirtd is away: once it is back, everybody is told all the same."""
    request = killed_while_forwarding(tunnelled, tmp_path)
    target = next(host for host in tunnelled.lab.hosts if host.name == request.target)
    libvirtd = hosts.libvirtd_of(target)
    assert libvirtd is not None
    os.kill(libvirtd, signal.SIGKILL)
    driver = tunnelled.driver()
    driver.adopt(Adoption(((request, Stage.FORWARDING),), ()))
    switchover, until_s = driver._attempts[request.migration_id]._switchover, time.monotonic() + PATIENCE_S
    while not switchover._adopted:  # and then a socket that nobody serves is asked, in less time than libvirtd starts
        assert time.monotonic() < until_s
        time.sleep(0.01)
    hosts.wait_for_libvirtd(target, hosts.start_libvirtd(target))
    found = until(driver, OUTCOMES)
    ended = next(event for event in found if isinstance(event, events.ForwardingEnded))
    assert ended.unconfirmed is None
    assert tunnelled.answers()


def test_bridges_have_learnt_where_a_guest_is_by_the_time_that_it_is_asked(tunnelled: Tunnelled) -> None:
    """The same hosts, taken for learning bridges: what is looked at is the same, their guests' ports."""
    places = tunnelled.lab.hosts
    bridges = {HostId(host.name): BridgePlace(namespace=host.namespace, uplinks=("vxlan0",)) for host in places}
    fabric = BridgeFabricSettings(kind="bridge", bridges=bridges, limit_s=10.0)
    settings = tunnelled.settings().model_copy(update={"fabric": fabric})
    driver = LibvirtDriver(settings, RULES, datetime.now(UTC), SystemClock())
    tunnelled.drivers.append(driver)
    driver.migrate([tunnelled.request()])
    found = until(driver, OUTCOMES)
    ended = next(event for event in found if isinstance(event, events.ForwardingEnded))
    assert (ended.unconfirmed, ended.forwarded_packets, ended.lost_packets) == (None, None, None)
    tunnelled.migrated()  # and back, with all endpoints told
    tunnelled.migrated()
