"""Campaigns that the server was asked for, and when it is next seen to that one is carried out."""

import json
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import RUNS

RunState = Literal["proposed", "wanted", "ended", "failed"]


class Run(NamedTuple):
    """A campaign as it was asked for."""

    campaign_id: str
    fleet_id: str
    plan_id: str
    created_at: str
    created_by: str
    asked: dict[str, Any]
    """How it is to be carried out."""
    state: RunState
    next_look_at: str | None
    starts: int
    """How often a process was started for it since it was wanted, or since it last was carried out."""
    said: str | None
    """What the last process said that ended without finishing it."""
    job_id: str | None
    """The job that asked for it; null: a person did."""
    profile: str | None
    """Whose hosts it is for; null: simulated ones."""


_COLUMNS: Final = tuple(RUNS.c[name] for name in Run._fields)


def add_run(database: Database, run: Run) -> bool:
    """Note a campaign that is asked for; return whether it is a new one: of each id, and of each job, there is one."""
    values = run._asdict() | {"asked": json.dumps(run.asked)}
    with database.writing() as transaction:
        dialect = sqlite if transaction.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(RUNS).values(values).on_conflict_do_nothing()
        return transaction.execute(insert.returning(RUNS.c.campaign_id)).first() is not None


def find_run(database: Database, campaign_id: str) -> Run | None:
    """Return a campaign, None: there is none of this id."""
    with database.reading() as transaction:
        row = transaction.execute(sql.select(*_COLUMNS).where(RUNS.c.campaign_id == campaign_id)).first()
    return None if row is None else _run(row)


def run_of_job(database: Database, job_id: str) -> Run | None:
    """Return the campaign that a job has asked for, None: it has not yet."""
    with database.reading() as transaction:
        row = transaction.execute(sql.select(*_COLUMNS).where(RUNS.c.job_id == job_id)).first()
    return None if row is None else _run(row)


def wanted_on(database: Database, profile: str) -> list[str]:
    """Return the ids of campaigns that are to be carried out on a profile's hosts, and have not ended."""
    query = sql.select(RUNS.c.campaign_id).where(RUNS.c.profile == profile, RUNS.c.state == "wanted")
    with database.reading() as transaction:
        return list(transaction.execute(query.order_by(RUNS.c.campaign_id)).scalars())


def list_runs(database: Database, after: str, most: int, fleet_id: str | None = None) -> list[Run]:
    """Return at most ``most`` campaigns with ids above ``after``, by id."""
    query = sql.select(*_COLUMNS).where(RUNS.c.campaign_id > after).order_by(RUNS.c.campaign_id).limit(most)
    if fleet_id is not None:
        query = query.where(RUNS.c.fleet_id == fleet_id)
    with database.reading() as transaction:
        return [_run(row) for row in transaction.execute(query)]


def want_run(database: Database, campaign_id: str) -> bool:
    """Have a campaign be carried out from now on that was proposed or has failed; return whether it was."""
    idle = sql.and_(RUNS.c.campaign_id == campaign_id, RUNS.c.state.in_(("proposed", "failed")))
    values = {"state": "wanted", "next_look_at": now_utc(), "starts": 0, "said": None}
    with database.writing() as transaction:
        return transaction.execute(sql.update(RUNS).where(idle).values(values)).rowcount == 1


def claim_due(database: Database, for_s: float) -> list[Run]:
    """Return the wanted campaigns that are to be looked at now; for ``for_s`` seconds nobody else is told of them."""
    due = sql.and_(RUNS.c.state == "wanted", RUNS.c.next_look_at <= now_utc())
    claimed = []
    with database.writing() as transaction:
        for row in transaction.execute(sql.select(*_COLUMNS).where(due)).all():
            mine = sql.and_(due, RUNS.c.campaign_id == row[0])
            if transaction.execute(sql.update(RUNS).where(mine).values(next_look_at=now_utc(for_s))).rowcount:
                claimed.append(_run(row))
    return claimed


def change_run(database: Database, campaign_id: str, **values: object) -> None:
    """Note how a campaign stands."""
    with database.writing() as transaction:
        transaction.execute(sql.update(RUNS).where(RUNS.c.campaign_id == campaign_id).values(values))


def _run(row: sql.Row[Any]) -> Run:
    values = dict(zip(Run._fields, row, strict=True))
    values["asked"] = json.loads(values["asked"])
    return Run(**values)
