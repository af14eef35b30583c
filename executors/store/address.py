"""Where a store is: the file of a SQLite database, or the URL of a PostgreSQL database.

A password is in neither what is shown nor what is kept in a campaign's directory.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError

from slacktide.errors import UsageError

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql+psycopg"
DRIVERS: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL, POSTGRESQL: POSTGRESQL}
"""What a URL may begin with, and who serves it."""
SECRET_OPTIONS: Final = ("password", "sslpassword")
"""Options of libpq in a URL that are nobody's business."""
REMEDY: Final = "Give sqlite:////folder/file.sqlite, or postgresql://user@host/database"


@dataclass(frozen=True, slots=True, repr=False)
class Store:
    """The database that campaigns are kept in."""

    url: sql.URL

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.drivername == SQLITE

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.url.database or "")

    @property
    def kept(self) -> str:
        """The URL as it may be written down: without password."""
        if self.is_file:
            return self.url.render_as_string()
        return _without_secrets(self.url).set(drivername="postgresql").render_as_string()

    @property
    def shown(self) -> str:
        """The file, or the URL without password, as errors name it."""
        return str(self.path) if self.is_file else self.kept

    def __repr__(self) -> str:
        return f"Store({self.shown})"

    def is_at(self, other: "Store") -> bool:
        """Return whether two are the same place, whatever their passwords."""
        return self.kept == other.kept


def store_in(place: Store | Path) -> Store:
    """Return the store at ``place``, which may be the path of a SQLite file.

    A store names its file from the root on: it is opened by processes in other folders too.
    """
    if isinstance(place, Store):
        return place
    return Store(sql.URL.create(SQLITE, database=str(place.parent.resolve() / place.name)))


def parse_store(text: str, folder: Path | None = None) -> Store:
    """Return the store that a URL names; the password may also be in the environment, as PGPASSWORD.

    Parameters
    ----------
    folder
        Where the relative path of a SQLite file begins. [default: the present one]

    Raises
    ------
    UsageError
        If it is no such URL.
    """
    if not text.strip():
        raise UsageError("store", "its URL is empty", f"{REMEDY}, or leave it out")
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in DRIVERS:
        fact = f"{scheme}:// is neither SQLite nor PostgreSQL" if separator else "is no URL of a database"
        raise UsageError("store", fact, REMEDY)
    # What cannot be read may be a part of the password: it is not repeated.
    unread = UsageError(
        "store", "its URL cannot be read; @, : and / in names and passwords are written %40, %3A and %2F", REMEDY
    )
    try:
        url = sql.make_url(text).set(drivername=DRIVERS[scheme])
    except (ArgumentError, ValueError):
        raise unread from None
    if url.drivername == SQLITE:
        return _sqlite(url, folder or Path.cwd())
    if url.database and {"@", "/"} & set(url.database):
        raise unread
    if not url.database:
        raise UsageError("store", "its URL names no database", REMEDY)
    password = os.environ.get("PGPASSWORD")
    return Store(url.set(password=password) if password and not _has_password(url) else url)


def _sqlite(url: sql.URL, folder: Path) -> Store:
    if not url.database or url.database == ":memory:" or url.host or url.query:
        raise UsageError("store", "its URL names no file, or more than a file", REMEDY)
    return Store(url.set(database=str(folder.resolve() / url.database)))


def _has_password(url: sql.URL) -> bool:
    return url.password is not None or "password" in url.query


def _without_secrets(url: sql.URL) -> sql.URL:
    bare = sql.URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return bare.difference_update_query(SECRET_OPTIONS)
