"""Programmed VXLAN in real namespaces: the lab's own links, with a network namespace in each guest's place."""

import os
import re
import socket
import time
from collections.abc import Iterator

import pytest
from lab_tests import ON_A_LAB
from vxlan_links import PATIENCE_S, PORT, VM, Links, links_of_a_lab, move, switched, tap_in, until_confirmed

from slacktide.errors import DriverError
from slacktide.executors.fabrics import reminders
from slacktide.executors.fabrics.protocol import Move, Passed
from slacktide.executors.fabrics.vxlan import VxlanFabric
from slacktide.executors.probes.namespaces import socket_in
from slacktide.ids import HostId
from slacktide.lab import overlay
from slacktide.lab.commands import run

pytestmark = ON_A_LAB


@pytest.fixture
def links() -> Iterator[Links]:
    with links_of_a_lab() as made:
        yield made


def until_arrived(fabric: VxlanFabric) -> None:
    """Wait until no announcement is on its way any more."""
    until_s = time.monotonic() + PATIENCE_S
    while fabric._on_their_way:
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_packets_are_forwarded_until_every_endpoint_sends_to_the_target(links: Links) -> None:
    fabric = links.fabric(update_delay_ms=300.0)
    assert fabric.locate(move("h1", "h2")) == {"h1": None, "h2": "h1", "h3": "h1", "control": "h1"}
    going = switched(links, fabric, "h1", "h2")
    fabric.announce(going)
    behind = fabric.confirm(going)
    assert behind == {"h3": "sends to h1", "control": "sends to h1"}, (
        "the two hosts know at once, the others do not yet"
    )
    assert links.reached() == 3
    until_confirmed(fabric, going)
    assert links.reached() == 3
    assert fabric.locate(going) == {"h1": "h2", "h2": None, "h3": "h2", "control": "h2"}
    assert fabric.stop_forwarding(going) == Passed(forwarded=3, lost=0)
    before = links.tunnelled()
    assert links.reached() == 3
    assert links.tunnelled() == before, "the way is direct now"


def test_without_forwarding_they_are_lost_and_counted(links: Links) -> None:
    fabric = links.fabric(update_delay_ms=300.0, forward=False)
    going = switched(links, fabric, "h1", "h2")
    fabric.announce(going)
    assert links.reached() == 0
    until_confirmed(fabric, going)
    assert links.reached() == 3
    assert fabric.stop_forwarding(going) == Passed(forwarded=0, lost=3)


def test_the_kernel_ends_forwarding_when_whoever_began_it_is_gone(links: Links) -> None:
    fabric = links.fabric(limit_s=4.0)
    going = switched(links, fabric, "h1", "h2")
    assert links.reached(1) == 1
    endpoint = links.fabric()._endpoint(HostId("h1"))
    until_s = time.monotonic() + PATIENCE_S
    while endpoint.forwarded_cards():
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert links.reached(2) == 0, "nobody has told the others, and nobody forwards"
    assert fabric.stop_forwarding(going) == Passed(forwarded=1, lost=2), "counts outlast what is counted"


def test_another_process_goes_on_with_what_it_finds(links: Links) -> None:
    going = switched(links, links.fabric(update_delay_ms=60_000.0), "h1", "h2")
    assert links.reached() == 3
    other = links.fabric()
    other.forward(going)
    other.announce(going)
    until_confirmed(other, going)
    assert other.stop_forwarding(going) == Passed(forwarded=3, lost=None), "what was unread, the first one knew"
    assert links.reached() == 3


def test_a_migration_that_comes_to_nothing_leaves_the_fabric_as_it_was(links: Links) -> None:
    fabric = links.fabric()
    going = move("h1", "h2")
    before = fabric.locate(going)
    fabric.prepare(going)
    fabric.forward(going)
    assert links.reached() == 0, "no guest is on the target"
    fabric.withdraw(going)
    assert fabric.locate(going) == before
    assert links.reached() == 3
    assert fabric._endpoint(HostId("h1")).forwarded_cards() == ()


