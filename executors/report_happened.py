"""What happened to a campaign, as tables of its report: revisions, orders, others, hosts that are half drained."""

from typing import Final

import polars as pl

from slacktide.executors.control_events import PlanRevised
from slacktide.executors.half_drained import WHAT_TO_DO, places_words
from slacktide.executors.readable import UNKNOWN, count, duration, moment
from slacktide.executors.report_listing import REASONS_SHOWN, Column, Listing, more, numbers
from slacktide.executors.report_summary import CampaignSummary, RevisionMade
from slacktide.executors.report_view import CampaignReport

ORDERS_SHOWN: Final = 100
"""Orders listed: a night of a person's; approvals of a simulation may be more."""
HALF_DRAINED_SHOWN: Final = 100
"""Hosts listed that are half drained: as many as a fleet of thousands has out at once."""


def _why(revision: RevisionMade) -> str:
    why = revision.why or "no reason given"
    return why if revision.evacuates is None else f"evacuation of {revision.evacuates}: {why}"


def revisions_listing(summary: CampaignSummary) -> Listing:
    """Return the plans that a campaign went over to."""
    rows = tuple((duration(each.at_s), each.plan_id, _why(each), each.by) for each in summary.revisions)
    columns = (Column("after", number=True), Column("plan"), Column("why"), Column("by"))
    note = "Planned values are those of the plan under which a host left, or a migration began."
    return Listing("revisions", "Revisions", columns, rows, note)


def orders_listing(summary: CampaignSummary) -> Listing:
    """Return what people asked of a campaign: when, by whom, why, and what came of it."""
    rows = tuple(
        (
            duration(each.at_s),
            moment(each.asked_at) if each.asked_at else UNKNOWN,
            each.by,
            each.outcome,
            each.why or "no reason given",
        )
        for each in summary.orders[:ORDERS_SHOWN]
    )
    columns = (Column("after", number=True), *(Column(name) for name in ("asked", "by", "what came of it", "why")))
    note = more(len(summary.orders), ORDERS_SHOWN, "report.json")
    return Listing("orders", "What was asked of the campaign", columns, rows, note)


def own_steps_listing(summary: CampaignSummary) -> Listing:
    """Return what a campaign did by rules of its own, without its revisions, which have a table of their own."""
    steps = [each for each in summary.own_steps if each.kind != PlanRevised.type]
    rows = tuple(
        (
            duration(each.at_s),
            duration(each.last_s) if each.times > 1 else "",
            count(each.times),
            each.by,
            each.outcome,
            each.why or "no reason given",
        )
        for each in steps[:ORDERS_SHOWN]
    )
    columns = (*numbers("after", "last", "times"), Column("by"), Column("what it did"), Column("why"))
    note = more(len(steps), ORDERS_SHOWN, "report.json")
    return Listing("own-steps", "What the campaign did by rules of its own", columns, rows, note)


def others_listing(report: CampaignReport) -> Listing:
    """Return what others did with VMs."""
    rows = tuple(
        (duration(row["at_s"]), row["vm_id"], row["what"], row["host_id"], row["source"] or "")
        for row in report.others.head(REASONS_SHOWN).iter_rows(named=True)
    )
    columns = (Column("after", number=True), *(Column(name) for name in ("VM", "what", "host", "from")))
    note = more(report.others.height, REASONS_SHOWN, "others.parquet")
    return Listing("others", "What others did with VMs meanwhile", columns, rows, note)


def half_drained_listing(report: CampaignReport) -> Listing:
    """Return the hosts that were given up with some of their VMs gone: how many, and where they are."""
    reasons = dict(report.hosts.select("host_id", pl.col("reason")).iter_rows())
    half = report.summary.half_drained
    rows = tuple(
        (
            each.host_id,
            count(each.gone_vms),
            count(each.remaining_vms),
            places_words(each),
            reasons.get(each.host_id) or "",
        )
        for each in half[:HALF_DRAINED_SHOWN]
    )
    columns = (Column("host"), *numbers("VMs gone", "VMs on it"), Column("gone to"), Column("why given up"))
    note = f"{more(len(half), HALF_DRAINED_SHOWN, 'report.json')} {WHAT_TO_DO[0].upper()}{WHAT_TO_DO[1:]}.".strip()
    return Listing("half-drained", "Hosts half drained", columns, rows, note)
