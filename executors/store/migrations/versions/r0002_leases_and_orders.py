"""Who holds a campaign and until when, and what people ask of it."""

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns of the lease, with the generation that the events have come to, and the table of orders."""
    op.add_column("campaigns", sql.Column("generation", sql.Integer, nullable=False, server_default="0"))
    op.add_column("campaigns", sql.Column("holder", sql.Text))
    op.add_column("campaigns", sql.Column("lease_until", sql.String(40)))
    op.add_column("campaigns", sql.Column("state", sql.String(40)))
    op.execute(
        "UPDATE campaigns SET generation = COALESCE("
        "(SELECT MAX(events.generation) FROM events WHERE events.campaign = campaigns.number), 0)"
    )
    op.execute(
        "UPDATE campaigns SET state = 'finished' WHERE EXISTS (SELECT 1 FROM events "
        "WHERE events.campaign = campaigns.number AND events.type = 'campaign-finished')"
    )
    op.create_table(
        "orders",
        sql.Column("campaign", sql.Integer, sql.ForeignKey("campaigns.number"), primary_key=True, autoincrement=False),
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("asked_at", sql.String(40), nullable=False),
        sql.Column("asked_by", sql.Text, nullable=False),
        sql.Column("why", sql.Text),
        sql.Column("kind", sql.String(40), nullable=False),
        sql.Column("body", sql.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("UPDATE journal_format SET version = 2")
