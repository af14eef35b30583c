"""How far the clock of a campaign is that goes by neither events nor the machine's clock."""

import sqlalchemy as sql
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add to campaigns the moment of their clock, when that was told, and its pace."""
    op.add_column("campaigns", sql.Column("clock_s", sql.Float))
    op.add_column("campaigns", sql.Column("clock_at", sql.String(40)))
    op.add_column("campaigns", sql.Column("clock_pace", sql.Float))
