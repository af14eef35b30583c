"""How seconds and memory of a first audited plan grow with the fleet, and where the time goes."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.against import peak_mib, warm
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import solve
from slacktide.planner.audit import audit
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.listing.schedule import build_instance
from slacktide.planner.needs import host_needs
from slacktide.planner.policy import PRESETS
from slacktide.planner.problem_building import build_problem
from slacktide.planner.search import passes
from slacktide.planner.stopping import Iterations

REPEATS = 3
"""Plans of each size; the one that took least counts, for what others do on the machine only ever adds."""


@dataclass(frozen=True, slots=True)
class Grown:
    """One size."""

    hosts: int
    vms: int
    seconds: float
    processor_s: float
    """Of all processors together: what a busy machine does not change."""
    fleet_mib: float
    """Peak memory with the fleet, before planning."""
    peak_mib: float
    makespan_gap: float
    exposure_gap: float
    errors: int


def grown(hosts: int, preset: str, seed: int) -> Grown:
    """Return what a first audited plan of a generated fleet takes, compiling apart."""
    policy = PRESETS[preset]
    warm(policy)
    fleet = generate_fleet(GeneratorSettings(hosts=hosts, seed=seed))
    fleet_mib = peak_mib()
    peak, took = None, []
    for _ in range(REPEATS):
        begun_s, processor_s = time.monotonic(), time.process_time()
        plan = solve.make_plan(fleet, policy, seed=seed, stop=Iterations(0))
        took.append((time.monotonic() - begun_s, time.process_time() - processor_s))
        peak = peak_mib() if peak is None else peak
    seconds, processor_s = min(took)
    summary = plan.header.summary
    errors = sum(finding.get("severity") == "error" for finding in summary.audit.findings)
    gaps = summary.makespan_gap, summary.exposure_gap
    return Grown(hosts, len(fleet.vms), seconds, processor_s, fleet_mib, peak, *gaps, errors)


def exponent(hosts: list[int], amounts: list[float]) -> float:
    """Return p of the amount ~ hosts^p that fits best, least squares of the logarithms."""
    return float(np.polyfit(np.log(hosts), np.log(amounts), 1)[0])


HEADER = [
    "hosts",
    "VMs",
    "first audited plan s",
    "processor s",
    "x each doubling",
    "MiB",
    "of them the fleet",
    "gap makespan",
    "gap exposure",
    "errors",
]


def table(sizes: list[Grown]) -> list[list[str]]:
    """Return a row for each size, with the ratio of seconds to the size before, for each doubling of hosts."""
    rows = []
    for before, each in zip([None, *sizes], sizes, strict=False):
        doublings = np.log2(each.hosts / before.hosts) if before else 0.0
        ratio = f"{(each.seconds / before.seconds) ** (1 / doublings):.2f}" if before and doublings else ""
        rows.append(
            [
                f"{each.hosts:,}",
                f"{each.vms:,}",
                f"{each.seconds:.1f}",
                f"{each.processor_s:.1f}",
                ratio,
                f"{each.peak_mib:,.0f}",
                f"{each.fleet_mib:,.0f}",
                f"{100 * each.makespan_gap:.1f} %",
                f"{100 * each.exposure_gap:.1f} %",
                str(each.errors),
            ]
        )
    return rows


def fits(sizes: list[Grown]) -> str:
    """Return in words how seconds and memory grow."""
    if len(sizes) < 2:
        return "One size alone does not say how they grow."
    hosts = [each.hosts for each in sizes]
    seconds, memory = (
        exponent(hosts, amounts) for amounts in ([each.seconds for each in sizes], [each.peak_mib for each in sizes])
    )
    return (
        f"Seconds grow as hosts^{seconds:.2f}, that is {2**seconds:.2f} for each doubling; "
        f"memory as hosts^{memory:.2f}, {2**memory:.2f} for each doubling (least squares of the logarithms)."
    )


def stages(hosts: int, preset: str, seed: int) -> list[tuple[str, float]]:
    """Return the seconds of each stage of a first plan."""
    policy = PRESETS[preset]
    warm(policy)
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
    bounds = compute_bounds(problem)
    terms, orders = solve.terms_of(problem, needs, bounds), solve.first_orders(problem, needs, bounds)
    lap("needs of hosts, bounds, terms")
    firsts = passes(problem, instance, terms, orders, workers=2)
    lap("first orders and their two passes")
    schedule, *_ = *passes(problem, instance, terms, solve.other_ends(needs, firsts), workers=2), *firsts
    lap("another end for each")
    assert schedule.makespan_s >= bounds.best_s
    plan = solve.assemble(fleet, problem, schedule, seed, time.monotonic())
    lap("tables, predictions, figures, audit")
    audit(fleet, plan)
    lap("the audit alone, once more")
    return laps
