"""What sees guests from outside, and says how long one was not there."""

from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.probes.heartbeats import PORT, Heartbeats, listening_socket
from slacktide.executors.probes.namespaces import socket_in
from slacktide.ids import VmId

STALL: Final = 4.0
"""Multiple of the usual time between two beats above which a silence is one: a guest on a busy host is late by two or
three, and adding up what is usual would make a blackout of it."""


class Reading(NamedTuple):
    """A blackout as seen from outside."""

    blackout_ms: float
    resolution_ms: float
    """How exactly it is seen."""


class Probe(Protocol):
    """Watches guests while they migrate."""

    def watch(self, vm: VmId) -> None:
        """Begin to watch a VM."""
        ...

    def wait(self, vm: VmId, patience_s: float) -> None:
        """Return once a VM is seen, or after ``patience_s``."""
        ...

    def read(self, vm: VmId, from_s: float, switched_s: float | None, until_s: float) -> Reading | None:
        """Return how long a VM was not seen between two moments of the wall clock; None: nothing was seen of it.

        ``switched_s``: when a guest moved whose memory followed; what it stands still for afterwards counts as well.
        """
        ...

    def leave(self, vm: VmId) -> None:
        """Watch a VM no more."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...


def reading(times: NDArray[np.float64], switched_s: float | None) -> Reading | None:
    """Return the blackout in the moments, in seconds, at which a guest was heard; None: it was not heard often enough.

    It is the longest silence, without the beat that was due anyway.  Where the memory followed the guest, it is the
    longest one and all further silences after the switch: the guest waits for each page that is not there yet.
    """
    if len(times) < 3:
        return None
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    longest = int(np.argmax(gaps))
    missing = float(gaps[longest]) - usual
    if switched_s is not None:
        stalls = (times[1:] > switched_s) & (gaps > STALL * usual)
        stalls[longest] = False
        missing += float((gaps[stalls] - usual).sum())
    return Reading(max(0.0, missing) * 1e3, usual * 1e3)


class HeartbeatProbe:
    """Listens to guests that send numbered beats (:mod:`slacktide.executors.probes.heartbeats`)."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats
        self._heartbeats.wanted = set()

    def watch(self, vm: VmId) -> None:
        """Begin to listen to a VM; what was heard of it before is dropped."""
        self._heartbeats.forget(vm)
        if self._heartbeats.wanted is not None:
            self._heartbeats.wanted.add(vm)

    def wait(self, vm: VmId, patience_s: float) -> None:
        """Return once a VM has beaten, or after ``patience_s``."""
        self._heartbeats.wait_for([vm], 2, patience_s)

    def read(self, vm: VmId, from_s: float, switched_s: float | None, until_s: float) -> Reading | None:
        """Return how long a VM was silent between two moments of the wall clock."""
        return reading(self._heartbeats.times(vm, from_s, until_s), switched_s)

    def leave(self, vm: VmId) -> None:
        """Listen to a VM no more, and drop what was heard of it."""
        if self._heartbeats.wanted is not None:
            self._heartbeats.wanted.discard(vm)
        self._heartbeats.forget(vm)

    def close(self) -> None:
        """Stop listening."""
        self._heartbeats.close()


def heartbeat_probe(port: int = PORT, namespace: str | None = None) -> HeartbeatProbe:
    """Return a probe that listens at a UDP port, in a network namespace of this machine if one is named.

    Raises
    ------
    OSError
        If it cannot listen there.
    """
    if namespace is None:
        return HeartbeatProbe(Heartbeats(listening_socket(port=port)))
    return HeartbeatProbe(Heartbeats(socket_in(namespace, lambda: listening_socket(port=port))))
