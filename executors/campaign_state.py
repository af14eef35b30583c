"""What is known of a campaign: folded from its journal, and from nothing else.

How a journal is folded into it is in :mod:`slacktide.executors.folding`.
"""

from copy import copy
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.control_events import (
    CampaignAborted,
    CampaignPaused,
    DecisionAwaited,
    PlanRevised,
    SignalChanged,
)
from slacktide.executors.events import Stage, VmEvent
from slacktide.executors.program import Program
from slacktide.executors.vm_state import Stranger

Floats = NDArray[np.float64]


class HostStage(IntEnum):
    """Where a host is."""

    IN_SERVICE = 0
    """Not yet drained, or not part of the plan."""
    DRAINING = 1
    DRAINED = 2
    PATCH_INTENDED = 3
    """The driver is to be called; whether it was is not known."""
    PATCHING = 4
    RETURNED = 5
    FAILED = 6
    """Not drained; in service, unpatched."""
    BLOCKED = 7
    """Never drained, because something that it depends on failed; in service, unpatched."""
    LOST = 8
    """Drained, and did not come back from its patch in time; out of service.

    For good, as far as this campaign goes: one that reports after all is for a person to put back into service, since
    what was to move there has been given up.
    """
    EVACUATED = 9
    """Empty by intent, for it is about to fail; out of service for as long as the campaign runs, and no failure."""


OUT_STAGES: Final = (
    HostStage.DRAINING,
    HostStage.DRAINED,
    HostStage.PATCH_INTENDED,
    HostStage.PATCHING,
    HostStage.LOST,
)
"""Stages in which a host counts against the limits on hosts out."""
UNPATCHED_STAGES: Final = (HostStage.FAILED, HostStage.BLOCKED, HostStage.LOST)
"""Stages in which a host has ended that was to be patched and is not."""
STAGES: Final = len(Stage)
HOST_STAGES: Final = len(HostStage)
RUNNING_STAGES: Final = tuple(range(Stage.INTENDED, Stage.DONE))
"""Stages in which a migration holds room on both hosts."""
BY_POLICY: Final = "asked for by the plan's policy"
"""Who has a host evacuated that no order names."""


_NUMBERS: Final = ("numbers", "host_numbers", "vm_numbers")
"""What never changes of a state."""


