"""What the fabric is told of one attempt: hypervisors' words are given, links and tables are real."""

from collections.abc import Iterator

import pytest
from lab_tests import ON_A_LAB
from vxlan_links import VM, Links, links_of_a_lab, move

from slacktide.executors.drivers.libvirt import switchover
from slacktide.executors.drivers.libvirt.hypervisors import Heard
from slacktide.executors.drivers.libvirt.stages import BY_MIGRATION, RESUMED, SUSPENDED
from slacktide.executors.drivers.libvirt.switchover import Switchover
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event, ForwardingEnded
from slacktide.executors.fabrics.vxlan import VxlanFabric
from slacktide.ids import HostId
from slacktide.lab.commands import run

pytestmark = ON_A_LAB
WAY = MigrationRequest("m1", 1, VM.name, "h1", "h2", "precopy", 160, 400, 4.0, 200.0, 80.0, 0.0)


@pytest.fixture
def links() -> Iterator[Links]:
    with links_of_a_lab() as made:
        yield made


def begun(fabric: VxlanFabric, reported: list[Event]) -> Switchover:
    made = Switchover(WAY, fabric, lambda: (VM.card,), lambda: 0.0, reported.append)
    made.begin((VM.card,))
    return made


def lifecycle(host: str, what: int, detail: int) -> Heard:
    return Heard(HostId(host), VM.name, "lifecycle", what, detail, {}, 0.0)


def forward_device(links: Links, *words: str) -> None:
    """Do something with the device of the first host that what is forwarded goes through."""
    run(["ip", "-n", links.lab.hosts[0].namespace, "link", "set", "forward0", *words])


def test_a_source_that_could_not_forward_has_all_taken_back_when_it_goes_on(links: Links) -> None:
    fabric = links.fabric()
    before = fabric.locate(move("h1", "h2"))
    forward_device(links, "down")
    attempt = begun(fabric, [])
    attempt.hear(lifecycle("h1", SUSPENDED, BY_MIGRATION))
    attempt.hear(lifecycle("h1", RESUMED, 0))
    assert attempt.stay() is None
    assert fabric.locate(move("h1", "h2")) == before
    assert links.reached() == 3


def test_forwarding_that_failed_is_tried_again_until_all_have_confirmed(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchover, "TELL_AGAIN_S", 0.1)
    fabric, reported = links.fabric(update_delay_ms=60_000.0, limit_s=4.0), []
    forward_device(links, "down")
    attempt = begun(fabric, reported)
    attempt.hear(lifecycle("h1", SUSPENDED, BY_MIGRATION))
    links.run_at("h2")
    attempt.hear(lifecycle("h2", RESUMED, BY_MIGRATION))
    assert links.reached() == 0
    forward_device(links, "up")
    while not fabric._endpoint(HostId("h1")).forwarded_cards():
        assert attempt._thread.is_alive()
    assert links.reached() == 3
    attempt.see_through()
    (ended,) = reported
    assert isinstance(ended, ForwardingEnded)
    assert ended.forwarded_packets == 3
    assert "control sends to h1" in ended.unconfirmed
    assert "forward0 is down" not in ended.unconfirmed, "that has passed"
