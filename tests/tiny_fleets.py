"""Random fleets of a few hosts, small enough to be planned exactly, and the heuristic's schedules for them."""

from functools import cache

import numpy as np

from slacktide.datasets.calibration import DirtyProfile, MachineType, VmSize
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner import solve
from slacktide.planner.bounds import host_needs
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.orders import first_order
from slacktide.planner.policy import Assumptions, Canary, Policy, Reserve
from slacktide.planner.problem import Problem

LARGE_SIZES = (VmSize(4, 8192, 0.5), VmSize(6, 12288, 0.3), VmSize(8, 16384, 0.2))
"""Two to five of them fill a host, so that a fleet of six hosts has some twenty VMs."""


@cache
def tiny_fleet(
    hosts: int, seed: int, *, fill: float = 0.6, nic_mbit_s: int = 4000, notice: bool = True
) -> FleetSnapshot:
    """Return a random fleet of hosts with 20 vCPUs and 40 GiB, two to a rack, two racks to a power feed."""
    return generate_fleet(
        GeneratorSettings(
            hosts=hosts,
            seed=seed,
            fill=fill,
            fill_spread=0.3,
            empty_share=0.2,
            machine_types=(
                MachineType("a", 20, 40960, nic_mbit_s, 300, 0.7),
                MachineType("b", 24, 49152, 2000, 240, 0.3),
            ),
            vm_sizes=LARGE_SIZES,
            largest_vm_share=0.5,
            hosts_per_rack=2,
            racks_per_power_feed=2,
            host_link_mbit_s=2 * nic_mbit_s,
            uplink_mbit_s=2 * nic_mbit_s,
            oversubscription=2.0,
            service_sizes=((2, 0.5), (3, 0.5)),
            profiles=(DirtyProfile("idle", 1.0, (8.0, 32.0), (0.5, 5.0)),),
            unknown_dirty_share=0.0,
            restart_share=0.1,
            pinned_share=0.0,
            notice_s=((0, 0.6), (60, 0.4)) if notice else ((0, 1.0),),
        )
    )


def tiny_policy(*objective: str, out: int = 2, canary: int = 0, reserve: float = 0.05) -> Policy:
    """Return a policy for tiny fleets."""
    return Policy.model_validate(
        {
            "objective": objective or ("makespan", "moves"),
            "max_out": {"fleet": out, "rack": 1},
            "reserve": Reserve(share=reserve),
            "link_share": 0.5,
            "canary": Canary(hosts=canary, bake_s=60),
            "assume": Assumptions(dirty_mib_s=5.0, hot_mib=32.0),
        }
    )


def heuristic(problem: Problem, noise: np.ndarray | None = None) -> Schedule:
    """Return what one pass of list scheduling gives."""
    needs = host_needs(problem)
    order = first_order(problem, needs, noise)
    return list_schedule(problem, build_instance(problem), order, solve.terms_of(problem, needs))
