"""All benchmarks in one run: Markdown on standard output, progress on standard error.

    python benchmarks/run.py [--quick] [--only against hroller proxlb joint growth stages] [--families "fill 75 %" ...]
                             [--hosts 1000] [--time-limit 15] [--traces MACHINES VMS] [--proxlb PYTHON] [--write]

Ctrl-C ends it with the rows so far.  ``--write`` puts the tables, dated, between the markers of benchmarks/README.md.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import growth, joint
from benchmarks.against import against
from benchmarks.families import FAMILIES, REAL
from benchmarks.hroller import hroller_rows
from benchmarks.proxlb import proxlb_rows
from benchmarks.rows import Row
from benchmarks.tables import markdown, rewrite, row_table

PAGE = Path(__file__).parent / "README.md"
PRESETS = ("urgent", "routine")
SECTIONS = ("against", "hroller", "proxlb", "joint", "growth", "stages")
PROXLB_LIMIT_S = 30.0
"""Seconds that proxlb-solver asks of itself by default."""
LONGEST_CALL_S = 3_600
"""A call that has not come back by then has died, most likely for want of memory."""
Told = Callable[[str], None]


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of a call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny fleets, counted tries, in this process: for tests")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    names = [family.name for family in FAMILIES]
    parser.add_argument("--families", nargs="+", choices=[*names, REAL.name], default=[*names, REAL.name])
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--hosts", type=int, default=1_000, help="hosts of each family's fleet")
    parser.add_argument("--time-limit", type=float, default=15.0, help="seconds of search for each plan")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traces", nargs=2, metavar=("MACHINES", "VMS"), help="CSV files of the real fleet")
    parser.add_argument("--real-hosts", type=int, default=0, help="machines of the real fleet, 0: all")
    parser.add_argument("--hroller-hosts", type=int, nargs="+", default=[100, 1_000, 2_000, 5_000])
    parser.add_argument("--proxlb", metavar="PYTHON", help="interpreter of an environment with proxlb-solver")
    parser.add_argument("--proxlb-cases", nargs="+", default=["10/1", "20/2", "50/5", "100/10"], help="hosts/drained")
    parser.add_argument("--other-limit", type=float, default=180.0, help="seconds after which other tools are ended")
    parser.add_argument("--small-fleets", type=int, default=150, help="random fleets of 3 hosts, a seventh of 4")
    sizes = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000]
    parser.add_argument("--growth", type=int, nargs="+", default=sizes)
    parser.add_argument("--stages-hosts", type=int, default=10_000)
    parser.add_argument("--write", action="store_true", help=f"rewrite the tables of {PAGE.name}")
    chosen = parser.parse_args(arguments)
    return _quick(chosen) if chosen.quick else chosen


def _quick(chosen: argparse.Namespace) -> argparse.Namespace:
    """Return the options with fleets and limits of a few seconds in all."""
    small = {
        "hosts": 24,
        "time_limit": 2,
        "hroller_hosts": [20],
        "proxlb_cases": ["6/1"],
        "other_limit": 10.0,
        "small_fleets": 2,
        "growth": [20, 40],
        "stages_hosts": 40,
        "real_hosts": chosen.real_hosts or 24,
    }
    return argparse.Namespace(**(vars(chosen) | small))


def alone(chosen: argparse.Namespace, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
    """Return what a function gives, called in a process of its own, so that memory is that of the call alone."""
    if chosen.quick:
        return function(*arguments)
    with get_context("spawn").Pool(1, initializer=joint.ignore_interrupts) as pool:
        return pool.apply_async(function, arguments).get(timeout=LONGEST_CALL_S)


def against_rows(chosen: argparse.Namespace, tell: Told) -> Iterator[Row]:
    """Yield the rows of every family and preset."""
    for name in chosen.families:
        if name == REAL.name and chosen.traces is None:
            tell("real fleet: skipped, give its files with --traces")
            continue
        hosts = chosen.real_hosts if name == REAL.name else chosen.hosts
        for preset in chosen.presets:
            tell(f"{name}, {preset}")
            yield from alone(chosen, against, name, preset, hosts, chosen.seed, chosen.time_limit, chosen.traces)


def _hroller(hosts: int, seed: int, limit: float, limit_s: float) -> list[Row]:
    return list(hroller_rows(hosts, seed, limit, limit_s))


def _proxlb(python: str | None, hosts: int, drained: int, seed: int, limit: float, limit_s: float) -> list[Row]:
    return list(proxlb_rows(python, hosts, drained, seed, limit, limit_s))


def other_rows(chosen: argparse.Namespace, tell: Told, which: str) -> Iterator[Row]:
    """Yield the rows of the tools that are asked beside us."""
    if which == "hroller":
        for hosts in chosen.hroller_hosts:
            tell(f"hroller, {hosts:,} hosts")
            yield from alone(chosen, _hroller, hosts, chosen.seed, chosen.time_limit, chosen.other_limit)
        return
    for case in chosen.proxlb_cases:
        hosts, drained = map(int, case.split("/"))
        tell(f"proxlb-solver, {drained} of {hosts} hosts")
        limit_s, ours_s = min(PROXLB_LIMIT_S, chosen.other_limit), min(PROXLB_LIMIT_S, chosen.time_limit)
        yield from alone(chosen, _proxlb, chosen.proxlb, hosts, drained, chosen.seed, ours_s, limit_s)


def joint_table(chosen: argparse.Namespace, tell: Told) -> str:
    """Return the table of differences from the proven optimum."""
    found: list[joint.Case] = []
    workers = 1 if chosen.quick else os.cpu_count() or 1
    try:
        fleets = {3: chosen.small_fleets, 4: chosen.small_fleets // 7}
        for case in joint.cases(fleets, tries=20, effort=1.0, workers=workers):
            found.append(case)
            if len(found) % 90 == 0:
                tell(f"optimum, {len(found)} cases")
    except KeyboardInterrupt:
        tell("interrupted")
    return markdown(joint.HEADER, joint.table(found))


def growth_table(chosen: argparse.Namespace, tell: Told) -> str:
    """Return the table of sizes, with the exponents that fit below."""
    sizes: list[growth.Grown] = []
    try:
        for hosts in chosen.growth:
            tell(f"growth, {hosts:,} hosts")
            sizes.append(alone(chosen, growth.grown, hosts, chosen.presets[0], chosen.seed))
    except KeyboardInterrupt:
        tell("interrupted")
    return f"{markdown(growth.HEADER, growth.table(sizes))}\n\n{growth.fits(sizes)}"


def stages_table(chosen: argparse.Namespace, tell: Told) -> str:
    """Return where the time of a first plan goes."""
    tell(f"stages, {chosen.stages_hosts:,} hosts")
    columns = [alone(chosen, growth.stages, chosen.stages_hosts, preset, chosen.seed) for preset in chosen.presets]
    header = ["stage", *(f"{preset} s" for preset in chosen.presets)]
    rows = [[laps[0][0], *(f"{seconds:.2f}" for _, seconds in laps)] for laps in zip(*columns, strict=True)]
    return markdown(header, rows)


def sections(chosen: argparse.Namespace, tell: Told) -> Iterator[tuple[str, str]]:
    """Yield each section's name and table; an interrupt ends it with the rows so far."""
    tables = {"joint": joint_table, "growth": growth_table, "stages": stages_table}
    for name in chosen.only:
        if name in tables:
            yield name, tables[name](chosen, tell)
            continue
        rows: list[Row] = []
        try:
            for row in against_rows(chosen, tell) if name == "against" else other_rows(chosen, tell, name):
                rows.append(row)
        except KeyboardInterrupt:
            tell("interrupted: the rows so far")
            yield name, row_table(rows)
            return
        yield name, row_table(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, and print it."""
    chosen = options(arguments)
    begun_s = time.monotonic()

    def tell(words: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun_s:7.0f} s  {words}\n")
        sys.stderr.flush()

    dated = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors"
    found = {}
    for name, table in sections(chosen, tell):
        found[name] = f"{dated}.\n\n{table}"
        print(f"## {name}\n\n{found[name]}\n", flush=True)
    if chosen.write:
        rewrite(PAGE, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
