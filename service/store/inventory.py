"""Fleets and plans that the server has: what each is, without its tables, which are files."""

import json
from typing import Any, Final, NamedTuple

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.schema import FLEETS, PLANS


class StoredFleet(NamedTuple):
    """A fleet snapshot that was uploaded."""

    fleet_id: str
    created_at: str
    created_by: str
    summary: dict[str, Any]
    findings: list[dict[str, Any]]
    """Warnings: a fleet with an error is not taken."""


class StoredPlan(NamedTuple):
    """A plan that was made, or is a revision."""

    plan_id: str
    fleet_id: str
    created_at: str
    created_by: str
    header: dict[str, Any]
    """What ``plan.json`` holds."""


_FLEET: Final = tuple(FLEETS.c[name] for name in StoredFleet._fields)
_PLAN: Final = tuple(PLANS.c[name] for name in StoredPlan._fields)


def add_fleet(database: Database, fleet_id: str, by: str, summary: object, findings: object) -> bool:
    """Note a fleet whose files are there; return whether it is a new one."""
    values = {"fleet_id": fleet_id, "created_by": by, "summary": json.dumps(summary), "findings": json.dumps(findings)}
    return _added(database, FLEETS, values)


def add_plan(database: Database, plan_id: str, fleet_id: str, by: str, header: object) -> bool:
    """Note a plan whose files are there; return whether it is a new one."""
    values = {"plan_id": plan_id, "fleet_id": fleet_id, "created_by": by, "header": json.dumps(header)}
    return _added(database, PLANS, values)


def find_fleet(database: Database, fleet_id: str) -> StoredFleet | None:
    """Return a fleet, None: there is none of this id."""
    with database.reading() as transaction:
        row = transaction.execute(sql.select(*_FLEET).where(FLEETS.c.fleet_id == fleet_id)).first()
    return None if row is None else _fleet(row)


def find_plan(database: Database, plan_id: str) -> StoredPlan | None:
    """Return a plan, None: there is none of this id."""
    with database.reading() as transaction:
        row = transaction.execute(sql.select(*_PLAN).where(PLANS.c.plan_id == plan_id)).first()
    return None if row is None else _plan(row)


def list_fleets(database: Database, after: str, most: int) -> list[StoredFleet]:
    """Return at most ``most`` fleets with ids above ``after``, by id."""
    query = sql.select(*_FLEET).where(FLEETS.c.fleet_id > after).order_by(FLEETS.c.fleet_id).limit(most)
    with database.reading() as transaction:
        return [_fleet(row) for row in transaction.execute(query)]


def list_plans(database: Database, after: str, most: int, fleet_id: str | None) -> list[StoredPlan]:
    """Return at most ``most`` plans with ids above ``after``, by id, of one fleet or of all."""
    query = sql.select(*_PLAN).where(PLANS.c.plan_id > after).order_by(PLANS.c.plan_id).limit(most)
    if fleet_id is not None:
        query = query.where(PLANS.c.fleet_id == fleet_id)
    with database.reading() as transaction:
        return [_plan(row) for row in transaction.execute(query)]


def _added(database: Database, table: sql.Table, values: dict[str, Any]) -> bool:
    with database.writing() as transaction:
        dialect = sqlite if transaction.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(table).values(**values, created_at=now_utc()).on_conflict_do_nothing()
        return transaction.execute(insert.returning(table.c.created_at)).first() is not None


def _fleet(row: sql.Row[Any]) -> StoredFleet:
    fleet_id, created_at, created_by, summary, findings = tuple(row)
    return StoredFleet(fleet_id, created_at, created_by, json.loads(summary), json.loads(findings))


def _plan(row: sql.Row[Any]) -> StoredPlan:
    plan_id, fleet_id, created_at, created_by, header = tuple(row)
    return StoredPlan(plan_id, fleet_id, created_at, created_by, json.loads(header))
