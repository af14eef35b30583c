"""``slacktide fleet`` on a server: checked, shown, sent, listed, fetched."""

from typing import TYPE_CHECKING, Any

from slacktide.object_store import AnyPath
from slacktide.service.afar.objects import fetched_fleet, fleet_there, is_id, sent_to
from slacktide.service.client.api import Api
from slacktide.service.client.jobs import done, result_of
from slacktide.service.client.refusals import findings_of
from slacktide.service.commands.options import Afar
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.failures import OK
from slacktide.service.fleet_intake import OWN

if TYPE_CHECKING:
    from slacktide.datasets.summary import FleetSummary
    from slacktide.findings import Finding


def checked(afar: Afar, path: AnyPath) -> "tuple[Finding, ...]":
    """Return what a server finds wrong with a fleet; one in a directory here is sent to be checked, and not kept."""
    with afar.api() as api:
        return findings_of(_looked_at(api, path)["findings"])


def summary_of(afar: Afar, path: AnyPath) -> "FleetSummary":
    """Return a fleet's figures as a server sums them up.

    Raises
    ------
    InputError
        If it is not sound.
    """
    from slacktide.datasets.validation import refuse_errors

    with afar.api() as api:
        found = _looked_at(api, path)
    refuse_errors(findings_of(found["findings"]), str(path))
    return _summary(found["summary"])


def upload(afar: Afar, path: AnyPath, *, as_json: bool) -> int:
    """Send a fleet to a server."""
    with afar.api() as api:
        fleet = fleet_there(api, path)
        stored = api.get(f"/v1/fleets/{fleet.fleet_id}")
    if as_json:
        document(stored)
    else:
        show(figures([("fleet", fleet.fleet_id, str(path))]))
    return OK


def list_all(afar: Afar, *, as_json: bool) -> int:
    """List the fleets of a server."""
    from slacktide.service.words import counted

    with afar.api() as api:
        found = list(api.items("/v1/fleets"))
    if as_json:
        document(found)
        return OK
    rows = []
    for each in found:
        summary = each["summary"]
        size = f"{counted(summary['hosts'], 'host')}, {counted(summary['vms'], 'VM')}"
        rows.append((each["fleet_id"], size, f"{each['created_at']}, by {each['created_by']}"))
    if rows:
        show(figures(rows))
    else:
        tell("no fleet")
    return OK


def fetch(afar: Afar, fleet_id: AnyPath, output: AnyPath) -> "FleetSummary":
    """Write a fleet of a server's to a directory here."""
    with afar.api() as api:
        fleet = fleet_there(api, fleet_id)
        _write(api, fleet.fleet_id, output)
        return _summary(api.get(f"/v1/fleets/{fleet.fleet_id}")["summary"])


def imported(afar: Afar, asked: dict[str, Any], output: AnyPath | None) -> "tuple[FleetSummary, str]":
    """Have a server ask the live hosts of a profile; return the fleet's figures and a title for them."""
    with afar.api() as api:
        result = result_of(done(api, "/v1/fleets/import", asked, "Asking hosts"))
        if output is not None:
            _write(api, result["fleet_id"], output)
    where = f"fleet {result['fleet_id']} on {api.url}"
    return _summary(result["summary"]), f"Asked the hosts: {where}" if output is None else f"Wrote {where} to {output}"


def _looked_at(api: Api, path: AnyPath) -> dict[str, Any]:
    """Return what a server knows of a fleet: summary and findings."""
    from slacktide.datasets.files import check_snapshot

    with progress("Checking the fleet"):
        if is_id(path):
            stored: dict[str, Any] = api.get(f"/v1/fleets/{path}")
            return stored
        if not all((path / name).is_file() for name in OWN.values()):  # what is missing cannot be sent
            return {"summary": None, "findings": [finding.as_dict() for finding in check_snapshot(path)[1]]}
        found: dict[str, Any] = sent_to(api, "/v1/fleets/check", path)
        return found


def _write(api: Api, fleet_id: str, output: AnyPath) -> None:
    from slacktide.datasets.files import write_snapshot

    write_snapshot(fetched_fleet(api, fleet_id), output)


def _summary(told: dict[str, Any]) -> "FleetSummary":
    from slacktide.datasets.snapshot import FleetMeta
    from slacktide.datasets.summary import FleetSummary

    return FleetSummary(**{**told, "meta": FleetMeta.model_validate(told["meta"])})
