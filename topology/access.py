"""Access classes: hosts that hang on the same switches send and receive along the same routes."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True, eq=False)
class AccessClasses:
    """Hosts grouped by the switches that their links lead to and come from.

    Classes are numbered by the first host in them.
    """

    of_host: NDArray[np.int32]
    """Class of each host, shape (hosts,)."""
    entries: "sparse.csr_array[np.float64]"
    """1 where the hosts of a class have a link to a switch, shape (classes, switches)."""
    exits: "sparse.csr_array[np.float64]"
    """1 where the hosts of a class have a link from a switch, shape (classes, switches)."""

    def __len__(self) -> int:
        return int(self.entries.shape[0])


def access_classes(hosts: int, switches: int, tail: NDArray[np.integer], head: NDArray[np.integer]) -> AccessClasses:
    """Return the access classes of ``hosts`` hosts; nodes of links are numbered hosts first, then switches.

    Links between two hosts carry nothing and are left out.
    """
    out = (tail < hosts) & (head >= hosts)
    into = (tail >= hosts) & (head < hosts)
    signature = (
        pl.DataFrame({"host": np.arange(hosts, dtype=np.int32)})
        .join(_listed(tail[out], head[out] - hosts, "out"), on="host", how="left", maintain_order="left")
        .join(_listed(head[into], tail[into] - hosts, "into"), on="host", how="left", maintain_order="left")
        .with_columns(pl.col("out", "into").fill_null(""))
    )
    distinct = signature.unique(["out", "into"], keep="first", maintain_order=True)
    numbered = distinct.select("out", "into").with_row_index("class")
    of_host = signature.join(numbered, on=["out", "into"], how="left", maintain_order="left")["class"]
    first = distinct["host"].to_numpy()
    ones = np.ones(len(tail))
    all_out = sparse.csr_array((ones[out], (tail[out], head[out] - hosts)), shape=(hosts, switches))
    all_into = sparse.csr_array((ones[into], (head[into], tail[into] - hosts)), shape=(hosts, switches))
    return AccessClasses(of_host.to_numpy().astype(np.int32), all_out[first], all_into[first])


def _listed(host: NDArray[np.integer], switch: NDArray[np.integer], name: str) -> pl.DataFrame:
    return (
        pl.DataFrame({"host": host.astype(np.int32), name: switch})
        .unique()
        .sort("host", name)
        .with_columns(pl.col(name).cast(pl.String))
        .group_by("host", maintain_order=True)
        .agg(name)
        .with_columns(pl.col(name).list.join(","))
    )
