"""What maintenance asks of a host of libvirt: no guest runs on it before, or all run on; its libvirtd is back after."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.errors import words
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.maintenance.runner import Obstacle
from slacktide.ids import HostId

ASK_AGAIN_S: Final = 0.5
NAMED: Final = 5
"""Guests that a reason names."""


@dataclass(frozen=True, slots=True)
class PatchedHost:
    """A host that is out, asked over libvirt."""

    host_id: HostId
    hypervisors: Hypervisors
    in_place: bool = False
    """Guests may run on it."""

    def obstacle(self) -> Obstacle | None:
        """Return why the host must not be touched now, None: nothing runs on it.

        A plan knows the guests that were there when it was made; one that somebody has started since would be lost.
        """
        if self.in_place:
            return None
        try:
            names = self._running()
        except DriverError as error:
            return Obstacle(str(error))
        return Obstacle(f"{_some(names)} run on it, which the plan does not know of", occupied=True) if names else None

    def _running(self) -> tuple[str, ...]:
        """Return the guests that run on the host.

        Raises
        ------
        DriverError
            If it does not say.
        """
        import libvirt

        connection = self.hypervisors.connection(self.host_id)
        try:
            running = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            return tuple(sorted(domain.name() for domain in running))
        except libvirt.libvirtError as error:
            fact = f"its libvirtd does not say what runs on it: {words(error)}"
            raise DriverError(f"host {self.host_id}", fact, "Look at its libvirtd", retryable=True) from error

    def guests(self) -> tuple[str, ...]:
        """Return the guests that have to run on it after the patch as they do now, none if it is drained.

        Raises
        ------
        DriverError
            If it does not say.
        """
        return self._running() if self.in_place else ()

    def harm(self, guests: Sequence[str]) -> str | None:
        """Return in words which of these guests the patch has ended, None: none.

        Guests that have shut themselves down meanwhile, or were moved or saved by somebody, are none of the patch's.
        """
        ended = [guest for guest in guests if self._was_ended(guest)]
        if not ended:
            return None
        fact = f"{_some(ended)} ran before the patch in place and not after it"
        return f"{fact}. Start them, and drain hosts for such a patch: leave in_place out of the policy"

    def _was_ended(self, guest: str) -> bool:
        """Return whether a guest is off that has not gone by itself, asking until the host answers."""
        import libvirt

        by_itself = {
            libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN,
            libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED,
            libvirt.VIR_DOMAIN_SHUTOFF_SAVED,
        }
        while True:
            try:
                state, reason = self.hypervisors.connection(self.host_id).lookupByName(guest).state()
            except DriverError:
                time.sleep(ASK_AGAIN_S)
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return True
                time.sleep(ASK_AGAIN_S)
            else:
                off = state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)
                return off and not (state == libvirt.VIR_DOMAIN_SHUTOFF and reason in by_itself)

    def wait(self) -> None:
        """Return once the host's libvirtd answers; that it takes too long is the coordinator's to say."""
        while True:
            try:
                self.hypervisors.renew(self.host_id)
            except DriverError:
                time.sleep(ASK_AGAIN_S)
            else:
                return


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
