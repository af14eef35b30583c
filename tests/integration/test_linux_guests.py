"""Guests of Linux on the real thing: they say and do what those without an operating system do."""

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from lab_tests import ON_LINUX_GUESTS

from slacktide.executors.probes.namespaces import socket_in
from slacktide.lab.guests import Guest, connect, guests_on
from slacktide.lab.layout import Lab, LabHost, LabSettings
from slacktide.lab.lifecycle import down, listen, status, up
from slacktide.lab.questions import PORT, ask, verify
from slacktide.lab.streams import PORT as ECHO_PORT
from slacktide.lab.streams import TcpStream, UdpStream

pytestmark = ON_LINUX_GUESTS
BUSY, BARE, QUIET = Guest(1, 160, 64, dirty_mib_s=10.0, kind="linux"), Guest(2), Guest(3, 114, 32, kind="linux")
END_S = 10.0
MESSAGES = 2000
"""Of a stream in two seconds."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Have a lab of two hosts, with guests of Linux on the first."""
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 1000), [BUSY, BARE, QUIET], lambda *_: None)
    finally:
        down(name)


def ended(host: LabHost, guest: Guest) -> bool:
    """Return whether a guest ends within some seconds."""
    until_s = time.monotonic() + END_S
    while guest.name in guests_on(host):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


def test_both_kinds_run_side_by_side_and_say_the_same(lab: Lab) -> None:
    assert status(lab.name).beating == ("vm1", "vm2", "vm3")
    said = ask(lab, QUIET, "status")
    assert said.keys() == ask(lab, BARE, "status").keys()
    assert (said["name"], said["pages"], said["dirtied"]) == ("vm3", "8192", "0")
    assert ask(lab, QUIET, "rate 256")["dirty_pages_s"] == "256"
    time.sleep(0.2)
    assert int(ask(lab, QUIET, "rate 0")["dirtied"]) > 0
    assert verify(lab, [QUIET]) == {"vm3": 0}


def test_a_quiet_one_answers_streams_without_a_loss_and_beats_on(lab: Lab) -> None:
    with (
        listen(lab) as heartbeats,
        UdpStream(lab.control, QUIET.address) as datagrams,
        TcpStream(lab.control, QUIET.address) as connection,
    ):
        until_s = time.monotonic() + END_S
        while min(datagrams.sent, connection.sent) < MESSAGES:
            assert time.monotonic() < until_s, "the streams do not get on"
            time.sleep(0.05)
        assert heartbeats.wait_for(["vm3"], 20, 10.0) == []
        for found in (datagrams.stop(END_S), connection.stop(END_S)):
            assert (found.lost, found.duplicated, found.reordered, found.broken) == (0, 0, 0, None)
            assert found.gap is not None


def echoed(calling: socket.socket) -> bytes:
    """Say a word over a connection, and return what comes back; nothing: it is closed."""
    with suppress(OSError):
        calling.sendall(b"word")
        return calling.recv(4)
    return b""


def test_one_has_room_for_eight_callers_and_again_when_they_have_gone(lab: Lab) -> None:
    def call() -> socket.socket:
        calling = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        calling.settimeout(END_S)
        calling.connect((QUIET.address, ECHO_PORT))
        return calling

    callers = []
    with ExitStack() as hanging_up:
        for _ in range(10):
            callers.append(hanging_up.enter_context(socket_in(lab.control, call)))
            assert echoed(callers[-1]) == (b"word" if len(callers) <= 8 else b"")
        assert [echoed(calling) for calling in callers[:8]] == [b"word"] * 8
    until_s = time.monotonic() + END_S
    while True:
        with socket_in(lab.control, call) as calling:
            if echoed(calling) == b"word":
                return
        assert time.monotonic() < until_s, "those who have gone are still counted"


def test_a_busy_one_migrates_with_no_bad_page_and_heeds_the_button_where_it_has_come_to(lab: Lab) -> None:
    import libvirt

    source, target = map(connect, lab.hosts)
    with (
        listen(lab) as heartbeats,
        UdpStream(lab.control, BUSY.address) as datagrams,
        TcpStream(lab.control, BUSY.address) as connection,
    ):
        began_s = time.time()
        flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_TLS
        source.lookupByName("vm1").migrateToURI3("qemu+tls://h2/system", {}, flags)
        assert heartbeats.wait_for(["vm1"], 20, 10.0) == []
        gap = heartbeats.longest_gap("vm1", began_s, time.time())
        assert gap is not None
        assert gap.usual_ms == pytest.approx(5.0, abs=2.0)
        job = source.lookupByName("vm1").jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        assert gap.gap_ms >= job["downtime"] / 2, "the guest was heard while it was paused"
        last = heartbeats.last("vm1")
        found = datagrams.stop()
        assert found.gap is not None
        assert found.gap.gap_ms >= job["downtime"] - BUSY.beat_ms, "the guest answered while it was paused"
        assert found.lost > 0, "what came to the source for a paused guest stays there"
        found = connection.stop(END_S)
        assert (found.lost, found.broken) == (0, None), "what was on its way is sent again"
    assert last is not None
    assert last.dirtied > 0
    assert verify(lab, [BUSY]) == {"vm1": 0}
    target.lookupByName("vm1").shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    assert ended(lab.hosts[1], BUSY)
    source.close()
    target.close()


def test_one_switches_itself_off_when_it_is_told(lab: Lab) -> None:
    with socket_in(lab.control, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as telling:
        telling.sendto(b"poweroff", (QUIET.address, PORT))
    assert ended(lab.hosts[0], QUIET)
