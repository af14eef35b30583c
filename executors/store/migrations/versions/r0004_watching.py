"""Who watches for a fleet's triggers and until when, and which triggers are looked at again and again."""

import sqlalchemy as sql
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table of the leases of watchers, and mark triggers of which something is still to come."""
    op.create_table(
        "trigger_leases",
        sql.Column("fleet", sql.String(64), primary_key=True),
        sql.Column("generation", sql.Integer, nullable=False),
        sql.Column("holder", sql.Text),
        sql.Column("lease_until", sql.String(40)),
    )
    op.add_column("triggers", sql.Column("is_current", sql.Integer, nullable=False, server_default="1"))
    op.execute(
        "UPDATE triggers SET is_current = 0 WHERE state NOT IN ('waits', 'begins', 'approval', 'runs', 'joined') "
        'AND course NOT LIKE \'%"firing":{"%\''
    )
    op.create_index("ix_triggers_current", "triggers", ["fleet", "is_current"])
