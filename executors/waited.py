"""How long a campaign waited for people: paused, or at a gate that asks for an approval."""

from collections.abc import Iterable, Iterator

import numpy as np

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.control_events import CampaignAborted, CampaignContinued, CampaignPaused
from slacktide.executors.events import Event


def waited_for_people_s(state: CampaignState, asked: Iterable[Event], until_s: float) -> float:
    """Return for how long, up to ``until_s``, a person could have let a campaign go on, and it did not.

    Parameters
    ----------
    asked
        What was asked of it, and its own pauses, in order.
    """
    spans = sorted(span for span in (*_pauses(asked, until_s), *_approvals(state)) if span[0] < until_s)
    waited_s = reached_s = 0.0
    for begun_s, ended_s in spans:
        end_s = min(ended_s, until_s)
        waited_s += max(0.0, end_s - max(begun_s, reached_s))
        reached_s = max(reached_s, end_s)
    return waited_s


def _pauses(asked: Iterable[Event], until_s: float) -> Iterator[tuple[float, float]]:
    since_s: float | None = None
    for event in asked:
        if isinstance(event, CampaignPaused):
            since_s = event.at_s if since_s is None else since_s
        elif isinstance(event, CampaignContinued | CampaignAborted) and since_s is not None:
            yield since_s, event.at_s
            since_s = None
    if since_s is not None:
        yield since_s, until_s


def _approvals(state: CampaignState) -> Iterator[tuple[float, float]]:
    """Yield from when each wave waited for an approval alone until it opened."""
    waves, hosts = state.program.waves, state.program.hosts
    returned_s = state.host_times[:, HostStage.RETURNED]
    for wave in np.flatnonzero(~np.isnan(state.wave_opened_s)).tolist():
        if waves.gate[wave] != "approval":
            continue
        due_s, before = float(waves.start_s[wave]), int(waves.before[wave])
        back_s = returned_s[hosts.planned & (hosts.wave == before)]
        if before >= 0 and not np.isnan(back_s).all():
            due_s = max(due_s, float(np.nanmax(back_s)) + state.program.policy.gates.bake_s)
        yield due_s, float(state.wave_opened_s[wave])
