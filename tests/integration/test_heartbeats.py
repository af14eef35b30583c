"""Heartbeats over a real socket: when they came counts, not when they were read."""

import socket
import time

import pytest

from slacktide.executors.probes.heartbeats import Heartbeats, listening_socket

pytestmark = pytest.mark.integration


def test_a_silence_is_seen_by_the_kernels_clock_however_late_it_is_read() -> None:
    listening = listening_socket("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        began_s = time.time()
        for number in range(5):
            if number == 3:
                time.sleep(0.25)
            sender.sendto(f"beat vm1 {number} {number * 5} 10 0\n".encode(), listening.getsockname())
        sender.sendto(b"noise", listening.getsockname())
        ended_s = time.time()
        time.sleep(0.1)
        with Heartbeats(listening) as heartbeats:
            until_s = time.monotonic() + 10
            while len(heartbeats.names()) == 0 or heartbeats.last("vm1").number < 4:
                assert time.monotonic() < until_s, "the beats were not heard"
                time.sleep(0.01)
            assert heartbeats.wait_for(["vm2"], 1, 0.0) == ["vm2"]
            gap = heartbeats.longest_gap("vm1", began_s, ended_s)
            assert gap is not None
            assert 250 <= gap.gap_ms <= (ended_s - began_s) * 1e3
            assert began_s <= gap.from_s <= ended_s - 0.25
            assert heartbeats.last("vm1").at_s <= ended_s
            assert heartbeats.longest_gap("vm2", 0, 1e12) is None
            assert heartbeats.names() == ["vm1"]
