"""What maintenance asks of a host of libvirt: that no guest runs on it before, and that its libvirtd is back after."""

import time
from dataclasses import dataclass
from typing import Final

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.errors import words
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.ids import HostId

ASK_AGAIN_S: Final = 0.5
NAMED: Final = 5
"""Guests that a reason names."""


@dataclass(frozen=True, slots=True)
class PatchedHost:
    """A drained host, asked over libvirt."""

    host_id: HostId
    hypervisors: Hypervisors

    def obstacle(self) -> str | None:
        """Return why the host must not be touched now, None: nothing runs on it.

        A plan knows the guests that were there when it was made; one that somebody has started since would be lost.
        """
        import libvirt

        try:
            running = self.hypervisors.connection(self.host_id).listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            names = sorted(domain.name() for domain in running)
        except DriverError as error:
            return str(error)
        except libvirt.libvirtError as error:
            return f"its libvirtd does not say what runs on it: {words(error)}"
        if not names:
            return None
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"{', '.join(names[:NAMED])}{more} run on it, which the plan does not know of"

    def wait(self) -> None:
        """Return once the host's libvirtd answers; that it takes too long is the coordinator's to say."""
        while True:
            try:
                self.hypervisors.renew(self.host_id)
            except DriverError:
                time.sleep(ASK_AGAIN_S)
            else:
                return
