"""One real host drained three ways in a lab: by our schedule, all guests at once, and one at a time without a plan.

    sudo python benchmarks/live_drain.py [--rate 200] [--memory 384] [--guests 8] [--ways plan at-once one-by-one]

Markdown on standard output.  Each way has a fresh lab of two hosts; every guest is on the first.  Without a plan,
libvirt is called as `virsh migrate --live --p2p --tls` would, with no bandwidth and its own limits.  The bound is the
guests' working sets, each sent once, at the link's rate: what no way can beat.  Blackouts are those that the probe saw.
"""

import argparse
import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from slacktide import units
from slacktide.executors.probes.probe import heartbeat_probe
from slacktide.ids import VmId
from slacktide.lab.guests import BARE_MIB, Guest, connect
from slacktide.lab.layout import Lab, LabSettings, read_lab
from slacktide.lab.lifecycle import add_host, down, up
from slacktide.service.cli import main as slacktide

PLAN, AT_ONCE, ONE_BY_ONE = "plan", "at-once", "one-by-one"
POLICY: Final = """\
name: drain
selection: {hosts: [h1]}
max_out: {fleet: 1}
objective: [makespan, moves]
link_share: 1.0
migration: {strategies: [precopy, autoconverge], setup_s: 1, forwarding_s: 0}
"""
DIRTY_MIB_S: Final = (0.0, 0.0, 2.0, 0.0, 0.0, 4.0, 0.0, 0.0)
"""Of each guest in turn: most are quiet, as most are."""
BEFORE_S: Final = 1.0
"""What the probe hears before the drain, to know how often guests beat."""
COMPLETED: Final = 1
"""``VIR_DOMAIN_JOB_STATS_COMPLETED``."""


class Drained(NamedTuple):
    """How a host was drained."""

    seconds: float
    blackouts_ms: list[float]
    sent_mib: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Drain the host each way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="Mbit/s of the migration link")
    parser.add_argument("--memory", type=int, default=384, help="MiB of each guest")
    parser.add_argument("--guests", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    asked = parser.parse_args(arguments)
    sets_mib = asked.memory - BARE_MIB
    guests = [
        Guest(number + 1, asked.memory, sets_mib, dirty_mib_s=DIRTY_MIB_S[number % len(DIRTY_MIB_S)])
        for number in range(asked.guests)
    ]
    bound_s = float(units.transfer_s(sets_mib * asked.guests, asked.rate))
    print(f"{asked.guests} guests of {asked.memory} MiB, {asked.rate} Mbit/s; bound {bound_s:.0f} s\n")
    print("| way | s | of the bound | blackout median ms | sum ms | max ms | sent MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for way in asked.ways:
        found = _drained(WAYS[way], guests, asked.rate)
        dark = np.array(found.blackouts_ms)
        figures = f"{np.median(dark):.0f} | {dark.sum():.0f} | {dark.max():.0f} | {found.sent_mib:,.0f}"
        print(f"| {way} | {found.seconds:.1f} | {found.seconds / bound_s:.2f} | {figures} |", flush=True)


def _drained(way: Callable[[Lab, list[Guest], Path], Drained], guests: list[Guest], rate: int) -> Drained:
    """Return how a host of a fresh lab was drained."""
    name = f"d{secrets.token_hex(4)}"
    try:
        up(LabSettings(name, 1, rate), guests, lambda *_: None)
        add_host(name)
        with tempfile.TemporaryDirectory() as folder:
            return way(read_lab(name), guests, Path(folder))
    finally:
        down(name)


def _by_plan(lab: Lab, guests: list[Guest], folder: Path) -> Drained:
    fleet, plan, policy, campaign = (str(folder / name) for name in ("fleet", "plan", "policy.yaml", "campaign"))
    Path(policy).write_text(POLICY, encoding="utf-8")
    memory = str(sum(guest.memory_mib for guest in guests) * 2)
    rate = str(lab.settings.rate_mbit_s)
    sizes = ("--migration-mbit-s", rate, "--memory-mib", memory, "--vcpus-per-cpu", "16", "--maintenance-s", "1")
    driver = ("--driver", "libvirt", "--patch-command", "true", "--no-ray")
    probe = ("--probe-port", "7000", "--probe-namespace", lab.control)
    with (folder / "said").open("w", encoding="utf-8") as said, redirect_stdout(said):
        _call("fleet", "import", "libvirt", *(host.uri for host in lab.hosts), "-o", fleet, *sizes)
        _call("plan", fleet, "--policy", policy, "--iterations", "2", "-o", plan)
        _call("run", fleet, plan, *driver, *probe, "-o", campaign)
    moves = pl.read_parquet(f"{campaign}/migrations.parquet")
    if moves["state"].cast(pl.String).unique().to_list() != ["done"]:
        raise SystemExit(f"not all guests moved: {json.dumps(moves['error'].to_list())}")
    first, last = moves["start_s"].min(), moves["end_s"].max()
    return Drained(last - first, moves["probe_blackout_ms"].to_list(), moves["transfer_mib"].sum())  # type: ignore[operator]


def _call(*words: str) -> None:
    if slacktide(list(words)) != 0:
        raise SystemExit(f"slacktide {' '.join(words)} failed")


def _at_once(lab: Lab, guests: list[Guest], _folder: Path) -> Drained:
    return _without_plan(lab, [guests])


def _one_by_one(lab: Lab, guests: list[Guest], _folder: Path) -> Drained:
    return _without_plan(lab, [[guest] for guest in guests])


def _without_plan(lab: Lab, groups: list[list[Guest]]) -> Drained:
    """Migrate groups of guests one after the other, the guests of one all at once."""
    probe = heartbeat_probe(namespace=lab.control)
    guests = [guest for group in groups for guest in group]
    for guest in guests:
        probe.watch(VmId(guest.name))
    time.sleep(BEFORE_S)
    began, wall_s = time.monotonic(), time.time()
    for group in groups:
        threads = [threading.Thread(target=_migrate, args=(lab, guest)) for guest in group]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - began
    for guest in guests:
        probe.wait(VmId(guest.name), BEFORE_S)
    seen = [probe.read(VmId(guest.name), wall_s - BEFORE_S, None, time.time()) for guest in guests]
    probe.close()
    target = connect(lab.hosts[1])
    sent = sum(target.lookupByName(guest.name).jobStats(COMPLETED)["data_processed"] for guest in guests) / 2**20
    return Drained(seconds, [reading.blackout_ms for reading in seen if reading], sent)


def _migrate(lab: Lab, guest: Guest) -> None:
    import libvirt

    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_TLS
    flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    source = connect(lab.hosts[0])
    source.lookupByName(guest.name).migrateToURI3("qemu+tls://h2/system", {}, flags)
    source.close()


WAYS: Final[dict[str, Callable[[Lab, list[Guest], Path], Drained]]] = {
    PLAN: _by_plan,
    AT_ONCE: _at_once,
    ONE_BY_ONE: _one_by_one,
}

if __name__ == "__main__":
    main()
