"""Which hosts of a fleet are meant, by id or by a selector; what names none is refused with the nearest names."""

import difflib
import heapq
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from slacktide.errors import UsageError
from slacktide.service.jobs.asked import HostSelector
from slacktide.service.kept_files import fleet_table
from slacktide.service.words import counted

MOST_NEAR: Final = 3
CLOSE: Final = 0.6
"""How alike a name is that may have been meant, of 1."""
MOST_COMPARED: Final = 500
"""Names that are compared letter by letter, which takes a millisecond for each of 200 letters: those that begin and end
most alike."""


def refuse_unknown(fleet: Path, asked: str | HostSelector | tuple[str, ...], field: str) -> None:
    """Refuse hosts that a fleet does not have.

    Parameters
    ----------
    fleet
        The fleet's folder.
    field
        Where in the request the hosts stand.

    Raises
    ------
    UsageError
        If an id is none of the fleet's, or no host is as the selector says.
    """
    if asked in ("due", "all", ()):
        return
    hosts = fleet_table(fleet, "hosts", columns=["host_id", "machine_type", "patch_level"])
    if isinstance(asked, HostSelector):
        selected(asked, hosts, fleet_table(fleet, "domains"), field)
        return
    names = hosts["host_id"].to_list()
    known = set(names)
    unknown = [name for name in asked if name not in known]
    if unknown:
        more = f", and {counted(len(unknown) - 1, 'more name')}" if unknown[1:] else ""
        fact = f"the fleet has no host {unknown[0]}{more}"
        raise UsageError(field, fact, _nearest(unknown[0], names, "Give ids of the fleet"))


def selected(asked: HostSelector, hosts: pl.DataFrame, domains: pl.DataFrame, field: str = "hosts") -> tuple[str, ...]:
    """Return the ids of the hosts that a selector means; errors as :func:`refuse_unknown`."""
    for name, value in (("machine_type", asked.machine_type), ("patch_level", asked.patch_level)):
        if value is not None:
            _refuse_other(value, hosts[name].unique().sort().to_list(), f"{field}.{name}")
            hosts = hosts.filter(pl.col(name) == value)
    if asked.domain is not None:
        kind, name = asked.domain.kind, asked.domain.id
        _refuse_other(kind, domains["kind"].cast(pl.String).unique().sort().to_list(), f"{field}.domain.kind")
        of_kind = domains.filter(pl.col("kind") == kind)
        _refuse_other(name, of_kind["domain_id"].unique().sort().to_list(), f"{field}.domain.id")
        of_domain = of_kind.filter(pl.col("domain_id") == name)
        hosts = hosts.join(of_domain, on="host_id", how="semi", maintain_order="left")
    if hosts.is_empty():
        raise UsageError(field, "no host of the fleet is all that the selector says", "Loosen it, or name hosts by id")
    return tuple(hosts["host_id"])


def _refuse_other(value: str, known: Sequence[str], field: str) -> None:
    if value not in known:
        fact = f"no host of the fleet has {value!r}"
        raise UsageError(field, fact, _nearest(value, known, "Give one that the fleet has"))


def _nearest(name: str, known: Sequence[str], remedy: str) -> str:
    likely = heapq.nlargest(MOST_COMPARED, known, lambda each: _alike_at_the_ends(name, each))
    near = difflib.get_close_matches(name, likely, MOST_NEAR, CLOSE) or list(known[:MOST_NEAR])
    return f"{remedy}, such as {' or '.join(near)}" if near else remedy


def _alike_at_the_ends(one: str, other: str) -> int:
    return _alike_at_first(one, other) + _alike_at_first(one[::-1], other[::-1])


def _alike_at_first(one: str, other: str) -> int:
    return bisect_left(range(1, len(one) + 1), 1, key=lambda letters: not other.startswith(one[:letters]))
