"""Why a due host is left alone: the reasons, counted in every summary, each with its remedy."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a due host is not in the plan."""

    HOST_DOWN = "host-down"
    HOST_QUARANTINED = "host-quarantined"
    PINNED_VM = "pinned-vm"
    UNKNOWN_DIRTY_RATE = "unknown-dirty-rate"
    BLACKOUT_LIMIT = "blackout-limit"
    NO_CONVERGENCE = "no-convergence"
    NO_ELIGIBLE_HOST = "no-eligible-host"
    HOSTS_OUT = "hosts-out"
    NO_ROOM = "no-room"
    GATE_CLOSED = "gate-closed"


REMEDIES: Final[dict[Reason, str]] = {
    Reason.HOST_DOWN: "Bring the host back or mark it patched once it has been patched by hand.",
    Reason.HOST_QUARANTINED: "Release the host from quarantine, or exclude it with `selection.exclude`.",
    Reason.PINNED_VM: "Agree on a restart with the VM's owner and set its eviction to `restart`.",
    Reason.UNKNOWN_DIRTY_RATE: (
        "Measure the VM's dirty rate and hot set, or set `assume.dirty_mib_s` and `assume.hot_mib`."
    ),
    Reason.BLACKOUT_LIMIT: (
        "Raise the VM's blackout limit, or `migration.blackout_limit_ms`, to `migration.switchover_ms` and above: no "
        "strategy switches over faster."
    ),
    Reason.NO_CONVERGENCE: (
        "Allow `autoconverge` or `postcopy` in `migration.strategies`, raise the VM's blackout limit, or give its "
        "migration more bandwidth (`link_share`)."
    ),
    Reason.NO_ELIGIBLE_HOST: "Add a host of a machine type that the VM may run on, or widen its `machine_types`.",
    Reason.HOSTS_OUT: "Raise the limit that is 0 in `max_out`.",
    Reason.NO_ROOM: (
        "Add an empty host of its machine type, lower `reserve`, or raise the service limits of the VMs named; "
        "`explain` shows what is short."
    ),
    Reason.GATE_CLOSED: "Judge the patch; if it is to go on, `slacktide campaign revise` plans the host again.",
}
"""What a person can do, by reason."""
