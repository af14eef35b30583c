"""Whether five tables are a fleet snapshot: each by itself, all together, and their topology."""

from collections.abc import Mapping

import polars as pl

from slacktide.datasets.columns import TOO_LONG, cast_table, row_findings, structure_findings, with_optional
from slacktide.datasets.digest import in_key_order
from slacktide.datasets.listing import ROW
from slacktide.datasets.references import reference_findings
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FleetMeta, FleetSnapshot
from slacktide.errors import InputError
from slacktide.findings import Finding, errors_in
from slacktide.topology.soundness import topology_findings

Findings = tuple[Finding, ...]


def checked_tables(tables: Mapping[str, pl.DataFrame]) -> tuple[dict[str, pl.DataFrame], Findings]:
    """Return tables cast to their schemas and sorted by key, and every finding about them.

    ``tables`` are as read, in any order of rows; one that is not there has been found missing already, and rules that
    need it are left out.  Tables without the right columns, or with names that are too long, are not returned; the
    others are usable if there is no finding of severity ``error``.
    """
    findings: list[Finding] = []
    flawless: set[str] = set()
    sound: dict[str, pl.DataFrame] = {}
    for name, schema in TABLES.items():
        if name not in tables:
            continue
        wrong = list(structure_findings(name, schema, tables[name]))
        findings += wrong
        if not wrong:
            numbered = with_optional(name, schema, tables[name]).with_row_index(ROW)
            wrong = list(row_findings(name, schema, numbered))
            findings += wrong
            if not errors_in(wrong):
                flawless.add(name)
            if not any(finding.rule == TOO_LONG for finding in wrong):  # else others would tell such names too
                sound[name] = cast_table(schema, numbered)
    findings += reference_findings(sound)
    if flawless >= {"hosts", "links", "domains"} and len(sound["hosts"]):
        findings += _topology_findings(sound)
    return {name: in_key_order(table.drop(ROW), TABLES[name].primary_key()) for name, table in sound.items()}, tuple(
        findings
    )


def _topology_findings(tables: Mapping[str, pl.DataFrame]) -> Findings:
    """Return what is wrong with the links; hosts without a rack are left to the rule about ``rack_id``."""
    domains = tables["domains"].filter(pl.col("kind") != "rack")
    return topology_findings(tables["hosts"]["host_id"], tables["links"].drop(ROW), domains.drop(ROW))


def snapshot_findings(snapshot: FleetSnapshot) -> Findings:
    """Return every finding about a snapshot in memory; row numbers are those of its tables."""
    return checked_tables({name: getattr(snapshot, name) for name in TABLES})[1]


def checked_snapshot(meta: FleetMeta, tables: Mapping[str, pl.DataFrame], subject: str) -> FleetSnapshot:
    """Return the snapshot that all five ``tables`` make.

    Raises
    ------
    InputError
        With every finding, if one has severity ``error``.
    """
    checked, findings = checked_tables(tables)
    refuse_errors(findings, subject)
    return FleetSnapshot(meta=meta, **checked)


def refuse_errors(findings: Findings, subject: str) -> None:
    """Raise InputError with all ``findings`` if one of them has severity ``error``."""
    errors = len(errors_in(findings))
    if errors:
        fact = f"the fleet snapshot has {errors} error{'s' if errors > 1 else ''}"
        raise InputError(subject, fact, "Correct what is listed, then try again", errors_first(findings))


def errors_first(findings: Findings) -> Findings:
    """Return errors before warnings, each in the order found."""
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
