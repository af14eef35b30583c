"""The server's tables, as the newest revision of their schema has them."""

from typing import Final

import sqlalchemy as sql

HEAD: Final = "s0004"
"""The newest revision in ``migrations/versions``."""
VERSION_TABLE: Final = "slacktide_server_schema"
"""Where the revision is kept: apart from that of the campaigns' tables, which other processes bring up to date."""

_WANTED: Final = sql.text("state = 'wanted'")

METADATA: Final = sql.MetaData()
TOKENS: Final = sql.Table(
    "server_tokens",
    METADATA,
    sql.Column("token_id", sql.String(32), primary_key=True),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("role", sql.String(20), nullable=False),
    sql.Column("digest", sql.String(64), nullable=False),
    sql.Column("created_at", sql.String(40), nullable=False),
    sql.Column("created_by", sql.Text, nullable=False),
    sql.Column("expires_at", sql.String(40)),
    sql.Column("revoked_at", sql.String(40)),
)
"""``digest``: SHA-256 of the token's secret, which is long and random; the secret is kept nowhere."""
AUDIT: Final = sql.Table(
    "server_audit",
    METADATA,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("at", sql.String(40), nullable=False),
    sql.Column("who", sql.Text),
    sql.Column("role", sql.String(20)),
    sql.Column("address", sql.Text),
    sql.Column("action", sql.String(80), nullable=False),
    sql.Column("method", sql.String(10), nullable=False),
    sql.Column("path", sql.Text, nullable=False),
    sql.Column("idempotency_key", sql.String(200)),
    sql.Column("request_id", sql.String(32), nullable=False),
    sql.Column("status", sql.Integer),
    sql.Column("outcome", sql.Text),
    sql.Column("asked", sql.String(40)),
    sql.Column("why", sql.Text),
    sql.Column("granted", sql.Boolean),
    sql.Column("made", sql.Text),
)
"""Written before a call is carried out, without ``status``, and completed after it."""
ANSWERS: Final = sql.Table(
    "server_answers",
    METADATA,
    sql.Column("who", sql.String(200), primary_key=True),
    sql.Column("idempotency_key", sql.String(200), primary_key=True),
    sql.Column("fingerprint", sql.String(64), nullable=False),
    sql.Column("request_id", sql.String(32), nullable=False),
    sql.Column("begun_at", sql.String(40), nullable=False),
    sql.Column("status", sql.Integer),
    sql.Column("headers", sql.Text),
    sql.Column("body", sql.Text),
    sql.Column("alive_at", sql.String(40)),
)
"""What was answered to creating calls, by idempotency key; no ``status``: still under way, and ``alive_at`` is when its
replica was last heard of."""
FLEETS: Final = sql.Table(
    "server_fleets",
    METADATA,
    sql.Column("fleet_id", sql.String(32), primary_key=True),
    sql.Column("created_at", sql.String(40), nullable=False),
    sql.Column("created_by", sql.Text, nullable=False),
    sql.Column("summary", sql.Text, nullable=False),
    sql.Column("findings", sql.Text, nullable=False),
)
PLANS: Final = sql.Table(
    "server_plans",
    METADATA,
    sql.Column("plan_id", sql.String(32), primary_key=True),
    sql.Column("fleet_id", sql.String(32), nullable=False),
    sql.Column("created_at", sql.String(40), nullable=False),
    sql.Column("created_by", sql.Text, nullable=False),
    sql.Column("header", sql.Text, nullable=False),
)
JOBS: Final = sql.Table(
    "server_jobs",
    METADATA,
    sql.Column("job_id", sql.String(32), primary_key=True),
    sql.Column("kind", sql.String(20), nullable=False),
    sql.Column("created_at", sql.String(40), nullable=False),
    sql.Column("created_by", sql.Text, nullable=False),
    sql.Column("asked", sql.Text, nullable=False),
    sql.Column("state", sql.String(20), nullable=False),
    sql.Column("begun_at", sql.String(40)),
    sql.Column("ended_at", sql.String(40)),
    sql.Column("alive_at", sql.String(40)),
    sql.Column("tries", sql.Integer, nullable=False, server_default="0"),
    sql.Column("cancel", sql.Boolean, nullable=False, server_default=sql.false()),
    sql.Column("fraction", sql.Float),
    sql.Column("words", sql.Text),
    sql.Column("eta_s", sql.Float),
    sql.Column("result", sql.Text),
    sql.Column("error", sql.Text),
)
"""``alive_at``: when whoever carries the job out was last heard of."""
RUNS: Final = sql.Table(
    "server_runs",
    METADATA,
    sql.Column("campaign_id", sql.String(32), primary_key=True),
    sql.Column("fleet_id", sql.String(32), nullable=False),
    sql.Column("plan_id", sql.String(32), nullable=False),
    sql.Column("created_at", sql.String(40), nullable=False),
    sql.Column("created_by", sql.Text, nullable=False),
    sql.Column("asked", sql.Text, nullable=False),
    sql.Column("state", sql.String(20), nullable=False),
    sql.Column("next_look_at", sql.String(40)),
    sql.Column("starts", sql.Integer, nullable=False, server_default="0"),
    sql.Column("said", sql.Text),
    sql.Column("job_id", sql.String(32), unique=True),
    sql.Column("profile", sql.String(40)),
    sql.Index("ix_server_runs_wanted", "profile", unique=True, sqlite_where=_WANTED, postgresql_where=_WANTED),
)
"""Campaigns as the server was asked for them. ``state``: proposed, wanted, ended, failed or aborted; ``next_look_at``:
when it is next seen to that a wanted one is carried out; ``said``: what a process said that ended without finishing
it; ``job_id``: the job that asked for it, if one did: a job that is begun twice asks for one campaign; ``profile``:
whose hosts it is for, null: simulated ones; of each one campaign at a time is wanted, whoever asks at the same
moment."""
