"""A last round of a few hosts: as many places have one host more than the others, and these hosts stay short."""

import numpy as np
import polars as pl

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.problem import build_problem
from slacktide.planner.rounds import in_file, leaving_first, spared, stragglers_sooner
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

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


def test_the_first_round_of_an_order_takes_no_vms() -> None:
    problem = build_problem(FLEET, policy(20))
    order = np.flatnonzero(problem.hosts.due)[::-1].copy()
    first = np.flatnonzero(leaving_first(problem, order))
    assert sorted(first.tolist()) == sorted(order[:30].tolist()), "twenty at once, and half as many"
    plan = make_plan(FLEET, policy(20), stop=Iterations(0))
    assert plan.header.summary.audit.findings == ()


def test_a_part_of_a_schedule_has_the_moves_of_its_hosts() -> None:
    schedule = schedule_of([10, 20, 30])
    part = schedule.part(np.array([True, False, True]))
    assert part.host.tolist() == part.source.tolist() == [0, 2]
    assert (part.return_s.tolist(), part.target.tolist(), part.start_s.tolist()) == ([10, 30], [2, 0], [0, 20])