def test_back_and_forth_in_haste_never_goes_in_circles(links: Links) -> None:
    """Both hosts are made to forward to each other, as two crashes would leave them: the worst that can be."""
    slow = links.fabric(update_delay_ms=60_000.0)
    switched(links, slow, "h1", "h2")
    switched(links, slow, "h2", "h1")
    assert links.reached() == 3, "the last move counts: its target has ceased to forward"
    first, second = (slow._endpoint(HostId(name)) for name in ("h1", "h2"))
    first.depart([VM.card], 60.0, forward=True)
    first.point(VM.card, str(slow._settings.endpoints[HostId("h2")].address))
    assert first.forwarded_cards() == second.forwarded_cards() == (VM.card,)
    before = links.tunnelled()
    links.reached(20)
    assert links.tunnelled() - before == 20, "each was sent on once, and never again"
    time.sleep(0.5)
    assert links.tunnelled() - before == 20


def test_an_update_that_comes_late_does_not_undo_a_newer_one(links: Links) -> None:
    slow, quick = links.fabric(update_delay_ms=700.0), links.fabric()
    slow.announce(switched(links, slow, "h1", "h2"))
    going = switched(links, quick, "h2", "h3")
    quick.announce(going)
    until_confirmed(quick, going)
    until_arrived(slow)
    assert quick.confirm(going) == {}
    assert links.reached() == 3


