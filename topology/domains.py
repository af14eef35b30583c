"""Failure domains: which hosts fail together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.errors import InputError, UsageError
from slacktide.findings import Finding

FILE = "domains.parquet"


@dataclass(frozen=True, eq=False)
class FailureDomains:
    """The domain of every host, for each kind of failure domain (rack, power feed, row and so on)."""

    members: Mapping[str, NDArray[np.int32]]
    """Kind -> domain of each host as a place in :meth:`names`, shape (hosts,); -1: in no domain of that kind."""
    ids: Mapping[str, tuple[str, ...]]
    """Kind -> ids of its domains, sorted."""

    @classmethod
    def from_table(cls, host_ids: Sequence[str], domains: pl.DataFrame) -> "FailureDomains":
        """Return the domains of the sorted ``host_ids`` as ``domains`` (host_id, kind, domain_id) gives them.

        Raises
        ------
        InputError
            If ``domains`` names an unknown host, or a host twice for one kind.
        """
        hosts = pl.DataFrame({"host_id": pl.Series(host_ids, dtype=pl.String)}).with_row_index("host")
        rows = domains.select("host_id", "kind", "domain_id").with_row_index("row")
        rows = rows.join(hosts, on="host_id", how="left", maintain_order="left")
        _refuse_wrong(rows)
        members: dict[str, NDArray[np.int32]] = {}
        ids: dict[str, tuple[str, ...]] = {}
        for (kind,), part in sorted(rows.partition_by("kind", as_dict=True).items()):
            names = part["domain_id"].unique().sort()
            places = pl.DataFrame({"domain_id": names}).with_row_index("domain")
            domain = part.select("domain_id").join(places, on="domain_id", how="left", maintain_order="left")["domain"]
            member = np.full(len(hosts), -1, dtype=np.int32)
            member[part["host"].to_numpy()] = domain.to_numpy()
            member.flags.writeable = False
            members[str(kind)] = member
            ids[str(kind)] = tuple(names.to_list())
        return cls(members, ids)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that there are, sorted."""
        return tuple(self.members)

    def of(self, kind: str) -> NDArray[np.int32]:
        """Return each host's domain as a place in :meth:`names`, shape (hosts,); -1: in none.

        Raises
        ------
        UsageError
            If there is no domain of that kind.
        """
        self._require(kind)
        return self.members[kind]

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the sorted ids of the domains of ``kind``; raises like :meth:`of`."""
        self._require(kind)
        return self.ids[kind]

    def sizes(self, kind: str) -> NDArray[np.int64]:
        """Return how many hosts each domain of ``kind`` has, shape (domains,); raises like :meth:`of`."""
        member = self.of(kind)
        return np.bincount(member[member >= 0], minlength=len(self.ids[kind])).astype(np.int64)

    def _require(self, kind: str) -> None:
        if kind not in self.members:
            known = ", ".join(self.kinds) or "none"
            raise UsageError(
                f"failure domain kind {kind!r}",
                f"no host is in a domain of this kind (kinds known: {known})",
                f"Name one of the known kinds, or add rows of kind {kind!r} to {FILE}",
            )


def _refuse_wrong(rows: pl.DataFrame) -> None:
    unknown = rows.filter(pl.col("host").is_null())
    twice = rows.filter(~pl.struct("host_id", "kind").is_first_distinct())
    findings = [
        Finding(
            rule="domain-host",
            message=f"host {row['host_id']} {fact}",
            remedy=remedy,
            subjects=(row["host_id"],),
            file=FILE,
            row=row["row"],
        )
        for bad, fact, remedy in (
            (unknown, "is not in hosts.parquet", "Add the host or remove the row."),
            (twice, "is in two domains of one kind", "Keep one of the rows."),
        )
        for row in bad.iter_rows(named=True)
    ]
    if findings:
        raise InputError(FILE, f"{len(findings)} rows do not fit the hosts", "Correct these rows", findings)
