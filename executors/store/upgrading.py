"""A store's schema, brought to the newest revision where it is opened: in place, in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sql

from slacktide.errors import ExecutionError
from slacktide.executors.store.address import Store
from slacktide.executors.store.connection import Durability, StoreConnection
from slacktide.executors.store.refusals import of_store
from slacktide.executors.store.schema import FORMAT, HEAD, VERSION_TABLE

FIRST: Final = "0001"
"""The revision of journals that were written before stores kept a revision."""
FIRST_FORMAT: Final = 1
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADES: Final = 5_127_604_131
"""Number of the lock of PostgreSQL that an upgrade holds until its transaction ends: any that nobody else uses."""


@contextmanager
def opening(store: Store, durability: Durability = "power", *, create: bool = False) -> Iterator[StoreConnection]:
    """Have a connection to a store at the newest revision; it stays open unless the block raises.

    Raises
    ------
    ExecutionError, OutputError, StoreError
        As :func:`bring_to_head`; if it is the file of none and is not to be made.
    """
    if not create and store.is_file and not store.path.exists():
        remedy = "Give the directory of a campaign that was begun"
        raise of_store(ExecutionError(store.shown, "does not exist", remedy))
    connection = StoreConnection(store, durability)
    try:
        bring_to_head(connection, create=create)
        yield connection
    except BaseException:
        connection.close()
        raise


def bring_to_head(connection: StoreConnection, *, create: bool) -> None:
    """Bring a store to the newest revision; an empty one is made a store if ``create`` says so.

    Of several processes that do so at once, one does it, and the others wait for it.

    Raises
    ------
    ExecutionError
        If it is no store, or of a revision that this release does not know.
    StoreError
        If it does not answer.
    """
    with connection.reading() as transaction:
        if revision_of(transaction) == HEAD:
            return
    with connection.writing() as transaction:
        if transaction.dialect.name == "postgresql":
            transaction.execute(sql.select(sql.func.pg_advisory_xact_lock(_UPGRADES)))
        revision = revision_of(transaction)
        if revision == HEAD:
            return
        if revision is None and not create:
            raise of_store(ExecutionError(connection.store.shown, "is no journal", "Give the directory of a campaign"))
        _upgrade(transaction, revision, connection.store.shown)


def revision_of(transaction: sql.Connection) -> str | None:
    """Return a store's revision; None: there are no tables of ours."""
    inspector = sql.inspect(transaction)
    if inspector.has_table(VERSION_TABLE):
        found: str | None = transaction.execute(sql.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
        return found
    if inspector.has_table(FORMAT.name):
        version = transaction.execute(sql.select(FORMAT.c.version)).scalar()
        return FIRST if version in (None, FIRST_FORMAT) else f"of format {version}"
    return None


def _upgrade(transaction: sql.Connection, revision: str | None, shown: str) -> None:
    from alembic import command  # takes a tenth of a second to import, and a store at the newest revision needs it not
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = transaction
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        fact = f"has a schema of revision {revision}, which this release does not know; it knows up to {HEAD}"
        raise of_store(ExecutionError(shown, fact, "Use the release that wrote it, or a newer one"))
    if revision == FIRST and not sql.inspect(transaction).has_table(VERSION_TABLE):
        command.stamp(config, FIRST)
    command.upgrade(config, HEAD)
