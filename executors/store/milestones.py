"""How far a campaign has come, by a few kinds of events: without its fleet, its plan and the rest of its journal."""

from contextlib import closing
from typing import Final, NamedTuple

import sqlalchemy as sql

from slacktide.executors import control_events, events
from slacktide.executors.event_codec import Row, decode
from slacktide.executors.events import Event
from slacktide.executors.store.address import Store
from slacktide.executors.store.campaigns import StoredCampaign, find_campaign
from slacktide.executors.store.schema import EVENTS
from slacktide.executors.store.upgrading import opening
from slacktide.ids import CampaignId

_KINDS: Final = tuple(
    kind.type for kind in (events.WaveOpened, control_events.CampaignAborted, events.CampaignFinished)
)
_PAUSES: Final = (control_events.CampaignPaused.type, control_events.CampaignContinued.type)
_DECISIONS: Final = (control_events.DecisionAwaited.type, control_events.DecisionOver.type)


class Milestones(NamedTuple):
    """What has happened to a campaign."""

    stored: StoredCampaign
    opened: bool
    """Its first wave has begun."""
    aborted: bool
    finished: bool
    paused: bool
    waits_for_decision: bool
    """A person has to decide what is done about something that has happened."""


def milestones(store: Store, campaign_id: CampaignId) -> Milestones:
    """Return how far a campaign has come.

    Raises
    ------
    ExecutionError
        If the store holds no such campaign, or does not answer.
    """
    with opening(store) as connection, closing(connection), connection.reading() as transaction:
        number, stored = find_campaign(transaction, campaign_id, store.shown)
        kind = EVENTS.c.type
        query = sql.select(kind, sql.func.max(EVENTS.c.number)).group_by(kind)
        query = query.where(EVENTS.c.campaign == number, kind.in_((*_KINDS, *_PAUSES, *_DECISIONS)))
        last: dict[str, int] = {row[0]: row[1] for row in transaction.execute(query)}
    paused, continued = (last.get(name, 0) for name in _PAUSES)
    awaited, over = (last.get(name, 0) for name in _DECISIONS)
    opened, aborted, finished = (name in last for name in _KINDS)
    return Milestones(stored, opened, aborted, finished, paused > continued, awaited > over)


def answer_to(store: Store, campaign_id: CampaignId, order: int) -> Event | None:
    """Return how a campaign has answered an order; None: it has not.

    Raises
    ------
    ExecutionError
        If the store holds no such campaign, or does not answer.
    """
    columns = (EVENTS.c.at_s, EVENTS.c.type, EVENTS.c.subject, EVENTS.c.body)
    with opening(store) as connection, closing(connection), connection.reading() as transaction:
        number, _ = find_campaign(transaction, campaign_id, store.shown)
        named = EVENTS.c.body.contains(f'"order":{order}')
        query = sql.select(*columns).where(EVENTS.c.campaign == number, named).order_by(EVENTS.c.number)
        found = [decode(Row(*row)) for row in transaction.execute(query)]
    return next((event for event in found if getattr(event, "order", None) == order), None)


def is_evacuated(store: Store, campaign_id: CampaignId, host: str) -> bool:
    """Return whether a campaign has evacuated a host.

    Raises
    ------
    ExecutionError
        If the store holds no such campaign, or does not answer.
    """
    with opening(store) as connection, closing(connection), connection.reading() as transaction:
        number, _ = find_campaign(transaction, campaign_id, store.shown)
        done = EVENTS.c.type == events.HostEvacuated.type, EVENTS.c.subject == host
        query = sql.select(EVENTS.c.number).where(EVENTS.c.campaign == number, *done).limit(1)
        return transaction.execute(query).first() is not None
