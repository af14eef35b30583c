"""Hosts' links against their stated capacity: each sends to the next, one after the other, for some seconds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from slacktide.errors import ExecutionError
from slacktide.executors.doctor.check import Check
from slacktide.ids import HostId

ENOUGH_SHARE: Final = 0.8
"""Of the stated capacity: TCP's headers and the pace of connections take some per cent, other traffic some more."""
MOST_PAIRS: Final = 64
"""Pairs that are measured, one after the other: each takes its seconds, and the network from others."""

Ask = Callable[..., Any]


class Ear(NamedTuple):
    """A host that can be asked, and where others reach it."""

    ask: Ask
    """``ask(what, **how)``, as :class:`slacktide.executors.doctor.on_host.HostSide` answers."""
    address: str


def link_checks(ears: Mapping[HostId, Ear], stated_mbit_s: Mapping[HostId, int], seconds: float) -> Iterator[Check]:
    """Yield what each host's link carried to the next host, beside what is stated for the narrower of both."""
    for sender, receiver in _pairs(sorted(ears)):
        subject = f"{sender} to {receiver}"
        try:
            got = measured_mbit_s(ears[sender], ears[receiver], seconds)
        except ExecutionError as error:
            yield Check("links", subject, "error", f"{error.fact}", "Mend the network between them, or the firewall")
            continue
        known = [stated_mbit_s[host] for host in (sender, receiver) if host in stated_mbit_s]
        fact = f"{got / 1000:,.2f} Gbit/s measured for {seconds:g} s"
        if not known:
            yield Check("links", subject, "unknown", f"{fact}; nothing is stated", "Give the fleet with --fleet")
            continue
        fact += f", {min(known) / 1000:,.2f} Gbit/s stated"
        if got < ENOUGH_SHARE * min(known):
            remedy = "Mend the link; or state what it carries (--migration-mbit-s), for plans count on it"
            yield Check("links", subject, "error", fact, remedy)
        else:
            yield Check("links", subject, "ok", fact)


def measured_mbit_s(sender: Ear, receiver: Ear, seconds: float) -> float:
    """Return what arrives at one host from another.

    Raises
    ------
    ExecutionError
        If nothing does.
    """
    place = receiver.ask("listen", address=receiver.address, seconds=seconds)
    try:
        sender.ask("send", address=receiver.address, seconds=seconds, **place)
    finally:
        got = receiver.ask("received_mbit_s", port=place["port"])
    return float(got)


def _pairs(hosts: Sequence[HostId]) -> Iterator[tuple[HostId, HostId]]:
    """Yield hosts with the next one, in a ring."""
    if len(hosts) > 1:
        yield from list(zip(hosts, [*hosts[1:], hosts[0]], strict=True))[:MOST_PAIRS]
