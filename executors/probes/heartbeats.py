"""Heartbeats as they arrive, with the kernel's own timestamps: what a guest's users see of it.

Parts of this know no lab: any sender of numbered beats will do.
"""

import selectors
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

PORT: Final = 7000
RECEIVE_BYTES: Final = 4 * 2**20
"""Beats that the kernel keeps while this process is busy: of forty guests some ten seconds."""
TIMESTAMP: Final = 35
"""``SO_TIMESTAMPNS``, which Python has no name for: when the kernel got a packet, whenever we come to read it."""
LOOK_S: Final = 0.1
"""How often the listener looks whether it is to stop."""
BEAT_LOOK_S: Final = 0.01


class Beat(NamedTuple):
    """One heartbeat."""

    at_s: float
    """When it arrived, by this machine's wall clock."""
    number: int
    clock_ms: int
    """The guest's own clock."""
    dirtied: int
    """Pages rewritten so far."""
    bad: int
    """Of those, and of pages verified, that were not as the guest had left them."""


class Gap(NamedTuple):
    """The longest silence of a guest."""

    from_s: float
    gap_ms: float
    usual_ms: float
    """Median time between two beats: how exactly a silence is seen."""

    @property
    def blackout_ms(self) -> float:
        """How long the guest did not run, at least: the gap without the beat that was due anyway."""
        return max(0.0, self.gap_ms - self.usual_ms)


def listening_socket(address: str = "", port: int = PORT) -> socket.socket:
    """Return a socket for heartbeats, in the network namespace of the thread that asks; empty: at every address."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    made.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
    made.bind((address, port))
    made.setblocking(False)
    return made


def longest_gap(times: NDArray[np.float64]) -> Gap | None:
    """Return the longest silence in the moments, in seconds, at which something was heard; None: it was not twice."""
    if len(times) < 2:
        return None
    gaps = np.diff(times)
    longest = int(np.argmax(gaps))
    return Gap(float(times[longest]), float(gaps[longest]) * 1e3, float(np.median(gaps)) * 1e3)


def arrived_s(ancillary: Sequence[tuple[int, int, bytes]]) -> float:
    """Return when what was received with these came, by the kernel's wall clock; now, where the kernel does not say."""
    return next((_seconds(value) for _, kind, value in ancillary if kind == TIMESTAMP), time.time())


class Heartbeats:
    """Listens until it is closed; what it has heard stays."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket = listening
        self.wanted: set[str] | None = None
        """Guests whose beats are kept; None: all.  A guest that beats every 5 ms is heard 17 million times a day."""
        self._heard: dict[str, list[Beat]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="heartbeats", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Heartbeats":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def names(self) -> list[str]:
        """Return the guests that were heard."""
        return sorted(self._heard)

    def last(self, name: str) -> Beat | None:
        """Return a guest's newest beat; None: it was never heard."""
        heard = self._heard.get(name)
        return heard[-1] if heard else None

    def wait_for(self, names: list[str], beats: int, wait_s: float) -> list[str]:
        """Wait until each of ``names`` has beaten so often from now on; return those that did not in ``wait_s``."""
        begun = {name: len(self._heard.get(name, ())) for name in names}
        until_s = time.monotonic() + wait_s
        while True:
            silent = [name for name in names if len(self._heard.get(name, ())) < begun[name] + beats]
            if not silent or time.monotonic() > until_s:
                return silent
            time.sleep(BEAT_LOOK_S)

    def times(self, name: str, from_s: float, until_s: float) -> NDArray[np.float64]:
        """Return when a guest was heard between two moments of the wall clock."""
        times: NDArray[np.float64] = np.array([beat.at_s for beat in list(self._heard.get(name, ()))])
        return times[(times >= from_s) & (times <= until_s)]

    def forget(self, name: str) -> None:
        """Drop what was heard of a guest."""
        self._heard.pop(name, None)

    def longest_gap(self, name: str, from_s: float, until_s: float) -> Gap | None:
        """Return a guest's longest silence between two moments of the wall clock; None: it was not heard twice."""
        return longest_gap(self.times(name, from_s, until_s))

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._stop.is_set():
                if selector.select(LOOK_S):
                    self._take_all()

    def _take_all(self) -> None:
        while not self._stop.is_set():
            try:
                data, ancillary, _, _ = self._socket.recvmsg(256, 64)
            except BlockingIOError:
                return
            at_s = arrived_s(ancillary)
            words = data.decode("ascii", errors="replace").split()
            if self.wanted is not None and words[1:2] and words[1] not in self.wanted:
                continue
            if len(words) == 6 and words[0] == "beat" and all(word.isdigit() for word in words[2:]):
                self._heard[words[1]].append(Beat(at_s, *map(int, words[2:])))


def _seconds(value: bytes) -> float:
    seconds, nanoseconds = struct.unpack("@ll", value)
    return float(seconds) + float(nanoseconds) * 1e-9
