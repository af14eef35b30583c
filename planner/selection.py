"""Which hosts are due."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from slacktide.planner.policy import Policy


def due(hosts: pl.DataFrame, policy: Policy) -> NDArray[np.bool_]:
    """Return for each row of a snapshot's ``hosts`` whether the policy selects it to be patched.

    Hosts that are to be evacuated are not patched.  Names that the fleet does not have select nothing; :func:`unknown`
    lists them.
    """
    selected = policy.selection.hosts
    if selected == "due":
        rule = pl.col("patch_level") != policy.patch_level
    elif selected == "all":
        rule = pl.lit(True)
    else:
        rule = pl.col("host_id").is_in(list(selected))
    rule = rule & ~pl.col("host_id").is_in([*policy.selection.exclude, *policy.evacuate])
    return hosts.select(pl.col("host_id").is_not_null() & rule).to_series().to_numpy()


def unknown(hosts: pl.DataFrame, policy: Policy) -> tuple[str, ...]:
    """Return the names in the policy's selection, or to evacuate, that the fleet does not have, in its order."""
    named = policy.selection.hosts if isinstance(policy.selection.hosts, tuple) else ()
    known = set(hosts["host_id"])
    return tuple(name for name in (*named, *policy.selection.exclude, *policy.evacuate) if name not in known)
