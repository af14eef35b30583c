"""The audit log says which order was asked for and whether it was granted, and what a call made."""

import sqlalchemy as sql
from alembic import op

revision = "s0004"
down_revision = "s0003"


def upgrade() -> None:
    """Have places for it; of calls from before it is not known."""
    op.add_column("server_audit", sql.Column("asked", sql.String(40)))
    op.add_column("server_audit", sql.Column("why", sql.Text))
    op.add_column("server_audit", sql.Column("granted", sql.Boolean))
    op.add_column("server_audit", sql.Column("made", sql.Text))
