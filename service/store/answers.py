"""Answers by idempotency key: a creating call that is repeated is answered as before, and creates nothing again."""

import json
from typing import Final, Literal, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import ANSWERS

KEPT_S: Final = 86_400.0
"""How long an answer is kept: a client that tries again tomorrow asks for something new."""
UNDER_WAY_S: Final = 900.0
"""How long a call counts as under way that never ended: its server is gone.  The longest, an upload, takes minutes."""


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: str


Standing = Literal["new", "under-way", "other-body"]


def claim_key(database: Database, who: str, key: str, fingerprint: str, request_id: str) -> Answer | Standing:
    """Take a key for a call, or return how it stands: the answer that was given, or why there is none.

    ``fingerprint`` stands for what is asked; another one under the same key is ``other-body``.
    """
    columns = ANSWERS.c
    mine = sql.and_(columns.who == who, columns.idempotency_key == key)
    values = {"who": who, "idempotency_key": key, "fingerprint": fingerprint, "request_id": request_id}
    with database.writing() as transaction:
        stale = sql.and_(columns.status.is_(None), columns.begun_at < now_utc(-UNDER_WAY_S))
        over = sql.or_(columns.begun_at < now_utc(-KEPT_S), sql.and_(mine, stale))
        transaction.execute(sql.delete(ANSWERS).where(over))
        dialect = sqlite if transaction.dialect.name == "sqlite" else postgresql
        claim = dialect.insert(ANSWERS).values(**values, begun_at=now_utc()).on_conflict_do_nothing()
        if transaction.execute(claim.returning(columns.who)).first() is not None:
            return "new"
        row = transaction.execute(sql.select(ANSWERS).where(mine)).mappings().one()
    if row["fingerprint"] != fingerprint:
        return "other-body"
    if row["status"] is None:
        return "under-way"
    return Answer(row["status"], json.loads(row["headers"]), row["body"])


def keep_answer(database: Database, who: str, key: str, answer: Answer) -> None:
    """Keep what is answered to the call that took a key."""
    values = {"status": answer.status, "headers": json.dumps(answer.headers), "body": answer.body}
    with database.writing() as transaction:
        mine = sql.and_(ANSWERS.c.who == who, ANSWERS.c.idempotency_key == key)
        transaction.execute(sql.update(ANSWERS).where(mine).values(values))


def release_key(database: Database, who: str, key: str) -> None:
    """Let a key go whose call created nothing, so that it may be tried again."""
    with database.writing() as transaction:
        mine = sql.and_(ANSWERS.c.who == who, ANSWERS.c.idempotency_key == key)
        transaction.execute(sql.delete(ANSWERS).where(mine))
