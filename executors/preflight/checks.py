"""Why a migration would be refused, or would end badly, from facts alone.

Each rule is one function that yields what is wrong, as a fact and a remedy, or nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from slacktide.executors.preflight.facts import GuestFacts, GuestOnTarget, TargetFacts
from slacktide.executors.preflight.lacks import TAKEN
from slacktide.ids import HostId, VmId


class Refusal(NamedTuple):
    """One reason why a VM could not go from one host to another."""

    rule: str
    vm_id: VmId
    source: HostId
    target: HostId
    fact: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return self._asdict()


class Move(NamedTuple):
    """What one migration would be, and what is known of those who take part."""

    guest: GuestFacts
    source: HostId
    target: HostId
    on_target: TargetFacts
    lacks: GuestOnTarget
    now: bool


Reason = tuple[str, str]
"""A fact and a remedy."""


def refusals(
    guest: GuestFacts | None,
    vm_id: VmId,
    source: HostId,
    target: HostId,
    target_facts: TargetFacts,
    on_target: GuestOnTarget | None,
    *,
    now: bool,
    live: bool = True,
) -> tuple[Refusal, ...]:
    """Return every reason why a VM could not go to ``target``, in the order of the rules; none: it could.

    Parameters
    ----------
    guest
        None: its source does not know such a domain, and nothing else is looked at.
    on_target
        What the target lacks for it; None: it was not asked.
    now
        Whether it would go at once, so that what the target's memory holds now counts; else only what it can hold.
    live
        Whether it keeps running; else it is shut down and started on the target, and :data:`LIVE_RULES` do not matter.
    """
    if guest is None:
        fact = f"{source} knows no domain of this name"
        return (Refusal("not-running", vm_id, source, target, fact, MOVED_REMEDY),)
    move = Move(guest, source, target, target_facts, on_target or GuestOnTarget(), now)
    rules = RULES if live else {name: rule for name, rule in RULES.items() if name not in LIVE_RULES} | RESTART_RULES
    return tuple(
        Refusal(rule, vm_id, source, target, fact, remedy)
        for rule, reasons in rules.items()
        for fact, remedy in reasons(move)
    )


MOVED_REMEDY: Final = "Bring it back, or import the fleet as it is now and plan again"


def _not_running(move: Move) -> Iterator[Reason]:
    if not move.guest.running:
        remedy = "Start or resume it, or import the fleet as it is now and plan again"
        yield f"it does not run on {move.source}: it is {move.guest.state}", remedy


def _busy(move: Move) -> Iterator[Reason]:
    if move.guest.job:
        fact = f"{move.source} is busy with it: {move.guest.job}"
        yield fact, f"Wait until that has ended, or end it: `virsh domjobabort {move.guest.name}`, or blockjob --abort"


def _device(move: Move) -> Iterator[Reason]:
    if move.guest.held_by:
        yield f"it cannot leave {move.source}: {move.guest.held_by}", "Detach that, or have the VM pinned in the fleet"


def _snapshots(move: Move) -> Iterator[Reason]:
    if number := move.guest.snapshots:
        fact = f"{move.source} keeps {number} snapshot{'s' if number > 1 else ''} of it, with which no guest may leave"
        yield fact, f"Delete them: `virsh snapshot-delete {move.guest.name}`, with --metadata to keep what they hold"


def _same_host(move: Move) -> Iterator[Reason]:
    if move.guest.host_uuid == move.on_target.uuid:
        fact = f"{move.source} and {move.target} have one host UUID, {move.on_target.uuid}; libvirt takes them for one"
        yield fact, f"Set a host_uuid of its own in {move.target}'s libvirtd.conf, and restart its libvirtd"


def _name_clash(move: Move) -> Iterator[Reason]:
    for other in move.on_target.domains:
        if other.name == move.guest.name and other.uuid != move.guest.uuid:
            fact = f"{move.target} has another domain of this name, UUID {other.uuid}"
            yield fact, f"Rename or undefine that one on {move.target}: `virsh domrename`, `virsh undefine`"


def _uuid_clash(move: Move) -> Iterator[Reason]:
    for other in move.on_target.domains:
        if other.uuid != move.guest.uuid:
            continue
        if other.name != move.guest.name:
            fact = f"{move.target} has its UUID {other.uuid} under the name {other.name}"
            yield fact, f"Undefine {other.name} on {move.target}, or define it with a UUID of its own"
        elif other.active and not move.guest.job:  # while it migrates it is on both
            fact = f"{move.target} runs it already, UUID {other.uuid}"
            yield fact, f"Find out whether {move.source} or {move.target} runs the right one before you end the other"


def _memory(move: Move) -> Iterator[Reason]:
    needed_mib, facts = move.guest.memory_mib, move.on_target
    if needed_mib > facts.memory_mib:
        fact = f"it may use {needed_mib:,} MiB, {move.target} has {facts.memory_mib:,} MiB in all"
        yield fact, "Plan it to a larger host"
    elif move.now and needed_mib > facts.available_mib:
        fact = f"it may use {needed_mib:,} MiB, {move.target} has {facts.available_mib:,} MiB available"
        yield fact, f"Wait until others have left {move.target}, or free memory there"


def _cpu(move: Move) -> Iterator[Reason]:
    if move.lacks.cpu:
        model = ET.fromstring(move.guest.cpu_xml).findtext("model") if move.guest.cpu_xml else None
        fact = f"{move.target} cannot give it its processor{f' {model}' if model else ''}: {move.lacks.cpu}"
        yield fact, "Plan it to a host that can, or give it an older model and restart it before"


def _machine(move: Move) -> Iterator[Reason]:
    if move.lacks.machine:
        wanted = f"{move.guest.machine} ({move.guest.arch}, {move.guest.virt_type})"
        fact = f"{move.target} ({move.on_target.software}) does not make its machine {wanted}: {move.lacks.machine}"
        yield fact, f"Bring {move.target}'s QEMU to the version of {move.source}'s, or plan it to a host that has it"


def _network(move: Move) -> Iterator[Reason]:
    for name in move.lacks.networks:
        fact = f"{move.target} has no active libvirt network {name}"
        remedy = f"Define and start it there: `virsh net-dumpxml {name}` on {move.source} describes it"
        yield fact, remedy


def _storage(move: Move) -> Iterator[Reason]:
    for words in move.lacks.disks:
        fact = f"{move.target} has no place for its disk {words}"
        remedy = f"Make room or a pool of that folder on {move.target} (`virsh pool-create-as`)"
        if TAKEN in words:
            remedy = f"Delete or rename that file on {move.target} if nothing needs it, such as a copy left behind"
        yield fact, f"{remedy}; name the folder with --shared-path if all hosts see it"


def _disks_stay(move: Move) -> Iterator[Reason]:
    if copied := [disk.target for disk in move.guest.disks if disk.copied_mib]:
        fact = f"it has disks on {move.source} alone ({', '.join(copied)}), which do not move with it while it is off"
        yield fact, "Let it move live, or bring its disks to storage that both hosts see"


def _transient(move: Move) -> Iterator[Reason]:
    if not move.guest.persistent:
        yield "it is transient: it is gone once it is shut down", "Define it, so that it can be started"


RULES: Final[dict[str, Callable[[Move], Iterator[Reason]]]] = {
    "not-running": _not_running,
    "busy": _busy,
    "device": _device,
    "snapshots": _snapshots,
    "same-host": _same_host,
    "name-clash": _name_clash,
    "uuid-clash": _uuid_clash,
    "memory": _memory,
    "cpu": _cpu,
    "machine": _machine,
    "network": _network,
    "storage": _storage,
}
"""Every rule by its name; those of the guest alone come first."""
RESTART_RULES: Final[dict[str, Callable[[Move], Iterator[Reason]]]] = {
    "disks-stay": _disks_stay,
    "transient": _transient,
}
"""Rules for a VM that is shut down and started on its target."""
GUEST_RULES: Final = frozenset({"not-running", "busy", "device", "snapshots", "disks-stay", "transient"})
"""Rules of the guest alone, the same for every target."""
LIVE_RULES: Final = frozenset({"cpu"})
"""Rules that do not matter to a VM that is shut down and started elsewhere: what its processor is comes out there."""
