"""The campaigns of a store: what each is, who holds it, how it stands."""

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from slacktide.errors import ExecutionError
from slacktide.executors.store.address import Store, store_in
from slacktide.executors.store.connection import Durability, StoreConnection, now_text
from slacktide.executors.store.orders import no_such_campaign
from slacktide.executors.store.refusals import DAMAGED, of_store
from slacktide.executors.store.schema import CAMPAIGNS
from slacktide.executors.store.upgrading import bring_to_head, opening, revision_of
from slacktide.ids import CampaignId, PlanId

FINISHED: Final = "finished"
RESTORED: Final = "restored"
"""Of a campaign on real hosts whose journal came back from a backup, until a person releases it."""


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """What a campaign is, fixed when it is created."""

    campaign_id: CampaignId
    plan_id: PlanId
    snapshot_digest: str
    policy_digest: str
    origin: datetime
    """The moment that all ``at_s`` count from, in UTC."""
    settings: str
    """How it is executed, as JSON: driver, seed, failures to simulate."""
    plan_path: str | None = None
    fleet_path: str | None = None


def is_simulated(settings: str) -> bool:
    """Return whether a campaign's hosts are simulated; where that cannot be read they count as real."""
    try:
        return bool(json.loads(settings)["driver"] == "simulated")
    except (ValueError, KeyError, TypeError):
        return False


def pace_in(settings: str) -> float | None:
    """Return how many seconds of a campaign go by in one of the machine's; null: its clock is a virtual one."""
    if not is_simulated(settings):
        return 1.0
    pace = json.loads(settings).get("simulation", {}).get("pace")
    return None if pace is None else float(pace)


class StoredCampaign(NamedTuple):
    """A campaign as its store lists it."""

    record: CampaignRecord
    generation: int
    """How many coordinators have held it."""
    holder: str | None
    """Who holds it, or held it last, as host:process:token; null: given back."""
    lease_until: str | None
    """Until when, in UTC by the database's clock, as ISO text."""
    is_held: bool
    """Whether the lease has not run out, by the database's clock."""
    state: str | None
    """``finished`` once it has; ``restored`` while nobody may carry it out; null: neither."""
    clock_s: float | None = None
    """How far its clock is that has a pace of its own, as told with the lease; null: that is not told."""


def list_campaigns(store: Store | Path) -> list[StoredCampaign]:
    """Return the campaigns of a store, the oldest first.

    Raises
    ------
    ExecutionError
        If it is no store, or does not answer.
    """
    with opening(store_in(store)) as connection, closing(connection), connection.reading() as transaction:
        now = now_text(transaction.dialect.name).label("now")
        rows = transaction.execute(sql.select(CAMPAIGNS, now).order_by(CAMPAIGNS.c.number)).mappings()
        return [_stored(dict(row), connection.store.shown) for row in rows]


def begin_campaign(store: Store, record: CampaignRecord, durability: Durability = "power") -> CampaignRecord:
    """Have a store, which is made where absent, keep a campaign, and return it as the store has it.

    Of several that begin the same campaign the first one counts.

    Raises
    ------
    ExecutionError
        If the store is of a revision that this release does not know, or does not answer.
    OutputError
        If it cannot be written.
    """
    with opening(store, durability, create=True) as connection, closing(connection):
        with connection.writing() as transaction:
            dialect = sqlite if transaction.dialect.name == "sqlite" else postgresql
            transaction.execute(dialect.insert(CAMPAIGNS).values(values_of(record)).on_conflict_do_nothing())
        with connection.reading() as transaction:
            return find_campaign(transaction, record.campaign_id, store.shown)[1].record


def has_campaign(store: Store, campaign_id: CampaignId | None = None) -> bool:
    """Return whether a store keeps a campaign, by default any; one in which nothing was ever kept does not.

    Raises
    ------
    ExecutionError
        If it is of a revision that this release does not know, or does not answer.
    """
    if store.is_file and not store.path.exists():
        return False
    with closing(StoreConnection(store)) as connection:
        with connection.reading() as transaction:
            if revision_of(transaction) is None:
                return False
        bring_to_head(connection, create=False)
        with connection.reading() as transaction:
            query = sql.select(CAMPAIGNS.c.number).limit(1)
            if campaign_id is not None:
                query = query.where(CAMPAIGNS.c.campaign_id == campaign_id)
            return transaction.execute(query).first() is not None


def find_campaign(
    transaction: sql.Connection, campaign_id: CampaignId | None, shown: str, *, locked: bool = False
) -> tuple[int, StoredCampaign]:
    """Return a campaign with its number in the store, by default the newest; ``locked`` until the transaction ends.

    Raises
    ------
    ExecutionError
        If there is none.
    """
    query = sql.select(CAMPAIGNS, now_text(transaction.dialect.name).label("now"))
    query = query.order_by(CAMPAIGNS.c.number.desc()).limit(1)
    if campaign_id is not None:
        query = query.where(CAMPAIGNS.c.campaign_id == campaign_id)
    found = transaction.execute(query.with_for_update() if locked else query).mappings().first()
    if found is None:
        raise no_such_campaign(shown)
    return int(found["number"]), _stored(dict(found), shown)


def values_of(record: CampaignRecord) -> dict[str, str | None]:
    """Return a record as the store's columns."""
    return {
        "campaign_id": record.campaign_id,
        "plan_id": record.plan_id,
        "snapshot_digest": record.snapshot_digest,
        "policy_digest": record.policy_digest,
        "origin": record.origin.astimezone(UTC).isoformat(),
        "settings": record.settings,
        "plan_path": record.plan_path,
        "fleet_path": record.fleet_path,
    }


def damaged(subject: str, fact: str, about: str) -> ExecutionError:
    """Return the error of something in a store that no release has written so; ``about``: without where that is."""
    return of_store(ExecutionError(subject, f"{DAMAGED}: {fact}", "Restore it from a copy"), about)


def _origin(text: str, campaign: str, shown: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    except (TypeError, ValueError):
        pass
    fact = f"the row of campaign {campaign} has the origin {text!r}, which is no moment in UTC"
    raise damaged(shown, fact, f"campaign {campaign}")


def _stored(found: dict[str, Any], shown: str) -> StoredCampaign:
    record = CampaignRecord(
        campaign_id=CampaignId(found["campaign_id"]),
        plan_id=PlanId(found["plan_id"]),
        snapshot_digest=found["snapshot_digest"],
        policy_digest=found["policy_digest"],
        origin=_origin(found["origin"], found["campaign_id"], shown),
        settings=found["settings"],
        plan_path=found["plan_path"],
        fleet_path=found["fleet_path"],
    )
    until = found["lease_until"]
    is_held = found["holder"] is not None and until is not None and found["now"] < until
    clock_s = _clock_s(found) if is_held and found["clock_s"] is not None else None
    return StoredCampaign(record, found["generation"], found["holder"], until, is_held, found["state"], clock_s)


def _clock_s(found: dict[str, Any]) -> float:
    told, now = (datetime.fromisoformat(found[name]) for name in ("clock_at", "now"))
    return float(found["clock_s"] + (now - told).total_seconds() * found["clock_pace"])
