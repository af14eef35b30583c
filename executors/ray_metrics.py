"""A campaign's metrics as Ray's: each node of the cluster offers them to Prometheus, with those of Ray itself."""

from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from slacktide.executors.measuring.metrics import METRICS, Kind, Metric
from slacktide.executors.measuring.readings import Labels, Readings
from slacktide.ids import CampaignId

CAMPAIGN = "campaign"


class RayMetrics:
    """The metrics of the campaign whose coordinator this process is."""

    def __init__(self, campaign: CampaignId) -> None:
        self._made: dict[Metric, Any] = {metric: _made(metric, campaign) for metric in METRICS}

    def tell(self, readings: Readings) -> None:
        """Hand readings on."""
        for metric, labels, value in readings.values:
            self._made[metric].set(value, _tags(metric, labels))
        for metric, labels, grown in readings.counts:
            self._made[metric].inc(grown, _tags(metric, labels))
        for metric, labels, values in readings.observed:
            observe, tags = self._made[metric].observe, _tags(metric, labels)
            for value in values:
                observe(value, tags)


def _made(metric: Metric, campaign: CampaignId) -> Counter | Gauge | Histogram:
    keys = (CAMPAIGN, *metric.labels)
    made: Counter | Gauge | Histogram
    if metric.kind is Kind.HISTOGRAM:
        made = Histogram(metric.name, metric.help, list(metric.buckets), keys)
    else:
        made = (Gauge if metric.kind is Kind.GAUGE else Counter)(metric.name, metric.help, keys)
    return made.set_default_tags({CAMPAIGN: str(campaign)})  # type: ignore[no-any-return]


def _tags(metric: Metric, labels: Labels) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
