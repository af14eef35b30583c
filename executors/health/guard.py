"""What pauses a campaign by itself: looked at between decisions."""

import time
from typing import Final

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.control_events import CampaignPaused, SignalChanged
from slacktide.executors.events import Event
from slacktide.executors.health.budgets import exceeded
from slacktide.executors.health.settings import Budgets, Health
from slacktide.executors.health.watching import Watch
from slacktide.executors.news import OUTCOMES
from slacktide.executors.order_state import BUDGET, SIGNAL

LOOK_S: Final = 0.25
"""How often signals are asked for what has changed, on this machine's clock."""
FIRST_S: Final = 1.0
"""How long a first look is waited for at a time: meanwhile the campaign is to be kept."""
OUTCOMES_BETWEEN: Final = 20
SHARE_BETWEEN: Final = 0.02
"""Outcomes after which budgets are looked at again, at least, and as a share of those before: a percentile of a hundred
thousand takes milliseconds."""


class Guard:
    """Signals and budgets of one campaign."""

    def __init__(self, health: Health) -> None:
        self._budgets = health.budgets
        self._counts = health.budgets != Budgets(least=health.budgets.least)
        self._watch = Watch(health) if health.signals else None
        self._look_s = 0.0
        self._outcomes = 0
        """Since budgets were looked at last."""
        self._before = 0

    def is_due(self, news: list[Event]) -> bool:
        """Return whether to :meth:`judge` after this news."""
        if self._counts:
            self._outcomes += sum(type(event) in OUTCOMES for event in news)
            enough = max(OUTCOMES_BETWEEN, SHARE_BETWEEN * self._before)
            if self._outcomes >= enough or (self._outcomes and time.monotonic() >= self._look_s):
                return True
        return self._watch is not None and time.monotonic() >= self._look_s

    def awaits_first(self) -> bool:
        """Wait a little for the first look at every signal, and return whether one has not ended that has time to."""
        return self._watch is not None and self._watch.awaits_first(FIRST_S)

    def judge(self, state: CampaignState, now_s: float) -> list[Event]:
        """Return what has changed at ``now_s``, and a pause if that asks for one and the campaign is not held yet."""
        self._look_s, self._before = time.monotonic() + LOOK_S, self._before + self._outcomes
        self._outcomes = 0
        told: list[Event] = []
        by_why = None
        for verdict in self._watch.changes() if self._watch is not None else ():
            before = state.signals.get(verdict.name)
            if before is not None and before.healthy == verdict.healthy:
                continue  # a person may have let the campaign go on all the same
            told.append(SignalChanged(now_s, verdict.name, verdict.healthy, verdict.detail))
            if not verdict.healthy and by_why is None:
                by_why = f"{SIGNAL} {verdict.name}", verdict.detail
        if by_why is None and self._counts and (budget := exceeded(state, self._budgets)) is not None:
            by_why = f"{BUDGET} {budget.name}", budget.why
        if by_why is not None and state.paused is None and state.aborted is None and not state.finished:
            told.append(CampaignPaused(now_s, 0, *by_why, False))
        return told

    def close(self) -> None:
        """Look at no signal any more."""
        if self._watch is not None:
            self._watch.close()
