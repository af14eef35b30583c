"""What begins campaigns, and what became of it."""

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables of triggers, of notes about them, and of when they were last watched for."""
    op.create_table(
        "triggers",
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
    )
    op.create_table(
        "trigger_notes",
        sql.Column("trigger", sql.Integer, sql.ForeignKey("triggers.number"), primary_key=True, autoincrement=False),
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("at", sql.String(40), nullable=False),
        sql.Column("words", sql.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "trigger_looks",
        sql.Column("fleet", sql.String(64), primary_key=True),
        sql.Column("looked_at", sql.String(40), nullable=False),
    )