@dataclass
class CampaignState:
    """Where every migration, host and wave is; M migrations, H hosts, V VMs, W waves."""

    program: Program
    last: int
    """Number of the newest entry folded."""
    end_s: float
    """Latest moment of anything folded."""
    stage: NDArray[np.int8]
    """:class:`~slacktide.executors.events.Stage` of each migration, shape (M,)."""
    attempts: NDArray[np.int8]
    times: Floats
    """When each stage of the last attempt was reached, NaN: not, shape (M, stages)."""
    failed_stage: NDArray[np.int8]
    """Stage in which the last failed attempt ended, -1: none, shape (M,)."""
    retryable: NDArray[np.bool_]
    cancelled: NDArray[np.int8]
    """Attempt that is to be stopped, 0: none."""
    again: NDArray[np.bool_]
    """It is to be begun again, without counting."""
    uncounted: NDArray[np.int8]
    """Attempts that do not count, for they were stopped to be begun again, shape (M,)."""
    blackout_ms: Floats
    probe_blackout_ms: Floats
    probe_resolution_ms: Floats
    transfer_mib: Floats
    fabric_s: Floats
    """From when each guest ran on its target until its source forwarded no more, NaN: not told, shape (M,)."""
    forwarded_packets: Floats
    lost_packets: Floats
    begun_s: Floats
    """When the first attempt began, NaN: none has, shape (M,)."""
    acknowledged_s: Floats
    """When the guest said that it is ready, NaN: it has not, or only after its first attempt began, shape (M,)."""
    vm_host: NDArray[np.int64]
    """Where each VM's guest runs, -1: it is no more, shape (V,)."""
    host_stage: NDArray[np.int8]
    host_times: Floats
    """When each host reached each stage, NaN: not, shape (H, host stages)."""
    wave_opened_s: Floats
    wave_approved: NDArray[np.bool_]
    wave_closed: dict[int, str] = field(default_factory=dict)
    """Waves that will never open, with the reason."""
    errors: dict[int, str] = field(default_factory=dict)
    """Why a migration failed or was given up."""
    given_up: dict[int, str] = field(default_factory=dict)
    """Short name of why a migration was given up."""
    unconfirmed: dict[int, str] = field(default_factory=dict)
    """Why the fabric had not caught up when a source stopped forwarding, by migration."""
    failed_attempts: dict[int, int] = field(default_factory=dict)
    """Count of failed attempts by stage."""
    host_reasons: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Short name and text of why a host failed, is blocked or lost."""
    lost_vms: set[int] = field(default_factory=set)
    """VMs that run nowhere any more."""
    finished: bool = False
    judged_from_s: float = 0.0
    """When a person last let the campaign go on: its budgets are counted from then."""
    failures_before: int = 0
    """Failed attempts until then."""
    lost_before: int = 0
    """Hosts lost until then."""
    signals: dict[str, SignalChanged] = field(default_factory=dict)
    """How each signal was last."""
    orders: int = 0
    """Number of the newest order that was taken or refused."""
    paused: CampaignPaused | None = None
    aborted: CampaignAborted | None = None
    decision: DecisionAwaited | None = None
    """What a person has to decide, as it is now, at the moment since which one has to; null: nothing."""
    skipped: dict[int, str] = field(default_factory=dict)
    """Hosts that are not to be drained (any further), with who asked for it and why."""
    evacuated: dict[int, str] = field(default_factory=dict)
    """Hosts that are emptied before all others and stay out, with who asked for it and why."""
    max_out: dict[str, int | str] = field(default_factory=dict)
    """Limits on hosts out that hold in place of the policy's, by kind of failure domain."""
    revisions: tuple[PlanRevised, ...] = ()
    """The plans that it has gone over to, in order."""
    forgiven: set[int] = field(default_factory=set)
    """Lost hosts that keep no gate closed: a person has had the rest planned anew in spite of them."""
    strangers: dict[str, Stranger] = field(default_factory=dict)
    """VMs that others have created and the plan does not have, by id."""
    touched: dict[str, float] = field(default_factory=dict)
    """When others last created, deleted or moved a VM, by id."""
    deeds: list[VmEvent] = field(default_factory=list)
    """What others did, in order."""
    vm_numbers: dict[str, int] = field(default_factory=dict, repr=False)
    """Number of each VM of the plan by id."""
    numbers: dict[str, int] = field(default_factory=dict, repr=False)
    """Number of each migration by id."""
    host_numbers: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def lost(self) -> frozenset[int]:
        """Hosts that did not come back from their patch, those left out that are forgiven."""
        return frozenset(np.flatnonzero(self.host_stage == HostStage.LOST).tolist()) - self.forgiven

    @property
    def failures(self) -> int:
        """Attempts that failed, without those that were stopped to be begun again."""
        return sum(self.failed_attempts.values()) - int(self.uncounted.sum())

    @property
    def lost_hosts(self) -> int:
        """Hosts that did not come back from their patch."""
        return int((self.host_stage == HostStage.LOST).sum())

    def copy(self) -> "CampaignState":
        """Return a state of its own that a fold may change."""
        after = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray | dict | set | list) and name not in _NUMBERS:
                setattr(after, name, value.copy())
        return after


def initial_state(program: Program) -> CampaignState:
    """Return the state before the first event."""
    migrations, hosts, waves = len(program.migrations.ids), len(program.hosts.ids), len(program.waves.gate)
    numbers = {name: number for number, name in enumerate(program.hosts.ids)}
    return CampaignState(
        program=program,
        last=0,
        end_s=0.0,
        stage=np.zeros(migrations, np.int8),
        attempts=np.zeros(migrations, np.int8),
        times=np.full((migrations, STAGES), np.nan),
        failed_stage=np.full(migrations, -1, np.int8),
        retryable=np.zeros(migrations, np.bool_),
        cancelled=np.zeros(migrations, np.int8),
        again=np.zeros(migrations, np.bool_),
        uncounted=np.zeros(migrations, np.int8),
        blackout_ms=np.full(migrations, np.nan),
        probe_blackout_ms=np.full(migrations, np.nan),
        probe_resolution_ms=np.full(migrations, np.nan),
        transfer_mib=np.full(migrations, np.nan),
        fabric_s=np.full(migrations, np.nan),
        forwarded_packets=np.full(migrations, np.nan),
        lost_packets=np.full(migrations, np.nan),
        begun_s=np.full(migrations, np.nan),
        acknowledged_s=np.full(migrations, np.nan),
        vm_host=program.vms.host.copy(),
        host_stage=np.zeros(hosts, np.int8),
        host_times=np.full((hosts, HOST_STAGES), np.nan),
        wave_opened_s=np.full(waves, np.nan),
        wave_approved=np.zeros(waves, np.bool_),
        vm_numbers={name: number for number, name in enumerate(program.vms.ids)},
        numbers={name: number for number, name in enumerate(program.migrations.ids)},
        host_numbers=numbers,
        evacuated={numbers[name]: BY_POLICY for name in program.policy.evacuate},
    )
