"""The checks right before an attempt: what the preflight looked at may have changed since."""

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.errors import words
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.preflight.checks import refusals
from slacktide.executors.preflight.facts import GuestFacts, able, guest_facts, target_facts
from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt

PASSING: Final = frozenset({"busy", "memory"})
"""Rules whose reasons pass by themselves: another attempt may find them gone."""


def check_in_fabric(known: Collection[HostId] | None, request: MigrationRequest) -> None:
    """Refuse a migration from or to a host that its fabric does not know; null: nothing is told where guests are.

    A first plan is refused as a whole for that; of what a revision or an evacuation adds only this is asked.

    Raises
    ------
    DriverError
        With the first of the two hosts that is outside.
    """
    outside = [] if known is None else [host for host in (request.source, request.target) if host not in known]
    if outside:
        fact = f"{outside[0]} is not in the file of --fabric, so not all could be told where the VM is"
        name = "Name every host in it, go on with the campaign by its own command"
        remedy = f"{name}, and have the rest planned anew with `slacktide campaign revise`"
        raise DriverError(f"VM {request.vm_id}", fact, remedy)


def checked(
    hypervisors: Hypervisors, request: MigrationRequest, shared_paths: Collection[PurePosixPath], *, live: bool = True
) -> "tuple[libvirt.virDomain, GuestFacts]":
    """Return a VM on its source, and its facts, if nothing speaks against its going to its target now.

    Raises
    ------
    DriverError
        With the first reason why not, or what a hypervisor said in place of an answer.
    """
    import libvirt

    vm, source, target = request.vm_id, request.source, request.target
    here, there = hypervisors.connection(source), hypervisors.connection(target)
    try:
        domain = here.lookupByName(vm)
        guest = guest_facts(domain, shared_paths)
        found = refusals(guest, vm, source, target, target_facts(there), able(there, guest), now=True, live=live)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            remedy = "Find it, and plan again on the fleet as it is"
            raise DriverError(f"VM {vm}", f"{source} knows no domain of this name", remedy) from error
        fact = f"{source} and {target} cannot be asked about it: {words(error)}"
        raise DriverError(f"VM {vm}", fact, "Look at their libvirtd", retryable=True) from error
    if found:
        first = found[0]
        raise DriverError(f"VM {vm}", first.fact, first.remedy, retryable=first.rule in PASSING)
    return domain, guest
