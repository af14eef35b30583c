"""Ganeti's hroller on our snapshots: written as its text data, its reboot groups and moves carried out on paper.

hroller looks for room by memory, not by vCPUs, and knows no bandwidth, no duration and no limit on hosts out.  So both
sides are asked for a plan that capacity alone limits, on clusters with shared storage where every VM may go anywhere.
Its groups assume that all VMs move back before the next group, and so it is carried out.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.against import peak_mib, stop_of, warm
from benchmarks.families import SHARED_STORAGE
from benchmarks.other_tools import Answer, ask
from benchmarks.rows import Row, row_of_plan, row_of_replay
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.policy import Assumptions, MigrationRules, Policy
from slacktide.planner.problem import Problem, positions
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import make_plan
from slacktide.planner.streams.replayed import replay
from slacktide.planner.streams.rules import ONE_PER_NIC
from slacktide.planner.streams.work import Work

CAPACITY_ALONE = Policy(
    name="capacity alone",
    objective=("makespan", "exposure", "moves"),
    max_out={"fleet": "100%"},
    link_share=0.7,
    assume=Assumptions(dirty_mib_s=20.0, hot_mib=64.0),
    migration=MigrationRules(strategies=("precopy", "autoconverge", "postcopy")),
)
DISK_MIB = 1024
"""hroller places by disk too; there is enough."""


def text_data(fleet: FleetSnapshot) -> str:
    """Return a snapshot as htools' text data: one group, nodes, instances on external storage, tags, one policy."""
    used = fleet.vms.group_by("host_id").agg(used=pl.col("memory_mib").sum())
    hosts = fleet.hosts.join(used, on="host_id", how="left").with_columns(pl.col("used").fill_null(0))
    nodes = [
        f"{host}|{sold}|0|{sold - taken}|{DISK_MIB}|{DISK_MIB}|{vcpus}|N|group|1||N|0|0|1.0"
        for host, sold, taken, vcpus in hosts.select("host_id", "memory_mib", "used", "vcpus").iter_rows()
    ]
    instances = [
        f"{vm}|{memory}|0|{vcpus}|running|Y|{host}||ext||1|-"
        for vm, memory, vcpus, host in fleet.vms.select("vm_id", "memory_mib", "vcpus", "host_id").iter_rows()
    ]
    policy = "|128,1,0,1,1,1|1,1,0,1,1,1;1048576,1024,1048576,16,8,12|ext|1.0|32.0"
    sections = [["group|group|preferred||"], nodes, instances, [], [policy]]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def ask_hroller(fleet: FleetSnapshot, limit_s: float) -> Answer | None:
    """Return what hroller answers within a time, None: nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster.data"
        path.write_text(text_data(fleet))
        return ask(["hroller", "-t", str(path), "--force", "--print-moves", "--no-headers"], limit_s)


def work_of_groups(problem: Problem, text: str) -> Work:
    """Return hroller's groups as waves: its moves out, the patch, and all moves back before the next group."""
    order, wave, moves, group = [], [], [], -1
    for line in text.splitlines():
        words = line.split()
        if len(words) == 1:
            group += 1
            order += words[0].split(",")
            wave += [group] * (len(order) - len(wave))
        elif len(words) == 2:
            moves.append((words[0], words[1]))
    vm, target = (pl.Series([move[column] for move in moves], dtype=pl.String) for column in (0, 1))
    vm_number, away = positions(vm, problem.vms.ids), positions(target, problem.hosts.ids)
    home = problem.vms.host[vm_number]
    both, once = np.tile(vm_number, 2), len(vm_number)
    back = np.arange(2 * once) >= once
    return Work(
        order=positions(pl.Series(order), problem.hosts.ids),
        wave=np.array(wave, np.int64),
        late=np.zeros(len(order), np.bool_),
        behind=np.arange(group + 1) - 1,
        bake_s=np.zeros(group + 1, np.int64),
        vm=both,
        source=np.concatenate([home, away]),
        target=np.concatenate([away, home]),
        back=back,
        after_return=np.where(back, np.concatenate([away, home]), -1),
        in_drain=np.zeros(len(both), np.bool_),
        arrival_for=np.full(len(both), -1, np.int64),
    )


def hroller_rows(hosts: int, seed: int, limit: float | int, limit_s: float) -> Iterator[Row]:
    """Yield our row and hroller's for a cluster; hroller is given up after ``limit_s``."""
    fleet = generate_fleet(GeneratorSettings.model_validate({"hosts": hosts, "seed": seed, **SHARED_STORAGE}))
    family = f"shared storage, {hosts:,} hosts"
    warm(CAPACITY_ALONE)
    plan = make_plan(fleet, CAPACITY_ALONE, stop=stop_of(limit))
    problem = build_problem(fleet, CAPACITY_ALONE)
    yield row_of_plan(problem, plan, family, peak_mib())
    if shutil.which("hroller") is None:
        yield Row(family, CAPACITY_ALONE.name, "hroller", hosts, remark="not installed")
        return
    answer = ask_hroller(fleet, limit_s)
    if answer is None:
        yield Row(family, CAPACITY_ALONE.name, "hroller", hosts, remark=f"no answer in {limit_s:,.0f} s")
        return
    work = work_of_groups(problem, answer.text)
    done = replay(problem, work, ONE_PER_NIC)
    yield row_of_replay(
        problem,
        done,
        "hroller",
        family,
        planning_s=answer.seconds,
        peak_mib=answer.peak_mib,
        waves=len(work.behind),
    )
