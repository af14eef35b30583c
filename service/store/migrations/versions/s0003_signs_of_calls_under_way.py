"""A call under way gives a sign, so that its key is free soon after its server has ended."""

import sqlalchemy as sql
from alembic import op

revision = "s0003"
down_revision = "s0002"


def upgrade() -> None:
    """Have a place for the sign; of calls from before the moment counts at which they were begun."""
    op.add_column("server_answers", sql.Column("alive_at", sql.String(40)))
