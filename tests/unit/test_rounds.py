"""Rounds: who is in the first takes no VMs, a few in the last go one after the other, and stragglers leave sooner."""

from dataclasses import replace

import numpy as np
import polars as pl
from test_bounds_by_hand import UNLIMITED, row_fleet

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.listing.schedule import build_instance, list_schedule
from slacktide.planner.needs import host_needs
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.problem_building import build_problem
from slacktide.planner.rounds import in_file, leaving_first, spared
from slacktide.planner.solve import make_plan, terms_of
from slacktide.planner.stopping import Iterations
from slacktide.planner.straggling import end_anew, stragglers_sooner

FLEET = generate_fleet(GeneratorSettings(hosts=603, pinned_share=0.0))


def policy(fleet_out: int) -> Policy:
    urgent = PRESETS["urgent"]
    return urgent.model_copy(update={"max_out": {**urgent.max_out, "fleet": fleet_out}})


def test_the_shortest_go_one_after_the_other() -> None:
    out_s = np.array([5.0, 9.0, 1.0, 9.0, 2.0, 9.0, 3.0, 9.0, 4.0])
    assert in_file(out_s, 4).tolist() == [2, 4, 6]
    assert in_file(out_s, 9).tolist() == []
    assert in_file(out_s, 8).tolist() == [2, 4]
    assert in_file(out_s[:7], 4).tolist() == [], "three are not few of four"
    assert in_file(out_s, 10).tolist() == []


def test_a_handful_of_them_take_no_vms_before_they_are_patched() -> None:
    problem = build_problem(FLEET, policy(150))
    chosen = [problem.hosts.ids[host] for host in np.flatnonzero(spared(problem))]
    assert len(chosen) == 5, "601 hosts behind the canary: four rounds of 150, and one more"
    plan = make_plan(FLEET, policy(150), stop=Iterations(0))
    assert plan.header.summary.audit.findings == ()
    returns = plan.hosts.select(target=pl.col("host_id").cast(pl.String), return_s="return_s")
    there = plan.migrations.with_columns(pl.col("target").cast(pl.String)).filter(pl.col("target").is_in(chosen))
    early = there.join(returns, on="target").filter(pl.col("start_s") < pl.col("return_s"))
    assert early.is_empty()


def test_nobody_is_spared_where_rounds_are_whole_or_many_would_be() -> None:
    for fleet_out in (601, 300, 140, 20):
        whole = build_problem(FLEET, policy(fleet_out))
        assert spared(whole).sum() == (3 if fleet_out == 300 else 0), f"{fleet_out} out of 601 at once"


def schedule_of(return_s: list[int]) -> Schedule:
    """Return hosts 0, 1, ... that are out for ten seconds each, and one migration of each."""
    host, back = np.arange(len(return_s)), np.array(return_s)
    return Schedule(host, host, back - 10, back - 5, back, host, host, host[::-1].copy(), back - 10, back - 5, host)


