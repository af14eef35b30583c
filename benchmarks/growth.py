"""How seconds and memory of a first audited plan grow with the fleet, and where the time goes."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.against import peak_mib
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import solve
from slacktide.planner.audit import audit
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.listing.schedule import build_instance
from slacktide.planner.needs import host_needs
from slacktide.planner.orders import first_order
from slacktide.planner.policy import PRESETS
from slacktide.planner.problem import build_problem
from slacktide.planner.stopping import Iterations


@dataclass(frozen=True, slots=True)
class Grown:
    """One size."""

    hosts: int
    vms: int
    seconds: float
    fleet_mib: float
    """Peak memory with the fleet, before planning."""
    peak_mib: float
    makespan_gap: float
    exposure_gap: float
    errors: int


def grown(hosts: int, preset: str, seed: int) -> Grown:
    """Return what a first audited plan of a generated fleet takes, compiling apart."""
    policy = PRESETS[preset]
    solve.make_plan(generate_fleet(GeneratorSettings(hosts=12)), policy, stop=Iterations(0))
    fleet = generate_fleet(GeneratorSettings(hosts=hosts, seed=seed))
    fleet_mib = peak_mib()
    begun_s = time.monotonic()
    plan = solve.make_plan(fleet, policy, seed=seed, stop=Iterations(0))
    seconds = time.monotonic() - begun_s
    summary = plan.header.summary
    errors = sum(finding.get("severity") == "error" for finding in summary.audit.findings)
    gaps = summary.makespan_gap, summary.exposure_gap
    return Grown(hosts, len(fleet.vms), seconds, fleet_mib, peak_mib(), *gaps, errors)


def exponent(hosts: list[int], amounts: list[float]) -> float:
    """Return p of the amount ~ hosts^p that fits best, least squares of the logarithms."""
    return float(np.polyfit(np.log(hosts), np.log(amounts), 1)[0])


def stages(hosts: int, preset: str, seed: int) -> list[tuple[str, float]]:
    """Return the seconds of each stage of a first plan."""
    policy = PRESETS[preset]
    solve.make_plan(generate_fleet(GeneratorSettings(hosts=12)), policy, stop=Iterations(0))
    fleet = generate_fleet(GeneratorSettings(hosts=hosts, seed=seed))
    laps: list[tuple[str, float]] = []
    last_s = time.monotonic()

    def lap(name: str) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        laps.append((name, now_s - last_s))
        last_s = now_s

    problem = build_problem(fleet, policy)
    lap("tables to arrays: network, durations of all moves at all rates")
    needs = host_needs(problem)
    instance = build_instance(problem)
    terms = solve.terms_of(problem, needs)
    order = first_order(problem, needs)
    lap("needs of hosts, first order")
    bounds = compute_bounds(problem)
    lap("bounds")
    (schedule,) = solve.passes(problem, instance, terms, [order])
    lap("list scheduling, one pass")
    assert schedule.makespan_s >= bounds.best_s
    plan = solve.assemble(fleet, problem, schedule, seed, time.monotonic())
    lap("tables, predictions, figures, audit")
    audit(fleet, plan)
    lap("the audit alone, once more")
    return laps
