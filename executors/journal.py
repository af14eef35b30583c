"""The journal: every event of every campaign, append-only, in SQL.

SQLite in WAL mode by default.  An event is appended before what it intends is done, and is never changed.  The order
of the journal is the order in which the coordinator learnt or decided; ``at_s`` says when a thing happened.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

import sqlalchemy as sql
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from slacktide.errors import ExecutionError, OutputError, SlacktideError
from slacktide.executors import events
from slacktide.executors.event_codec import Row, decode, encode
from slacktide.executors.events import Event
from slacktide.ids import CampaignId, PlanId

FORMAT_VERSION: Final = 1
BUSY_TIMEOUT_MS: Final = 5_000
"""How long a write waits for another process's lock: the longest commit of a large batch takes well under a second."""

Durability = Literal["process", "power"]
"""What an appended event survives: the end of the process (``process``), or a power cut as well (``power``: one
fsync a commit, milliseconds each).  A simulated campaign needs only the first."""

_METADATA = sql.MetaData()
_FORMAT = sql.Table("journal_format", _METADATA, sql.Column("version", sql.Integer, primary_key=True))
_CAMPAIGNS = sql.Table(
    "campaigns",
    _METADATA,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("campaign_id", sql.String(64), nullable=False, unique=True),
    sql.Column("plan_id", sql.String(64), nullable=False),
    sql.Column("snapshot_digest", sql.String(64), nullable=False),
    sql.Column("policy_digest", sql.String(64), nullable=False),
    sql.Column("origin", sql.String(40), nullable=False),
    sql.Column("settings", sql.Text, nullable=False),
    sql.Column("plan_path", sql.Text),
    sql.Column("fleet_path", sql.Text),
)
_EVENTS = sql.Table(
    "events",
    _METADATA,
    sql.Column("campaign", sql.Integer, sql.ForeignKey("campaigns.number"), primary_key=True, autoincrement=False),
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("generation", sql.Integer, nullable=False),
    sql.Column("at_s", sql.Float, nullable=False),
    sql.Column("type", sql.String(40), nullable=False),
    sql.Column("subject", sql.Text),
    sql.Column("body", sql.Text),
    sqlite_with_rowid=False,
)


class Entry(NamedTuple):
    """An event with its number in the campaign's journal, counted from 1 without gaps."""

    number: int
    event: Event


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """What a campaign is, fixed when it is created."""

    campaign_id: CampaignId
    plan_id: PlanId
    snapshot_digest: str
    policy_digest: str
    origin: datetime
    """The moment that all ``at_s`` count from, in UTC."""
    settings: str
    """How it is executed, as JSON: driver, seed, failures to simulate."""
    plan_path: str | None = None
    fleet_path: str | None = None


class Journal:
    """One campaign's journal within a database that may hold several.

    ``generation`` counts the coordinators that held the campaign; two that append at once collide on an event's
    number, and the second is refused.
    """

    def __init__(self, engine: sql.Engine, record: CampaignRecord, number: int, generation: int, last: int) -> None:
        self._engine = engine
        self.record = record
        self._campaign = number
        self._generation = generation
        self._last = last
        self._connection = engine.connect()
        self._place = Path(engine.url.database or "")
        self._insert = str(sql.insert(_EVENTS).compile(engine))
        """Compiled once; its parameters are the columns in order."""

    @classmethod
    def create(cls, path: Path, record: CampaignRecord, *, durability: Durability = "power") -> Self:
        """Create the campaign in the database at ``path``, which is created where absent.

        Raises
        ------
        ExecutionError
            If the database already has this campaign, or is of another version.
        OutputError
            If it cannot be written.
        """
        with _answering(path):
            engine = _engine(path, durability)
            with engine.begin() as connection:
                _METADATA.create_all(connection)
                _check_format(connection, path)
                values = {**_values(record)}
                result = connection.execute(sql.insert(_CAMPAIGNS).values(values))
                key = result.inserted_primary_key
                assert key is not None
            return cls(engine, record, int(key[0]), generation=1, last=0)

    @classmethod
    def open(cls, path: Path, campaign_id: CampaignId | None = None, *, durability: Durability = "power") -> Self:
        """Open a campaign's journal, by default the newest campaign's; the opener is the next generation.

        Raises
        ------
        ExecutionError
            If there is no such journal or campaign, or it is of another version.
        """
        if not path.exists():
            raise ExecutionError(str(path), "does not exist", "Give the directory of a campaign that was begun")
        with _answering(path):
            engine = _engine(path, durability)
            with engine.connect() as connection:
                _check_format(connection, path)
                query = sql.select(_CAMPAIGNS).order_by(_CAMPAIGNS.c.number.desc()).limit(1)
                if campaign_id is not None:
                    query = query.where(_CAMPAIGNS.c.campaign_id == campaign_id)
                found = connection.execute(query).mappings().first()
                if found is None:
                    raise ExecutionError(str(path), "holds no such campaign", "Give a campaign that was begun here")
                ends = sql.select(sql.func.max(_EVENTS.c.number), sql.func.max(_EVENTS.c.generation))
                last, generation = connection.execute(ends.where(_EVENTS.c.campaign == found["number"])).one()
            return cls(engine, _record(dict(found)), int(found["number"]), (generation or 0) + 1, last or 0)

    @property
    def last(self) -> int:
        """Number of the newest event; 0: none."""
        return self._last

    @property
    def generation(self) -> int:
        """How many coordinators have held the campaign, this one included."""
        return self._generation

    def append(self, news: Sequence[Event]) -> list[Entry]:
        """Append events in one transaction and return them numbered; on an error none is appended.

        Raises
        ------
        ExecutionError
            If another coordinator has appended, or holds the database's lock for too long.
        OutputError
            If the database cannot be written: disk full, no permission.
        """
        if not news:
            return []
        campaign, generation, first = self._campaign, self._generation, self._last + 1
        rows = [(campaign, number, generation, *row) for number, row in enumerate(map(encode, news), first)]
        with _answering(self._place), self._connection.begin():
            self._connection.exec_driver_sql(self._insert, rows)
        self._last += len(rows)
        return [Entry(number, event) for number, event in enumerate(news, first)]

    def read(self, since: int = 0) -> list[Entry]:
        """Return all events after number ``since``, in order."""
        columns = (_EVENTS.c.number, _EVENTS.c.at_s, _EVENTS.c.type, _EVENTS.c.subject, _EVENTS.c.body)
        query = (
            sql.select(*columns)
            .where(_EVENTS.c.campaign == self._campaign, _EVENTS.c.number > since)
            .order_by(_EVENTS.c.number)
        )
        with _answering(self._place), self._connection.begin():
            rows = self._connection.execute(query).all()
        return [Entry(row[0], decode(Row(*row[1:]))) for row in rows]

    def migrations_done(self) -> int:
        """Return how many migrations are done."""
        kind, body = _EVENTS.c.type, _EVENTS.c.body
        found = sql.and_(kind == events.MigrationResolved.type, body.contains('"done"'))
        query = sql.select(sql.func.count(sql.distinct(_EVENTS.c.subject))).where(
            _EVENTS.c.campaign == self._campaign, sql.or_(kind == events.MigrationDone.type, found)
        )
        with _answering(self._place), self._connection.begin():
            return int(self._connection.execute(query).scalar_one())

    def untouched_hosts(self) -> frozenset[str]:
        """Return the hosts whose patch failed before anything was done to them."""
        query = sql.select(_EVENTS.c.subject).where(
            _EVENTS.c.campaign == self._campaign,
            _EVENTS.c.type == events.PatchFailed.type,
            _EVENTS.c.body.contains('"untouched":true'),
        )
        with _answering(self._place), self._connection.begin():
            return frozenset(self._connection.execute(query).scalars())

    def close(self) -> None:
        """Let go of the database; the write-ahead log is folded into it."""
        self._connection.close()
        self._engine.dispose()


