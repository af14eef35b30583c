"""How far list scheduling is from the proven optimum on random small fleets.

    python benchmarks/joint.py [--fleets 3:150 4:20] [--effort 1] [--tries 20]

Hosts sell 20 or 24 vCPUs, VMs take 4 to 8, memory is 60 % full, a fifth of the hosts is empty, all are due, two may be
out at once.  For each goal alone the best of some tries of list scheduling stands beside the joint model's optimum;
only fleets count for which that is proven, and on which both patch equally many hosts.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from slacktide.datasets.calibration import DirtyProfile, MachineType, VmSize
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.joint import Solved, scores, solve_joint
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import host_needs
from slacktide.planner.orders import canary_first
from slacktide.planner.policy import Assumptions, Objective, Policy, Reserve
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.search import JOINT_EFFORT
from slacktide.planner.solve import terms_of

GOALS: tuple[Objective, ...] = ("makespan", "exposure", "moves")


@dataclass(frozen=True, slots=True)
class Case:
    """One fleet and goal."""

    goal: str
    hosts: int
    seed: int
    more_hosts: int
    """Hosts that the joint plan patches and list scheduling does not."""
    proven: bool
    listed: float
    planned: float
    """With the joint model's first, short search, as ``make_plan`` does for fleets so small."""
    best: float

    def above(self, value: float) -> float:
        """Return how much larger a value is than the optimum."""
        return value / self.best - 1 if self.best else 0.0


def small_problem(hosts: int, seed: int, goal: Objective) -> Problem:
    """Return the planning problem of one random fleet."""
    settings = GeneratorSettings(
        hosts=hosts,
        seed=seed,
        fill=0.6,
        fill_spread=0.3,
        empty_share=0.2,
        machine_types=(MachineType("a", 20, 40960, 4000, 300, 0.7), MachineType("b", 24, 49152, 2000, 240, 0.3)),
        vm_sizes=(VmSize(4, 8192, 0.5), VmSize(6, 12288, 0.3), VmSize(8, 16384, 0.2)),
        hosts_per_rack=2,
        racks_per_power_feed=2,
        host_link_mbit_s=8000,
        uplink_mbit_s=8000,
        service_sizes=((2, 0.5), (3, 0.5)),
        profiles=(DirtyProfile("idle", 1.0, (8.0, 32.0), (0.5, 5.0)),),
        restart_share=0.1,
        notice_s=((0, 0.6), (60, 0.4)),
    )
    policy = Policy(
        objective=(goal,),
        max_out={"fleet": 2},
        reserve=Reserve(share=0.05),
        assume=Assumptions(dirty_mib_s=5.0, hot_mib=32.0),
    )
    return build_problem(generate_fleet(settings), policy)


def best_listed(problem: Problem, tries: int) -> Schedule:
    """Return the best of the first and some shuffled passes of list scheduling."""
    needs, instance = host_needs(problem), build_instance(problem)
    terms, rng = terms_of(problem, needs, compute_bounds(problem)), np.random.default_rng(0)
    orders = [pressing_order(problem, needs)]
    orders += [needs.host[canary_first(problem, needs, rng.permutation(len(needs.host)))] for _ in range(tries - 1)]
    found = [list_schedule(problem, instance, order, terms) for order in orders]
    return min((each for each in found if each is not None), key=lambda schedule: scores(problem, schedule))


def case_of(asked: tuple[Objective, int, int, int, float]) -> Case:
    """Return one case, of a goal, hosts, a seed, tries and effort."""
    goal, hosts, seed, tries, effort = asked
    problem = small_problem(hosts, seed, goal)
    listed = best_listed(problem, tries)
    planned = solve_joint(problem, listed, effort=JOINT_EFFORT)
    if not isinstance(planned, Solved):
        return Case(goal, hosts, seed, 0, False, np.nan, np.nan, np.nan)
    best = planned if planned.proven else solve_joint(problem, planned.schedule, effort=effort)
    assert isinstance(best, Solved)
    values = [scores(problem, schedule)[1] for schedule in (listed, planned.schedule, best.schedule)]
    more = len(best.schedule.host) - len(listed.host)
    return Case(goal, hosts, seed, more, best.proven, *values)


def cases(fleets: Mapping[int, int], tries: int, effort: float, workers: int) -> Iterator[Case]:
    """Yield every case, as they are done; ``fleets`` says how many there are of each number of hosts."""
    asked = [
        (goal, size, seed, tries, effort) for size, count in fleets.items() for seed in range(count) for goal in GOALS
    ]
    if workers == 1:
        yield from map(case_of, asked)
        return
    with get_context("spawn").Pool(workers, initializer=ignore_interrupts) as pool:
        yield from pool.imap(case_of, asked, chunksize=4)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that has started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def table(found: list[Case]) -> list[list[str]]:
    """Return two rows for each goal: counts, the share at the optimum, and the distribution of the difference."""
    rows = []
    for goal in GOALS:
        mine = [case for case in found if case.goal == goal]
        alike = [case for case in mine if case.proven and case.more_hosts == 0]
        counts = [len(mine), sum(case.proven for case in mine), sum(case.more_hosts > 0 for case in mine)]
        for who, values in (
            ("list scheduling", [case.above(case.listed) for case in alike]),
            ("make_plan", [case.above(case.planned) for case in alike]),
        ):
            off = np.array(values or [0.0])
            quantiles = [f"{100 * np.quantile(off, share):.2f} %" for share in (0.5, 0.9, 1.0)]
            rows.append([goal, who, *map(str, counts), f"{100 * float((off < 1e-9).mean()):.1f} %", *quantiles])
    return rows


HEADER = ["goal", "planner", "fleets", "proven", "more hosts in the optimum", "at the optimum", "p50", "p90", "max"]


def main() -> None:
    """Print the table."""
    from benchmarks.tables import markdown

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", nargs="+", default=["3:150", "4:20"], help="hosts:fleets")
    parser.add_argument("--effort", type=float, default=1.0)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    fleets = dict(tuple(map(int, each.split(":"))) for each in chosen.fleets)
    found = list(cases(fleets, chosen.tries, chosen.effort, chosen.workers))
    print(markdown(HEADER, table(found)))


if __name__ == "__main__":
    main()
