"""Fleets, plans and campaigns of a server: found by id or by what lies in a directory here, sent there, fetched."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slacktide.errors import InputError, UsageError
from slacktide.object_store import AnyPath, StoredPath
from slacktide.service.campaign_view import SERVER_FILE
from slacktide.service.client.api import Api, Part
from slacktide.service.console import progress, tell
from slacktide.service.fleet_intake import ID_DIGITS, OWN, fleet_id_of

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.planner.plan import Plan

_ID: Final = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


class FleetThere(NamedTuple):
    """A fleet that a server has."""

    fleet_id: str
    snapshot: "FleetSnapshot | None"
    """Null: it was named by its id, and has not been read here."""

    def read(self, api: Api) -> "FleetSnapshot":
        """Return the snapshot, fetched where it is not here."""
        return self.snapshot if self.snapshot is not None else fetched_fleet(api, self.fleet_id)


class PlanThere(NamedTuple):
    """A plan that a server has."""

    plan_id: str
    fleet_id: str


def is_id(path: AnyPath) -> bool:
    """Return whether an argument is an id; a directory of that name comes first."""
    return _ID.fullmatch(str(path)) is not None and not path.is_dir()


def fleet_there(api: Api, path: AnyPath) -> FleetThere:
    """Return the fleet of a server's that is meant; one in a directory here is sent there first, and that is said.

    Raises
    ------
    UsageError
        If it is neither a directory nor the id of a fleet there.
    InputError
        If the directory's fleet is not sound.
    """
    if is_id(path):
        return FleetThere(api.get(f"/v1/fleets/{path}")["fleet_id"], None)
    snapshot, fleet_id = _read_fleet(path)
    if api.find(f"/v1/fleets/{fleet_id}") is None:
        send_fleet(api, path, snapshot)
        tell(f"fleet {path} is sent to {api.url}, where it is fleet {fleet_id}")
    return FleetThere(fleet_id, snapshot)


def send_fleet(api: Api, path: AnyPath, snapshot: "FleetSnapshot | None" = None) -> dict[str, Any]:
    """Send a fleet to a server, and return how it has it."""
    with progress("Sending the fleet"):
        sent: dict[str, Any] = sent_to(api, "/v1/fleets", path, snapshot)
    return sent


def sent_to(api: Api, operation: str, path: AnyPath, snapshot: "FleetSnapshot | None" = None) -> Any:  # noqa: ANN401
    """Return what an operation answers that is sent a fleet; one in an object store is read for that.

    Raises
    ------
    InputError
        If a fleet in an object store is not sound: then it is not sent.
    """
    if not isinstance(path, StoredPath):
        return api.upload(operation, fleet_parts(path))
    from slacktide.datasets.files import read_snapshot, write_snapshot

    with tempfile.TemporaryDirectory(prefix="slacktide-") as folder:
        place = Path(folder) / "fleet"
        write_snapshot(snapshot if snapshot is not None else read_snapshot(path), place)
        return api.upload(operation, fleet_parts(place))


def fleet_parts(path: Path) -> list[Part]:
    """Return the files of a fleet as an upload has them."""
    return [Part(name, path / file) for name, file in OWN.items()]


def plan_there(api: Api, path: AnyPath, fleet: AnyPath) -> PlanThere:
    """Return the plan of a server's that is meant, by its id or by a directory here that it was fetched to.

    Raises
    ------
    UsageError
        If the server does not have it.
    InputError
        If it is a plan for another fleet than ``fleet``.
    """
    if is_id(path):
        plan_id = str(path)
    else:
        from slacktide.planner.plan_files import read_plan

        with progress("Reading the plan"):
            plan_id = read_plan(path).header.id
        if api.find(f"/v1/plans/{plan_id}") is None:
            fact = f"is plan {plan_id}, which {api.url} does not have"
            remedy = "Have it made there: `slacktide plan FLEET --server ...`; or work on this machine: --server local"
            raise UsageError(str(path), fact, remedy)
    stored = api.get(f"/v1/plans/{plan_id}")
    _refuse_another_fleet(stored, fleet)
    return PlanThere(plan_id, stored["fleet_id"])


def campaign_there(path: Path) -> str:
    """Return the id of the campaign that is meant: as it is given, or of the directory that its report goes to.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if is_id(path):
        return str(path)
    for name in (SERVER_FILE, "report.json"):
        try:
            found = json.loads((path / name).read_bytes())["campaign_id"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, str) and _ID.fullmatch(found):
            return found
    fact = "is no id of a campaign, nor a directory that a campaign of a server's was fetched to"
    raise UsageError(str(path), fact, "Give its id: `slacktide campaign list` says it")


def fetched_plan(api: Api, plan_id: str) -> "Plan":
    """Return a plan of a server's, whole and as it was made.

    Raises
    ------
    InputError
        If what arrived is not what its id stands for.
    """
    from slacktide.planner.plan_files import HEADER_FILE, TABLES, read_plan

    with progress("Fetching the plan"), tempfile.TemporaryDirectory(prefix="slacktide-") as folder:
        place = Path(folder)
        header = api.get(f"/v1/plans/{plan_id}")["header"]
        (place / HEADER_FILE).write_text(json.dumps(header), encoding="utf-8")
        _fetch_tables(api, f"/v1/plans/{plan_id}", list(TABLES), place)
        return read_plan(place)


def fetched_fleet(api: Api, fleet_id: str) -> "FleetSnapshot":
    """Return a fleet of a server's."""
    from slacktide.datasets.files import META_FILE, read_snapshot
    from slacktide.datasets.schemas import TABLES

    with progress("Fetching the fleet"), tempfile.TemporaryDirectory(prefix="slacktide-") as folder:
        place = Path(folder)
        meta = api.get(f"/v1/fleets/{fleet_id}")["summary"]["meta"]
        (place / META_FILE).write_text(json.dumps(meta), encoding="utf-8")
        _fetch_tables(api, f"/v1/fleets/{fleet_id}", list(TABLES), place)
        return read_snapshot(place)


def _fetch_tables(api: Api, path: str, names: Sequence[str], place: Path) -> None:
    for name in names:
        api.fetch(f"{path}/tables/{name}", place / f"{name}.parquet")


def _read_fleet(path: AnyPath) -> "tuple[FleetSnapshot, str]":
    from slacktide.datasets.files import read_snapshot

    if not path.exists():
        fact = "is neither a directory here nor an id of the server's"
        raise UsageError(str(path), fact, "Give the directory of a fleet snapshot, or an id: `slacktide fleet list`")
    with progress("Reading the fleet"):
        snapshot = read_snapshot(path)
        return snapshot, fleet_id_of(snapshot)


def _refuse_another_fleet(stored: dict[str, Any], fleet: AnyPath) -> None:
    """Refuse a plan that was made for another fleet, in the words of :mod:`slacktide.planner.belonging`."""
    found = str(fleet) if is_id(fleet) else _read_fleet(fleet)[1]
    if found != stored["fleet_id"]:
        fact = f"was made for another snapshot: digest {stored['fleet_id']}, this one has {found}"
        raise InputError(f"plan {stored['plan_id']}", fact, "Give the fleet that it was made for, or plan this one")
