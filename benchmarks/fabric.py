"""What a stream to a guest sees while it migrates over a fabric that is told late: with forwarding, and without.

    sudo python benchmarks/fabric.py [--delays 0 50 500] [--times 5] [--timeline]

Markdown on standard output, medians of ``--times`` migrations of one quiet guest of Linux between two hosts of a lab:
first on one learning switch, which nobody has to tell anything, then on a VXLAN fabric.  Each migration has one stream,
of 1,000 datagrams a second or of as many messages over one TCP connection; the guest sends everything back.  The pause
is the hypervisor's count, and the silence that of the guest's broadcasts, every 5 ms, which reach everybody whatever
tables say: how long it did nothing.  A gap is the stream's longest silence; of each the median one is taken off.
``--timeline`` prints the stages of one migration instead.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from slacktide.clock import SystemClock
from slacktide.executors import events
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.driver import LibvirtDriver
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event
from slacktide.executors.fabrics.settings import VxlanFabricSettings
from slacktide.executors.maintenance.action import command_action
from slacktide.ids import HostId, MigrationId, VmId
from slacktide.lab.guests import Guest
from slacktide.lab.layout import FabricKind, Lab, LabSettings
from slacktide.lab.lifecycle import down, listen, up
from slacktide.lab.overlay import fabric_settings
from slacktide.lab.streams import Streamed, TcpStream, UdpStream
from slacktide.planner.policy import MigrationRules

VM: Final = Guest(1, 128, 16, kind="linux")
BEFORE_S: Final = 1.0
AFTER_S: Final = 1.5
"""What a stream sends before the migration begins, and after the fabric has caught up."""
PATIENCE_S: Final = 120.0
STREAMS: Final = {"UDP": UdpStream, "TCP": TcpStream}


class Seen(NamedTuple):
    """One migration, as the hypervisor, the source's host and a stream saw it."""

    pause_ms: float
    silence_ms: float
    gap_ms: float
    lost: int
    forwarded: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Migrate the guest back and forth, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", nargs="+", type=float, default=[0.0, 50.0, 500.0], help="ms until tables are told")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--timeline", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.timeline:
        with _rounds("vxlan") as rounds:
            rounds.print_timeline(asked.delays[-1])
        return
    names = ("fabric", "told after ms", "forwarding", "stream", "pause ms", "silence ms", "gap ms", "gap / silence")
    print(f"| {' | '.join((*names, 'lost', 'forwarded'))} |")
    print(f"|{' --- |' * (len(names) + 2)}", flush=True)
    with _rounds("bridge") as rounds:
        rounds.print_rows("learning switch", None, asked.times)
    with _rounds("vxlan") as rounds:
        for delay_ms in asked.delays:
            for forward in (True, False):
                rounds.print_rows("VXLAN", Told(delay_ms, forward), asked.times)


@contextmanager
def _rounds(fabric: FabricKind) -> Iterator["Rounds"]:
    name = f"b{secrets.token_hex(4)}"
    try:
        rounds = Rounds(up(LabSettings(name, 2, 1000, fabric), [VM], lambda *_: None))
        try:
            yield rounds
        finally:
            rounds.close()
    finally:
        down(name)


class Told(NamedTuple):
    """How a fabric that has to be told is told."""

    after_ms: float
    forward: bool


