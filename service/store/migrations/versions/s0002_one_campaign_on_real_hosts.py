"""On a profile's hosts one campaign at a time is wanted; the oldest stays so where there are several."""

import sqlalchemy as sql
from alembic import op

revision = "s0002"
down_revision = "s0001"


def upgrade() -> None:
    """Have all but the oldest wait for their start, and make the index that holds it."""
    older = sql.text(
        "UPDATE server_runs SET state = 'proposed', next_look_at = NULL "
        "WHERE state = 'wanted' AND EXISTS ("
        "SELECT 1 FROM server_runs AS other WHERE other.profile = server_runs.profile AND other.state = 'wanted' "
        "AND (other.created_at < server_runs.created_at "
        "OR (other.created_at = server_runs.created_at AND other.campaign_id < server_runs.campaign_id)))"
    )
    op.execute(older)
    wanted = sql.text("state = 'wanted'")
    op.create_index(
        "ix_server_runs_wanted",
        "server_runs",
        ["profile"],
        unique=True,
        sqlite_where=wanted,
        postgresql_where=wanted,
    )
