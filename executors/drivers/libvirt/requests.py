"""What libvirt is asked for one attempt: flags and parameters, from the request and what the guest is."""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slacktide.executors.drivers.libvirt.convergence import Ladder
from slacktide.executors.drivers.libvirt.pace import Pace
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.planner.precopy import THROTTLE_STEPS

if TYPE_CHECKING:
    from slacktide.executors.preflight.facts import GuestFacts

STREAM_MBIT_S: Final = 8_000
"""Bandwidth that one stream is trusted to carry encrypted; above it, memory is sent by several.

An assumption: a stream is encrypted by one thread on each side.  Post-copy fetches through one stream, so it keeps to
one."""
MOST_STREAMS: Final = 16


class Asked(NamedTuple):
    """Arguments of one call of ``virDomainMigrateToURI3``."""

    flags: int
    parameters: dict[str, Any]


def asked(request: MigrationRequest, guest: "GuestFacts", ladder: Ladder, pace: Pace, *, encrypted: bool) -> Asked:
    """Return what libvirt is asked: peer to peer, live, encrypted unless the policy allows otherwise by name.

    The guest is persistent on its target if it was on its source, and gone from its source afterwards.  Disks that
    only the source has are copied along.
    """
    import libvirt

    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER
    limit = pace.first_limit_mib_s
    parameters: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: limit}
    if encrypted:
        flags |= libvirt.VIR_MIGRATE_TLS
    if guest.persistent:
        flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    if ladder.may_throttle:
        flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        parameters[libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL] = round(100 * THROTTLE_STEPS[1])
        step = THROTTLE_STEPS[2] - THROTTLE_STEPS[1]
        parameters[libvirt.VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT] = round(100 * step)
    if ladder.may_switch:
        flags |= libvirt.VIR_MIGRATE_POSTCOPY
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY] = limit
    elif (streams := streams_for(request.bandwidth_mbit_s)) > 1:
        flags |= libvirt.VIR_MIGRATE_PARALLEL
        parameters[libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS] = streams
    if copied := [disk.target for disk in guest.disks if disk.copied_mib]:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
        parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = copied
    return Asked(flags, parameters)


def streams_for(bandwidth_mbit_s: int) -> int:
    """Return by how many streams memory is sent at a bandwidth."""
    return min(MOST_STREAMS, -(-bandwidth_mbit_s // STREAM_MBIT_S))
