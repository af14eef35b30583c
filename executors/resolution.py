"""After a crash: every intent without an outcome is unknown, and is resolved by asking, never assumed.

Whoever crashed, it is done agent by agent: with all of them when a coordinator begins, with one when a process that
has ended was started again.
"""

from collections import defaultdict
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from slacktide.errors import ExecutionError
from slacktide.executors import events
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.commands import Dispatch, Requests
from slacktide.executors.drivers.protocol import (
    Adoption,
    CancelRequest,
    MigrationRequest,
    PatchRequest,
    TakenOver,
    Telling,
)
from slacktide.executors.events import Stage
from slacktide.ids import MigrationId

Resolved = events.MigrationResolved | events.HostResolved


def under_way(
    state: CampaignState, dispatch: Dispatch, agents: Collection[int], known: Collection[str]
) -> dict[int, Adoption]:
    """Return what each of these agents is to take charge of: migrations and patches without an outcome.

    ``known``: migrations and hosts of which nothing has to be asked, since an agent has told their outcome already, or
    nobody was asked to begin them.
    """
    migrations: dict[int, list[tuple[MigrationRequest, Stage]]] = defaultdict(list)
    intended_s = state.times[:, Stage.INTENDED]
    running = np.flatnonzero((state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)).tolist()
    for number in running:
        agent = dispatch.agent_of_migration(number)
        if agent in agents and state.program.migrations.ids[number] not in known:
            request = dispatch.migration(number, int(state.attempts[number]), float(intended_s[number]))
            migrations[agent].append((request, Stage(int(state.stage[number]))))
    patches: dict[int, list[PatchRequest]] = defaultdict(list)
    for host in np.flatnonzero(patched_now(state)).tolist():
        agent = dispatch.agent_of(host)
        if agent in agents and state.program.hosts.ids[host] not in known:
            asked_s = float(state.host_times[host, HostStage.PATCH_INTENDED])
            patches[agent].append(dispatch.patch(host, asked_s))
    return {agent: Adoption(tuple(migrations[agent]), tuple(patches[agent])) for agent in sorted(agents)}


def patched_now(state: CampaignState) -> NDArray[np.bool_]:
    """Return which hosts are being patched, shape (H,)."""
    return np.isin(state.host_stage, (HostStage.PATCH_INTENDED, HostStage.PATCHING))


def outcomes(adoption: Adoption, said: TakenOver, now: float) -> list[Resolved]:
    """Return what both hypervisors say of every migration, and every host of its patch, that was under way.

    Raises
    ------
    ExecutionError
        If a VM runs on neither of its hosts.
    """
    found: list[Resolved] = []
    for (request, _), location in zip(adoption.migrations, said.locations, strict=True):
        if location.host_id is None:
            raise ExecutionError(
                f"VM {request.vm_id}",
                f"runs neither on {request.source} nor on {request.target}",
                "Find it before the campaign goes on: look at both hypervisors",
            )
        if location.migration_id == request.migration_id:
            outcome = "running"
        else:
            outcome = "done" if location.host_id == request.target else "not-started"
        found.append(events.MigrationResolved(now, request.migration_id, request.attempt, outcome))
    for patch, answer in zip(adoption.patches, said.conditions, strict=True):
        found.append(events.HostResolved(now, patch.host_id, answer.condition))
    return found


def untold(state: CampaignState, dispatch: Dispatch, agents: Collection[int]) -> dict[int, Requests]:
    """Return requests that these agents may not have heard: guests to be told, and attempts to be stopped.

    Guests that were told are told again: the agent that did may have ended, and what it had published with it.
    """
    asked: dict[int, Requests] = {}
    running = (state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)
    for number in np.flatnonzero(running & (state.cancelled > 0) & (state.cancelled == state.attempts)).tolist():
        if (agent := dispatch.agent_of_migration(number)) in agents:
            name, attempt = MigrationId(state.program.migrations.ids[number]), int(state.attempts[number])
            reason = "it was to be stopped before the coordinator or its agent ended"
            stop = CancelRequest(name, attempt, reason, state.end_s)
            asked.setdefault(agent, Requests()).cancel.append(stop)
    for number in np.flatnonzero((state.stage == Stage.NOTIFIED) | (state.stage == Stage.WAITING)).tolist():
        if (agent := dispatch.agent_of_migration(number)) in agents:
            telling: Telling = "new" if np.isnan(state.times[number, Stage.WAITING]) else "again"
            if not np.isnan(state.acknowledged_s[number]):
                telling = "ready"
            notice = dispatch.notice(number, float(state.times[number, Stage.NOTIFIED]), telling)
            asked.setdefault(agent, Requests()).notify.append(notice)
    return asked
