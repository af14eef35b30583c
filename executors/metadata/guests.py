"""The guests that run on a host, by their network cards and the ports that these are at, as its hypervisor has them."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.metadata.callers import Seen
from slacktide.ids import HostId, VmId

if TYPE_CHECKING:
    import libvirt


def guests_of(hypervisors: Hypervisors, host: HostId) -> dict[Seen, VmId]:
    """Return the running guests of a host; none where it does not answer."""
    import libvirt

    try:
        domains = hypervisors.connection(host).listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    except (DriverError, libvirt.libvirtError):
        return {}
    return {seen: VmId(domain.name()) for domain in domains for seen in cards(_description(domain))}


def _description(domain: "libvirt.virDomain") -> str:
    import libvirt

    try:
        return str(domain.XMLDesc())
    except libvirt.libvirtError:
        return "<domain/>"  # it has ended meanwhile


def cards(description: str) -> list[Seen]:
    """Return where the cards of a running domain are; one without a port is not on a bridge."""
    found = []
    for interface in ET.fromstring(description).iterfind("devices/interface"):
        card, port = interface.find("mac"), interface.find("target")
        if card is not None and port is not None:
            found.append(Seen(card.get("address", "").lower(), port.get("dev", "")))
    return found
