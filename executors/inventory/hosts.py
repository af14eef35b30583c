"""Live hosts, asked all at once over their libvirt connections."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from slacktide.errors import ExecutionError, UsageError
from slacktide.executors.certificates import Reason, client_reasons, server_reasons
from slacktide.executors.inventory.dirty_rates import measured
from slacktide.executors.inventory.domain import observed_vm
from slacktide.executors.inventory.observed import ObservedHost, ObservedVm

if TYPE_CHECKING:
    import libvirt

AT_ONCE: Final = 32
"""Hosts that are asked at the same time."""
Told = Callable[[float | None, str], None]


def observe(
    uris: Sequence[str], shared: Collection[PurePosixPath], measure_s: int | None, told: Told
) -> list[ObservedHost]:
    """Return what the hosts at these addresses say, in the same order; all of them answer, or this fails.

    Dirty rates are measured over windows of one second and of ``measure_s``, None: not at all.

    Raises
    ------
    UsageError
        If libvirt's binding is missing, or two addresses lead to one host.
    ExecutionError
        If a host does not answer.
    """
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, max(1, len(uris)))) as pool:
        told(None, "connecting")
        connections = list(pool.map(connected, uris))
        try:
            told(None, "asking hosts")
            found = list(
                pool.map(lambda pair: _observed(pair[0], pair[1], shared), zip(uris, connections, strict=True))
            )
            _refuse_twice(found)
            if measure_s is not None:
                rates = measured(connections, measure_s, lambda share: told(share, "measuring dirty rates"))
                found = [
                    replace(host, vms=tuple(_with_rate(vm, known.get(vm.uuid)) for vm in host.vms))
                    for host, known in zip(found, rates, strict=True)
                ]
            processors = sorted({vm.cpu_xml for host in found for vm in host.vms if vm.cpu_xml})
            runs = pool.map(lambda connection: _runs(connection, processors), connections)
            return [replace(host, runs=can) for host, can in zip(found, runs, strict=True)]
        finally:
            for connection in connections:
                connection.close()


def wrong_here(uri: str) -> Iterator[Reason]:
    """Yield what is wrong with the certificates of an address that does not answer, this machine's first."""
    now = datetime.now(UTC)
    yield from client_reasons(uri, now)
    yield from server_reasons(uri, uri, now)


def connected(uri: str) -> "libvirt.virConnect":
    """Return a connection to the host at an address.

    Raises
    ------
    UsageError
        If libvirt's binding is missing.
    ExecutionError
        If the host does not answer.
    """
    try:
        import libvirt
    except ImportError:
        remedy = "Install libvirt-dev and pkg-config, then run `make set-up` again"
        raise UsageError("libvirt", "its Python binding is not installed", remedy) from None
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        why = next(wrong_here(uri), None)
        if why is not None:
            raise ExecutionError(uri, f"does not answer: {why[0]}", why[1]) from error
        fact = f"does not answer: {error.get_error_message()}"
        raise ExecutionError(uri, fact, "Check the address, its libvirtd and the certificates") from error


def software_of(connection: "libvirt.virConnect") -> str:
    """Return the versions of a host's hypervisor and libvirt, in words."""
    hypervisor = f"{connection.getType()} {_version(connection.getVersion())}"
    return f"{hypervisor}, libvirt {_version(connection.getLibVersion())}"


def _observed(uri: str, connection: "libvirt.virConnect", shared: Collection[PurePosixPath]) -> ObservedHost:
    import libvirt

    try:
        capabilities = ET.fromstring(connection.getCapabilities())
        _, memory_mib, cpus, *_ = connection.getInfo()
        wanted = libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_VCPU
        running = connection.getAllDomainStats(wanted, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE)
        return ObservedHost(
            uri=uri,
            name=connection.getHostname(),
            uuid=capabilities.findtext("host/uuid") or "",
            machine=_machine(capabilities, int(cpus), int(memory_mib)),
            cpus=int(cpus),
            memory_mib=int(memory_mib),
            software=software_of(connection),
            vms=tuple(_vms(running, shared)),
            stopped_vms=connection.numOfDefinedDomains(),
        )
    except libvirt.libvirtError as error:
        fact = f"does not tell about itself: {error.get_error_message()}"
        raise ExecutionError(uri, fact, "Look at its libvirtd's log, and try again") from error


def _vms(
    running: list[tuple["libvirt.virDomain", dict[str, Any]]], shared: Collection[PurePosixPath]
) -> list[ObservedVm]:
    import libvirt

    found = []
    for domain, stats in running:
        try:
            found.append(observed_vm(domain, stats, shared))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN and domain.isActive():
                raise
    return sorted(found, key=lambda vm: vm.name)


def _with_rate(vm: ObservedVm, rate: tuple[float, float] | None) -> ObservedVm:
    return vm if rate is None else replace(vm, hot_mib=rate[0], dirty_mib_s=rate[1])


def _machine(capabilities: ET.Element, cpus: int, memory_mib: int) -> str:
    cpu = capabilities.find("host/cpu")
    words = [] if cpu is None else [cpu.findtext("vendor"), cpu.findtext("model")]
    return " ".join([*(word for word in words if word), f"{cpus} CPUs", f"{round(memory_mib / 1024)} GiB"])


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _runs(connection: "libvirt.virConnect", processors: Sequence[str]) -> tuple[bool, ...]:
    """Return which of the processors a host has all of."""
    import libvirt

    able = (libvirt.VIR_CPU_COMPARE_IDENTICAL, libvirt.VIR_CPU_COMPARE_SUPERSET)
    return tuple(connection.compareCPU(xml) in able for xml in processors)


def _refuse_twice(hosts: Sequence[ObservedHost]) -> None:
    """Refuse addresses that lead to one host, and hosts that share a name.

    Raises
    ------
    UsageError
        If there are any.
    """
    for fact, remedy, names in (
        ("lead to the same host", "Name each host once", [host.uuid for host in hosts]),
        ("are hosts of one name", "Give each host a name of its own", [host.name for host in hosts]),
    ):
        known: dict[str, str] = {}
        for host, name in zip(hosts, names, strict=True):
            if name in known:
                raise UsageError(f"{known[name]} and {host.uri}", fact, remedy)
            known[name] = host.uri
