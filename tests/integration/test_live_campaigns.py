"""Whole campaigns on real hosts: import, plan, audit, run, every host drained, patched and back, every guest alive."""

import json
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import ray
from lab_tests import ON_A_LAB

from slacktide.lab.guests import Guest, guests_on
from slacktide.lab.layout import FABRIC_FILE, Lab, LabHost, LabSettings, read_lab
from slacktide.lab.lifecycle import add_host, down, status, up
from slacktide.lab.questions import verify
from slacktide.service.cli import main

pytestmark = ON_A_LAB
PROGRAM = Path(sys.executable).with_name("slacktide")
POLICY = """\
name: lab
max_out: {fleet: 1}
objective: [makespan, moves]
link_share: 1.0
migration: {strategies: [precopy, autoconverge], setup_s: 1, forwarding_s: 0}
"""
OPTIONS = ("--migration-mbit-s", "1000", "--vcpus-per-cpu", "8", "--memory-mib", "1024", "--maintenance-s", "2")


@pytest.fixture
def name() -> Iterator[str]:
    """Have a name that no other lab has, and take down what got it."""
    name = f"t{secrets.token_hex(4)}"
    yield name
    down(name)


def planned(hosts: tuple[LabHost, ...], folder: Path) -> tuple[str, str]:
    """Import live hosts, plan their patch, audit the plan and have the hosts looked at; return fleet and plan."""
    fleet, plan, policy = folder / "fleet", folder / "plan", folder / "policy.yaml"
    policy.write_text(POLICY)
    assert main(["fleet", "import", "libvirt", *(host.uri for host in hosts), "-o", str(fleet), *OPTIONS]) == 0
    assert main(["plan", str(fleet), "--policy", str(policy), "--iterations", "4", "-o", str(plan)]) == 0
    assert main(["audit", str(fleet), str(plan)]) == 0
    assert main(["preflight", str(fleet), str(plan)]) == 0
    return str(fleet), str(plan)


def run(lab: Lab, fleet: str, plan: str, output: Path, *more: str) -> int:
    """Carry a plan out on a lab."""
    patch = f"{PROGRAM} lab reboot --name {lab.name} {{host}}"
    driver = ("--driver", "libvirt", "--patch-command", patch)
    probe = ("--probe-port", "7000", "--probe-namespace", lab.control)
    return main(["run", fleet, plan, *driver, *probe, "-o", str(output), *more])


def each_guest_once(lab: Lab, guests: list[Guest]) -> dict[str, str]:
    """Return where each guest runs, having asked every host: each runs on one."""
    where = [(guest, host.name) for host in lab.hosts for guest in guests_on(host)]
    assert sorted(guest for guest, _ in where) == sorted(guest.name for guest in guests)
    return dict(where)


def add_host_to_a_running(lab: str, campaign: Path) -> None:
    """Add a host to a lab as soon as a campaign on it has begun."""
    while not (campaign / "journal.sqlite").exists():
        time.sleep(0.1)
    time.sleep(2.0)
    add_host(lab)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_ends")
