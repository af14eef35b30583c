"""Events about the campaign as a whole, its waves and its agents."""

from dataclasses import dataclass

from slacktide.executors.events.event import AgentEvent, Event
from slacktide.ids import CampaignId, PlanId


@dataclass(frozen=True, slots=True)
class CampaignCreated(Event):
    """The campaign exists; nothing has been touched."""

    type = "campaign-created"
    campaign_id: CampaignId
    plan_id: PlanId


@dataclass(frozen=True, slots=True)
class CampaignResumed(Event):
    """A coordinator took the campaign up again from its journal."""

    type = "campaign-resumed"


@dataclass(frozen=True, slots=True)
class AgentAway(AgentEvent):
    """An agent has ended, or does not answer: what it began goes on without it, what it is asked waits."""

    type = "agent-away"
    reason: str


@dataclass(frozen=True, slots=True)
class AgentBack(AgentEvent):
    """An agent that was away, or another process in its place, has taken charge of what was under way."""

    type = "agent-back"


@dataclass(frozen=True, slots=True)
class CampaignFinished(Event):
    """Every host has returned, failed or is blocked."""

    type = "campaign-finished"


@dataclass(frozen=True, slots=True)
class WaveApproved(Event):
    """Someone lets the wave begin."""

    type = "wave-approved"
    wave: int
    by: str
    order: int | None = None
    """The order in the campaign's store; null: there is none."""
    why: str | None = None


@dataclass(frozen=True, slots=True)
class WaveOpened(Event):
    """What the wave's gate asks for holds; its hosts may be drained."""

    type = "wave-opened"
    wave: int


@dataclass(frozen=True, slots=True)
class WaveClosed(Event):
    """What the wave's gate asks for can no longer come true; neither it nor a later wave begins."""

    type = "wave-closed"
    wave: int
    reason: str
