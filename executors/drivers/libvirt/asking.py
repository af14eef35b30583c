"""Asking both hypervisors where a VM is, and clearing away what a migration that did not end well left there."""

from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from slacktide.errors import DriverError
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.libvirt.verdict import GuestState, Verdict, verdict
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.preflight.facts import cards_of
from slacktide.ids import HostId, VmId

if TYPE_CHECKING:
    import libvirt

RUNNING, PAUSED, SHUTTING_DOWN, SHUT_OFF, CRASHED = 1, 3, 4, 5, 6
"""``virDomainState``; where a state is not told apart below, the guest is there as a whole."""
_BY_STATE: Final = {SHUTTING_DOWN: GuestState.OFF, SHUT_OFF: GuestState.OFF, CRASHED: GuestState.ENDED}
_POSTCOPY_FAILED: Final = (PAUSED, 13)
_ON_SOURCE: Final = {
    (PAUSED, 2): GuestState.SENT,
    (PAUSED, 11): GuestState.INCOMING,
    (PAUSED, 12): GuestState.TORN,
    _POSTCOPY_FAILED: GuestState.TORN,
}
"""By state and reason, the latter of ``virDomainPausedReason``: migration, starting up, post-copy, failed post-copy."""
_ON_TARGET: Final = _ON_SOURCE | {
    (PAUSED, 2): GuestState.INCOMING,
    (RUNNING, 10): GuestState.MIGRATING,
    (RUNNING, 11): GuestState.TORN,
}
"""As on the source, and ``virDomainRunningReason``: post-copy, failed post-copy."""


class Answer(NamedTuple):
    """What one hypervisor says of a VM."""

    state: GuestState
    uuid: str
    """Empty where it is not there."""


class Answers(NamedTuple):
    """What both say."""

    source: GuestState
    target: GuestState

    @property
    def verdict(self) -> Verdict:
        """Where the VM is."""
        return verdict(self.source, self.target)


def ask_both(hypervisors: Hypervisors, vm: VmId, source: HostId, target: HostId) -> Answers:
    """Return what source and target say of a VM; another one of its name on the target is not it."""
    here = ask(hypervisors, vm, source, is_source=True)
    there = ask(hypervisors, vm, target, is_source=False)
    other = here.uuid and there.uuid and here.uuid != there.uuid
    return Answers(here.state, GuestState.ABSENT if other else there.state)


def ask(hypervisors: Hypervisors, vm: VmId, host: HostId, *, is_source: bool) -> Answer:
    """Return what a host says of a VM."""
    import libvirt

    try:
        domain = hypervisors.connection(host).lookupByName(vm)
        under_way = is_source and _migrates(domain)  # asked first: a state is final only where no job is left
        state = state_of(*domain.state(), is_source=is_source, under_way=under_way)
        return Answer(state, domain.UUIDString())
    except DriverError:
        return Answer(GuestState.UNKNOWN, "")
    except libvirt.libvirtError as error:
        absent = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        return Answer(GuestState.ABSENT if absent else GuestState.UNKNOWN, "")


def cards_anywhere(hypervisors: Hypervisors, request: MigrationRequest) -> tuple[str, ...] | None:
    """Return the MAC addresses of a VM's network cards, from its target or else its source; None: neither says."""
    import libvirt

    for host in (request.target, request.source):
        try:
            domain = hypervisors.connection(host).lookupByName(request.vm_id)
            return cards_of(ET.fromstring(domain.XMLDesc()))
        except (DriverError, libvirt.libvirtError):
            continue
    return None


def _migrates(domain: "libvirt.virDomain") -> bool:
    import libvirt

    try:
        return bool(domain.jobStats().get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
    except libvirt.libvirtError:
        return False  # it is off, and has no job


def is_torn(domain: "libvirt.virDomain") -> bool:
    """Return whether a domain's host says that its post-copy has failed."""
    import libvirt

    try:
        state, reason = domain.state()
    except libvirt.libvirtError:
        return False  # the end of the migration's own call says more
    return (state, reason) == _POSTCOPY_FAILED


def state_of(state: int, reason: int, *, is_source: bool, under_way: bool) -> GuestState:
    """Return what libvirt's state of a domain, and its reason, say of a VM.

    ``under_way``: its host has a migration of it as its job.  That job stays when a post-copy has failed, for whoever
    might recover it; the reason says so, and counts more.
    """
    if under_way and (state, reason) != _POSTCOPY_FAILED:
        return GuestState.MIGRATING
    known = _ON_SOURCE if is_source else _ON_TARGET
    return known.get((state, reason)) or _BY_STATE.get(state, GuestState.RUNNING)


def clear(hypervisors: Hypervisors, found: Verdict, vm: VmId, source: HostId, target: HostId) -> None:
    """Do what a verdict asks for: no second copy stays, and a guest that waits on its source goes on.

    Raises
    ------
    DriverError
        If a hypervisor does not do it; nothing else was touched.
    """
    import libvirt

    try:
        if found.discard_on_target:
            hypervisors.connection(target).lookupByName(vm).destroy()
        if found.resume_on_source:
            hypervisors.connection(source).lookupByName(vm).resume()
        if found.discard_on_source:
            stays = hypervisors.connection(target).lookupByName(vm).isPersistent()
            _discard(hypervisors.connection(source).lookupByName(vm), undefine=bool(stays))
    except libvirt.libvirtError as error:
        fact = f"cannot be cleared up: {error.get_error_message()}"
        raise DriverError(f"VM {vm}", fact, f"Look at {source} and {target}", retryable=True) from error


def _discard(domain: "libvirt.virDomain", *, undefine: bool) -> None:
    """End a domain, and have its host forget it; ``undefine`` is false where this host alone has its definition."""
    import libvirt

    persistent = domain.isPersistent()
    if domain.isActive():
        domain.destroy()
    if persistent and undefine:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
