"""How many migrations others start at once, as constants per host and per cluster."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slacktide.errors import UsageError

TEN_GBIT_S: Final = 10_000
"""NIC from which on vSphere allows 8 migrations a host; below it allows 4."""


@dataclass(frozen=True, slots=True)
class StreamRule:
    """At most so many migrations at once; None: no limit."""

    name: str
    outgoing: int | None = None
    """From one host."""
    incoming: int | None = None
    """To one host."""
    cluster: int | None = None
    outgoing_slow: int | None = None
    """From or to one host whose NIC is below :data:`TEN_GBIT_S`, in place of both of the above."""

    def per_host(self, nic_mbit_s: NDArray[np.int64], none: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what each host may send and receive at once; ``none`` stands for no limit."""
        slow = nic_mbit_s < TEN_GBIT_S
        outgoing, incoming = (
            np.full(len(nic_mbit_s), none if most is None else most) for most in (self.outgoing, self.incoming)
        )
        if self.outgoing_slow is not None:
            outgoing, incoming = (np.where(slow, self.outgoing_slow, each) for each in (outgoing, incoming))
        return outgoing.astype(np.int64), incoming.astype(np.int64)


RULES: Final[dict[str, StreamRule]] = {
    rule.name: rule
    for rule in (
        StreamRule("kubevirt", outgoing=2, cluster=5),
        StreamRule("nova", outgoing=1),
        StreamRule("vsphere", outgoing=8, incoming=8, outgoing_slow=4),
        StreamRule("ovirt", outgoing=2, incoming=2),
    )
}
"""Defaults of others: KubeVirt's ``parallelOutboundMigrationsPerNode`` 2 and ``parallelMigrationsPerCluster`` 5; Nova's
``max_concurrent_live_migrations`` 1 on the source; vSphere's 8 a host at 10 Gbit/s and 4 below; oVirt's 2 each way."""

ONE_PER_NIC: Final = StreamRule("one-per-nic", outgoing=1, incoming=1)
"""One stream at a time out of and into every host, each at full rate: the best constant where all links are equal."""


def stream_rule(text: str) -> StreamRule:
    """Return a rule by name, or from ``N:M``: N migrations from and to each host, M in the cluster.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if text in RULES:
        return RULES[text]
    host, colon, cluster = text.partition(":")
    if colon and host.isdecimal() and cluster.isdecimal() and int(host) > 0 and int(cluster) > 0:
        return StreamRule(text, int(host), int(host), int(cluster))
    raise UsageError(
        f"constants {text!r}",
        "are neither a known name nor two numbers above 0",
        f"Give one of {', '.join(RULES)}, or N:M for N migrations per host and M per cluster, such as 2:50",
    )
