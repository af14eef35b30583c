"""Bounds on fleets small enough to work them out by hand."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.planner.bounds import Bounds, compute_bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.needs import demands, host_needs
from slacktide.planner.policy import Canary, Gates, Policy, Reserve, Selection
from slacktide.planner.problem import Problem
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import assemble, make_plan

UNLIMITED = Policy(reserve=Reserve(share=0.0), max_out={"fleet": 100}, canary=Canary(hosts=0))


def row_fleet(hosts: int, vms: list[dict[str, Any]], spare_mib: int = 1000, **host: Any) -> FleetSnapshot:
    """Return hosts h1, h2, ... of 1,000 MiB behind one switch, and an empty, patched one, e."""
    ids = [*(f"h{number}" for number in range(1, hosts + 1)), "e"]
    columns = {
        "host_id": ids,
        "rack_id": ["r"] * len(ids),
        "machine_type": ["m"] * len(ids),
        "vcpus": [1000] * len(ids),
        "memory_mib": [1000] * hosts + [spare_mib],
        "migration_mbit_s": [86] * len(ids),
        "patch_level": ["old"] * hosts + ["patched"],
        "maintenance_s": [100] * len(ids),
        "state": ["active"] * hosts + ["empty"],
    } | {name: [value] * len(ids) for name, value in host.items()}
    given = {
        "service_id": None,
        "vcpus": 1,
        "used_mib": None,
        "dirty_mib_s": 0.0,
        "hot_mib": 0.0,
        "local_disk_mib": 0,
        "eviction": "live",
        "notice_s": 0,
        "blackout_limit_ms": None,
        "machine_types": None,
    }
    rows = [{"vm_id": f"v{number:03d}", **given, **vm} for number, vm in enumerate(vms)]
    types = {column.name: column.dtype for column in TABLES["vms"].create_empty().iter_columns()}
    tables = {
        "hosts": pl.DataFrame(columns),
        "vms": pl.DataFrame(rows, schema=types),
        "services": TABLES["services"].create_empty(),
        "links": pl.DataFrame(
            [(a, b, 10_000) for host_id in ids for a, b in ((host_id, "s"), ("s", host_id))],
            schema=["tail", "head", "capacity_mbit_s"],
            orient="row",
        ),
        "domains": pl.DataFrame({"host_id": ids, "kind": ["rack"] * len(ids), "domain_id": ["r"] * len(ids)}),
    }
    sound = {
        name: schema.validate(tables[name].sort(schema.primary_key()), cast=True) for name, schema in TABLES.items()
    }
    return FleetSnapshot(
        FleetMeta(taken_at=datetime(2026, 1, 1, tzinfo=UTC), source="by hand", licence="none"), **sound
    )


def bounds_of(hosts: int, vms: list[dict[str, Any]], policy: dict[str, Any], **host: Any) -> Bounds:
    return compute_bounds(build_problem(row_fleet(hosts, vms, **host), UNLIMITED.model_copy(update=policy)))


def test_empty_hosts_go_in_whole_waves() -> None:
    bounds = bounds_of(5, [], {"max_out": {"fleet": 2}})
    assert bounds.makespan_s["hosts-out:fleet"] == 300
    assert bounds.binding_resource == "hosts-out:fleet"
    assert bounds.returns_s.tolist() == [100, 100, 200, 200, 300]
    assert bounds.exposure_s == 900


def test_nothing_is_due() -> None:
    bounds = bounds_of(0, [], {})
    assert bounds.makespan_s == {"chain": 0.0}
    assert bounds.exposure_s == 0


def test_notice_lengthens_the_chain_alone() -> None:
    vm = {"host_id": "h1", "memory_mib": 100, "notice_s": 500}
    alone, noticed = bounds_of(1, [{**vm, "notice_s": 0}], {}), bounds_of(1, [vm], {})
    assert noticed.makespan_s["chain"] == alone.makespan_s["chain"] + 500
    assert noticed.makespan_s["hosts-out:fleet"] == alone.makespan_s["hosts-out:fleet"]


def test_the_canary_delays_the_others() -> None:
    policy = {"canary": Canary(hosts=1, bake_s=50)}
    assert bounds_of(3, [], policy).makespan_s["chain"] == 100 + 50 + 100
    assert bounds_of(3, [], policy).returns_s.tolist() == [100, 250, 250]


def test_the_others_wait_for_the_whole_canary() -> None:
    """The VM of h1 is told 400 s ahead, the others 500 s: of any two canary hosts the second is back after 500 s."""
    vms = [{"host_id": f"h{number}", "memory_mib": 1, "notice_s": 500 - 100 * (number == 1)} for number in (1, 2, 3, 4)]
    policy = {"canary": Canary(hosts=2, bake_s=50)}
    moved_s = bounds_of(4, vms, {}).returns_s[0] - 500
    assert bounds_of(4, vms, policy).makespan_s["chain"] == 600 + moved_s + 50 + 100 + moved_s
    problem = build_problem(row_fleet(4, vms), UNLIMITED.model_copy(update=policy))
    assert compute_bounds(problem, complete=False).makespan_s["chain"] == 500 + moved_s + 50 + 100 + moved_s


def test_a_canary_that_cannot_leave_together_is_waited_for() -> None:
    """One host may be out at once: the second of the canary leaves when the first is back, the third once it baked."""
    policy = UNLIMITED.model_copy(update={"canary": Canary(hosts=2, bake_s=50), "max_out": {"fleet": 1}})
    plan = make_plan(row_fleet(3, []), policy)
    assert plan.hosts.sort("drain_start_s").select("wave", "drain_start_s", "return_s").rows() == [
        (0, 0, 100),
        (0, 100, 200),
        (1, 250, 350),
    ]
    assert plan.header.summary.audit.findings == ()
    assert plan.header.summary.makespan_bound_s <= 350


def test_what_moves_send_and_not_their_memory_alone_takes_time() -> None:
    """Ten moves of 90 MiB are set up ten times, one of 900 MiB once; each VM takes room elsewhere from its turn on."""
    few = bounds_of(8, [{"host_id": f"h{number}", "memory_mib": 900} for number in range(1, 9)], {})
    many = bounds_of(8, [{"host_id": f"h{number}", "memory_mib": 90} for number in range(1, 9) for _ in range(10)], {})
    assert many.makespan_s["memory"] > few.makespan_s["memory"]


@pytest.mark.parametrize("eviction", ["live", "restart"])
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_a_host_that_holds_more_than_it_has_counts_with_what_it_holds(eviction: str, share: float) -> None:
    """1,200 MiB on a host of 1,000: while it is out, others may take 200 MiB more, however long its drain lasts.

    Of 5,000 MiB 2,800 are free, and with a reserve of 4,500 none but these 200.
    """
    vms = [{"host_id": "h1", "memory_mib": 600}, {"host_id": "h1", "memory_mib": 600, "eviction": eviction}]
    vms.append({"host_id": "h2", "memory_mib": 1000})
    policy = UNLIMITED.model_copy(update={"reserve": Reserve(share=share)})
    problem = build_problem(row_fleet(2, vms, spare_mib=3000), policy)
    needs = host_needs(problem)
    memory = next(demand for demand in demands(problem, needs) if demand.name == "memory")
    assert memory.limit == (3000 if share == 0 else 200)
    assert memory.amount.tolist() == [1200, 1000]
    sent_s = needs.sending_s
    if eviction == "live":
        assert memory.areas[0][0] == pytest.approx([1200 * 100 + 600 * sent_s[0], 1000 * 100 + 500 * sent_s[1]])
    else:
        assert 1200 * 100 < memory.areas[0][0][0] <= 1200 * 100 + 300 * sent_s[0] + 600 * sent_s[0]


@pytest.mark.parametrize(("live_mib", "restart_mib"), [(500, 500), (300, 500), (800, 150), (100, 900), (900, 0)])
def test_restarts_begin_before_the_drain_ends(live_mib: int, restart_mib: int) -> None:
    """The area is the least over all memory that may have come meanwhile, worked out second by second here."""
    vms: list[dict[str, Any]] = [{"host_id": "h1", "memory_mib": live_mib}]
    if restart_mib:
        vms.append({"host_id": "h1", "memory_mib": restart_mib, "eviction": "restart"})
    problem = build_problem(row_fleet(1, vms, spare_mib=3000, migration_mbit_s=30), UNLIMITED)
    needs = host_needs(problem)
    area = next(demand for demand in demands(problem, needs) if demand.name == "memory").areas[0][0][0]
    restarts = problem.vms.duration_s[problem.vms.restart]
    restart_s = int(restarts[restarts >= 0].min()) if restart_mib else 0
    fastest, sent_s = needs.fastest_mib_s[0], needs.sending_s[0]
    least = np.inf
    for came_mib in np.linspace(0, 1000 - live_mib, 101):
        x = (np.arange(20_000) + 0.5) / 20_000 * (sent_s + came_mib / fastest)
        own_mib = live_mib / sent_s * np.maximum(x - came_mib / fastest, 0)
        kept_mib = np.where(x >= restart_s, min(1000 - live_mib - came_mib, restart_mib), 0)
        taken_mib = 1000 - kept_mib - np.minimum(fastest * x, came_mib) - own_mib
        least = min(least, taken_mib.mean() * x.max())
    assert 0.98 * least <= area - 1000 * 100 <= least * 1.001


def test_a_canary_of_every_host_delays_nobody() -> None:
    assert bounds_of(3, [], {"canary": Canary(hosts=3, bake_s=50)}).best_s == 100


def test_free_memory_limits_hosts_out() -> None:
    vms = [{"host_id": f"h{number}", "memory_mib": 1000} for number in (1, 2, 3)]
    bounds = bounds_of(3, vms, {})
    drain_s = bounds.makespan_s["chain"] - 100
    assert bounds.makespan_s["memory"] >= 3 * 100 + drain_s
    assert bounds.binding_resource == "memory"


def test_no_free_memory_is_no_finite_bound() -> None:
    vms = [{"host_id": host, "memory_mib": 1000} for host in ("h1", "e")]
    bounds = bounds_of(1, vms, {})
    assert bounds.makespan_s["memory"] == float("inf")
    assert bounds.exposure_s == float("inf")


def test_a_reserve_of_a_whole_number_is_not_rounded_up() -> None:
    assert 0.07 * 3000 > 210
    for share, free_mib in ((0.07, 3000 - 210), (210.5 / 3000, 3000 - 211)):
        problem = build_problem(row_fleet(2, []), UNLIMITED.model_copy(update={"reserve": Reserve(share=share)}))
        limits = {demand.name: demand.limit for demand in demands(problem, host_needs(problem))}
        assert limits["memory"] == free_mib


def test_an_empty_host_that_cannot_send_has_a_bound() -> None:
    assert bounds_of(2, [], {"link_share": 0.5}, migration_mbit_s=1).best_s == 100
    slow = UNLIMITED.model_copy(update={"link_share": 1e-5})
    assert compute_bounds(build_problem(row_fleet(2, []), slow)).best_s == 100


def test_restarted_vms_need_no_second_place_while_others_leave() -> None:
    """A host whose VMs mostly restart takes little room while it drains; the audited plan shows how little.

    Were restarted VMs counted as sent, the bound on memory would be 1,452 s, and the plan takes 1,355 s.
    """
    count = 8
    kinds = ({"memory_mib": 100}, {"memory_mib": 900, "eviction": "restart"})
    vms = [{"host_id": f"h{number}", **kind} for number in range(1, count + 1) for kind in kinds]
    snapshot = row_fleet(count, vms, spare_mib=1100, migration_mbit_s=8)
    problem = build_problem(snapshot, UNLIMITED)
    plan = assemble(snapshot, problem, relay(problem, count), 0, 0.0)
    assert plan.header.summary.audit.findings == ()
    assert plan.header.summary.makespan_bound_s <= plan.header.summary.makespan_s
    assert plan.header.summary.bounds["memory"] > 0.6 * plan.header.summary.makespan_s


def relay(problem: Problem, count: int) -> Schedule:
    """Drain h1 into e, then each host into those before it: its live VM early, its restarted VM at the last moment."""
    live, restarted = np.arange(0, 2 * count, 2), np.arange(1, 2 * count, 2)
    place = {name: number for number, name in enumerate(problem.hosts.ids)}
    live_s, restart_s = int(problem.vms.duration_s[live[0], 1]), int(problem.vms.duration_s[restarted[0], 0])
    drained = live_s + (restart_s + 100) * np.arange(count)
    host = np.array([place[f"h{number}"] for number in range(1, count + 1)])
    spare = place["e"]
    to_live = np.array([spare, spare, *host[: count - 2]])
    to_restarted = np.array([spare, *host[: count - 1]])
    return Schedule(
        host=host,
        wave=np.zeros(count, np.int64),
        drain_start_s=drained - live_s,
        drained_s=drained,
        return_s=drained + 100,
        vm=np.concatenate([live, restarted]),
        source=np.concatenate([host, host]),
        target=np.concatenate([to_live, to_restarted]),
        start_s=np.concatenate([drained - live_s, drained - restart_s]),
        end_s=np.concatenate([drained, drained]),
        rate=np.repeat([1, 0], count),
    )


def test_hosts_left_alone_count_until_the_last_return() -> None:
    problem = build_problem(row_fleet(3, []), UNLIMITED)
    due = problem.hosts.due.copy()
    due[problem.hosts.ids.index("h3")] = False
    assert compute_bounds(replace(problem, hosts=replace(problem.hosts, due=due))).exposure_s == 300


def test_one_host_too_many_needs_a_wave_of_its_own() -> None:
    """101 hosts, 20 at once, are six waves, though 101 hosts of 1,050 s on average are only 5,303 s by area."""
    fleet = row_fleet(101, [])
    fleet = replace(fleet, hosts=fleet.hosts.with_columns(maintenance_s=pl.int_range(1000, 1102, dtype=pl.Int64)))
    names = fleet.hosts["host_id"].to_list()
    terms = UNLIMITED.model_copy(update={"max_out": {"fleet": 20}, "selection": Selection(exclude=("e",))})
    shortest_s = min(
        int(patch_s) for name, patch_s in zip(names, fleet.hosts["maintenance_s"], strict=True) if name != "e"
    )
    assert compute_bounds(build_problem(fleet, terms)).makespan_s["hosts-out:fleet"] >= 6 * shortest_s


@pytest.mark.parametrize(
    ("hosts", "gates", "bound_s", "returns_s"),
    [
        # Waves of two of the six hosts, out for 100, 110, ... 150 s: 150 + 130 + 110 s, and twice 20 s between them.
        (6, Gates(kind="baked", bake_s=20, max_wave_hosts=2), 430, [100, 110, 240, 260, 400, 430]),
        # Five: the first wave may be the one of one host, 140 + 120 + 100 s.
        (5, Gates(kind="baked", bake_s=20, max_wave_hosts=2), 400, [100, 110, 240, 260, 400]),
        (6, Gates(kind="baked", bake_s=20), 150, [100, 110, 120, 130, 140, 150]),
        (6, Gates(max_wave_hosts=2), 150, [100, 110, 120, 130, 140, 150]),
    ],
)
def test_whole_waves_follow_one_another(hosts: int, gates: Gates, bound_s: float, returns_s: list[float]) -> None:
    policy = UNLIMITED.model_copy(update={"gates": gates})
    snapshot = row_fleet(hosts, [])
    taken = [*range(100, 100 + 10 * hosts, 10), 100]
    snapshot = replace(snapshot, hosts=snapshot.hosts.with_columns(maintenance_s=pl.Series(taken, dtype=pl.Int64)))
    bounds = compute_bounds(build_problem(snapshot, policy))
    assert bounds.best_s == bound_s
    assert bounds.returns_s.tolist() == returns_s
    plan = make_plan(snapshot, policy)
    assert plan.header.summary.audit.findings == ()
    assert bound_s <= plan.header.summary.makespan_s


def test_waves_behind_the_canary() -> None:
    """The canary of one is back at 100 s and baked at 150; the other four, of 100 s each, are two waves."""
    gates = Gates(kind="baked", bake_s=20, max_wave_hosts=2)
    policy = UNLIMITED.model_copy(update={"gates": gates, "canary": Canary(hosts=1, bake_s=50)})
    bounds = compute_bounds(build_problem(row_fleet(5, []), policy))
    assert (bounds.binding_resource, bounds.best_s) == ("waves", 150 + 100 + 20 + 100)
    assert bounds.returns_s.tolist() == [100, 250, 250, 370, 370]
