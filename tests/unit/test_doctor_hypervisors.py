"""Hosts that the doctor asks: addresses that are none, hosts that hang, and connections that are given back."""

import socket
import threading

import pytest

from slacktide.executors.connections_file import HostAddress
from slacktide.executors.doctor import hypervisors
from slacktide.executors.doctor.check import Check
from slacktide.ids import HostId

libvirt = pytest.importorskip("libvirt", reason="HOSTS ARE NOT ASKED: libvirt's binding is not installed")


def asked(**addresses: str) -> dict[str, Check]:
    checks = hypervisors.hypervisor_checks({HostId(host): HostAddress(uri) for host, uri in addresses.items()})
    return {check.subject: check for check in checks if check.area == "hosts"}


def test_an_address_that_is_none_keeps_no_other_host_from_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisors, "AT_ONCE", 1)
    found = asked(h1="qemu+tls://127.0.0.1:x/system", h2="test:///default")
    assert found["h1"].verdict == "error"
    assert found["h1"].fact.startswith("cannot be asked: ValueError: Port could not be cast")
    assert "leads to a host that is called" in found["h2"].fact


def test_hosts_whose_turn_never_comes_are_not_said_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisors, "AT_ONCE", 2)
    monkeypatch.setattr(hypervisors, "ANSWER_S", 2.0)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = f"qemu+tcp://127.0.0.1:{mute.getsockname()[1]}/system"
        found = asked(h1=silent, h2=silent, h3="test:///default")
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert [found[host].verdict for host in ("h1", "h2", "h3")] == ["error", "error", "unknown"]
    assert "has not answered within 2 s" in found["h2"].fact
    assert found["h3"].fact.startswith("was not asked: 2 others")


def test_a_host_that_does_not_tell_about_itself_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def silent(uri: str) -> "libvirt.virConnect":
        def fails() -> str:
            raise libvirt.libvirtError("no hostname")

        connection = libvirt.open(uri)
        connection.getHostname = fails
        opened.append(connection)
        return connection

    monkeypatch.setattr(hypervisors, "connected", silent)
    assert asked(h1="test:///default")["h1"].fact.startswith("does not tell about itself")
    with pytest.raises(libvirt.libvirtError, match="invalid connection pointer"):
        opened[0].getURI()
