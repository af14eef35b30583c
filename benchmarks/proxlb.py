"""proxlb-solver beside our planner: some hosts of a small cluster are to be drained.

It runs in an environment of its own (``--proxlb PYTHON``), since it brings its own versions of the libraries.  Its plan
has steps of two moves at once, one into each host; its moves out of the drained hosts are carried out on paper.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.against import peak_mib, stop_of, warm
from benchmarks.families import SHARED_STORAGE
from benchmarks.hroller import CAPACITY_ALONE
from benchmarks.other_tools import Answer, ask
from benchmarks.rows import Row, row_of_plan, row_of_replay
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner.policy import Assumptions, Policy, Selection
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import make_plan
from slacktide.planner.streams.replayed import replay
from slacktide.planner.streams.rules import StreamRule
from slacktide.planner.streams.work import Work

GRACE = 3
"""Its model takes longer to build and read than its solver's limit allows for; after three times that it is ended."""
TWO_AT_ONCE = StreamRule("proxlb", incoming=1, cluster=2)
CALLED = """
import json, sys
from proxlb_solver import Balancing, Cluster, Constraints, Node, VM, solve_reachable
from proxlb_solver.models import Expect
asked = json.load(open(sys.argv[1]))
cluster = Cluster(
    name="fleet", description="", balancing=Balancing(balanciness=1, cpu_overcommit=1.0),
    nodes=[Node(**node) for node in asked["nodes"]], vms=[VM(**vm) for vm in asked["vms"]],
    constraints=Constraints(), expect=Expect(),
)
solution, plan = solve_reachable(cluster, total_time_limit_s=asked["limit_s"])
moves = [[move.vm, move.source, move.target] for step in plan.steps for move in step.migrations]
json.dump({"feasible": solution.feasible and plan.path_feasible, "status": solution.stats.status, "moves": moves},
          sys.stdout)
"""
"""What is called there: the hosts are in maintenance, and nothing is moved for balance's sake (balanciness 1)."""


def policy_for(drained: tuple[str, ...]) -> Policy:
    """Return a policy that drains some hosts, all at once if there is room."""
    return Policy(
        name="capacity alone",
        objective=("makespan", "moves"),
        selection=Selection(hosts=drained),
        max_out={"fleet": len(drained)},
        link_share=0.7,
        assume=Assumptions(dirty_mib_s=20.0, hot_mib=64.0),
    )


def ask_proxlb(python: str, fleet: FleetSnapshot, drained: tuple[str, ...], limit_s: float) -> Answer | None:
    """Return its answer, None: none."""
    nodes = [
        {"name": host, "cpu_total": vcpus, "memory_total": memory << 20, "maintenance": host in drained}
        for host, vcpus, memory in fleet.hosts.select("host_id", "vcpus", "memory_mib").iter_rows()
    ]
    vms = [
        {"name": vm, "node": host, "cpu": vcpus, "memory": memory << 20}
        for vm, host, vcpus, memory in fleet.vms.select("vm_id", "host_id", "vcpus", "memory_mib").iter_rows()
    ]
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.json"
        asked.write_text(json.dumps({"nodes": nodes, "vms": vms, "limit_s": limit_s}))
        return ask([python, "-c", CALLED, str(asked)], GRACE * limit_s)


def proxlb_rows(
    python: str | None, hosts: int, drained: int, seed: int, limit: float | int, limit_s: float
) -> Iterator[Row]:
    """Yield our row and proxlb-solver's for a cluster of which some hosts are drained."""
    fleet = generate_fleet(GeneratorSettings.model_validate({"hosts": hosts, "seed": seed, **SHARED_STORAGE}))
    chosen = tuple(sorted(fleet.vms["host_id"].unique().sort().to_list()[:drained]))
    policy = policy_for(chosen)
    family = f"{drained} of {hosts} hosts"
    warm(CAPACITY_ALONE)
    plan = make_plan(fleet, policy, stop=stop_of(limit))
    problem = build_problem(fleet, policy)
    yield row_of_plan(problem, plan, family, peak_mib())
    if python is None or not Path(python).exists():
        yield Row(family, policy.name, "proxlb-solver", drained, remark="not installed")
        return
    answer = ask_proxlb(python, fleet, chosen, limit_s)
    if answer is None:
        remark = f"no answer in {GRACE * limit_s:,.0f} s"
        yield Row(family, policy.name, "proxlb-solver", drained, remark=remark)
        return
    yield _row(problem, answer, family, drained)


def _row(problem: Problem, answer: Answer, family: str, drained: int) -> Row:
    found = json.loads(answer.text)
    took = {"planning_s": answer.seconds, "peak_mib": answer.peak_mib}
    if not found["feasible"]:
        remark = f"no plan: {found['status']}"
        return Row(family, problem.policy.name, "proxlb-solver", drained, **took, remark=remark)
    host = {name: number for number, name in enumerate(problem.hosts.ids)}
    vm = {name: number for number, name in enumerate(problem.vms.ids)}
    listed = [(vm[name], host[source], host[target]) for name, source, target in found["moves"]]
    out = np.array([move for move in listed if problem.hosts.due[move[1]]], np.int64).reshape(-1, 3)
    order = np.flatnonzero(problem.hosts.due)
    work = Work(
        order=order,
        wave=np.zeros(len(order), np.int64),
        late=np.zeros(len(order), np.bool_),
        behind=np.array([-1], np.int64),
        bake_s=np.zeros(1, np.int64),
        vm=out[:, 0].copy(),
        source=out[:, 1].copy(),
        target=out[:, 2].copy(),
        back=np.zeros(len(out), np.bool_),
        after_return=np.full(len(out), -1, np.int64),
        in_drain=np.zeros(len(out), np.bool_),
        arrival_for=np.full(len(out), -1, np.int64),
    )
    vms = int(np.isin(problem.vms.host, order).sum())
    others = len(listed) - len(out)
    return row_of_replay(
        problem,
        replay(problem, work, TWO_AT_ONCE),
        "proxlb-solver",
        family,
        **took,
        moves_per_vm=len(listed) / vms,
        remark=str(found["status"]) + (f", {others} moves of other hosts' VMs" if others else ""),
    )
