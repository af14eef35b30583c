"""Hosts over libvirt: whether each answers, who it is, which versions it runs, and which certificates are shown."""

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from slacktide.errors import SlacktideError
from slacktide.executors.certificates import CONNECT_S, PORT, TLS, pki_of, server_certificate, server_reasons
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.doctor.check import Check
from slacktide.executors.doctor.files import Pair, expiry_check, pair_checks
from slacktide.executors.doctor.on_host import in_a_line
from slacktide.executors.drivers.libvirt.peers import peer_of
from slacktide.executors.inventory.hosts import AT_ONCE, connected
from slacktide.ids import HostId

LEAST_QEMU: Final = (8, 0)
"""QEMU 7.2 corrupts the memory of a guest that writes while it migrates without KVM."""
ANSWER_S: Final = 30.0
"""How long a host may take to answer: seconds on a busy one; one that hangs never does."""


class Asked(NamedTuple):
    """What came of asking a host."""

    checks: list[Check]
    software: tuple[int, int] | None
    """Versions of its hypervisor and of its libvirt, as numbers; null: not known."""


def hypervisor_checks(addresses: Mapping[HostId, HostAddress]) -> list[Check]:
    """Return what is known of all hosts; one that hangs keeps none of the others from being asked."""
    found = _each(addresses)
    checks = [check for host in addresses for check in found[host].checks]
    return [*_client_checks(addresses), *checks, *_unequal({host: found[host].software for host in addresses})]


def machine_of(uri: str) -> str | None:
    """Return the machine that an address leads to; None: this one."""
    return urlsplit(uri).hostname


def _each(addresses: Mapping[HostId, HostAddress]) -> dict[HostId, Asked]:
    """Ask all hosts, some at once, in threads that may be left behind."""
    waiting: Queue[HostId] = Queue()
    answers: Queue[tuple[HostId, Asked]] = Queue()
    for host in addresses:
        waiting.put(host)

    def ask() -> None:
        while True:
            try:
                host = waiting.get_nowait()
            except Empty:
                return
            try:
                asked = _asked(host, addresses[host])
            except Exception as error:  # a thread that ended would take others' turns along
                remedy = "Correct its address in the file of connections, or report this"
                asked = Asked([Check("hosts", host, "error", f"cannot be asked: {in_a_line(error)}", remedy)], None)
            answers.put((host, asked))

    for _ in range(min(AT_ONCE, len(addresses))):
        threading.Thread(target=ask, name="asking hosts", daemon=True).start()
    found: dict[HostId, Asked] = {}
    while len(found) < len(addresses):
        try:
            host, asked = answers.get(timeout=ANSWER_S)
        except Empty:
            break
        found[host] = asked
    unasked = _left_in(waiting)
    return {host: found.get(host) or _unheard(host, was_asked=host not in unasked) for host in addresses}


def _left_in(waiting: Queue[HostId]) -> set[HostId]:
    """Return the hosts whose turn has not come, and have it come no more."""
    left: set[HostId] = set()
    while True:
        try:
            left.add(waiting.get_nowait())
        except Empty:
            return left


def _unheard(host: HostId, *, was_asked: bool) -> Asked:
    if not was_asked:
        fact = f"was not asked: {AT_ONCE} others are asked at once, and do not answer"
        return Asked([Check("hosts", host, "unknown", fact, "Look at those first, and run this again")], None)
    fact = f"has not answered within {ANSWER_S:.0f} s, and neither refuses"
    remedy = "Look at its libvirtd: it may hang; restart it if so, guests go on"
    return Asked([Check("hosts", host, "error", fact, remedy)], None)


