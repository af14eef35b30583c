"""Asking both hypervisors where a VM is, and clearing away what a migration that did not end well left there."""

from typing import TYPE_CHECKING, Final, NamedTuple

from slacktide.errors import DriverError
from slacktide.executors.drivers.live.hypervisors import Hypervisors
from slacktide.executors.drivers.live.verdict import GuestState, Verdict, verdict
from slacktide.ids import HostId, VmId

if TYPE_CHECKING:
    import libvirt

POSTCOPY_FAILED: Final = 12
"""``VIR_DOMAIN_RUNNING_POSTCOPY_FAILED``, which older bindings have no name for."""


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
        state = _migrating(domain) if is_source else None
        return Answer(state or _state(*domain.state(), is_source=is_source), domain.UUIDString())
    except DriverError:
        return Answer(GuestState.UNKNOWN, "")
    except libvirt.libvirtError as error:
        absent = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        return Answer(GuestState.ABSENT if absent else GuestState.UNKNOWN, "")


def _migrating(domain: "libvirt.virDomain") -> GuestState | None:
    import libvirt

    try:
        under_way = domain.jobStats().get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
    except libvirt.libvirtError:
        return None  # it is off, and has no job
    return GuestState.MIGRATING if under_way else None


def _state(state: int, reason: int, *, is_source: bool) -> GuestState:
    import libvirt

    if state == libvirt.VIR_DOMAIN_RUNNING and not is_source:
        if reason == libvirt.VIR_DOMAIN_RUNNING_POSTCOPY:
            return GuestState.MIGRATING
        if reason == POSTCOPY_FAILED:
            return GuestState.TORN
    if state == libvirt.VIR_DOMAIN_PAUSED:
        if reason in (libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED):
            return GuestState.TORN
        if reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION:
            return GuestState.SENT if is_source else GuestState.INCOMING
        if reason == libvirt.VIR_DOMAIN_PAUSED_STARTING_UP:
            return GuestState.INCOMING
    if state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTDOWN):
        return GuestState.OFF
    return GuestState.ENDED if state == libvirt.VIR_DOMAIN_CRASHED else GuestState.RUNNING


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
            domain = hypervisors.connection(source).lookupByName(vm)
            persistent = domain.isPersistent()
            domain.destroy()
            if persistent:
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
    except libvirt.libvirtError as error:
        fact = f"cannot be cleared up: {error.get_error_message()}"
        raise DriverError(f"VM {vm}", fact, f"Look at {source} and {target}", retryable=True) from error
