"""Budgets: what a campaign may cost before it is paused.  Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.events import Stage
from slacktide.executors.health.settings import Budgets
from slacktide.executors.readable import count, milliseconds, percent
from slacktide.planner.limits import resolved


class Exceeded(NamedTuple):
    """A budget that is used up."""

    name: str
    why: str


def exceeded(state: CampaignState, budgets: Budgets) -> Exceeded | None:
    """Return the first budget that is used up since a person last let the campaign go on; None: none is."""
    return _blackouts(state, budgets) or _failed(state, budgets) or _lost(state, budgets)


def _blackouts(state: CampaignState, budgets: Budgets) -> Exceeded | None:
    if budgets.blackout_p99_ms is None and budgets.blackout_max_ms is None:
        return None
    blackouts = _since(state)
    if budgets.blackout_max_ms is not None and len(blackouts) and blackouts.max() > budgets.blackout_max_ms:
        why = f"a blackout of {milliseconds(float(blackouts.max()))} is above {milliseconds(budgets.blackout_max_ms)}"
        return Exceeded("blackout_max_ms", why)
    if budgets.blackout_p99_ms is None or len(blackouts) < budgets.least:
        return None
    p99 = float(np.percentile(blackouts, 99, method="nearest"))
    if p99 <= budgets.blackout_p99_ms:
        return None
    limit = milliseconds(budgets.blackout_p99_ms)
    why = f"p99 of {count(len(blackouts))} blackouts is {milliseconds(p99)}, above {limit}"
    return Exceeded("blackout_p99_ms", why)


def _since(state: CampaignState) -> NDArray[np.float64]:
    """Return the blackouts of live migrations that were done since, in milliseconds."""
    live = ~state.program.migrations.restarts
    done = (state.stage == Stage.DONE) & (state.times[:, Stage.DONE] >= state.judged_from_s) & live
    blackouts: NDArray[np.float64] = state.blackout_ms[done & ~np.isnan(state.blackout_ms)]
    return blackouts


def _failed(state: CampaignState, budgets: Budgets) -> Exceeded | None:
    if budgets.failed_migrations is None:
        return None
    failed = state.failures - state.failures_before
    done = int(((state.stage == Stage.DONE) & (state.times[:, Stage.DONE] >= state.judged_from_s)).sum())
    ended, limit = failed + done, budgets.failed_migrations
    if isinstance(limit, str) and ended < budgets.least:
        return None
    if failed <= resolved(limit, ended):
        return None
    share = percent(failed / ended)
    why = f"{count(failed)} of {count(ended)} attempts to migrate failed ({share}), more than {limit}"
    return Exceeded("failed_migrations", why)


def _lost(state: CampaignState, budgets: Budgets) -> Exceeded | None:
    lost = state.lost_hosts - state.lost_before
    if budgets.lost_hosts is None or lost <= budgets.lost_hosts:
        return None
    who = "1 host" if lost == 1 else f"{count(lost)} hosts"
    why = f"{who} did not come back from {'its' if lost == 1 else 'their'} patch, more than {count(budgets.lost_hosts)}"
    return Exceeded("lost_hosts", why)
