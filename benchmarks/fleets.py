"""Time what a fleet snapshot costs: generate, write, read with validation, validate alone, fingerprint.

Run ``python benchmarks/fleets.py`` for 1,000 and 10,000 hosts, ``python benchmarks/fleets.py 100000`` for others.
"""

import argparse
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from slacktide.datasets.digest import digest
from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.validation import snapshot_findings


class Stopwatch:
    """Seconds since the last lap."""

    def __init__(self) -> None:
        self._start = perf_counter()

    def lap(self) -> float:
        now = perf_counter()
        seconds, self._start = now - self._start, now
        return seconds


def measured(hosts: int, seed: int, folder: Path) -> tuple[int, list[float], float]:
    """Return VMs, seconds of each step and MB on disk."""
    path = folder / f"fleet-{hosts}"
    watch = Stopwatch()
    fleet = generate_fleet(GeneratorSettings(hosts=hosts, seed=seed))
    seconds = [watch.lap()]
    write_snapshot(fleet, path)
    seconds.append(watch.lap())
    read_snapshot(path)
    seconds.append(watch.lap())
    findings = snapshot_findings(fleet)
    seconds.append(watch.lap())
    digest(fleet)
    seconds.append(watch.lap())
    if findings:
        sys.exit(f"the generated fleet has findings: {findings[0]}")
    return len(fleet.vms), seconds, sum(file.stat().st_size for file in path.iterdir()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    generate_fleet(GeneratorSettings(hosts=10))
    print("| hosts | VMs | generate s | write s | read and validate s | validate s | digest s | MB on disk |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for hosts in arguments.hosts:
            vms, seconds, size_mb = measured(hosts, arguments.seed, Path(folder))
            steps = " | ".join(f"{step:.2f}" for step in seconds)
            print(f"| {hosts:,} | {vms:,} | {steps} | {size_mb:.1f} |")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory {peak_mib:,.0f} MiB")


if __name__ == "__main__":
    main()
