"""What becomes of a simulated migration or patch, and when."""

from dataclasses import dataclass
from math import floor, inf
from typing import Final

from slacktide.executors.drivers.luck import lognormal, luck
from slacktide.executors.drivers.protocol import MigrationRequest, NotifyRequest, PatchRequest
from slacktide.executors.drivers.settings import Answering, SimulationSettings
from slacktide.executors.events import Stage
from slacktide.planner.policy import MigrationRules

FIRST_STAGE: Final = int(Stage.RESERVED)
RESERVE_SHARE, PREPARE_SHARE = 0.1, 0.6
"""Parts of the setup by whose end the target is reserved and prepared; connecting takes the rest."""
SHORTEST_SHARE: Final = 0.8
"""No simulated duration is shorter than this share of its prediction, and no failure is noticed sooner.

A coordinator on a virtual clock relies on it: that long nothing can come of a request, and it need not be sent yet.  A
larger share sends fewer and larger batches; at 0.8 the default noise, four standard deviations away, is not cut.
"""


@dataclass(slots=True)
class Timeline:
    """One attempt's stages."""

    times: tuple[float, ...]
    """Seconds from the origin at which ``RESERVED`` to ``DONE`` are reached, as far as they are."""
    blackout_ms: float
    """By the hypervisor's count."""
    probe_blackout_ms: float
    """By the probe: the silence that it saw, without the beat that was due anyway; within its interval of the real."""
    fails_s: float
    """When the attempt fails; infinite: it does not."""
    failed_stage: int
    retryable: bool

    @property
    def end_s(self) -> float:
        """When the attempt ends, one way or the other."""
        return min(self.times[-1] if self.times else inf, self.fails_s)


def timeline(request: MigrationRequest, settings: SimulationSettings, rules: MigrationRules) -> Timeline:
    """Return what becomes of an attempt: the plan's predictions, times noise that belongs to VM, source and attempt."""
    setup, brownout, blackout, probe, fails, where, when, retryable = luck(
        settings.seed, f"{request.vm_id}\0{request.source}\0{request.tried + request.attempt}"
    )
    sigma, at_s = settings.duration_sigma, request.at_s
    setup_s = rules.setup_s * _factor(setup, sigma)
    fixed_ms = min(rules.switchover_ms, request.predicted_blackout_ms)
    variable_ms = request.predicted_blackout_ms - fixed_ms
    blackout_ms = fixed_ms + variable_ms * _factor(blackout, settings.blackout_sigma)
    connected_s = at_s + setup_s
    blackout_s = connected_s + request.predicted_brownout_s * _factor(brownout, sigma)
    forwarding_s = blackout_s + blackout_ms / 1000
    deleted_s = forwarding_s + rules.forwarding_s
    interval = settings.probe_interval_ms
    whole = Timeline(
        times=(
            at_s + RESERVE_SHARE * setup_s,
            at_s + PREPARE_SHARE * setup_s,
            connected_s,
            connected_s,
            blackout_s,
            forwarding_s,
            deleted_s,
            deleted_s,
        ),
        blackout_ms=blackout_ms,
        probe_blackout_ms=interval * floor(probe + blackout_ms / interval),
        fails_s=inf,
        failed_stage=0,
        retryable=retryable < settings.failures.retryable_share,
    )
    if fails * 1000 < settings.failures.migrations_per_mille:
        _fail(whole, request.at_s, where, when, settings)
        whole.fails_s = max(whole.fails_s, quiet_until_s(request, rules))
    return whole


def _factor(uniform: float, sigma: float) -> float:
    return max(SHORTEST_SHARE, lognormal(uniform, sigma))


def quiet_until_s(request: MigrationRequest | PatchRequest, rules: MigrationRules) -> float:
    """Return the moment before which the request has no outcome."""
    if isinstance(request, PatchRequest):
        return request.at_s + SHORTEST_SHARE * request.maintenance_s
    fixed_s = min(rules.switchover_ms, request.predicted_blackout_ms) / 1000
    varying_s = rules.setup_s + request.predicted_brownout_s + request.predicted_blackout_ms / 1000 - fixed_s
    return request.at_s + SHORTEST_SHARE * varying_s + fixed_s + rules.forwarding_s


def answer_s(request: NotifyRequest, settings: SimulationSettings) -> float:
    """Return when a guest that is told says that it is ready; infinite: not before its notice period is over."""
    answering = settings.answering
    if answering is None or request.telling not in ("new", "again"):
        return inf
    duration, answers, *_ = luck(settings.seed, f"{request.vm_id}\0{request.migration_id}\0ready")
    at_s = request.at_s + answering.after_s * _factor(duration, settings.duration_sigma)
    return at_s if answers * 1000 < answering.per_mille and at_s < request.start_s else inf


def unanswered_until_s(request: NotifyRequest, answering: Answering | None) -> float:
    """Return the moment before which no guest answers."""
    return inf if answering is None else request.at_s + SHORTEST_SHARE * answering.after_s


def _fail(whole: Timeline, at_s: float, where: float, when: float, settings: SimulationSettings) -> None:
    """Cut the timeline of an attempt that fails, at a moment within the stage in which it does."""
    stages = settings.failures.stages
    stage = Stage[stages[int(where * len(stages))].upper()]
    moments = (at_s, *whole.times)
    reached = stage - Stage.INTENDED
    whole.failed_stage = stage
    whole.fails_s = moments[reached] + when * (moments[reached + 1] - moments[reached])
    whole.times = whole.times[:reached]


def return_s(request: PatchRequest, settings: SimulationSettings) -> float:
    """Return when a host comes back from its patch; infinite: it does not."""
    duration, overrun, lost, *_ = luck(settings.seed, request.host_id)
    failures = settings.failures
    if lost * 1000 < failures.lost_hosts_per_mille:
        return inf
    factor = failures.overrun_factor if overrun * 1000 < failures.overruns_per_mille else 1.0
    return request.at_s + request.maintenance_s * factor * _factor(duration, settings.duration_sigma)
