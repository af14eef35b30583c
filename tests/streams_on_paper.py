"""Fleets of a few hosts on one switch, VMs of given sizes, and moves to carry out on paper."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.planner.policy import MigrationRules, Policy
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.streams.work import Work
from slacktide.units import MBIT_PER_MIB

INSTANT = MigrationRules(goodput=1.0, setup_s=0, switchover_ms=0, forwarding_s=0, strategies=("precopy",))
"""Nothing takes time but the copying itself."""
NIC_MBIT_S = round(100 * MBIT_PER_MIB)
"""A NIC of 100 MiB/s, to a hundred-thousandth."""


def vm(host: int, memory_mib: int, **more: object) -> dict[str, object]:
    """Return one row of the VMs."""
    row: dict[str, object] = {
        "host_id": f"h{host:03}",
        "service_id": None,
        "vcpus": 1,
        "memory_mib": memory_mib,
        "used_mib": None,
        "dirty_mib_s": 0.0,
        "hot_mib": 0.0,
        "local_disk_mib": 0,
        "eviction": "live",
        "notice_s": 0,
        "blackout_limit_ms": None,
        "machine_types": None,
    }
    return row | more


def problem_of(
    hosts: int,
    vms: Sequence[dict[str, object]],
    rules: MigrationRules = INSTANT,
    nic_mbit_s: int = NIC_MBIT_S,
    max_out: int | None = None,
    **policy: object,
) -> Problem:
    """Return the problem of a fleet on one switch whose links are never in the way."""
    ids = [f"h{number:03}" for number in range(hosts)]
    tables = {
        "hosts": pl.DataFrame(
            {
                "host_id": ids,
                "rack_id": ["r"] * hosts,
                "machine_type": ["m"] * hosts,
                "vcpus": [1000] * hosts,
                "memory_mib": [2**40] * hosts,
                "migration_mbit_s": [nic_mbit_s] * hosts,
                "patch_level": ["old"] * hosts,
                "maintenance_s": [100] * hosts,
                "state": ["active"] * hosts,
            }
        ),
        "vms": pl.DataFrame(
            [{"vm_id": f"v{number:03}", **row} for number, row in enumerate(vms)], infer_schema_length=None
        ),
        "services": pl.DataFrame(
            {"service_id": ["s"], "spread_over": [None], "max_per_domain": [None], "max_moving": [1]}
        ),
        "links": pl.DataFrame(
            [(a, b, 100 * nic_mbit_s) for host in ids for a, b in ((host, "leaf"), ("leaf", host))],
            schema=["tail", "head", "capacity_mbit_s"],
            orient="row",
        ),
        "domains": pl.DataFrame({"host_id": ids, "kind": ["rack"] * hosts, "domain_id": ["r"] * hosts}),
    }
    sound = {name: schema.cast(tables[name].sort(schema.primary_key())) for name, schema in TABLES.items()}
    meta = FleetMeta(taken_at=datetime(2026, 1, 1, tzinfo=UTC), source="by hand", licence="none")
    terms = {"max_out": {"fleet": hosts if max_out is None else max_out}, "migration": rules, **policy}
    return build_problem(FleetSnapshot(meta, **sound), Policy.model_validate(terms))


def work_on(moves: Sequence[tuple[int, int, int]], **changes: object) -> Work:
    """Return the work of moves (VM, source, target) out of hosts that all drain in one wave, in the order given."""
    vm, source, target = np.array(moves, np.int64).reshape(-1, 3).T
    order = source[np.sort(np.unique(source, return_index=True)[1])]
    fields = {
        "order": order,
        "wave": np.zeros(len(order), np.int64),
        "late": np.zeros(len(order), np.bool_),
        "behind": np.array([-1], np.int64),
        "bake_s": np.zeros(1, np.int64),
        "vm": vm.copy(),
        "source": source.copy(),
        "target": target.copy(),
        "back": np.zeros(len(vm), np.bool_),
        "after_return": np.full(len(vm), -1, np.int64),
        "in_drain": np.zeros(len(vm), np.bool_),
        "arrival_for": np.full(len(vm), -1, np.int64),
    }
    return Work(**(fields | changes))
