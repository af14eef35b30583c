"""An installation examined part by part; read :func:`examine` as the table of contents."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from slacktide.errors import ExecutionError
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.doctor.check import Check
from slacktide.executors.doctor.clocks import LIMIT_MS, clock_check, icmp_offset, offset_of
from slacktide.executors.doctor.cluster import cluster_checks, hosts_of, node_checks, node_name, unreachable
from slacktide.executors.doctor.files import Pair, disk_check, pair_checks, unread_check
from slacktide.executors.doctor.hypervisors import hypervisor_checks, machine_of, names_of
from slacktide.executors.doctor.lines import Line, line_to, line_to_ray
from slacktide.executors.doctor.links import Ear, link_checks
from slacktide.executors.doctor.machine import machine_checks
from slacktide.executors.doctor.on_host import HostSide, ray_secrets
from slacktide.executors.doctor.stores import store_checks
from slacktide.executors.inventory.hosts import AT_ONCE, Told
from slacktide.executors.presence import is_hidden, is_missing
from slacktide.executors.store.address import Store
from slacktide.ids import HostId


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What there is to look at."""

    data: Path | None = None
    """The server's data directory; null: there is no server."""
    store: Store | None = None
    server_pair: tuple[Path, Path] | None = None
    """Certificate and key of the server."""
    addresses: Mapping[HostId, HostAddress] = field(default_factory=dict)
    ray_address: str | None = None
    by: str | None = None
    """Command that leads to a host's Python, where the host has no node of Ray."""
    stated_mbit_s: Mapping[HostId, int] = field(default_factory=dict)
    """What a host's link is said to carry."""
    measure_s: float | None = None
    """How long each link is filled; null: not at all."""
    clock_limit_ms: float = LIMIT_MS


def examine(installation: Installation, told: Told) -> list[Check]:
    """Return what was found, in the order of looking."""
    told(None, "this machine")
    checks = [*machine_checks(), *_server_checks(installation)]
    if installation.store is not None:
        told(None, "the store")
        checks += store_checks(installation.store, installation.clock_limit_ms)
    if installation.addresses:
        told(None, "asking hosts")
        checks += hypervisor_checks(installation.addresses)
    ears: dict[HostId, Ear] = {}
    with ExitStack() as open_lines:
        if installation.ray_address is not None:
            told(None, "asking Ray")
            checks += _ray_checks(installation, installation.ray_address, open_lines, ears)
        told(None, "asking on hosts")
        checks += _checks_on_hosts(installation, open_lines, ears)
        if installation.measure_s is not None:
            told(None, "measuring links")
            checks += link_checks(ears, installation.stated_mbit_s, installation.measure_s)
    return [*checks, *_unmeasured(installation, ears)]


def _server_checks(installation: Installation) -> Iterator[Check]:
    if installation.server_pair is not None:
        certificate, key = installation.server_pair
        yield from pair_checks("certificates", Pair("the server's", certificate, key, None))
    data = installation.data
    if data is None:
        return
    if is_hidden(data):
        yield unread_check("server", "data directory", data)
        return
    if is_missing(data):
        yield Check("server", "data directory", "ok", f"{data} is not there yet; it is made when the server starts")
        return
    facts = data.stat()
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        remedy = "Run this as the server's user, or give the directory to that user"
        yield Check("server", "data directory", "error", f"{data} cannot be written by this user", remedy)
    elif facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        fact = f"{data} may be entered by others: mode {stat.S_IMODE(facts.st_mode):o}"
        yield Check("server", "data directory", "error", fact, f"chmod 700 {data}: fleets and tokens are in it")
    else:
        yield Check("server", "data directory", "ok", f"{data}, for its owner alone")
    yield disk_check("server", "disk of the data directory", data)


def _ray_checks(
    installation: Installation, address: str, open_lines: ExitStack, ears: dict[HostId, Ear]
) -> Iterator[Check]:
    """Yield what is known of the cluster and its nodes, and note which hosts can be asked by their nodes."""
    yield from ray_secrets("this machine")
    try:
        line = line_to_ray(address)
        open_lines.callback(line.close)
        found = line.ask("cluster")
    except ExecutionError as error:
        remedy = "Start the cluster, or correct RAY_ADDRESS and the secrets that docs/deploy.md names"
        yield Check("ray", "cluster", "error", f"does not answer at {address}: {error.fact}", remedy)
        return
    yield from cluster_checks(found, installation.addresses.keys())
    here = {**HostSide().about(), "ray": found["ray"]}
    for node in (each for each in found["nodes"] if each["alive"]):
        ask = partial(line.ask, on=node["node"])
        try:
            about = ask("about")
            yield from node_checks(node, about, here)
            yield from _heard(ask("ray_secrets", names=[node["address"]]))
            yield clock_check(node_name(node), offset_of(partial(ask, "clock_ms")), installation.clock_limit_ms)
            for host in hosts_of(node):
                yield from _seen_on(host, ask, installation)
                ears[host] = Ear(ask, _arrival(host, ask, installation, node["address"]))
        except ExecutionError as error:
            yield unreachable(node, error.fact)


