"""A whole plan's migrations, asked of all its hosts at once; read :func:`preflight` as the table of contents."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from slacktide.errors import ExecutionError
from slacktide.executors.certificates import Reason, server_reasons
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.peers import peer_of
from slacktide.executors.inventory.hosts import Told
from slacktide.executors.preflight.asking import live_hosts
from slacktide.executors.preflight.checks import GUEST_RULES, Refusal, refusals
from slacktide.executors.preflight.facts import (
    GuestFacts,
    GuestOnTarget,
    TargetFacts,
    able,
    guest_facts,
    target_facts,
)
from slacktide.executors.preflight.moves import PlannedMove, asked_moves
from slacktide.ids import HostId, VmId

if TYPE_CHECKING:
    import libvirt

Value = TypeVar("Value")


def preflight(
    moves: Sequence[PlannedMove],
    addresses: Mapping[HostId, HostAddress],
    told: Told,
    shared_paths: Collection[PurePosixPath] = (),
    lasts_s: float = 0.0,
) -> list[Refusal]:
    """Return why migrations of a plan could not be carried out on the live hosts, in the plan's order; none: all could.

    Nothing is changed.  A guest is looked at on the host that it is on now, for the targets of all its moves.  What a
    target can hold counts, and not what it holds now: others leave it before.

    Parameters
    ----------
    lasts_s
        How long the plan takes: certificates are to hold until then.

    Raises
    ------
    UsageError
        If libvirt's binding is missing.
    InputError
        If the address of a host is unknown.
    ExecutionError
        If a host does not answer, or is another one than its address says.
    """
    asked = list(asked_moves(moves))
    leaving = _by_host((move.source, move.vm_id) for move, is_first in asked if is_first)
    coming = _by_host((move.target, move) for move, _ in asked)
    every = sorted({host for move in moves for host in (move.source, move.target)})
    with live_hosts(every, addresses, told) as hosts:
        facts = hosts.each("asking hosts", every, lambda _, link: target_facts(link))
        _refuse_other_hosts(addresses, facts)
        found = hosts.each(
            "asking about guests",
            list(leaving),
            lambda host, link: {vm: _guest(link, vm, shared_paths, facts[host]) for vm in leaving[host]},
        )
        guests = {vm: guest for of_host in found.values() for vm, guest in of_host.items()}
        lacks = hosts.each("asking targets", list(coming), lambda host, link: _lacks(link, coming[host], guests))
        until = datetime.now(UTC) + timedelta(seconds=lasts_s)
        shown = hosts.each(
            "looking at certificates", list(coming), lambda host, _: _uncertified(addresses[host], host, until)
        )
    uncertified = [
        Refusal("certificate", coming[host][0].vm_id, coming[host][0].source, host, *reason)
        for host, found in shown.items()
        for reason in found
    ]
    return uncertified + [
        refusal
        for move, is_first in asked
        for refusal in _refused(move, guests[move.vm_id], facts, lacks[move.target].get(move.vm_id), is_first=is_first)
    ]


def _uncertified(address: HostAddress, host: HostId, until: datetime) -> list[Reason]:
    """Return what is wrong with the certificate that a target shows where its sources reach it."""
    peer = peer_of(host, address, allow_unencrypted=True)
    return list(server_reasons(peer.uri, address.uri, until))


def _by_host(pairs: Iterable[tuple[HostId, Value]]) -> dict[HostId, list[Value]]:
    found = defaultdict(list)
    for host, value in pairs:
        found[host].append(value)
    return dict(sorted(found.items()))


def _refuse_other_hosts(addresses: Mapping[HostId, HostAddress], facts: Mapping[HostId, TargetFacts]) -> None:
    """Refuse addresses that lead to other hosts than they should.

    Raises
    ------
    ExecutionError
        If there is one.
    """
    for host, known in facts.items():
        if known.name != host:
            fact = f"its address {addresses[host].uri} leads to a host that is called {known.name}"
            raise ExecutionError(host, fact, "Correct the file of connections, or import the hosts again")


def _guest(
    connection: "libvirt.virConnect", vm: VmId, shared_paths: Collection[PurePosixPath], host: TargetFacts
) -> GuestFacts | None:
    """Return what there is to know of a VM, None: its host does not know it; one that just ends is looked at again.

    Raises
    ------
    ExecutionError
        If its host does not tell, such as while it arrives there.
    """
    import libvirt

    for again in (False, True):
        try:
            return guest_facts(connection.lookupByName(vm), shared_paths, host_uuid=host.uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                break
            if again:
                fact = f"{host.name} does not tell about it: {error.get_error_message()}"
                raise ExecutionError(vm, fact, "Wait until nothing else is done with it, and try again") from error
    return None


def _lacks(
    connection: "libvirt.virConnect", moves: Sequence[PlannedMove], guests: Mapping[VmId, GuestFacts | None]
) -> dict[VmId, GuestOnTarget]:
    """Return what a target lacks for each guest that is to come."""
    known = ((move, guest) for move in moves if (guest := guests[move.vm_id]) is not None)
    return {
        move.vm_id: able(connection, guest if move.copies_disks else replace(guest, disks=())) for move, guest in known
    }


def _refused(
    move: PlannedMove,
    guest: GuestFacts | None,
    facts: Mapping[HostId, TargetFacts],
    lacks: GuestOnTarget | None,
    *,
    is_first: bool,
) -> Iterator[Refusal]:
    """Yield what speaks against a move; what is wrong with the guest alone is said at its first one."""
    if guest is not None:  # by then it is on the source of this move
        guest = replace(guest, host_uuid=facts[move.source].uuid)
    ends = move.vm_id, move.source, move.target
    for refusal in refusals(guest, *ends, facts[move.target], lacks, now=False, live=move.live):
        if is_first or refusal.rule not in GUEST_RULES:
            yield refusal
