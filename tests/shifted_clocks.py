"""Clocks that are off for one process, or for one address, while this machine's own is as it was."""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock_ahead.c")
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001


def ahead_by(seconds: int, folder: Path) -> dict[str, str]:
    """Return the environment of a process whose clock is ahead; skip where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("A CLOCK THAT IS OFF IS NOT TESTED: apt-get install gcc")
    library = folder / "clock_ahead.so"
    if not library.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_AHEAD_S": str(seconds)}


@contextmanager
def host_ahead_by(seconds: float, address: str) -> Iterator[str]:
    """Have a host at an address whose kernel tells a time that is ahead: a network card of a program's own."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("A HOST WHOSE CLOCK IS OFF IS NOT TESTED: it needs root and /dev/net/tun")
    card = os.open("/dev/net/tun", os.O_RDWR)
    name = f"ahead{os.getpid() % 10_000}"
    fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    subprocess.run(["ip", "route", "add", f"{address}/32", "dev", name], check=True)
    answering = threading.Thread(target=_answer, args=(card, seconds), daemon=True)
    answering.start()
    try:
        yield address
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)
        answering.join(10)
        os.close(card)


def _answer(card: int, ahead_s: float) -> None:
    """Answer ICMP timestamps until the card is gone."""
    while True:
        try:
            packet = os.read(card, 2048)
        except OSError:
            return
        head = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_ICMP or packet[head] != 13:
            continue
        now_ms = int((time.time() + ahead_s) * 1000) % 86_400_000
        body = packet[head + 4 : head + 12] + struct.pack("!II", now_ms, now_ms)
        total = sum(struct.unpack("!10H", struct.pack("!BBH", 14, 0, 0) + body))
        total = (total >> 16) + (total & 0xFFFF)
        answer = struct.pack("!BBH", 14, 0, ~(total + (total >> 16)) & 0xFFFF) + body
        ends = packet[16:20] + packet[12:16]
        os.write(card, _headed(packet[:head], ends) + answer)


def _headed(header: bytes, ends: bytes) -> bytes:
    """Return an IPv4 header with its ends exchanged, and its checksum as it has to be."""
    bare = header[:10] + b"\0\0" + ends + header[20:]
    total = sum(struct.unpack(f"!{len(bare) // 2}H", bare))
    total = (total >> 16) + (total & 0xFFFF)
    return bare[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + bare[12:]
