"""How far other clocks are from this machine's, with how exactly that is known.

Whoever is asked, the answer was given between question and answer: the middle is within half of that time.
"""

import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from slacktide.executors.doctor.check import Check

LIMIT_MS: Final = 500.0
"""How far a clock may be off, unless told otherwise.  Events of hosts, notices to guests and logs of machines are put
beside each other by their moments, and half a second is less than any patch takes."""
ASKED: Final = 5
"""How often a clock is asked: the answer that came soonest is the most exact one."""
ANSWER_S: Final = 1.0
DAY_MS: Final = 86_400_000
_REQUEST, _REPLY = 13, 14
"""ICMP timestamp: Linux answers it, in milliseconds since midnight UTC, unless a firewall keeps it away."""
NTP: Final = "Have a time service keep it (chrony, systemd-timesyncd, ntpd), on hosts and on this machine alike"


class Offset(NamedTuple):
    """How far a clock is ahead of this machine's."""

    ms: float
    exact_ms: float
    """It may be as much more or less."""


def offset_of(ask_ms: Callable[[], float], day: bool = False) -> Offset:
    """Return how far a clock is ahead that ``ask_ms`` asks for its milliseconds.

    Parameters
    ----------
    day
        It counts from midnight, and not from 1970.
    """
    found = []
    for _ in range(ASKED):
        before_ms = time.time() * 1000
        said_ms = ask_ms()
        after_ms = time.time() * 1000
        off_ms = said_ms - (before_ms + after_ms) / 2
        if day:
            off_ms = (off_ms + DAY_MS / 2) % DAY_MS - DAY_MS / 2
        found.append(Offset(off_ms, (after_ms - before_ms) / 2))
    return min(found, key=lambda offset: offset.exact_ms)


def clock_check(subject: str, offset: Offset, limit_ms: float) -> Check:
    """Return whether a clock is within the limit; one that may be beyond it is unknown."""
    measured = f"{abs(offset.ms):,.1f} ms {'ahead' if offset.ms >= 0 else 'behind'} (±{offset.exact_ms:,.1f} ms)"
    fact = f"{measured}, limit {limit_ms:,.0f} ms"
    if abs(offset.ms) - offset.exact_ms > limit_ms:
        return Check("clocks", subject, "error", fact, NTP)
    if abs(offset.ms) + offset.exact_ms > limit_ms:
        return Check("clocks", subject, "unknown", fact, "Ask again when machines and network are less busy")
    return Check("clocks", subject, "ok", fact)


def icmp_offset(host: str) -> Offset:
    """Return how far a host's clock is ahead, as its kernel says; nothing has to run there.

    Raises
    ------
    OSError
        If it does not answer, or this user may not ask so.
    """
    address = socket.gethostbyname(host)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as wire:
        wire.connect((address, 0))
        wire.settimeout(ANSWER_S)
        return offset_of(lambda: _asked_ms(wire), day=True)


def _asked_ms(wire: socket.socket) -> float:
    mark, now = secrets.randbits(16), int(time.time() * 1000) % DAY_MS
    body = struct.pack("!HHIII", os.getpid() & 0xFFFF, mark, now, 0, 0)
    packet = struct.pack("!BBH", _REQUEST, 0, _checksum(struct.pack("!BBH", _REQUEST, 0, 0) + body)) + body
    wire.send(packet)
    until_s = time.monotonic() + ANSWER_S
    while time.monotonic() < until_s:
        answer = wire.recv(2048)
        icmp = answer[(answer[0] & 15) * 4 :]
        if len(icmp) < 20 or icmp[0] != _REPLY or struct.unpack("!HH", icmp[4:8]) != (os.getpid() & 0xFFFF, mark):
            continue
        (said_ms,) = struct.unpack("!I", icmp[12:16])
        if said_ms & 0x80000000:
            raise OSError("answers with a time that is not of this day")
        return float(said_ms)
    raise TimeoutError("does not answer")


def _checksum(packet: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
