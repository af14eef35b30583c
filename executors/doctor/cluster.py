"""What is wrong with a cluster of Ray, from what its nodes say of themselves; pure."""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from slacktide.executors.doctor.check import Check, Verdict
from slacktide.ids import HostId

HOST: Final = "host:"
GATEWAY: Final = "gateway"
SECRETS: Final = {
    "RAY_AUTH_MODE": ("token", "without a token: whoever reaches it has it run what they like"),
    "RAY_USE_TLS": ("1", "without TLS: calls and tokens can be read on the way"),
}
SECURE: Final = "Give every node the environment of docs/deploy.md, and restart Ray on all"
ANEW: Final = "Install the same on every node, at the same path, and restart Ray there"


def node_name(node: Mapping[str, Any]) -> str:
    """Return what a node is called: its host, where it has one."""
    hosts = hosts_of(node)
    return f"node of {', '.join(hosts)}" if hosts else f"node {node['address']}"


def hosts_of(node: Mapping[str, Any]) -> list[HostId]:
    """Return the hosts that a node says it is on."""
    named = (name.removeprefix(HOST) for name in node["resources"] if name.startswith(HOST))
    return sorted(HostId(name) for name in named)


def cluster_checks(found: Mapping[str, Any], hosts: Collection[HostId]) -> Iterator[Check]:
    """Yield what is known of nodes, resources and dashboard.

    Parameters
    ----------
    found
        As :mod:`slacktide.executors.doctor.ray_nodes` tells it.
    hosts
        Those of the file of connections; none: no host is expected.
    """
    alive = [node for node in found["nodes"] if node["alive"]]
    dead = [node for node in found["nodes"] if not node["alive"]]
    yield Check("ray", "cluster", "ok", f"Ray {found['ray']} at {found['address']}, {_nodes(len(alive))}")
    back = {node["address"] for node in alive}
    for node in dead:
        if node["address"] not in back:
            remedy = "Start it again: `systemctl start slacktide-ray`; agents of its hosts are on gateways meanwhile"
            yield Check("ray", node_name(node), "warning", "has ended", remedy)
    yield from _resources(alive, hosts)
    yield _dashboard(found["dashboard"])


def node_checks(node: Mapping[str, Any], about: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[Check]:
    """Yield what is wrong with one node, compared with what is ``here``; or one check that nothing is."""
    name = node_name(node)
    wrong = False
    for part, words in (("python", "Python"), ("ray", "Ray"), ("slacktide", "Slacktide")):
        if about[part] != here[part]:
            wrong = True
            yield Check("ray", name, "error", f"has {words} {about[part]}, this machine {here[part]}", ANEW)
    reached_by_others = not _is_loopback(node["address"])
    for variable, (wanted, words) in SECRETS.items():
        if about["environment"].get(variable) != wanted:
            verdict: Verdict = "error" if reached_by_others else "warning"
            wrong = True
            yield Check("ray", name, verdict, f"runs {words}", SECURE)
    if not wrong:
        yield Check("ray", name, "ok", f"Python {about['python']}, Slacktide {about['slacktide']}, token and TLS")


def _nodes(number: int) -> str:
    return "1 node" if number == 1 else f"{number} nodes"


def unreachable(node: Mapping[str, Any], why: str) -> Check:
    """Return the check of a node on which nothing can be run."""
    if "ModuleNotFoundError" in why:
        return Check("ray", node_name(node), "error", f"does not find Slacktide: {why}", ANEW)
    return Check("ray", node_name(node), "error", f"runs nothing: {why}", "See Ray's logs on that node")


def _resources(nodes: Sequence[Mapping[str, Any]], hosts: Collection[HostId]) -> Iterator[Check]:
    where: dict[HostId, list[str]] = defaultdict(list)
    for node in nodes:
        for host in hosts_of(node):
            where[host].append(node["address"])
    for host, addresses in sorted(where.items()):
        if len(addresses) > 1:
            fact = f"several nodes say that they are on it: {', '.join(sorted(addresses))}"
            yield Check("ray", host, "error", fact, f"Give the resource {HOST}{host} to one node alone")
        elif hosts and host not in hosts:
            fact = f"the node {addresses[0]} says that it is on it, and the file of connections has no such host"
            yield Check("ray", host, "warning", fact, f"Correct the resource {HOST}{host} of that node")
    gateways = sum(GATEWAY in node["resources"] for node in nodes)
    without = sorted(set(hosts) - where.keys())
    if hosts:
        beside = f"{_nodes(gateways)} {'is a gateway' if gateways == 1 else 'are gateways'}"
        fact = f"{len(hosts) - len(without)} of {len(hosts)} hosts have a node, {beside}"
        if without and not gateways:
            fact += "; agents of the others run beside the command"
        yield Check("ray", "agents", "ok", fact)


def _dashboard(dashboard: Mapping[str, Any]) -> Check:
    url = dashboard["url"]
    if not url:
        return Check("ray", "dashboard", "ok", "there is none: Ray was started without it")
    if not dashboard["answers"]:
        remedy = "See dashboard.log in Ray's session folder, or start Ray with --include-dashboard=false"
        return Check("ray", "dashboard", "warning", f"does not answer at {url}", remedy)
    return Check("ray", "dashboard", "ok", f"answers at {url}")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
