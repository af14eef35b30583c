"""Tokens: who has which role.  Secrets are shown once, when a token is made, and kept as digests."""

import hashlib
import hmac
import secrets
from typing import Final, Literal, NamedTuple, get_args

import sqlalchemy as sql

from slacktide.errors import UsageError
from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import TOKENS

Role = Literal["viewer", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""In the order of what they may: each may what the ones before it may.

``viewer`` reads; ``operator`` uploads fleets, has plans made and campaigns carried out; ``admin`` sees to tokens and
reads the audit log.
"""
PREFIX: Final = "slacktide"
SECRET_BYTES: Final = 32
"""Of randomness: a plain digest of it cannot be guessed backwards, so that no slow hash is needed."""
MOST_TEXT: Final = 200
"""Characters of a token that are looked at; ours have 63."""


class Token(NamedTuple):
    """A token as it is listed: without its secret."""

    token_id: str
    name: str
    role: Role
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None


_COLUMNS: Final = tuple(TOKENS.c[name] for name in Token._fields)


def create_token(database: Database, name: str, role: Role, by: str, lasts_s: float | None = None) -> tuple[Token, str]:
    """Make a token, and return it with the text that its holder sends; ``lasts_s``: null for ever.

    Raises
    ------
    UsageError
        If the name is empty or longer than 100 characters.
    """
    if not 0 < len(name.strip()) <= 100:
        raise UsageError("token", "its name has not 1 to 100 characters", "Say whose it is: a person, or a service")
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
    expires_at = None if lasts_s is None else now_utc(lasts_s)
    token = Token(token_id, name.strip(), role, now_utc(), by, expires_at, None)
    with database.writing() as transaction:
        transaction.execute(sql.insert(TOKENS).values(**token._asdict(), digest=_digest(secret)))
    return token, f"{PREFIX}_{token_id}_{secret}"


def find_token(database: Database, text: str) -> Token | None:
    """Return the token that a text is; null: none that is valid now."""
    prefix, _, rest = text[:MOST_TEXT].partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not token_id or not secret:
        return None
    with database.reading() as transaction:
        row = transaction.execute(sql.select(*_COLUMNS, TOKENS.c.digest).where(TOKENS.c.token_id == token_id)).first()
    if row is None or not hmac.compare_digest(row[-1], _digest(secret)):
        return None
    token = Token(*row[:-1])
    over = token.expires_at is not None and token.expires_at <= now_utc()
    return None if over or token.revoked_at is not None else token


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token of ours, valid or not."""
    return text.startswith(f"{PREFIX}_")


def list_tokens(database: Database) -> list[Token]:
    """Return all tokens, the oldest first."""
    with database.reading() as transaction:
        rows = transaction.execute(sql.select(*_COLUMNS).order_by(TOKENS.c.created_at, TOKENS.c.token_id))
        return [Token(*row) for row in rows]


def revoke_token(database: Database, token_id: str) -> bool:
    """Have a token be valid no more; return whether there is one of this id."""
    with database.writing() as transaction:
        mine = TOKENS.c.token_id == token_id
        at = sql.func.coalesce(TOKENS.c.revoked_at, now_utc())
        return transaction.execute(sql.update(TOKENS).where(mine).values(revoked_at=at)).rowcount == 1


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
