"""How fast guests dirty their memory, measured by their hypervisor while they run.

The hypervisor compares a sample of a guest's pages, 512 of each GiB, before and after a window.  Two windows of
different length tell the pages that are written again and again, which make up most of the short one, from those that
are new in the long one:

    pages(T) = hot + rate x T,  for windows in which no page of the hot set is left out.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slacktide.errors import ExecutionError

if TYPE_CHECKING:
    import libvirt

SHORT_S: Final = 1
"""The shortest window that QEMU takes."""
LOOK_S: Final = 0.1
GRACE_S: Final = 10.0
"""How long after its end a window may stay unfinished, on a busy host."""
MEASURED: Final = 2
"""``VIR_DOMAIN_DIRTYRATE_MEASURED``."""


class DirtyRate(NamedTuple):
    """What a guest does to its memory."""

    hot_mib: float
    """Written again and again."""
    mib_s: float
    """Rate at which other pages are written."""


def split(short_mib: float, short_s: float, long_mib: float, long_s: float, memory_mib: float) -> DirtyRate:
    """Return hot set and rate from the distinct memory dirtied in two windows."""
    rate = max(0.0, (long_mib - short_mib) / (long_s - short_s))
    hot = max(0.0, short_mib - rate * short_s)
    return DirtyRate(min(hot, memory_mib), rate)


def measured(
    connections: Sequence["libvirt.virConnect"], long_s: int, told: Callable[[float], None]
) -> list[dict[str, DirtyRate]]:
    """Return for each host the dirty rates of its running guests by UUID, measured on all at once.

    It takes two windows, of one second and of ``long_s``.  A guest that is gone or moves meanwhile is left out.

    Raises
    ------
    ExecutionError
        If a host does not answer any more.
    """
    short = _window(connections, SHORT_S, lambda share: told(share * SHORT_S / (SHORT_S + long_s)))
    longer = _window(connections, long_s, lambda share: told((SHORT_S + share * long_s) / (SHORT_S + long_s)))
    return [
        {
            uuid: split(before[uuid].mib, SHORT_S, after.mib, long_s, after.memory_mib)
            for uuid, after in late.items()
            if uuid in before
        }
        for before, late in zip(short, longer, strict=True)
    ]


class _Dirtied(NamedTuple):
    mib: float
    memory_mib: float


def _window(
    connections: Sequence["libvirt.virConnect"], seconds: int, told: Callable[[float], None]
) -> list[dict[str, _Dirtied]]:
    """Return for each host how much distinct memory its guests dirty in a window, by UUID."""
    import libvirt

    waiting: list[set[str]] = []
    for connection in connections:
        begun = set()
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING):
            try:
                domain.startDirtyRateCalc(seconds, libvirt.VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING)
            except libvirt.libvirtError:
                continue  # it has stopped, or migrates
            begun.add(domain.UUIDString())
        waiting.append(begun)
    began_s = time.monotonic()
    found: list[dict[str, _Dirtied]] = [{} for _ in connections]
    while any(waiting) and (passed_s := time.monotonic() - began_s) < seconds + GRACE_S:
        told(min(1.0, passed_s / seconds))
        time.sleep(LOOK_S if passed_s >= seconds else min(1.0, seconds - passed_s))
        for connection, left, known in zip(connections, waiting, found, strict=True):
            for uuid, stats in _stats(connection).items():
                if uuid in left and stats.get("dirtyrate.calc_status") == MEASURED:
                    left.discard(uuid)
                    known[uuid] = _dirtied(stats, seconds)
    return found


def _stats(connection: "libvirt.virConnect") -> Mapping[str, dict[str, Any]]:
    import libvirt

    wanted = libvirt.VIR_DOMAIN_STATS_DIRTYRATE | libvirt.VIR_DOMAIN_STATS_BALLOON
    try:
        return {domain.UUIDString(): stats for domain, stats in connection.getAllDomainStats(wanted)}
    except libvirt.libvirtError as error:
        fact = f"does not answer any more: {error.get_error_message()}"
        raise ExecutionError(connection.getURI(), fact, "Look at its libvirtd, and try again") from error


def _dirtied(stats: Mapping[str, Any], seconds: int) -> _Dirtied:
    return _Dirtied(float(stats["dirtyrate.megabytes_per_second"]) * seconds, float(stats["balloon.maximum"]) / 1024)