def _asked(host: HostId, address: HostAddress) -> Asked:
    parts = urlsplit(address.uri)
    if parts.scheme == TLS and parts.hostname is not None:
        try:
            socket.create_connection((parts.hostname, parts.port or PORT), CONNECT_S).close()
        except OSError as error:
            fact = f"does not answer at {parts.hostname}:{parts.port or PORT}: {error.strerror or error}"
            remedy = "Start its libvirtd with TLS, or correct the address or the firewall"
            return Asked([Check("hosts", host, "error", fact, remedy)], None)
    certificates = list(_certificate_checks(host, address))
    try:
        connection = connected(address.uri)
    except SlacktideError as error:
        return Asked([Check("hosts", host, "error", error.fact, error.remedy), *certificates], None)
    import libvirt

    try:
        name, hypervisor, own = connection.getHostname(), connection.getVersion(), connection.getLibVersion()
    except libvirt.libvirtError as error:
        fact = f"does not tell about itself: {error.get_error_message()}"
        return Asked([Check("hosts", host, "error", fact, "Look at its libvirtd's log"), *certificates], None)
    finally:
        with suppress(libvirt.libvirtError):
            connection.close()
    return Asked([_host_check(host, address, name, hypervisor, own), *certificates], (hypervisor, own))


def _host_check(host: HostId, address: HostAddress, name: str, hypervisor: int, own: int) -> Check:
    fact = f"answers: QEMU {_words(hypervisor)}, libvirt {_words(own)}"
    if name != host:
        fact = f"its address {address.uri} leads to a host that is called {name}"
        return Check("hosts", host, "error", fact, "Correct the file of connections, or import the hosts again")
    if (hypervisor // 1_000_000, hypervisor // 1000 % 1000) < LEAST_QEMU:
        remedy = f"Bring it to QEMU {LEAST_QEMU[0]} or later before guests migrate"
        return Check("hosts", host, "error", f"{fact}; older ones corrupt memory of guests that migrate", remedy)
    return Check("hosts", host, "ok", fact)


def _certificate_checks(host: HostId, address: HostAddress) -> Iterator[Check]:
    """Yield what is wrong with the certificate that a host's libvirtd shows, where others reach it or where we do."""
    now = datetime.now(UTC)
    for uri in dict.fromkeys((peer_of(host, address, allow_unencrypted=True).uri, address.uri)):
        found = server_certificate(uri, address.uri)
        if found is None:
            continue
        wrong = list(server_reasons(uri, address.uri, now))
        for fact, remedy in wrong:
            yield Check("certificates", f"{host}: libvirtd's", "error", fact, remedy)
        if (soon := expiry_check("certificates", f"{host}: libvirtd's", found[1])) is not None:
            yield soon
        elif not wrong:
            fact = f"shown at {found[0]}, until {found[1].not_valid_after_utc:%Y-%m-%d}"
            yield Check("certificates", f"{host}: libvirtd's", "ok", fact)
        return


def _client_checks(addresses: Mapping[HostId, HostAddress]) -> Iterator[Check]:
    """Yield what is wrong with the certificates with which this machine opens hosts, each once."""
    for pki in dict.fromkeys(pki_of(each.uri) for each in addresses.values() if urlsplit(each.uri).scheme == TLS):
        pair = Pair("this machine's, for libvirt", pki.certificate, pki.key, pki.authority)
        yield from pair_checks("certificates", pair)


def _unequal(software: Mapping[HostId, tuple[int, int] | None]) -> Iterator[Check]:
    """Yield a warning where hosts run several versions: guests go to newer ones, and not always back."""
    hosts: dict[tuple[int, int], list[HostId]] = defaultdict(list)
    for host, versions in software.items():
        if versions is not None:
            hosts[versions].append(host)
    if len(hosts) < 2:
        return
    newest = max(hosts)
    for versions, some in sorted(hosts.items()):
        if versions != newest:
            fact = f"older than others' QEMU {_words(newest[0])}, libvirt {_words(newest[1])}"
            remedy = "Guests that were started on newer ones may not come here: see `slacktide preflight`"
            yield from (Check("hosts", host, "warning", fact, remedy) for host in some)


def _words(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def names_of(address: HostAddress, host: HostId) -> Sequence[str]:
    """Return the names and addresses by which others reach a host."""
    uris = (address.uri, peer_of(host, address, allow_unencrypted=True).uri)
    return tuple(dict.fromkeys(name for uri in uris if (name := machine_of(uri)) is not None))
