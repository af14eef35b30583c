"""How far a campaign has got, in figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from slacktide.executors.campaign_state import OUT_STAGES, UNPATCHED_STAGES, CampaignState, HostStage
from slacktide.executors.events import Stage
from slacktide.executors.program import Program

FAILED_NAMED: Final = 20
"""Hosts that failed and are named while a campaign runs: who sees twenty stops it."""
OWN_FAILURES: Final = (HostStage.FAILED, HostStage.LOST)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign has got."""

    now_s: float
    planned_s: int
    """When the plan would have its last host back."""
    hosts: int
    hosts_returned: int
    hosts_out: int
    hosts_failed: int
    """Failed, blocked or lost."""
    hosts_evacuated: int
    migrations: int
    migrations_done: int
    migrations_given_up: int
    waves: int
    waves_opened: int
    waves_over: int
    """Those whose hosts have all returned, failed or been left alone."""
    finished: bool
    waits_for: str | None = None
    """What has to happen before the campaign goes on, and what to do about it: the store answers again, a person
    approves a wave, or ends a pause; null: nothing."""
    aborted: bool = False
    failed_hosts: tuple[tuple[str, str], ...] = ()
    """Hosts that failed themselves or did not come back, each with the reason, at most :data:`FAILED_NAMED`; others
    were left alone with them."""


def progress(state: CampaignState, program: Program) -> Progress:
    """Return how far a campaign has got."""
    stages, hosts = state.stage, state.host_stage
    opened = ~np.isnan(state.wave_opened_s)
    to_come = program.hosts.planned & (hosts < HostStage.RETURNED)
    over = opened & (np.bincount(program.hosts.wave[to_come], minlength=len(opened)) == 0)
    return Progress(
        now_s=state.end_s,
        planned_s=program.makespan_s,
        hosts=int(program.hosts.planned.sum()),
        hosts_returned=int((hosts == HostStage.RETURNED).sum()),
        hosts_out=int(np.isin(hosts, OUT_STAGES).sum()),
        hosts_failed=int(np.isin(hosts, UNPATCHED_STAGES).sum()),
        hosts_evacuated=int((hosts == HostStage.EVACUATED).sum()),
        migrations=len(stages),
        migrations_done=int((stages == Stage.DONE).sum()),
        migrations_given_up=int((stages == Stage.GIVEN_UP).sum()),
        waves=len(opened),
        waves_opened=int(opened.sum()),
        waves_over=int(over.sum()),
        finished=state.finished,
        aborted=state.aborted is not None,
        failed_hosts=tuple(_failed(state)),
    )


def _failed(state: CampaignState) -> Iterator[tuple[str, str]]:
    own = ((host, why) for host, why in state.host_reasons.items() if state.host_stage[host] in OWN_FAILURES)
    for host, why in islice(own, FAILED_NAMED):
        yield state.program.hosts.ids[host], ": ".join(why)
