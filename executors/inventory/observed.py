"""The facts of one host and its guests, as its hypervisor tells them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObservedDisk:
    """One disk of a guest."""

    target: str
    """Its name in the guest, such as ``vda``."""
    source: str
    """File, device or volume."""
    copied_mib: int
    """What a migration copies of it: its allocated part, 0 if both hosts see the same storage."""


@dataclass(frozen=True, slots=True)
class ObservedVm:
    """One guest that runs."""

    name: str
    uuid: str
    vcpus: int
    memory_mib: int
    """What it may use."""
    used_mib: int | None
    """What the host has given it so far; null: the hypervisor does not say."""
    persistent: bool
    disks: tuple[ObservedDisk, ...]
    held_by: str
    """What keeps it on its host, such as a device passed through, empty: nothing."""
    cpu_xml: str
    """The processor that it was promised, empty: none that any host could lack."""
    follows_host: bool
    """Whether its processor is its host's, so that it runs on that machine type only."""
    dirty_mib_s: float | None = None
    hot_mib: float | None = None


@dataclass(frozen=True, slots=True)
class ObservedHost:
    """One host that answers."""

    uri: str
    name: str
    uuid: str
    machine: str
    """Vendor, model of its processor, CPUs and memory: hosts with the same words are of one machine type."""
    cpus: int
    memory_mib: int
    software: str
    """Versions of hypervisor and libvirt."""
    vms: tuple[ObservedVm, ...]
    stopped_vms: int
    """Guests that are defined and do not run."""
    runs: tuple[bool, ...] = ()
    """Whether it could run guests with each of the processors that were asked about."""