def _engine(path: Path, durability: Durability) -> sql.Engine:
    engine = sql.create_engine(sql.URL.create("sqlite", database=str(path)))
    synchronous = "FULL" if durability == "power" else "NORMAL"

    @sql.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    return engine


def _check_format(connection: sql.Connection, path: Path) -> None:
    version = connection.execute(sql.select(_FORMAT.c.version)).scalar()
    if version is None:
        connection.execute(sql.insert(_FORMAT).values(version=FORMAT_VERSION))
    elif version != FORMAT_VERSION:
        raise ExecutionError(
            str(path),
            f"has format version {version}; this release reads version {FORMAT_VERSION}",
            "Use the release that wrote it",
        )


def _values(record: CampaignRecord) -> dict[str, str | None]:
    return {
        "campaign_id": record.campaign_id,
        "plan_id": record.plan_id,
        "snapshot_digest": record.snapshot_digest,
        "policy_digest": record.policy_digest,
        "origin": record.origin.astimezone(UTC).isoformat(),
        "settings": record.settings,
        "plan_path": record.plan_path,
        "fleet_path": record.fleet_path,
    }


def _record(found: dict[str, Any]) -> CampaignRecord:
    return CampaignRecord(
        campaign_id=CampaignId(found["campaign_id"]),
        plan_id=PlanId(found["plan_id"]),
        snapshot_digest=found["snapshot_digest"],
        policy_digest=found["policy_digest"],
        origin=datetime.fromisoformat(found["origin"]),
        settings=found["settings"],
        plan_path=found["plan_path"],
        fleet_path=found["fleet_path"],
    )


@contextmanager
def _answering(path: Path) -> Iterator[None]:
    """Turn what the database refuses into an error with its remedy."""
    try:
        yield
    except IntegrityError as error:
        fact = "has the campaign or the event already: another coordinator writes to it"
        raise ExecutionError(str(path), fact, "Let one coordinator run the campaign and stop the other") from error
    except SQLAlchemyError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: SQLAlchemyError) -> SlacktideError:
    reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    known: dict[str, tuple[type[SlacktideError], str, str]] = {
        "locked": (ExecutionError, "is locked by another process", "Stop the other campaign on this directory"),
        "readonly": (OutputError, "is read-only", "Choose a folder that you may write to"),
        "unable to open": (OutputError, "cannot be opened", "Choose a folder that exists and that you may write to"),
        "full": (OutputError, "cannot be written: the disk is full", "Free some space; the campaign then resumes"),
        "disk i/o": (OutputError, f"cannot be written: {reason}", "Check the disk; the campaign then resumes"),
        "not a database": (ExecutionError, "is no journal", "Give the directory of a campaign, or restore the journal"),
        "malformed": (ExecutionError, "is damaged", "Restore the journal from a copy"),
        "no such table": (ExecutionError, "is no journal", "Give the directory of a campaign"),
    }
    for sign, (kind, fact, remedy) in known.items():
        if sign in reason.lower():
            return kind(str(path), fact, remedy)
    return ExecutionError(str(path), f"refused a statement: {reason}", "Check the database and resume the campaign")
