"""``slacktide revise``: from a plan, and what has happened of it, to a plan for the rest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from slacktide.errors import UsageError
from slacktide.object_store import AnyPath
from slacktide.service.ahead import load_planner
from slacktide.service.commands.options import AsJson, FleetPath, Moment, OutputOrUrl, PathOption, PlanPath
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, figures, progress, show
from slacktide.service.destinations import check_directory, refuse_to_replace
from slacktide.service.failures import OK, REFUSED
from slacktide.service.stores import store_given

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.planner.plan import Plan
    from slacktide.planner.progress import Progress

Names = Annotated[tuple[str, ...], Parameter(negative="")]


def revise(
    path: FleetPath,
    plan_path: PlanPath,
    /,
    *,
    output: OutputOrUrl,
    campaign: Path | None = None,
    at: Moment | None = None,
    policy: PathOption = None,
    lost_host: Names = (),
    failed: Names = (),
    new_vms: Path | None = None,
    gone_vm: Names = (),
    fleet_now: PathOption = None,
    as_json: AsJson = False,
) -> int:
    """Plan the rest of a plan anew: from a campaign's journal, or as if all had gone as planned until a moment.

    Hosts and migrations that still keep every limit stay as they are, to the second. The revision is on its parent's
    clock. Audit it with the fleet as it is then, which is written too. The exit code is 1 if the audit finds an error.
    With --json prints what has changed and the summary.

    Parameters
    ----------
    output
        Directory to write the revision to; a plan that is there is replaced.
    campaign
        Directory of a campaign of this plan; the revision begins after the last event in its journal.
    at
        Seconds from the plan's origin, or a time such as 1h or 90min, instead of --campaign: what if this had happened
        by then?
    policy
        YAML or JSON file with other limits. [default: the plan's policy]
    lost_host
        Host that is down; may be given several times.
    failed
        With --at: migration that has failed, its VM still on its source; may be given several times.
    new_vms
        Parquet file with VMs that have come since, with the columns of the fleet's vms.parquet.
    gone_vm
        VM that is no more; may be given several times.
    fleet_now
        Directory to write the fleet as it is then. [default: beside the revision, its name and "-fleet"]
    """
    from slacktide.datasets.files import FILE_NAMES as FLEET_FILES
    from slacktide.planner.plan_files import FILE_NAMES

    if (campaign is None) == (at is None):
        raise UsageError("--campaign and --at", "one of them is needed, and only one", "Say from when on to plan anew")
    if campaign is not None and failed:
        raise UsageError("--failed", "is for --at: a campaign's journal says what has failed", "Leave it out")
    fleet_path = fleet_now or output.resolve().with_name(f"{output.resolve().name}-fleet")
    if fleet_path.resolve() == output.resolve():
        raise UsageError("--fleet-now and --output", "are one directory", "Give the fleet one of its own")
    check_directory(output, FILE_NAMES)
    check_directory(fleet_path, FLEET_FILES)
    refuse_to_replace(output, plan_path)
    refuse_to_replace(fleet_path, path)
    load_planner()
    with progress("Reading fleet and plan"):
        from slacktide.planner.belonging import refuse_another_snapshot

        snapshot, parent = read_both(path, plan_path)
        refuse_another_snapshot(snapshot, parent)
    before, parent, now, so_far = _so_far(snapshot, parent, campaign, at or 0, lost_host, failed)
    if new_vms is not None or gone_vm:
        now = _with_others(now, new_vms, gone_vm)
    with progress("Planning the rest"):
        from slacktide.planner.policy_files import read_policy
        from slacktide.planner.revision import revise as revised

        limits = parent.header.policy if policy is None else read_policy(policy)
        child = revised(now, limits, parent, so_far, before=before)
    with progress("Writing the revision"):
        from slacktide.datasets.files import write_snapshot
        from slacktide.planner.plan_files import write_plan

        write_snapshot(now, fleet_path)
        write_plan(child, output)
    _show(child, output, fleet_path, as_json=as_json)
    broken = any(finding.get("severity") == "error" for finding in child.header.summary.audit.findings)
    return REFUSED if broken else OK


def _so_far(
    snapshot: "FleetSnapshot",
    parent: "Plan",
    campaign: Path | None,
    at_s: int,
    lost: tuple[str, ...],
    failed: tuple[str, ...],
) -> "tuple[FleetSnapshot, Plan, FleetSnapshot, Progress]":
    """Return the plan to be revised and the fleet it is for, the fleet as it is now, and how far the plan is done.

    A campaign that has gone over to a revision carries that out.
    """
    from slacktide.planner.progress import progress_at, without_hosts

    if campaign is None:
        return snapshot, parent, *progress_at(snapshot, parent, at_s, lost_hosts=lost, failed=failed)
    from slacktide.executors.campaign_directory import journal_of
    from slacktide.executors.campaign_file import holds_campaign
    from slacktide.executors.campaign_progress import evacuated_hosts, journaled_standing, progress_of
    from slacktide.executors.present_fleet import present_fleet

    if not holds_campaign(campaign):
        raise UsageError(str(campaign), "holds no campaign", "Give the directory that `slacktide run -o` made")
    with progress("Reading the journal"):
        journal = journal_of(campaign, store_given(None, campaign))
        course, state = journaled_standing(snapshot, parent, journal, campaign)
        snapshot, parent = course.snapshot, course.plan
        so_far, missing = progress_of(snapshot, parent, state)
        empty = evacuated_hosts(state)
    returned = so_far.hosts.filter(so_far.hosts["state"] == "returned").height
    if returned + parent.hosts["host_id"].is_in(empty).sum() == parent.hosts.height:
        fact = "has brought back every host of its plan"
        raise UsageError(str(campaign), fact, "There is nothing to revise; plan again for hosts that were left alone")
    gone = (*missing, *lost)
    so_far = without_hosts(snapshot, parent, so_far, gone)
    return snapshot, parent, present_fleet(course, state, so_far, gone), so_far


def _with_others(now: "FleetSnapshot", new_vms: Path | None, gone: tuple[str, ...]) -> "FleetSnapshot":
    """Return the fleet with the VMs that have come, and without those that are no more; sound as a fleet is."""
    from slacktide.datasets.files import read_new_vms
    from slacktide.datasets.validation import refuse_errors, snapshot_findings
    from slacktide.planner.progress import with_vms

    with progress("Adding and leaving out VMs"):
        changed = with_vms(now, None if new_vms is None else read_new_vms(new_vms), gone)
        refuse_errors(snapshot_findings(changed), "fleet" if new_vms is None else f"fleet with {new_vms}")
    return changed


def _show(child: "Plan", output: AnyPath, fleet_path: AnyPath, *, as_json: bool) -> None:
    from slacktide.service.plan_text import deferred_text, plan_rows
    from slacktide.service.revision_text import revision_rows, revision_title, stranded_text

    if as_json:
        header = child.header.model_dump(mode="json")
        document({key: header[key] for key in ("id", "parent", "revision", "summary")})
        return
    show(revision_title(child))
    rows = [*revision_rows(child), *plan_rows(child), ("plan", str(output)), ("fleet", str(fleet_path))]
    show(figures(rows))
    if child.header.revision is not None and child.header.revision.stranded:
        show(stranded_text(child))
    if child.deferred.height:
        show(deferred_text(child))