def test_what_the_guest_had_not_read_when_it_was_paused_is_counted_as_lost(links: Links) -> None:
    """The queue of a real guest's port is a tap's, which no namespace has: here its card is a tap that nobody reads."""
    links.end_guest()
    fabric, going, h1 = links.fabric(), move("h1", "h2"), links.lab.hosts[0].namespace
    unread = tap_in(h1, "vnet0")
    try:
        run(["ip", "-n", h1, "link", "set", "vnet0", "address", f"fe{VM.card[2:]}", "master", "br0", "up"])
        fabric._endpoint(HostId("h1")).take(VM.card)
        fabric.prepare(going)
        shout = socket_in(links.lab.control, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with shout:
            shout.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for number in range(20):
                shout.sendto(str(number).encode(), ("10.9.255.255", PORT))
        for number in range(5):
            links.wire.sendto(str(number).encode(), (VM.address, PORT))
        time.sleep(0.1)
        fabric.forward(going)
    finally:
        os.close(unread)
    assert fabric.stop_forwarding(going) == Passed(forwarded=0, lost=5), (
        "broadcasts alone are no loss: the target has them"
    )


def silenced(fabric: VxlanFabric, host: str) -> socket.socket:
    """Have an endpoint wait for a socket that never answers; return the end that lets it go on."""
    near, far = socket.socketpair()

    def waits() -> None:
        with near:
            near.recv(1)

    with pytest.raises(DriverError, match=f"fabric endpoint {host}: has not answered for 2 s"):
        fabric._endpoint(HostId(host))._asked(waits)
    return far


def test_an_endpoint_that_does_not_answer_is_named_and_keeps_nobody_else_waiting(links: Links) -> None:
    fabric = links.fabric(answer_within_s=2.0)
    with silenced(fabric, "h3"):
        going = switched(links, fabric, "h1", "h2")
        fabric.announce(going)
        assert fabric.confirm(going) == {"h3": "has not answered for 2 s"}
        assert fabric.stop_forwarding(going) == Passed(forwarded=0, lost=0)
        assert links.reached() == 3
    until_told(fabric, going)


def until_told(fabric: VxlanFabric, going: Move) -> None:
    """Tell an endpoint that answers again until it has confirmed."""
    until_s = time.monotonic() + PATIENCE_S
    while fabric.confirm(going):
        assert time.monotonic() < until_s
        fabric.announce(going)
        time.sleep(0.01)


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_what_could_not_be_taken_back_at_once_is_taken_back_later(links: Links, host: str) -> None:
    fabric = links.fabric(answer_within_s=2.0)
    going = move("h1", "h2")
    before = fabric.locate(going)
    fabric.prepare(going)
    fabric.forward(going)
    with silenced(fabric, host), pytest.raises(DriverError, match=f"fabric endpoint {host}: has not answered"):
        fabric.withdraw(going)
    until_s = time.monotonic() + PATIENCE_S
    while fabric.confirm(move("h3", "h1")) or links.reached() < 3:
        assert time.monotonic() < until_s
        time.sleep(0.01)
    assert fabric.locate(going) == before
    assert fabric._endpoint(HostId("h1")).forwarded_cards() == ()


def test_a_host_that_is_no_endpoint_is_refused_by_name(links: Links) -> None:
    with pytest.raises(DriverError, match="host h9: is no endpoint of the fabric"):
        links.fabric().forward(move("h9", "h2"))
    run(["ip", "-n", links.lab.hosts[2].namespace, "link", "del", "forward0"])
    with pytest.raises(DriverError, match="fabric endpoint h3: has no device forward0"):
        links.fabric().forward(move("h3", "h2"))


def test_devices_that_are_made_anew_are_forwarded_through(links: Links) -> None:
    fabric = links.fabric(update_delay_ms=60_000.0)
    fabric._endpoint(HostId("h1"))
    h1 = links.lab.hosts[0]
    run(["ip", "-n", h1.namespace, "link", "del", "forward0"])
    lines = [line for line in overlay.endpoint_commands(1) if "forward0" in line]
    run(["ip", "-n", h1.namespace, "-batch", "-"], "".join(f"{line}\n" for line in lines))
    flags = ["learning", "off", "flood", "off", "isolated", "on", "mcast_flood", "off", "bcast_flood", "off"]
    run(["bridge", "-n", h1.namespace, "link", "set", "dev", "forward0", *flags])
    fabric.announce(switched(links, fabric, "h1", "h2"))
    assert links.reached() == 3


def flush(links: Links, words: str) -> None:
    """Have the packet filters of the first two hosts lose what others take away, as when their service starts anew."""
    for host in links.lab.hosts[:2]:
        run(["ip", "netns", "exec", host.namespace, "nft", *words.split()])


def test_rules_that_others_have_flushed_are_written_again(links: Links) -> None:
    fabric = links.fabric(update_delay_ms=60_000.0)
    going = move("h1", "h2")
    fabric.prepare(going)
    flush(links, "flush table netdev slacktide")
    fabric.prepare(going)
    fabric.forward(going)
    links.run_at("h2")
    fabric.forward(going)
    assert links.reached() == 3, "rules alone are missed at the next look"
    assert fabric.stop_forwarding(going) == Passed(forwarded=3, lost=None), "what counted for its port is gone too"
    flush(links, "flush ruleset")
    assert fabric.stop_forwarding(going) is None, "nothing is counted, and nothing to be stopped"
    fabric.withdraw(going)
    flush(links, "flush ruleset")
    fabric.forward(going)
    assert links.reached() == 3, "what fails is tried once more, with all rules"


def test_a_source_that_cannot_forward_sends_to_the_target_all_the_same(links: Links) -> None:
    fabric, h1 = links.fabric(), links.lab.hosts[0].namespace
    fabric.prepare(move("h1", "h2"))
    run(["ip", "-n", h1, "link", "set", "forward0", "nomaster"])
    with pytest.raises(DriverError, match="fabric endpoint h1: forward0 is no port of br0"):
        fabric.prepare(move("h1", "h2"))
    with pytest.raises(DriverError, match="fabric endpoint h1: forward0 is no port of br0"):
        fabric.forward(move("h1", "h2"))
    links.run_at("h2")
    assert set(fabric.confirm(move("h1", "h2"))) == {"h3", "control"}, "the two hosts have been told"


UNFIT = {
    "bridge -n {} link set dev forward0 isolated off": "forward0 is a port that is not isolated, or that learns",
    "bridge -n {} link set dev vxlan0 hairpin on": "vxlan0 is a port in hairpin mode",
    "ip -n {} link set forward0 down": "forward0 is down",
}


@pytest.mark.parametrize("command", UNFIT)
def test_ports_between_which_packets_could_go_in_circles_or_nowhere_are_refused(links: Links, command: str) -> None:
    fabric, going = links.fabric(), move("h1", "h2")
    fabric.prepare(going)
    target = links.lab.hosts[1].namespace
    run(command.format(target).split())
    with pytest.raises(DriverError, match=f"fabric endpoint h2: {UNFIT[command]}") as refused:
        fabric.prepare(going)
    assert not refused.value.retryable
    with pytest.raises(DriverError, match=UNFIT[command]):
        fabric.forward(going)
    assert fabric._endpoint(HostId("h1")).forwarded_cards() == ()
    assert links.reached() == 0
    assert fabric.stop_forwarding(going) == Passed(forwarded=0, lost=3), "what would not arrive is not forwarded"


def test_hosts_of_which_each_forwards_by_what_the_other_takes_for_its_guests_are_refused(links: Links) -> None:
    h2 = links.lab.hosts[1].namespace
    for device, number in (("vxlan0", overlay.FORWARD_ID), ("forward0", overlay.NETWORK_ID)):
        run(["ip", "-n", h2, "link", "del", device])
        lines = [line for line in overlay.endpoint_commands(2) if device in line]
        text = "".join(f"{line}\n" for line in lines)
        made = re.sub(r" id \d+ ", f" id {number + 100} ", text)
        run(["ip", "-n", h2, "-batch", "-"], made)
        run(["bridge", "-n", h2, "link", "set", "dev", device, "learning", "off", "isolated", "on"])
    fabric = links.fabric()
    words = (
        "endpoints h1 and h2: have different network identifiers: vxlan0 9 and forward0 10, vxlan0 110 and forward0 109"
    )
    with pytest.raises(DriverError, match=words) as refused:
        fabric.prepare(move("h1", "h2"))
    assert not refused.value.retryable
    with pytest.raises(DriverError, match=words):
        fabric.forward(move("h1", "h2"))
    assert fabric._endpoint(HostId("h1")).forwarded_cards() == ()


def test_who_was_away_until_the_limit_is_told_again_once_it_is_back(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "AGAIN_S", 0.2)
    fabric = links.fabric()
    vxlan0 = ["ip", "-n", links.lab.control, "link", "set"]
    run([*vxlan0, "vxlan0", "down", "name", "away0"])
    going = switched(links, fabric, "h1", "h2")
    fabric.announce(going)
    assert fabric.confirm(going) == {"control": "has no device vxlan0"}
    fabric.stop_forwarding(going)
    assert len(fabric._reminders) == 1
    run([*vxlan0, "away0", "name", "vxlan0", "up"])
    until_s = time.monotonic() + PATIENCE_S
    while len(fabric._reminders):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    assert fabric.confirm(going) == {}
    assert links.reached() == 3


def test_nobody_is_told_again_where_a_guest_no_longer_is(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "AGAIN_S", 0.05)
    late, other = links.fabric(update_delay_ms=1.0), links.fabric()
    going = switched(links, late, "h1", "h2")
    assert set(late.confirm(going)) == {"h3", "control"}
    back = switched(links, other, "h2", "h1")  # by another process: this one hears nothing of it
    late.stop_forwarding(going)
    other.announce(back)
    other.stop_forwarding(back)
    time.sleep(0.5)
    assert len(late._reminders) == 1
    assert other.confirm(back) == {}
    assert links.reached() == 3


def test_there_and_back_while_the_first_way_is_still_being_told(links: Links) -> None:
    fabric = links.fabric(update_delay_ms=1500.0)
    there = switched(links, fabric, "h1", "h2")
    fabric.announce(there)
    fabric.stop_forwarding(there)  # as where the limit is reached
    back = switched(links, fabric, "h2", "h1")
    fabric.announce(back)
    assert fabric.confirm(back) == {}, "who was not told of the first way has nothing to unlearn"
    fabric.stop_forwarding(back)
    until_arrived(fabric)
    assert fabric.confirm(back) == {}, "what came late of the first way was not for now"
    assert links.reached() == 3
