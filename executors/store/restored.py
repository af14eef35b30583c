"""Campaigns that came back from a backup: an old holder is fenced off, and on real hosts nobody goes on unasked.

A journal from a backup ends where the backup was made.  What was begun on hosts after that is in none of its intents:
whoever goes on from it could move a VM that is elsewhere by now, or take a host for empty that is not.  Simulated hosts
are as their journal says, and such campaigns go on.
"""

from contextlib import closing
from typing import Final

import sqlalchemy as sql

from slacktide.errors import ExecutionError
from slacktide.executors.store.address import Store
from slacktide.executors.store.campaigns import FINISHED, RESTORED, find_campaign, is_simulated
from slacktide.executors.store.schema import CAMPAIGNS
from slacktide.executors.store.upgrading import opening
from slacktide.ids import CampaignId

GENERATIONS_SINCE: Final = 1_000
"""Added to a campaign's generation: more coordinators than can have held it since the backup was made, so that agents
and the store take none of those for newer."""


def fence_restored(transaction: sql.Connection) -> list[CampaignId]:
    """Fence off whoever held the campaigns of a store; return those on real hosts, which wait for their release.

    Doing it twice does no harm: what was released since is fenced again.
    """
    columns = CAMPAIGNS.c
    unfinished = sql.or_(columns.state.is_(None), columns.state != FINISHED)
    rows = transaction.execute(
        sql.select(columns.number, columns.campaign_id, columns.settings).where(unfinished).order_by(columns.number)
    ).all()
    real = []
    for number, campaign, settings in rows:
        values: dict[str, object] = {"holder": None, "lease_until": None}
        values["generation"] = columns.generation + GENERATIONS_SINCE
        if not is_simulated(settings):
            real.append(CampaignId(campaign))
            values["state"] = RESTORED
        transaction.execute(sql.update(CAMPAIGNS).where(columns.number == number).values(values))
    return real


def release(store: Store, campaign_id: CampaignId) -> None:
    """Let a campaign be carried out that came back from a backup.

    Raises
    ------
    ExecutionError
        If the store has no such campaign, or it does not wait for that.
    StoreError
        If it does not answer.
    """
    with opening(store) as connection, closing(connection), connection.writing() as transaction:
        number, found = find_campaign(transaction, campaign_id, store.shown, locked=True)
        if found.state != RESTORED:
            standing = "has finished" if found.state == FINISHED else "does not wait for its release"
            raise ExecutionError(f"campaign {campaign_id}", standing, "See `slacktide campaign list`")
        transaction.execute(sql.update(CAMPAIGNS).where(CAMPAIGNS.c.number == number).values(state=None))