def _checks_on_hosts(installation: Installation, open_lines: ExitStack, ears: dict[HostId, Ear]) -> list[Check]:
    """Return what is known of hosts without a node: where a command leads there, from there, else from here."""
    left = [host for host in installation.addresses if host not in ears]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        looked = list(pool.map(partial(_looked_at, installation), left))
    for host, (_, line, arrival) in zip(left, looked, strict=True):
        if line is not None:
            open_lines.callback(line.close)
            ears[host] = Ear(line.ask, arrival)
    return [check for checks, _, _ in looked for check in checks]


def _looked_at(installation: Installation, host: HostId) -> tuple[list[Check], Line | None, str]:
    if installation.by is None:
        fact = "what QEMU shows for migrations, and the permissions of keys, are seen on the host alone"
        remedy = "Give --by 'ssh {host} /opt/slacktide/bin/python', or have Ray's node on it"
        unseen = Check("certificates", f"{host}: QEMU's for migrations", "unknown", fact, remedy)
        return [unseen, _clock_from_here(installation, host)], None, ""
    line: Line | None = None
    try:
        line = line_to(host, installation.by)
        checks = [clock_check(host, offset_of(partial(line.ask, "clock_ms")), installation.clock_limit_ms)]
        checks += _seen_on(host, line.ask, installation)
        arrival = _arrival(host, line.ask, installation, host)
    except ExecutionError as error:
        if line is not None:
            line.close()
        fact = f"cannot be asked by `{installation.by}`: {error.fact}"
        return [Check("hosts", host, "error", fact, error.remedy)], None, ""
    if installation.measure_s is None:
        line.close()
        return checks, None, arrival
    return checks, line, arrival


def _clock_from_here(installation: Installation, host: HostId) -> Check:
    """Return how far the clock of a host is, as its kernel tells it over the network."""
    machine = machine_of(installation.addresses[host].uri)
    if machine is None:
        return Check("clocks", host, "ok", "is this machine, by a socket")
    try:
        return clock_check(host, icmp_offset(machine), installation.clock_limit_ms)
    except PermissionError:
        return Check("clocks", host, "unknown", "this user may not ask for it", "Run this as root, or give --by")
    except OSError as error:
        fact = f"its kernel does not tell ({error.strerror or error})"
        return Check("clocks", host, "unknown", fact, "Let ICMP timestamps through, or give --by")


def _seen_on(host: HostId, ask: Any, installation: Installation) -> list[Check]:  # noqa: ANN401
    address = installation.addresses.get(host)
    if address is None:
        return []
    return _heard(ask("certificates", host=host, addresses=list(names_of(address, host))))


def _arrival(host: HostId, ask: Any, installation: Installation, otherwise: str) -> str:  # noqa: ANN401
    """Return where migrations arrive at a host: as its QEMU is told, else where its sources reach it."""
    told: str = ask("migration_address")
    address = installation.addresses.get(host)
    known = names_of(address, host) if address is not None else ()
    return told or (known[-1] if known else otherwise)


def _heard(checks: Sequence[Mapping[str, Any]]) -> list[Check]:
    return [Check(**check) for check in checks]


def _unmeasured(installation: Installation, ears: Mapping[HostId, Ear]) -> Iterator[Check]:
    hosts = len(installation.addresses)
    if not hosts:
        return
    if installation.measure_s is None:
        remedy = "Give --measure-links: it fills each link for some seconds"
        yield Check("links", f"{hosts} hosts", "unknown", "not measured, since nobody has asked for it", remedy)
    elif len(ears) < 2:
        remedy = "Give --by 'ssh {host} /opt/slacktide/bin/python', or have Ray's nodes on hosts"
        yield Check("links", f"{hosts} hosts", "unknown", "not measured: nothing of ours runs on two of them", remedy)
