"""What a store refuses, as an error with its remedy; those that may pass are told from those that will not."""

from typing import Final, TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from slacktide.errors import ExecutionError, OutputError, SlacktideError, StoreError, UsageError
from slacktide.executors.store.address import Store

Refused = TypeVar("Refused", bound=SlacktideError)

_LOCKED: Final = ("is locked by another process", "End what holds the lock; the campaign then goes on")
_FULL: Final = ("cannot be written: the disk is full", "Free some space; the campaign then goes on")
_AWAY: Final = ("does not answer", "Start the database, or mend the network to it; the campaign then goes on")

DAMAGED: Final = "is damaged"
"""The fact about a file whose content has rotted."""
_FROM_COPY: Final = "Restore the journal from a copy"
_SQLITE_PASSES: Final = {"locked": _LOCKED, "busy": _LOCKED, "full": _FULL}
"""What may pass, by a sign of it in the error's text."""
_SQLITE_STAYS: Final[dict[str, tuple[type[SlacktideError], str, str]]] = {
    "readonly": (OutputError, "is read-only", "Choose a folder that you may write to"),
    "unable to open": (OutputError, "cannot be opened", "Choose a folder that exists and that you may write to"),
    "not a database": (ExecutionError, "is no journal", "Give the directory of a campaign, or restore the journal"),
    "malformed": (ExecutionError, DAMAGED, _FROM_COPY),
    "could not decode": (ExecutionError, DAMAGED, _FROM_COPY),
    "no such table": (ExecutionError, "is no journal", "Give the directory of a campaign"),
}

_POSTGRESQL_PASSES: Final = {
    "53100": _FULL,
    "53": ("has no room for another request", "Free connections or memory of the database; the campaign then goes on"),
    "55P03": _LOCKED,
    "57014": ("took too long to answer", "See what keeps the database busy; the campaign then goes on"),
    "57P": _AWAY,
    "58": ("cannot read or write its files", "See the database's log and its disk; the campaign then goes on"),
    "08": _AWAY,
    "25P": _AWAY,
    "40": ("gave way to another transaction", "Wait; it is tried again"),
}
"""What may pass, by PostgreSQL's error code or its first digits, the longer before the shorter."""
_POSTGRESQL_SIGN_IN: Final = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "role",
    "permission denied",
)
_POSTGRESQL_URL: Final = ("invalid", "certificate", "does not support SSL", 'missing "="')
"""What libpq says of a URL that it cannot follow, or of a server that is not the one meant."""
_POSTGRESQL_RIGHTS: Final = ("42501", "28")


def damaged(store: Store) -> ExecutionError:
    """Return the error of a store whose file has rotted."""
    return of_store(ExecutionError(store.shown, DAMAGED, _FROM_COPY))


def of_store(error: Refused, about: str | None = None) -> Refused:
    """Return an error, marked as one about the store; ``about``: as :class:`SlacktideError` has it."""
    error.of_store, error.about = True, about
    return error


def refusal(store: Store, error: SQLAlchemyError) -> SlacktideError:
    """Return what a store said as an error of ours."""
    if isinstance(error, DataError):
        fact = f"has a value that no database takes: {_reason(error)}"
        return UsageError("request", fact, "Correct it, and ask again")
    return of_store(_refusal(store, error))


def _refusal(store: Store, error: SQLAlchemyError) -> SlacktideError:
    if isinstance(error, IntegrityError):
        fact = "has the campaign or the event already: another coordinator writes to it"
        return ExecutionError(store.shown, fact, "Let one coordinator run the campaign and stop the other")
    reason = _reason(error)
    found = _sqlite(store, reason) if store.is_file else _postgresql(store, error, reason)
    if found is not None:
        return found
    return ExecutionError(
        store.shown, f"refused a statement: {reason}", "Check the database and give the same command again"
    )


def _reason(error: SQLAlchemyError) -> str:
    """Return the first line of what the database's driver said; SQLAlchemy would add the statement's parameters."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return (text.strip() or type(error).__name__).splitlines()[0]


def _sqlite(store: Store, reason: str) -> SlacktideError | None:
    said = reason.lower()
    for sign, (kind, fact, remedy) in _SQLITE_STAYS.items():
        if sign in said:
            return kind(store.shown, fact, remedy)
    for sign, (fact, remedy) in _SQLITE_PASSES.items():
        if sign in said:
            return StoreError(store.shown, fact, remedy, retryable=True)
    if "disk i/o" in said:
        fact, remedy = f"cannot be written: {reason}", "Check the disk; the campaign then goes on"
        return StoreError(store.shown, fact, remedy, retryable=True)
    return None


def _postgresql(store: Store, error: SQLAlchemyError, reason: str) -> SlacktideError | None:
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    if code is None:
        return _unconnected(store, error, reason)
    if code.startswith(_POSTGRESQL_RIGHTS):
        return ExecutionError(store.shown, f"refuses the user: {reason}", "Give a user that may use the database")
    for length in (5, 3, 2):
        passing = _POSTGRESQL_PASSES.get(code[:length])
        if passing is not None:
            fact, remedy = passing
            return StoreError(store.shown, f"{fact}: {reason}", remedy, retryable=True)
    return None


def _unconnected(store: Store, error: SQLAlchemyError, reason: str) -> SlacktideError | None:
    """Return why there is no connection: what libpq says before the server has a code for it."""
    if not isinstance(error, DBAPIError):
        return None
    whole = str(error.orig)
    if "database" in whole and "does not exist" in whole and "role" not in whole:
        return ExecutionError(store.shown, "there is no such database", "Make it with createdb, or give another")
    if any(sign in whole for sign in _POSTGRESQL_SIGN_IN):
        remedy = "Give the password in PGPASSWORD or ~/.pgpass, and a user that may use the database"
        return ExecutionError(store.shown, f"refuses the user: {reason}", remedy)
    if any(sign in whole for sign in _POSTGRESQL_URL):
        remedy = "Correct the URL, or what it names, and give the command again"
        return ExecutionError(store.shown, f"cannot be reached so: {reason}", remedy)
    fact, remedy = _AWAY
    return StoreError(store.shown, f"{fact}: {reason}", remedy, retryable=True)
