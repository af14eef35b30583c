"""Campaigns that the server was asked for, and when it is next seen to that one is carried out."""

import json
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from slacktide.errors import ExecutionError
from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import RUNS

RunState = Literal["proposed", "wanted", "ended", "failed", "aborted"]
"""``aborted``: taken back before it began; one that had begun ends, and is ``ended`` then."""

STARTED_BY_HAND: Final[tuple[RunState, ...]] = ("proposed", "failed", "aborted")
"""Of these a campaign is started by a person alone."""


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
    """What the last process said that ended without finishing it, or who took it back before it began, and why."""
    job_id: str | None
    """The job that asked for it; null: a person did."""
    profile: str | None
    """Whose hosts it is for; null: simulated ones."""


_COLUMNS: Final = tuple(RUNS.c[name] for name in Run._fields)


def add_run(database: Database, run: Run) -> bool:
    """Note a campaign that is asked for; return whether it is a new one: of each id, and of each job, there is one.

    Raises
    ------
    ExecutionError
        If it is wanted on hosts of a profile on which another is.
    """
    values = run._asdict() | {"asked": json.dumps(run.asked)}
    dialect = sqlite if database.store.is_file else postgresql
    insert = dialect.insert(RUNS).values(values).on_conflict_do_nothing(index_elements=[RUNS.c.campaign_id])
    same_job = RUNS.c.job_id == sql.literal(run.job_id)
    before = sql.select(1).where(sql.or_(RUNS.c.campaign_id == run.campaign_id, same_job))
    with database.writing() as transaction:
        written = _written(transaction, insert)
        if written is None and transaction.execute(before).first() is None:
            raise _beside(transaction, run.campaign_id, sql.literal(run.profile))
    return bool(written)


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


def list_runs(database: Database, after: str, most: int, fleet_id: str | None = None) -> list[Run]:
    """Return at most ``most`` campaigns with ids above ``after``, by id."""
    query = sql.select(*_COLUMNS).where(RUNS.c.campaign_id > after).order_by(RUNS.c.campaign_id).limit(most)
    if fleet_id is not None:
        query = query.where(RUNS.c.fleet_id == fleet_id)
    with database.reading() as transaction:
        return [_run(row) for row in transaction.execute(query)]


def want_run(
    database: Database, campaign_id: str, of: tuple[RunState, ...] = STARTED_BY_HAND, look_in_s: float = 0.0
) -> bool:
    """Have a campaign be carried out from now on that is in one of the states ``of``; return whether it was.

    Parameters
    ----------
    look_in_s
        When it is next seen to that it is.

    Raises
    ------
    ExecutionError
        If another is wanted on the hosts of its profile: the two would share room and limits.
    """
    values = {"state": "wanted", "next_look_at": now_utc(look_in_s), "starts": 0, "said": None}
    update = sql.update(RUNS).where(RUNS.c.campaign_id == campaign_id, RUNS.c.state.in_(of)).values(values)
    its_own = sql.select(RUNS.c.profile).where(RUNS.c.campaign_id == campaign_id).scalar_subquery()
    with database.writing() as transaction:
        written = _written(transaction, update)
        if written is None:
            raise _beside(transaction, campaign_id, its_own)
    return written


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


def take_back_run(database: Database, campaign_id: str, said: str) -> None:
    """Have a campaign not be carried out that has not begun, until a person starts it."""
    change_run(database, campaign_id, state="aborted", said=said, next_look_at=None, starts=0)


def change_run(database: Database, campaign_id: str, *, if_wanted: bool = False, **values: object) -> None:
    """Note how a campaign stands.

    Parameters
    ----------
    if_wanted
        Only where it still is to be carried out: somebody may have taken it back meanwhile.
    """
    update = sql.update(RUNS).where(RUNS.c.campaign_id == campaign_id).values(values)
    with database.writing() as transaction:
        transaction.execute(update.where(RUNS.c.state == "wanted") if if_wanted else update)


def _written(transaction: sql.Connection, statement: sql.Insert | sql.Update) -> bool | None:
    """Return whether a statement has written a campaign's row; None: one that is there already does not let it."""
    try:
        with transaction.begin_nested():
            return transaction.execute(statement.returning(RUNS.c.campaign_id)).first() is not None
    except IntegrityError:
        return None


def _beside(transaction: sql.Connection, campaign_id: str, profile: sql.ColumnElement[Any]) -> ExecutionError:
    """Return the error of a campaign that is to be carried out on hosts of a profile on which another is."""
    others = sql.and_(RUNS.c.profile == profile, RUNS.c.state == "wanted", RUNS.c.campaign_id != campaign_id)
    other = transaction.execute(sql.select(RUNS.c.campaign_id, RUNS.c.profile).where(others)).first()
    if other is None:
        fact = "was to begin while another ended that was carried out on its hosts"
        return ExecutionError(f"campaign {campaign_id}", fact, "Begin it again")
    fact = f"is carried out on the hosts of profile {other.profile}, and two would share their room and limits"
    remedy = "Wait until it has ended, or abort it; or have this one wait for its start"
    return ExecutionError(f"campaign {other.campaign_id}", fact, remedy)


def _run(row: sql.Row[Any]) -> Run:
    values = dict(zip(Run._fields, row, strict=True))
    values["asked"] = json.loads(values["asked"])
    return Run(**values)