def test_a_host_that_comes_back_long_after_all_others_leaves_a_round_sooner() -> None:
    """200 hosts, ten at once; the one before the last comes back 30 s after the third from last."""
    back = [10 * (1 + host // 10) for host in range(200)]
    assert stragglers_sooner(np.arange(200), schedule_of(back)) is None
    back[150], back[170] = 230, 231
    sooner = stragglers_sooner(np.arange(200), schedule_of(back))
    assert sooner is not None
    round_ = 200 * 10 / 231
    place = {host: at for at, host in enumerate(sooner.tolist())}
    assert 150 - round_ - 1 <= place[150] < 150 - round_ + 1
    assert 170 - round_ - 1 <= place[170] < 170 - round_ + 1
    rest = [host for host in sooner.tolist() if host not in (150, 170)]
    assert rest == sorted(rest)
    assert stragglers_sooner(np.arange(1), schedule_of([10])) is None


def test_the_end_is_decided_anew_with_the_stragglers_first() -> None:
    """200 hosts, ten at once, for ten seconds each; hosts 150 and 170 come back 30 s after all others."""
    back = [10 * (1 + host // 10) for host in range(200)]
    due = np.arange(203)
    assert end_anew(due, schedule_of(back)) is None
    back[150], back[170] = 230, 231
    queue = end_anew(due, schedule_of(back))
    assert queue is not None
    kept = queue.kept
    assert kept is not None
    assert kept.host.tolist() == [host for host in range(180) if host not in (150, 170)]
    assert kept.drain_start_s.max() < 200 - 2 * 10
    rest = queue.order.tolist()
    assert rest[:2] == [150, 170]
    assert rest[2:22] == list(range(180, 200))
    assert rest[22:] == [200, 201, 202], "hosts without a place are tried again"
    assert end_anew(due, schedule_of([10])) is None


def test_the_canary_stays_where_it_is_however_short_a_plan_is() -> None:
    schedule = replace(schedule_of([10, 20, 20, 20, 99]), wave=np.array([0, 1, 1, 1, 1]))
    queue = end_anew(np.arange(5), schedule)
    assert queue is not None
    assert queue.kept is not None
    assert queue.kept.host.tolist() == [0]
    assert queue.order.tolist() == [4, 1, 2, 3]


def test_without_a_canary_the_first_wave_is_everybody_and_its_end_is_decided_anew_too() -> None:
    back = [10 * (1 + host // 10) for host in range(200)]
    back[150] = 230
    queue = end_anew(np.arange(200), replace(schedule_of(back), wave=np.zeros(200, np.int64)))
    assert queue is not None
    assert queue.order[0] == 150
    assert len(queue.order) == 21


def test_the_first_round_of_an_order_takes_no_vms() -> None:
    problem = build_problem(FLEET, policy(20))
    order = np.flatnonzero(problem.hosts.due)[::-1].copy()
    first = np.flatnonzero(leaving_first(problem, order))
    assert sorted(first.tolist()) == sorted(order[:30].tolist()), "twenty at once, and half as many"
    terms = terms_of(problem, host_needs(problem), compute_bounds(problem, fluid=False))
    schedule = list_schedule(problem, build_instance(problem), order, terms)
    assert schedule is not None
    return_s = np.zeros(len(problem.hosts.ids), np.int64)
    return_s[schedule.host] = schedule.return_s
    came = np.isin(schedule.target, first)
    assert came.any()
    assert (schedule.start_s >= return_s[schedule.target])[came].all()


def test_all_hosts_that_find_room_leave_even_if_the_first_must_take_vms_for_it() -> None:
    """Only h2 can leave at the start, with one VM to h1 and the other to h3; h1 is the first of the order."""
    vms = [{"host_id": host, "memory_mib": mib} for host, mib in (("h1", 500), ("h2", 450), ("h2", 150), ("h3", 850))]
    problem = build_problem(row_fleet(3, vms, spare_mib=10), UNLIMITED)
    order = np.array([problem.hosts.ids.index(name) for name in ("h1", "h2", "h3")])
    assert np.flatnonzero(leaving_first(problem, order)).tolist() == [order[0]]
    schedule = list_schedule(
        problem,
        build_instance(problem),
        order,
        terms_of(problem, host_needs(problem), compute_bounds(problem, fluid=False)),
    )
    assert schedule is not None
    assert sorted(schedule.host.tolist()) == sorted(order.tolist())
    assert sorted(schedule.target[schedule.source == order[1]].tolist()) == sorted([order[0], order[2]])


def test_a_host_with_a_fast_nic_sends_to_one_as_fast() -> None:
    """h1's VM goes to h3, though h2 has less room left: h1 and h3 send and receive at ten times the rate."""
    vms = [
        {"host_id": "h1", "memory_mib": 300},
        {"host_id": "h2", "memory_mib": 600},
        {"host_id": "h3", "memory_mib": 100},
    ]
    fleet = row_fleet(3, vms, spare_mib=10)
    fast = pl.col("host_id").is_in(["h1", "h3"])
    hosts = fleet.hosts.with_columns(
        machine_type=pl.when(fast).then(pl.lit("fast")).otherwise(pl.lit("slow")),
        migration_mbit_s=pl.when(fast).then(860).otherwise(86).cast(fleet.hosts["migration_mbit_s"].dtype),
    )
    problem = build_problem(replace(fleet, hosts=hosts), UNLIMITED)
    place = {name: number for number, name in enumerate(problem.hosts.ids)}
    terms = terms_of(problem, host_needs(problem), compute_bounds(problem, fluid=False))
    schedule = list_schedule(problem, build_instance(problem), np.array([place["h1"]]), terms)
    assert schedule is not None
    assert schedule.target.tolist() == [place["h3"]]


def test_a_part_of_a_schedule_has_the_moves_of_its_hosts() -> None:
    schedule = schedule_of([10, 20, 30])
    part = schedule.part(np.array([True, False, True]))
    assert part.host.tolist() == part.source.tolist() == [0, 2]
    assert (part.return_s.tolist(), part.target.tolist(), part.start_s.tolist()) == ([10, 30], [2, 0], [0, 20])
