"""The tables of a campaign's report, declared once: planned and measured values side by side.

Times are seconds from the campaign's origin: planned ones whole, measured ones with fractions.  What was not measured
is null; a blackout is claimed only for a migration that is ``done``.
"""

from typing import Final

import dataframely as dy

from slacktide.planner.plan import STRATEGIES

MIGRATION_STATES: Final = ("planned", "notified", "running", "done", "failed", "given-up")
"""``planned`` and ``notified``: not begun; ``running``: begun and not ended; ``failed``: the last attempt failed and
the VM stayed on its source; ``given-up``: never begun, for the reason in ``error``."""
HOST_STATES: Final = ("planned", "draining", "drained", "patching", "returned", "failed", "blocked", "evacuated")
"""``failed``: not drained or not returned; ``blocked``: never drained, because something it depends on failed;
``evacuated``: emptied because it is about to fail, and out by intent."""


class ReportMigrationTable(dy.Schema):
    """Every planned migration and what became of it, sorted by ``migration_id``."""

    migration_id = dy.String(primary_key=True)
    vm_id = dy.String(nullable=False)
    source = dy.String(nullable=False)
    target = dy.String(nullable=False)
    wave = dy.Int32(nullable=False, min=0)
    strategy = dy.Enum(STRATEGIES, nullable=False)
    bandwidth_mbit_s = dy.Int64(nullable=False, min=0)
    after = dy.List(dy.String(nullable=False), nullable=False)

    planned_notified_s = dy.Int64(nullable=False, min=0)
    planned_start_s = dy.Int64(nullable=False, min=0)
    planned_end_s = dy.Int64(nullable=False, min=1)
    predicted_brownout_s = dy.Float64(nullable=False, min=0)
    predicted_blackout_ms = dy.Float64(nullable=False, min=0)
    predicted_transfer_mib = dy.Float64(nullable=False, min=0)

    state = dy.Enum(MIGRATION_STATES, nullable=False)
    attempts = dy.Int32(nullable=False, min=0)
    """How often it was begun."""
    error = dy.String(nullable=True)
    """Why the last failed attempt failed, also where a later one was done; or the short name of why it was given up."""
    failed_stage = dy.String(nullable=True)
    """Stage at which the last failed attempt ended."""

    notified_s = dy.Float64(nullable=True, min=0)
    """When it was decided to tell the guest."""
    told_s = dy.Float64(nullable=True, min=0)
    """When the guest was told; null: it was not, or the report is older than this column and the next four."""
    promised_notice_s = dy.Float64(nullable=True, min=0)
    """Null: the guest wants none."""
    notice_s = dy.Float64(nullable=True, min=0)
    """From when it was told until the first attempt began."""
    acknowledged_s = dy.Float64(nullable=True, min=0)
    """When the guest said that it was ready."""
    notice_shortfall_s = dy.Float64(nullable=True, min=0)
    """By which notice fell short of what was promised; null: it did not, or the guest was ready."""
    start_s = dy.Float64(nullable=True, min=0)
    """When the last attempt began."""
    end_s = dy.Float64(nullable=True, min=0)
    """When the last attempt ended, done or failed."""
    reserve_s = dy.Float64(nullable=True, min=0)
    """From the start until the target was reserved."""
    prepare_s = dy.Float64(nullable=True, min=0)
    """Until an empty VM waited on the target."""
    connect_s = dy.Float64(nullable=True, min=0)
    """Until source and target were authenticated to each other."""
    brownout_s = dy.Float64(nullable=True, min=0)
    """Pre-migration brownout."""
    blackout_ms = dy.Float64(nullable=True, min=0)
    """Blackout by the hypervisor's count."""
    probe_blackout_ms = dy.Float64(nullable=True, min=0)
    """Blackout as a probe outside the VM saw it; null: not probed."""
    probe_resolution_ms = dy.Float64(nullable=True, min=0)
    """How exactly that is seen."""
    forwarding_s = dy.Float64(nullable=True, min=0)
    """Post-migration brownout."""
    fabric_s = dy.Float64(nullable=True, min=0)
    """Of it, until the fabric had caught up or the limit was reached; null: no fabric was told, or the report is older
    than this column and the next three."""
    forwarded_packets = dy.Int64(nullable=True, min=0)
    """Sent on by the source in it; null: nobody counted."""
    lost_packets = dy.Int64(nullable=True, min=0)
    """For the VM after its pause, and not sent on; null as above."""
    fabric_finding = dy.String(nullable=True)
    """Who still sent elsewhere when the source stopped forwarding; null: nobody, or it is not known."""
    delete_s = dy.Float64(nullable=True, min=0)
    """From the deletion of the source's copy until the migration was confirmed as done."""
    transfer_mib = dy.Float64(nullable=True, min=0)


class ReportHostTable(dy.Schema):
    """Every planned host and what became of it, sorted by ``host_id``."""

    host_id = dy.String(primary_key=True)
    wave = dy.Int32(nullable=False, min=0)
    planned_drain_start_s = dy.Int64(nullable=False, min=0)
    planned_drained_s = dy.Int64(nullable=False, min=0)
    planned_return_s = dy.Int64(nullable=False, min=0)
    state = dy.Enum(HOST_STATES, nullable=False)
    reason = dy.String(nullable=True)
    """Short name of why it is ``failed`` or ``blocked``; the text is in ``troubles.parquet``."""
    drain_start_s = dy.Float64(nullable=True, min=0)
    drained_s = dy.Float64(nullable=True, min=0)
    return_s = dy.Float64(nullable=True, min=0)
    released_s = dy.Float64(nullable=True, min=0)
    """When it was in service again unpatched, its drain given up."""
    gone_vms = dy.Int32(nullable=True, min=0)
    """VMs that have left a host which was then given up; null: it is not left half drained."""
    remaining_vms = dy.Int32(nullable=True, min=0)
    """VMs that are on it still."""


class ReportTroubleTable(dy.Schema):
    """Every host and migration that did not come to its end, and every one that the fabric did not know of in time.

    In the order in which that was known.
    """

    at_s = dy.Float64(nullable=False, min=0)
    kind = dy.Enum(("host", "migration"), nullable=False)
    subject = dy.String(nullable=False)
    """Id of the host or migration."""
    reason = dy.String(nullable=False)
    """Short name, for counting."""
    detail = dy.String(nullable=False)
    """What happened, with the ids concerned."""


class ReportOthersTable(dy.Schema):
    """What others did with VMs meanwhile, in the order in which that was found out."""

    at_s = dy.Float64(nullable=False, min=0)
    what = dy.Enum(("created", "deleted", "moved"), nullable=False)
    vm_id = dy.String(nullable=False)
    host_id = dy.String(nullable=False)
    """Where the VM is now, or was last."""
    source = dy.String(nullable=True)
    """Where a VM was that was moved; null for others."""
