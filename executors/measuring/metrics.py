"""The metrics of a campaign: names, units, labels and buckets, whatever they are told to.

Units are in the names, as Prometheus has it; Ray puts ``ray_`` before them.  Every label has few values, whatever the
size of the fleet: states, stages, kinds, queues, and of links the eight that the plan uses the most.  There is none for
hosts or VMs; which of them wait, and why, is for ``slacktide campaign show``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a metric does over time."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; all have the label ``campaign`` as well."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper ends, of a histogram."""


BLACKOUT_BUCKETS_S: Final = (
    *(0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
    *(1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 90.0, 120.0, 300.0),
)
"""By the migration model 1 % of a generated fleet have less than 32 ms, half less than 42, 1 % more than 215; QEMU
itself aims at 300 (``downtime-limit``), and small guests in the lab have 50 or 170.  So steps are narrow between 20 and
200 ms; 300 and 500 ms and 1 s are what limits are usually set to.  Above 2 s is what did not converge, and from 15 s on
are VMs that are restarted, a minute or two each."""
BROWNOUT_BUCKETS_S: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Memory over bandwidth: of a generated fleet on 10 Gbit/s half take less than 2 s, 1 % above 28; a guest of 1 TiB on
2 Gbit/s more than an hour."""
JOURNAL_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""A batch takes a millisecond in SQLite on a fast disk, some ten where a disk writes through, and some round trips to
PostgreSQL; from a quarter of a second on live decisions come late."""

HOSTS: Final = Metric("slacktide_hosts", Kind.GAUGE, "Hosts of the plan by state.", ("state",))
HOSTS_PLANNED: Final = Metric("slacktide_hosts_planned", Kind.GAUGE, "Hosts that are to be patched or evacuated.")
HOSTS_DONE: Final = Metric("slacktide_hosts_done", Kind.GAUGE, "Hosts that are patched and back, or evacuated.")
HOSTS_OUT: Final = Metric("slacktide_hosts_out", Kind.GAUGE, "Hosts that count against the limits on hosts out.")
HOSTS_OUT_LIMIT: Final = Metric("slacktide_hosts_out_limit", Kind.GAUGE, "Hosts that may be out at once in the fleet.")
MIGRATIONS: Final = Metric("slacktide_migrations", Kind.GAUGE, "Migrations of the plan by state.", ("state",))
MIGRATIONS_PLANNED: Final = Metric("slacktide_migrations_planned", Kind.GAUGE, "Migrations of the plan.")
MIGRATIONS_DONE: Final = Metric("slacktide_migrations_done", Kind.GAUGE, "Migrations that are done.")
IN_FLIGHT: Final = Metric("slacktide_migrations_in_flight", Kind.GAUGE, "Migrations that are under way.")
WAVES: Final = Metric("slacktide_waves", Kind.GAUGE, "Waves of the plan.")
WAVES_OPENED: Final = Metric("slacktide_waves_opened", Kind.GAUGE, "Waves that are open, or were.")
WAVES_OVER: Final = Metric("slacktide_waves_over", Kind.GAUGE, "Waves of which every host is back or left alone.")
CLOCK: Final = Metric("slacktide_clock_seconds", Kind.GAUGE, "Time since the plan's origin, by the campaign's clock.")
MAKESPAN: Final = Metric("slacktide_makespan_seconds", Kind.GAUGE, "When the plan has its last host back.")
PAUSED: Final = Metric("slacktide_paused", Kind.GAUGE, "1 while the campaign is paused, else 0.")
WAITING: Final = Metric("slacktide_waiting", Kind.GAUGE, "1 while a person, or the store, is waited for, else 0.")
AGENTS: Final = Metric("slacktide_agents", Kind.GAUGE, "Agents of the campaign.")
AGENTS_AWAY: Final = Metric("slacktide_agents_away", Kind.GAUGE, "Agents that have ended or do not answer.")
GENERATION: Final = Metric("slacktide_generation", Kind.GAUGE, "How many coordinators have held the campaign.")
REVISIONS: Final = Metric("slacktide_revisions", Kind.GAUGE, "Revisions that the campaign has gone over to.")
QUEUE: Final = Metric("slacktide_queue_length", Kind.GAUGE, "What waits, by queue.", ("queue",))
LINK_USE: Final = Metric(
    "slacktide_link_use_ratio", Kind.GAUGE, "Bandwidth kept for migrations over a link's capacity.", ("link",)
)
LINKS_MOST: Final = Metric(
    "slacktide_link_use_max_ratio", Kind.GAUGE, "The same of the link that is used the most, by kind.", ("kind",)
)
LINKS_MEAN: Final = Metric("slacktide_link_use_mean_ratio", Kind.GAUGE, "The same of all links, by kind.", ("kind",))
LINK_SHARE: Final = Metric("slacktide_link_share_ratio", Kind.GAUGE, "What migrations may take of a link.")
EVENTS: Final = Metric("slacktide_events_total", Kind.COUNTER, "Events written to the journal.")
FAILED_ATTEMPTS: Final = Metric(
    "slacktide_failed_attempts", Kind.GAUGE, "Attempts that failed, by the stage that they had reached.", ("stage",)
)
BLACKOUT: Final = Metric(
    "slacktide_blackout_seconds",
    Kind.HISTOGRAM,
    "How long guests ran nowhere, by the hypervisor's count, else the probe's.",
    ("strategy",),
    BLACKOUT_BUCKETS_S,
)
BROWNOUT: Final = Metric(
    "slacktide_brownout_seconds",
    Kind.HISTOGRAM,
    "How long memory was copied while the guest ran.",
    (),
    BROWNOUT_BUCKETS_S,
)
JOURNAL: Final = Metric(
    "slacktide_journal_append_seconds",
    Kind.HISTOGRAM,
    "How long the store took for a batch of events.",
    (),
    JOURNAL_BUCKETS_S,
)

METRICS: Final = (
    *(HOSTS, HOSTS_PLANNED, HOSTS_DONE, HOSTS_OUT, HOSTS_OUT_LIMIT),
    *(MIGRATIONS, MIGRATIONS_PLANNED, MIGRATIONS_DONE, IN_FLIGHT),
    *(WAVES, WAVES_OPENED, WAVES_OVER, CLOCK, MAKESPAN, PAUSED, WAITING),
    *(AGENTS, AGENTS_AWAY, GENERATION, REVISIONS, QUEUE),
    *(LINK_USE, LINKS_MOST, LINKS_MEAN, LINK_SHARE),
    *(EVENTS, FAILED_ATTEMPTS, BLACKOUT, BROWNOUT, JOURNAL),
)
