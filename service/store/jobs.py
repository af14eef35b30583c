"""Jobs: what takes longer than an answer may, with its progress where every process finds it."""

import json
import secrets
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sql

from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import JOBS

JobKind = Literal["plan", "urgent", "what-if", "pareto", "audit", "compare", "explain", "calibrate", "import"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: Final[tuple[JobState, ...]] = ("done", "failed", "cancelled")
SILENT_S: Final = 30.0
"""After how long without a sign whoever carries a job out counts as gone; it gives one every second or so, but a busy
machine may take a process of it away for a while."""
MOST_TRIES: Final = 3
"""How often a job is begun whose process ends: one that kills its process every time is not tried for ever."""


class Job(NamedTuple):
    """A job as it stands."""

    job_id: str
    kind: JobKind
    created_at: str
    created_by: str
    asked: dict[str, Any]
    state: JobState
    begun_at: str | None
    ended_at: str | None
    tries: int
    cancel: bool
    fraction: float | None
    """Of the whole; null: unknown."""
    words: str | None
    eta_s: float | None
    """Seconds until it ends, as far as is known."""
    result: dict[str, Any] | None
    error: dict[str, Any] | None


_COLUMNS: Final = tuple(JOBS.c[name] for name in Job._fields)
_JSON: Final = ("asked", "result", "error")


def add_job(database: Database, kind: JobKind, by: str, asked: object) -> Job:
    """Note a job that is to be carried out."""
    job_id = secrets.token_hex(8)
    values = {"job_id": job_id, "kind": kind, "created_at": now_utc(), "created_by": by, "state": "queued"}
    with database.writing() as transaction:
        transaction.execute(sql.insert(JOBS).values(**values, asked=json.dumps(asked), alive_at=now_utc()))
    job = find_job(database, job_id)
    assert job is not None
    return job


def find_job(database: Database, job_id: str) -> Job | None:
    """Return a job, None: there is none of this id."""
    with database.reading() as transaction:
        row = transaction.execute(sql.select(*_COLUMNS).where(JOBS.c.job_id == job_id)).first()
    return None if row is None else _job(row)


def list_jobs(
    database: Database, after: str, most: int, kind: str | None, state: str | None, about: str | None = None
) -> list[Job]:
    """Return at most ``most`` jobs with ids above ``after``, by id.

    Parameters
    ----------
    about
        Only jobs in whose question this id stands, of a fleet or a plan.
    """
    query = sql.select(*_COLUMNS).where(JOBS.c.job_id > after).order_by(JOBS.c.job_id).limit(most)
    if kind is not None:
        query = query.where(JOBS.c.kind == kind)
    if state is not None:
        query = query.where(JOBS.c.state == state)
    if about is not None:
        query = query.where(JOBS.c.asked.contains(f'_id": "{about}"', autoescape=True))
    with database.reading() as transaction:
        return [_job(row) for row in transaction.execute(query)]


def begin_job(database: Database, job_id: str) -> Job | None:
    """Take a job up, and return it; None: another has it, or it was cancelled."""
    at = now_utc()
    waits = sql.and_(JOBS.c.job_id == job_id, JOBS.c.state == "queued")
    with database.writing() as transaction:
        values = {"state": "running", "begun_at": at, "alive_at": at, "tries": JOBS.c.tries + 1}
        if transaction.execute(sql.update(JOBS).where(waits).values(values)).rowcount == 0:
            return None
    return find_job(database, job_id)


def tell_progress(database: Database, job_id: str, fraction: float | None, words: str, eta_s: float | None) -> bool:
    """Note how far a job is, and return whether it is to end."""
    values = {"alive_at": now_utc(), "fraction": fraction, "words": words, "eta_s": eta_s}
    with database.writing() as transaction:
        transaction.execute(sql.update(JOBS).where(JOBS.c.job_id == job_id).values(values))
        found = transaction.execute(sql.select(JOBS.c.cancel).where(JOBS.c.job_id == job_id)).scalar()
    return bool(found)


def end_job(database: Database, job_id: str, state: JobState, result: object, error: object) -> None:
    """Note what came of a job; its words are that from then on, and of a result what it says itself."""
    texts = {
        "result": None if result is None else json.dumps(result),
        "error": None if error is None else json.dumps(error),
    }
    values: dict[str, Any] = {"state": state, "ended_at": now_utc(), "eta_s": None, **texts}
    values["words"] = _ended_words(state, result, error)
    if state == "done":
        values["fraction"] = 1.0
    with database.writing() as transaction:
        mine = sql.and_(JOBS.c.job_id == job_id, JOBS.c.state.not_in(ENDED))
        transaction.execute(sql.update(JOBS).where(mine).values(values))


def _ended_words(state: JobState, result: object, error: object) -> str:
    if isinstance(error, dict):
        return f"{error['object']}: {error['fact']}"
    said = result.get("said") if isinstance(result, dict) else None
    how = "cancelled, with the best so far" if state == "cancelled" and result is not None else state
    return how if said is None else f"{how}; {said}"


def cancel_job(database: Database, job_id: str) -> None:
    """Have a job end: one that has not begun at once, one that runs with what it has."""
    with database.writing() as transaction:
        mine = JOBS.c.job_id == job_id
        transaction.execute(sql.update(JOBS).where(mine).values(cancel=True))
        queued = sql.and_(mine, JOBS.c.state == "queued")
        transaction.execute(
            sql.update(JOBS).where(queued).values(state="cancelled", ended_at=now_utc(), words="cancelled")
        )


def claim_silent(database: Database) -> list[str]:
    """Return jobs of which nothing has been heard, to be begun again by who asks; those tried too often have failed.

    One that waits for a processor for long is among them too: of several that begin it, one does.
    """
    silent = sql.and_(JOBS.c.state.not_in(ENDED), JOBS.c.alive_at < now_utc(-SILENT_S))
    error = {
        "object": "job",
        "fact": "its process ended every time",
        "remedy": "See the server's log; ask for less at once",
    }
    claimed = []
    with database.writing() as transaction:
        worn = sql.and_(silent, JOBS.c.tries >= MOST_TRIES)
        values = {"state": "failed", "ended_at": now_utc(), "error": json.dumps(error), "words": error["fact"]}
        transaction.execute(sql.update(JOBS).where(worn).values(values))
        for job_id in transaction.execute(sql.select(JOBS.c.job_id).where(silent)).scalars().all():
            mine = sql.and_(silent, JOBS.c.job_id == job_id)
            if transaction.execute(sql.update(JOBS).where(mine).values(alive_at=now_utc(), state="queued")).rowcount:
                claimed.append(job_id)
    return claimed


def _job(row: sql.Row[Any]) -> Job:
    values = dict(zip(Job._fields, row, strict=True))
    for name in _JSON:
        if values[name] is not None:
            values[name] = json.loads(values[name])
    return Job(**values)
