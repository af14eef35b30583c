"""What is read off a campaign at one moment, for whatever keeps its metrics."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.measuring.metrics import Metric
from slacktide.executors.program import Program

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a running campaign is, for what measures it."""

    state: CampaignState
    program: Program
    generation: int
    agents: int
    agents_away: int
    waits: bool
    """Whether nothing goes on before a person, or the store, does something."""
    queues: dict[str, int]
    """What waits, by queue."""
    append_s: deque[float]
    """How long the journal's batches took that were not measured before; whoever measures them takes them out."""


@dataclass(slots=True)
class Readings:
    """The metrics of a moment."""

    values: list[tuple[Metric, Labels, float]] = field(default_factory=list)
    """Gauges."""
    counts: list[tuple[Metric, Labels, int]] = field(default_factory=list)
    """By how much counters have grown since the moment before; none by nothing."""
    observed: list[tuple[Metric, Labels, Sequence[float]]] = field(default_factory=list)
    """What has come to histograms since then."""

    def value(self, metric: Metric, value: float, *labels: str) -> None:
        """Note a gauge."""
        self.values.append((metric, labels, float(value)))

    def count(self, metric: Metric, grown: int, *labels: str) -> None:
        """Note a counter's growth."""
        if grown > 0:
            self.counts.append((metric, labels, grown))

    def observe(self, metric: Metric, values: Sequence[float], *labels: str) -> None:
        """Note what has come to a histogram."""
        if len(values):
            self.observed.append((metric, labels, values))
