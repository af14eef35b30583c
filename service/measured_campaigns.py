"""Campaigns on real hosts, read for what they measured: report, fleet and plan of each."""

from collections.abc import Sequence
from pathlib import Path

from slacktide.errors import InputError, UsageError
from slacktide.executors.report_summary import CampaignSummary
from slacktide.object_store import AnyPath, path_at
from slacktide.planner.belonging import refuse_another_snapshot
from slacktide.planner.calibration import MeasuredCampaign
from slacktide.planner.policy import Policy
from slacktide.service.commands.plan import read_both
from slacktide.service.commands.report import read_campaign


def read_measured(paths: Sequence[Path]) -> tuple[list[MeasuredCampaign], Policy]:
    """Return the campaigns, and the policy of the one that began last.

    Raises
    ------
    UsageError
        If a campaign is given twice, or its fleet or plan is not where it was.
    InputError
        If one is simulated, or its fleet or plan is another one by now.
    """
    campaigns: list[MeasuredCampaign] = []
    summaries: list[CampaignSummary] = []
    for path in paths:
        done = read_campaign(path)
        summary = done.summary
        if summary.simulated:
            fact = "is simulated: what its report calls measured is the model with noise"
            raise InputError(str(path), fact, "Give campaigns on real hosts: `slacktide run --driver libvirt`")
        if any((summary.campaign_id, summary.origin) == (other.campaign_id, other.origin) for other in summaries):
            raise UsageError(str(path), "is a campaign that is given twice", "Give each campaign once")
        fleet = _place(path, "fleet", summary.fleet_path)
        plan_path = _place(path, "plan", summary.plan_path)
        snapshot, plan = read_both(fleet, plan_path)
        if plan.header.id != summary.plan_id:
            fact = f"is plan {plan.header.id}; the campaign {path} ran plan {summary.plan_id}"
            raise InputError(str(plan_path), fact, "Put that plan back there, or leave the campaign out")
        refuse_another_snapshot(snapshot, plan)
        campaigns.append(MeasuredCampaign(str(path), done.migrations, snapshot, plan.header.policy))
        summaries.append(summary)
    last = max(range(len(summaries)), key=lambda number: summaries[number].origin)
    return campaigns, campaigns[last].policy


def _place(campaign: Path, what: str, recorded: str | None) -> AnyPath:
    if recorded is None:
        raise UsageError(str(campaign), f"its report does not say where its {what} is", "Leave the campaign out")
    if not path_at(recorded).is_dir():
        fact = f"its {what} is not in {recorded} any more"
        raise UsageError(str(campaign), fact, f"Put the {what} back there, or leave the campaign out")
    return path_at(recorded)
