"""The VMs of a service stay apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl

from slacktide.findings import Finding
from slacktide.planner.replay import Ints, Replay, ints
from slacktide.planner.sweep import excess, levels

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


@dataclass(frozen=True, slots=True)
class ServiceSpread:
    """In each domain of its kind a service has at most ``max_per_domain`` VMs, or as many as at the start.

    A VM that migrates counts in the domains of both hosts, once where they are the same.
    """

    rule: ClassVar[str] = "service-spread"

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Limit how many VMs of each service are in a domain at once."""
        services, vms = problem.services, problem.vms
        for service, kind in enumerate(services.spread_kind.tolist()):
            if kind < 0:
                continue
            domain = services.spread_domains[kind]
            members = np.flatnonzero(vms.service == service)
            for number in np.unique(domain[domain >= 0]).tolist():
                hosts = frozenset(np.flatnonzero(domain == number).tolist())
                stays = encoding.stays_in(members.tolist(), hosts)
                at_start = int((domain[vms.host[members]] == number).sum())
                limit = max(int(services.spread_limit[service]), at_start)
                encoding.cumulative([stay.interval for stay in stays], [1] * len(stays), limit)

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield services that are too close together: the first moment and the peak."""
        services = replay.snapshot.services
        bound = services["spread_over"].is_not_null() & services["max_per_domain"].is_not_null()
        for kind in services["spread_over"].filter(bound).cast(pl.String).unique().sort().to_list():
            found = replay.domain_of(kind)
            if found is None:
                fact = f"no host is in a failure domain of kind {kind}, over which services are to spread"
                remedy = f"Add domains of kind {kind} to the snapshot, or spread the services over another"
                yield Finding(self.rule, fact, remedy, "warning", (kind,))
                continue
            of_kind = (bound & (services["spread_over"].cast(pl.String) == kind)).fill_null(False).to_numpy()
            yield from self._of_kind(replay, kind, *found, of_kind)

    def _of_kind(
        self, replay: Replay, kind: str, domain: Ints, names: tuple[str, ...], of_kind: np.ndarray
    ) -> Iterator[Finding]:
        services, vms, moves = replay.snapshot.services, replay.vms, replay.moves
        most = ints(services["max_per_domain"].cast(pl.Int64).fill_null(0))
        service = vms.service[moves.vm]
        crossing = (service >= 0) & of_kind[service] & (domain[moves.was_on] != domain[moves.target])
        entering = crossing & (domain[moves.target] >= 0)
        leaving = crossing & (domain[moves.was_on] >= 0)
        resident = np.flatnonzero((vms.service >= 0) & of_kind[vms.service] & (domain[vms.host] >= 0))
        key = np.concatenate(
            [
                vms.service[resident] * len(names) + domain[vms.host[resident]],
                service[entering] * len(names) + domain[moves.target[entering]],
                service[leaving] * len(names) + domain[moves.was_on[leaving]],
            ]
        )
        codes, place = np.unique(key, return_inverse=True)
        base = np.bincount(place[: len(resident)], minlength=len(codes))
        swept = levels(
            place[len(resident) :],
            np.concatenate([moves.start_s[entering], moves.end_s[leaving]]),
            np.repeat([1, -1], [entering.sum(), leaving.sum()]),
            base,
        )
        over = excess(swept, np.maximum(most[codes // len(names)] if len(codes) else base, base))
        for code, at_s, peak in zip(codes[over.key].tolist(), over.at_s.tolist(), over.peak.tolist(), strict=True):
            name, where = services["service_id"][code // len(names)], names[code % len(names)]
            yield Finding(
                self.rule,
                f"{name} has up to {peak} VMs in {kind} {where}; it allows {most[code // len(names)]}",
                "Choose a target in another domain, or a later start",
                subjects=(name, where),
                at_s=at_s,
            )
