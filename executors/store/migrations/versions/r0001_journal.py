"""The journal as it was first written: campaigns and their events."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    formats = op.create_table("journal_format", sql.Column("version", sql.Integer, primary_key=True))
    op.bulk_insert(formats, [{"version": 1}])
    op.create_table(
        "campaigns",
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column("campaign_id", sql.String(64), nullable=False, unique=True),
        sql.Column("plan_id", sql.String(64), nullable=False),
        sql.Column("snapshot_digest", sql.String(64), nullable=False),
        sql.Column("policy_digest", sql.String(64), nullable=False),
        sql.Column("origin", sql.String(40), nullable=False),
        sql.Column("settings", sql.Text, nullable=False),
        sql.Column("plan_path", sql.Text),
        sql.Column("fleet_path", sql.Text),
    )
    op.create_table(
        "events",
        sql.Column("campaign", sql.Integer, sql.ForeignKey("campaigns.number"), primary_key=True, autoincrement=False),
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("generation", sql.Integer, nullable=False),
        sql.Column("at_s", sql.Float, nullable=False),
        sql.Column("type", sql.String(40), nullable=False),
        sql.Column("subject", sql.Text),
        sql.Column("body", sql.Text),
        sqlite_with_rowid=False,
    )
