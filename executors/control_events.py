"""What people ask of a campaign, as events: who asked, why, and what is done about it.

Each names the order in the campaign's store that it answers; 0 stands for none: a rule of the campaign asked.
"""

from dataclasses import dataclass
from typing import ClassVar

from slacktide.executors.events import Event, HostEvent


@dataclass(frozen=True, slots=True)
class OrderEvent(Event):
    """An order that was taken."""

    order: int
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class StoppingOrder(OrderEvent):
    """An order after which nothing new begins."""

    cancel: bool
    """What runs is stopped; else it ends by itself."""


@dataclass(frozen=True, slots=True)
class CampaignPaused(StoppingOrder):
    """Nothing new begins until the campaign goes on; what was stopped is begun again then."""

    type: ClassVar[str] = "campaign-paused"


@dataclass(frozen=True, slots=True)
class CampaignContinued(OrderEvent):
    """The campaign goes on after a pause."""

    type: ClassVar[str] = "campaign-continued"


@dataclass(frozen=True, slots=True)
class CampaignAborted(StoppingOrder):
    """Nothing new begins any more; patches end in any case."""

    type: ClassVar[str] = "campaign-aborted"


@dataclass(frozen=True, slots=True)
class LimitsChanged(OrderEvent):
    """Other limits hold from now on."""

    type: ClassVar[str] = "limits-changed"
    max_out: str
    """Hosts out at once by kind of failure domain, as JSON in the form of the policy's ``max_out``; others stay."""


@dataclass(frozen=True, slots=True)
class PlanRevised(OrderEvent):
    """From here on the campaign carries out a revision of its plan, joined with what is over.

    Where plan and fleet are is said from the campaign's directory on.
    """

    type: ClassVar[str] = "plan-revised"
    number: int
    """Of the campaign's revisions, from 1."""
    plan_id: str
    plan: str
    fleet: str
    evacuates: str | None = None
    """Host that the order asks to have emptied before all others; null: it asks for none."""


@dataclass(frozen=True, slots=True)
class DriftAccepted(OrderEvent):
    """Nothing is planned anew for what has happened: what depends on it is given up."""

    type: ClassVar[str] = "drift-accepted"


@dataclass(frozen=True, slots=True)
class OrderRefused(OrderEvent):
    """Nothing is done about an order."""

    type: ClassVar[str] = "order-refused"
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class HostSkipped(HostEvent):
    """The host is not to be drained, or no further."""

    type: ClassVar[str] = "host-skipped"
    order: int
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class DecisionAwaited(Event):
    """What depends on something that has happened waits until a person decides what is done about it."""

    type: ClassVar[str] = "decision-awaited"
    why: str
    """What has happened."""


@dataclass(frozen=True, slots=True)
class DecisionOver(Event):
    """Nothing waits for a person's decision any more."""

    type: ClassVar[str] = "decision-over"


@dataclass(frozen=True, slots=True)
class SignalChanged(Event):
    """A signal from outside is well, or no longer."""

    type: ClassVar[str] = "signal-changed"
    name: str
    healthy: bool
    detail: str
