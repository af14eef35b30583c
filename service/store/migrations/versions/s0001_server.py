"""The server's first tables: tokens, the audit log, answers by idempotency key, fleets, plans, jobs and campaigns."""

import sqlalchemy as sql
from alembic import op

revision = "s0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "server_tokens",
        sql.Column("token_id", sql.String(32), primary_key=True),
        sql.Column("name", sql.Text, nullable=False),
        sql.Column("role", sql.String(20), nullable=False),
        sql.Column("digest", sql.String(64), nullable=False),
        sql.Column("created_at", sql.String(40), nullable=False),
        sql.Column("created_by", sql.Text, nullable=False),
        sql.Column("expires_at", sql.String(40)),
        sql.Column("revoked_at", sql.String(40)),
    )
    op.create_table(
        "server_audit",
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
    )
    op.create_table(
        "server_answers",
        sql.Column("who", sql.String(200), primary_key=True),
        sql.Column("idempotency_key", sql.String(200), primary_key=True),
        sql.Column("fingerprint", sql.String(64), nullable=False),
        sql.Column("request_id", sql.String(32), nullable=False),
        sql.Column("begun_at", sql.String(40), nullable=False),
        sql.Column("status", sql.Integer),
        sql.Column("headers", sql.Text),
        sql.Column("body", sql.Text),
    )
    op.create_table(
        "server_fleets",
        sql.Column("fleet_id", sql.String(32), primary_key=True),
        sql.Column("created_at", sql.String(40), nullable=False),
        sql.Column("created_by", sql.Text, nullable=False),
        sql.Column("summary", sql.Text, nullable=False),
        sql.Column("findings", sql.Text, nullable=False),
    )
    op.create_table(
        "server_plans",
        sql.Column("plan_id", sql.String(32), primary_key=True),
        sql.Column("fleet_id", sql.String(32), nullable=False),
        sql.Column("created_at", sql.String(40), nullable=False),
        sql.Column("created_by", sql.Text, nullable=False),
        sql.Column("header", sql.Text, nullable=False),
    )
    op.create_table(
        "server_jobs",
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
    op.create_table(
        "server_runs",
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
    )
