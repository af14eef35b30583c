"""Timers: the plan's own moments, and what is set on the way for attempts, patches and retries."""

import numpy as np

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.moments import (
    MIGRATION_DEADLINE,
    PATCH_DEADLINE,
    RETRY,
    START,
    WAVE,
    Moment,
    Moments,
    planned_moments,
)
from slacktide.executors.rules import Rules
from slacktide.executors.scheduling.books import IDLE, RETRYING, Books


class Timers:
    """All moments at which something may be due without a report."""

    def __init__(self, books: Books, state: CampaignState, rules: Rules) -> None:
        self._books, self._rules = books, rules
        planned = planned_moments(books.program, state, np.array(books.ready_s))
        self.moments = Moments(planned, self._stale)
        self._opening = (-1, 0.0)
        """Wave and moment of the newest timer for a gate."""

    def limit_migration(self, number: int, intended_s: float) -> None:
        """Set the deadline of an attempt that was intended at ``intended_s``."""
        limit_s = self._rules.migration_limit_s(self._books.duration_s[number])
        self.moments.add(intended_s + limit_s, MIGRATION_DEADLINE, number, self._books.attempts[number])

    def limit_patch(self, host: int, intended_s: float) -> None:
        """Set the deadline of a patch that was intended at ``intended_s``."""
        limit_s = self._rules.patch_limit_s(self._books.maintenance_s[host])
        self.moments.add(intended_s + limit_s, PATCH_DEADLINE, host, self._books.refills.get(host, 0))

    def retry(self, number: int, failed_s: float) -> None:
        """Have a migration tried again after a pause."""
        self._books.ready[number] = False
        self.moments.add(failed_s + self._rules.retry_after_s, RETRY, number)

    def begin(self, number: int, at_s: float) -> None:
        """Have a migration looked at when its guest has had its notice."""
        self.moments.add(at_s, START, number)

    def open(self, wave: int, at_s: float) -> None:
        """Have a wave's gate looked at when it opens."""
        if self._opening != (wave, at_s):
            self._opening = (wave, at_s)
            self.moments.add(at_s, WAVE, wave)

    def _stale(self, timer: Moment) -> bool:
        """Return whether nothing hangs on a timer any more."""
        books = self._books
        _, kind, subject, attempt = timer
        if kind == MIGRATION_DEADLINE:
            return not books.runs(subject, attempt) or books.cancelled[subject] == attempt
        if kind == PATCH_DEADLINE:
            patched = books.host_stage[subject] in (HostStage.PATCH_INTENDED, HostStage.PATCHING)
            return not patched or books.refills.get(subject, 0) != attempt
        if kind == RETRY:
            return books.phase[subject] != RETRYING
        if kind == WAVE:
            return books.gates.is_open(subject) or books.gates.closed is not None
        return books.phase[subject] != IDLE
