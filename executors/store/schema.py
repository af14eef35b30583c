"""The tables of a store, as the newest revision of its schema has them."""

from typing import Final

import sqlalchemy as sql

FORMAT_VERSION: Final = 2
"""Version of the journal's rows.  2 came with generations that are kept beside the campaign: a release that knows
version 1 counts them by events alone, and must not write beside one that holds a lease."""
HEAD: Final = "0005"
"""The newest revision in ``migrations/versions``."""
VERSION_TABLE: Final = "slacktide_schema"
"""Where a store keeps its revision: a name of our own, since others' tables may be beside ours."""

METADATA: Final = sql.MetaData()
FORMAT: Final = sql.Table("journal_format", METADATA, sql.Column("version", sql.Integer, primary_key=True))
CAMPAIGNS: Final = sql.Table(
    "campaigns",
    METADATA,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("campaign_id", sql.String(64), nullable=False, unique=True),
    sql.Column("plan_id", sql.String(64), nullable=False),
    sql.Column("snapshot_digest", sql.String(64), nullable=False),
    sql.Column("policy_digest", sql.String(64), nullable=False),
    sql.Column("origin", sql.String(40), nullable=False),
    sql.Column("settings", sql.Text, nullable=False),
    sql.Column("plan_path", sql.Text),
    sql.Column("fleet_path", sql.Text),
    sql.Column("generation", sql.Integer, nullable=False, server_default="0"),
    sql.Column("holder", sql.Text),
    sql.Column("lease_until", sql.String(40)),
    sql.Column("state", sql.String(40)),
    sql.Column("clock_s", sql.Float),
    sql.Column("clock_at", sql.String(40)),
    sql.Column("clock_pace", sql.Float),
)
"""``generation`` counts the coordinators that held a campaign; ``holder`` holds it until ``lease_until``, in UTC by the
database's clock.  At ``clock_at``, by that clock too, ``clock_s`` had passed of the campaign, and ``clock_pace`` passes
in each second since; null: its clock goes by its events, or by its machine's."""
EVENTS: Final = sql.Table(
    "events",
    METADATA,
    sql.Column("campaign", sql.Integer, sql.ForeignKey("campaigns.number"), primary_key=True, autoincrement=False),
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("generation", sql.Integer, nullable=False),
    sql.Column("at_s", sql.Float, nullable=False),
    sql.Column("type", sql.String(40), nullable=False),
    sql.Column("subject", sql.Text),
    sql.Column("body", sql.Text),
    sqlite_with_rowid=False,
)
ORDERS: Final = sql.Table(
    "orders",
    METADATA,
    sql.Column("campaign", sql.Integer, sql.ForeignKey("campaigns.number"), primary_key=True, autoincrement=False),
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("asked_at", sql.String(40), nullable=False),
    sql.Column("asked_by", sql.Text, nullable=False),
    sql.Column("why", sql.Text),
    sql.Column("kind", sql.String(40), nullable=False),
    sql.Column("body", sql.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What people ask of a campaign while it runs, numbered from 1 without gaps."""
TRIGGERS: Final = sql.Table(
    "triggers",
    METADATA,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("fleet", sql.String(64), nullable=False, index=True),
    sql.Column("kind", sql.String(40), nullable=False),
    sql.Column("key", sql.Text, nullable=False),
    sql.Column("source", sql.Text, nullable=False),
    sql.Column("came_at", sql.String(40), nullable=False),
    sql.Column("state", sql.String(40), nullable=False),
    sql.Column("into", sql.Integer),
    sql.Column("detail", sql.Text, nullable=False),
    sql.Column("asked", sql.Text, nullable=False),
    sql.Column("course", sql.Text, nullable=False),
    sql.Column("is_current", sql.Integer, nullable=False, server_default="1"),
    sql.Index("ix_triggers_current", "fleet", "is_current"),
)
"""What begins campaigns: ``asked`` and ``course`` are JSON, what is wanted and how far it has come.  ``is_current`` is
1 where something is still to come of it, or an alert of its host fires."""
TRIGGER_NOTES: Final = sql.Table(
    "trigger_notes",
    METADATA,
    sql.Column("trigger", sql.Integer, sql.ForeignKey("triggers.number"), primary_key=True, autoincrement=False),
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("at", sql.String(40), nullable=False),
    sql.Column("words", sql.Text, nullable=False),
    sqlite_with_rowid=False,
)
TRIGGER_LOOKS: Final = sql.Table(
    "trigger_looks",
    METADATA,
    sql.Column("fleet", sql.String(64), primary_key=True),
    sql.Column("looked_at", sql.String(40), nullable=False),
)
"""When somebody last watched for a fleet's triggers."""
TRIGGER_LEASES: Final = sql.Table(
    "trigger_leases",
    METADATA,
    sql.Column("fleet", sql.String(64), primary_key=True),
    sql.Column("generation", sql.Integer, nullable=False),
    sql.Column("holder", sql.Text),
    sql.Column("lease_until", sql.String(40)),
)
"""Who carries a fleet's triggers out, as campaigns have their holders."""