def test_four_hosts_are_patched_by_agents_on_ray_and_twelve_guests_do_not_notice(name: str, tmp_path: Path) -> None:
    kinds = ({}, {"memory_mib": 96, "working_set_mib": 64}, {"dirty_mib_s": 4.0}, {"memory_mib": 48})
    sizes = [kinds[number % 4] | ({"working_set_mib": 16} if number % 4 == 3 else {}) for number in range(12)]
    guests = [Guest(number, **size) for number, size in enumerate(sizes, start=1)]
    lab = up(LabSettings(name, 4, 1000), guests, lambda *_: None)
    fleet, plan = planned(lab.hosts, tmp_path)
    assert run(lab, fleet, plan, tmp_path / "campaign") == 0
    assert not ray.is_initialized(), "Ray was started for the campaign and is still there"

    summary = json.loads((tmp_path / "campaign" / "report.json").read_text())
    assert summary["hosts"] == {"returned": 4}
    assert not summary["simulated"]
    assert summary["ray"]
    assert summary["agents"] == 4
    each_guest_once(lab, guests)
    assert status(name).beating == tuple(sorted(guest.name for guest in guests))
    assert verify(lab, guests) == {guest.name: 0 for guest in guests}
    hosts = pl.read_parquet(tmp_path / "campaign" / "hosts.parquet")
    assert (hosts["return_s"] > hosts["drained_s"]).all()
    moves = pl.read_parquet(tmp_path / "campaign" / "migrations.parquet")
    assert set(moves["source"]) == {"h1", "h2", "h3", "h4"}, "every host had guests, and was drained"
    done = moves.filter(pl.col("state") == "done")
    assert done.height == moves.height
    stages = ("reserve_s", "prepare_s", "connect_s", "brownout_s", "forwarding_s", "delete_s")
    for measured in (*stages, "blackout_ms", "probe_blackout_ms", "transfer_mib"):
        assert done[measured].null_count() == 0, measured
    assert (done["transfer_mib"] > 10).all()
    assert (done["blackout_ms"] > 0).all()
    assert (done["probe_blackout_ms"] > 0).all()


def test_two_hosts_patch_each_other_without_ray_and_a_third_that_comes_is_in_the_next_plan(
    name: str, tmp_path: Path
) -> None:
    guests = [Guest(1), Guest(2, dirty_mib_s=4.0), Guest(3)]
    lab = up(LabSettings(name, 2, 1000, "vxlan", 50.0), guests, lambda *_: None)
    told = ("--fabric", str(lab.folder / FABRIC_FILE))
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    fleet, plan = planned(lab.hosts, first)
    coming = threading.Thread(target=add_host_to_a_running, args=(name, first / "campaign"))
    coming.start()
    assert run(lab, fleet, plan, first / "campaign", "--no-ray", *told) == 0
    coming.join()
    assert json.loads((first / "campaign" / "report.json").read_text())["hosts"] == {"returned": 2}
    where = each_guest_once(lab, guests)
    assert len(set(where.values())) == 1, "who is patched first takes all guests of the other"

    grown = read_lab(name)
    assert len(grown.hosts) == 3
    fleet, plan = planned(grown.hosts, second)
    assert run(grown, fleet, plan, second / "campaign", "--no-ray", *told) == 0
    assert json.loads((second / "campaign" / "report.json").read_text())["hosts"] == {"returned": 3}
    each_guest_once(grown, guests)
    assert verify(grown, guests) == {guest.name: 0 for guest in guests}
    moves = pl.read_parquet(second / "campaign" / "migrations.parquet")
    assert moves["forwarded_packets"].null_count() == moves["lost_packets"].null_count() == 0
    assert moves["fabric_finding"].null_count() == moves.height, "every endpoint has confirmed"
    assert (moves["forwarding_s"] >= 0.05).all(), "no source was let go before"
    assert (
        main(
            [
                "run",
                fleet,
                plan,
                "--driver",
                "libvirt",
                "--patch-command",
                "false",
                "--connections",
                f"{fleet}-connections.json",
                "-o",
                str(second / "campaign"),
                "--no-ray",
            ]
        )
        == 0
    ), "it has finished"


def test_the_drain_of_the_benchmark_moves_all_guests_each_way(capsys) -> None:
    from benchmarks.live_drain import main as drain

    drain(["--rate", "1000", "--memory", "48", "--guests", "2", "--ways", "plan", "at-once"])
    head, *rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert head.startswith("| way | s | of the bound |")
    figures = {row.split(" | ")[0]: row.split(" | ")[1:] for row in rows[1:]}
    assert set(figures) == {"| plan", "| at-once"}
    for way, values in figures.items():
        assert float(values[1]) > 1, f"{way} beats what no way can beat"
        assert float(values[-1].rstrip(" |").replace(",", "")) > 2 * 24
