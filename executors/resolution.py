"""After a crash: every intent without an outcome is unknown, and is resolved by asking, never assumed."""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from slacktide.errors import ExecutionError
from slacktide.executors import events
from slacktide.executors.agents import Agents
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.commands import Dispatch, Requests
from slacktide.executors.drivers.protocol import Adoption, CancelRequest, MigrationRequest, PatchRequest, Telling
from slacktide.executors.events import Event, Stage
from slacktide.ids import MigrationId


def resolve(state: CampaignState, dispatch: Dispatch, agents: Agents, now: float, told: Collection[str]) -> list[Event]:
    """Return what both hypervisors say of every migration, and every host of its patch, that was under way.

    ``told``: migrations and hosts whose outcome an agent has told already.
    """
    running = np.flatnonzero((state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)).tolist()
    intended_s = state.times[:, Stage.INTENDED]
    requests: dict[int, list[MigrationRequest]] = defaultdict(list)
    stages: dict[int, list[Stage]] = defaultdict(list)
    for number in running:
        if state.program.migrations.ids[number] in told:
            continue
        agent = dispatch.agent_of_migration(number)
        requests[agent].append(dispatch.migration(number, int(state.attempts[number]), float(intended_s[number])))
        stages[agent].append(Stage(int(state.stage[number])))
    patches: dict[int, list[PatchRequest]] = defaultdict(list)
    under_way = (state.host_stage == HostStage.PATCH_INTENDED) | (state.host_stage == HostStage.PATCHING)
    for host in np.flatnonzero(under_way).tolist():
        if state.program.hosts.ids[host] in told:
            continue
        asked_s = float(state.host_times[host, HostStage.PATCH_INTENDED])
        patches[dispatch.agent_of(host)].append(dispatch.patch(host, asked_s))
    agents.adopt(
        {
            agent: Adoption(tuple(zip(requests[agent], stages[agent], strict=True)), tuple(patches[agent]))
            for agent in range(agents.count)
        }
    )
    return _migrations(requests, agents, now) + _hosts(patches, agents, now)


def untold(state: CampaignState, dispatch: Dispatch) -> dict[int, Requests]:
    """Return requests that may not have been heard: guests to be told, and attempts to be stopped.

    Guests that were told are told again: the agent that did may have ended, and what it had published with it.
    """
    asked: dict[int, Requests] = {}
    running = (state.stage >= Stage.INTENDED) & (state.stage < Stage.DONE)
    for number in np.flatnonzero(running & (state.cancelled > 0) & (state.cancelled == state.attempts)).tolist():
        name, attempt = MigrationId(state.program.migrations.ids[number]), int(state.attempts[number])
        stop = CancelRequest(name, attempt, "it was to be stopped before the coordinator ended", state.end_s)
        asked.setdefault(dispatch.agent_of_migration(number), Requests()).cancel.append(stop)
    for number in np.flatnonzero((state.stage == Stage.NOTIFIED) | (state.stage == Stage.WAITING)).tolist():
        telling: Telling = "new" if np.isnan(state.times[number, Stage.WAITING]) else "again"
        if not np.isnan(state.acknowledged_s[number]):
            telling = "ready"
        notice = dispatch.notice(number, float(state.times[number, Stage.NOTIFIED]), telling)
        asked.setdefault(dispatch.agent_of_migration(number), Requests()).notify.append(notice)
    return asked


def _migrations(requests: dict[int, list[MigrationRequest]], agents: Agents, now: float) -> list[Event]:
    found: list[Event] = []
    located = agents.locate(requests)
    for agent, asked in sorted(requests.items()):
        for request, location in zip(asked, located[agent], strict=True):
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
    return found


def _hosts(patches: dict[int, list[PatchRequest]], agents: Agents, now: float) -> list[Event]:
    found: list[Event] = []
    inspected = agents.inspect(patches)
    for agent, asked in sorted(patches.items()):
        for request, answer in zip(asked, inspected[agent], strict=True):
            found.append(events.HostResolved(now, request.host_id, answer.condition))
    return found
