"""Where CP-SAT earns its place: list scheduling, the best of some tries, beside the joint model on random small fleets.

    python benchmarks/joint.py [--fleets 5] [--hosts 3 4 5 6 8] [--effort 2] [--tries 20]

Hosts sell 20 or 24 vCPUs, VMs take 4 to 8, memory is 60 % full, a fifth of the hosts is empty, all are due, two may be
out at once.  Makespans and moves are means over the fleets on which both plans patch equally many hosts.
"""

import argparse
import time

import numpy as np

from slacktide.datasets.calibration import DirtyProfile, MachineType, VmSize
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import solve
from slacktide.planner.bounds import compute_bounds, host_needs
from slacktide.planner.joint import Solved, scores, solve_joint
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.orders import first_order
from slacktide.planner.policy import Assumptions, Policy, Reserve
from slacktide.planner.problem import Problem, build_problem

POLICY = Policy(
    objective=("makespan", "moves"),
    max_out={"fleet": 2},
    reserve=Reserve(share=0.05),
    assume=Assumptions(dirty_mib_s=5.0, hot_mib=32.0),
)


def small_problem(hosts: int, seed: int) -> Problem:
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
    return build_problem(generate_fleet(settings), POLICY)


def best_listed(problem: Problem, tries: int) -> Schedule:
    """Return the best of the first and some shuffled passes of list scheduling."""
    needs, instance = host_needs(problem), build_instance(problem)
    terms, rng = solve.terms_of(problem, needs), np.random.default_rng(0)
    noises = [None, *(rng.random(len(needs.host)) for _ in range(tries - 1))]
    found = [list_schedule(problem, instance, first_order(problem, needs, noise), terms) for noise in noises]
    return min(found, key=lambda schedule: scores(problem, schedule))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=5)
    parser.add_argument("--hosts", type=int, nargs="+", default=[3, 4, 5, 6, 8])
    parser.add_argument("--effort", type=float, default=2.0)
    parser.add_argument("--tries", type=int, default=20)
    chosen = parser.parse_args()
    print("| hosts | VMs | bound s | listed s | joint s | listed moves | joint moves | more hosts | proven | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for hosts in chosen.hosts:
        alike, vms, more, proven, spent_s = [], [], 0, 0, []
        for seed in range(chosen.fleets):
            problem = small_problem(hosts, seed)
            listed = best_listed(problem, chosen.tries)
            begun_s = time.monotonic()
            outcome = solve_joint(problem, listed, effort=chosen.effort)
            spent_s.append(time.monotonic() - begun_s)
            vms.append(len(problem.vms.ids))
            if not isinstance(outcome, Solved):
                continue
            proven += outcome.proven
            more += len(outcome.schedule.host) - len(listed.host)
            if len(outcome.schedule.host) == len(listed.host):
                both = (listed, outcome.schedule)
                makespans = [schedule.makespan_s for schedule in both]
                alike.append([compute_bounds(problem).best_s, *makespans, *(len(schedule.vm) for schedule in both)])
        means = np.mean(alike, axis=0) if alike else np.full(5, np.nan)
        print(
            f"| {hosts} | {np.mean(vms):.0f} | {means[0]:,.0f} | {means[1]:,.0f} | {means[2]:,.0f} | {means[3]:.1f} "
            f"| {means[4]:.1f} | {more} | {proven} of {chosen.fleets} | {np.mean(spent_s):.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