class Rounds:
    """A guest that goes from one host to the other and back."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._at, self._next = (HostId(host.name) for host in lab.hosts)
        self._count = 0
        self._heartbeats = listen(lab)

    def close(self) -> None:
        """Listen no more."""
        self._heartbeats.close()

    def print_rows(self, fabric: str, told: Told | None, times: int) -> None:
        """Print a row for each stream."""
        for stream in STREAMS:
            found = [self._seen(stream, told) for _ in range(times)]
            words = " | " if told is None else f"{told.after_ms:g} | {'yes' if told.forward else 'no'}"
            print(f"| {fabric} | {words} | {stream} | {_figures(found)} |", flush=True)

    def print_timeline(self, delay_ms: float) -> None:
        """Print when one migration reached each stage, in milliseconds from its blackout."""
        found, _ = self._migrated("UDP", Told(delay_ms, forward=True))
        blackout_s = next(event.at_s for event in found if isinstance(event, events.BlackoutStarted))
        for event in found:
            if not isinstance(event, events.MigrationProgress):
                print(f"{(event.at_s - blackout_s) * 1000:+9.1f} ms  {event.type}")
                if isinstance(event, events.ForwardingEnded):
                    print(f"{'':14}{event.forwarded_packets} packets forwarded, {event.lost_packets} lost")

    def _seen(self, stream: str, told: Told | None) -> Seen:
        began_s = time.time()
        found, streamed = self._migrated(stream, told)
        silence = self._heartbeats.longest_gap(VM.name, began_s, time.time())
        begun = next(event for event in found if isinstance(event, events.ForwardingStarted))
        ended = next((event for event in found if isinstance(event, events.ForwardingEnded)), None)
        late = (told is not None and ended is None) or (ended is not None and ended.unconfirmed)
        if streamed.broken or streamed.gap is None or silence is None or late or begun.blackout_ms is None:
            raise SystemExit(f"a migration was not as it should be: {streamed}, {ended}")
        forwarded = 0 if ended is None else ended.forwarded_packets or 0
        return Seen(begun.blackout_ms, silence.blackout_ms, streamed.gap.blackout_ms, streamed.lost, forwarded)

    def _migrated(self, stream: str, told: Told | None) -> tuple[list[Event], Streamed]:
        """Migrate the guest to the other host under a stream; return the driver's events and what the stream saw."""
        driver = _driver(self._lab, None if told is None else _fabric(self._lab, told))
        self._count += 1
        request = MigrationRequest(
            MigrationId(f"m{self._count}"), 1, VmId(VM.name), self._at, self._next, "precopy",
            bandwidth_mbit_s=1000, blackout_limit_ms=1000, predicted_brownout_s=3.0,
            predicted_blackout_ms=60.0, predicted_transfer_mib=128.0, at_s=0.0,
        )  # fmt: skip
        with STREAMS[stream](self._lab.control, VM.address) as running:
            time.sleep(BEFORE_S)
            driver.migrate([request])
            found = _until_done(driver)
            time.sleep(AFTER_S)
            streamed = running.stop()
        driver.close()
        self._at, self._next = self._next, self._at
        return found, streamed


def _fabric(lab: Lab, told: Told) -> VxlanFabricSettings:
    own = {"update_delay_ms": told.after_ms, "forward": told.forward}
    return VxlanFabricSettings.model_validate(fabric_settings(lab).model_dump() | own)


def _driver(lab: Lab, fabric: VxlanFabricSettings | None) -> LibvirtDriver:
    addresses = {HostId(host.name): HostAddress(host.uri) for host in lab.hosts}
    settings = LibvirtSettings(addresses=addresses, maintenance=command_action(("true",)), fabric=fabric)
    return LibvirtDriver(settings, MigrationRules(strategies=("precopy",)), datetime.now(UTC), SystemClock())


def _until_done(driver: LibvirtDriver) -> list[Event]:
    found: list[Event] = []
    until_s = time.monotonic() + PATIENCE_S
    while not any(isinstance(event, events.MigrationDone) for event in found):
        if time.monotonic() > until_s or any(isinstance(event, events.MigrationFailed) for event in found):
            raise SystemExit(f"the guest did not move: {found}")
        time.sleep(0.02)
        found += driver.poll(0.0)
    return found


def _figures(found: list[Seen]) -> str:
    pause, silence, gap, lost, forwarded = np.median(np.array(found), axis=0)
    share = np.median([each.gap_ms / each.silence_ms for each in found])
    most = max(each.lost for each in found)
    return f"{pause:.0f} | {silence:.0f} | {gap:.0f} | {share:.2f} | {lost:.0f} ({most}) | {forwarded:.0f}"


if __name__ == "__main__":
    main()
