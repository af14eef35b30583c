"""Answers by idempotency key: a creating call that is repeated is answered as before, and creates nothing again."""

import json
from collections.abc import Collection
from typing import Final, Literal, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import ANSWERS

KEPT_S: Final = 86_400.0
"""How long an answer is kept: a client that tries again tomorrow asks for something new."""
SILENT_S: Final = 60.0
"""After how long without a sign the replica that carries a call out counts as gone; it gives one every few seconds, but
a busy machine may take its process away for a while."""


class Claim(NamedTuple):
    """A key that a call has taken."""

    who: str
    key: str
    request_id: str
    """Of the call: where another has taken the key since, it is no longer this one's."""


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: str


Standing = Literal["new", "under-way", "other-body"]


def claim_key(database: Database, claim: Claim, fingerprint: str) -> Answer | Standing:
    """Take a key for a call, or return how it stands: the answer that was given, or why there is none.

    ``fingerprint`` stands for what is asked; another one under the same key is ``other-body``.
    """
    columns = ANSWERS.c
    mine = sql.and_(columns.who == claim.who, columns.idempotency_key == claim.key)
    values = {"who": claim.who, "idempotency_key": claim.key, "request_id": claim.request_id}
    with database.writing() as transaction:
        heard_at = sql.func.coalesce(columns.alive_at, columns.begun_at)
        stale = sql.and_(columns.status.is_(None), heard_at < now_utc(-SILENT_S))
        over = sql.or_(columns.begun_at < now_utc(-KEPT_S), sql.and_(mine, stale))
        transaction.execute(sql.delete(ANSWERS).where(over))
        dialect = sqlite if transaction.dialect.name == "sqlite" else postgresql
        at = now_utc()
        taking = dialect.insert(ANSWERS).values(**values, fingerprint=fingerprint, begun_at=at, alive_at=at)
        if transaction.execute(taking.on_conflict_do_nothing().returning(columns.who)).first() is not None:
            return "new"
        row = transaction.execute(sql.select(ANSWERS).where(mine)).mappings().one()
    if row["fingerprint"] != fingerprint:
        return "other-body"
    if row["status"] is None:
        return "under-way"
    return Answer(row["status"], json.loads(row["headers"]), row["body"])


def tell_under_way(database: Database, request_ids: Collection[str]) -> None:
    """Give a sign that the calls of these requests are under way."""
    theirs = sql.and_(ANSWERS.c.request_id.in_(request_ids), ANSWERS.c.status.is_(None))
    with database.writing() as transaction:
        transaction.execute(sql.update(ANSWERS).where(theirs).values(alive_at=now_utc()))


def keep_answer(database: Database, claim: Claim, answer: Answer) -> None:
    """Keep what is answered to the call that took a key."""
    values = {"status": answer.status, "headers": json.dumps(answer.headers), "body": answer.body}
    with database.writing() as transaction:
        transaction.execute(sql.update(ANSWERS).where(_is_of(claim)).values(values))


def release_key(database: Database, claim: Claim) -> None:
    """Let a key go whose call created nothing, so that it may be tried again."""
    with database.writing() as transaction:
        transaction.execute(sql.delete(ANSWERS).where(_is_of(claim)))


def _is_of(claim: Claim) -> sql.ColumnElement[bool]:
    columns = ANSWERS.c
    return sql.and_(
        columns.who == claim.who, columns.idempotency_key == claim.key, columns.request_id == claim.request_id
    )
