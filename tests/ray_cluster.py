"""Ray clusters of several nodes on this machine, each a raylet with its own ports: nodes come and go as hosts do."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RAY = Path(sys.executable).with_name("ray")
QUICK = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "8",
    "RAY_enable_metrics_collection": "0",
}
"""Settings of nodes in tests: a node that ends is noticed within two seconds, and not within fifteen."""
HEAD_IP = "127.0.0.2"
"""Loopback like that of every node; Ray takes 127.0.0.1 for another name of the machine's address on its network."""
STORE = str(80 * 2**20)
TITLES = {
    "HostAgentActor": ("ray::HostAgentActor", "ray::turn of agent ", "ray::take-over of agent "),
    "CampaignCoordinator": ("ray::CampaignCoordinator", "ray::step of campaign "),
}
"""How the titles of an actor's process begin: between two calls that of its class, in a call that of the task."""


@dataclass
class Node:
    """A node: the processes that ``ray start`` has left running."""

    processes: list[int]

    def named(self, name: str) -> int:
        """Return the process of the program ``name``: ``raylet``, or of the head ``gcs_server``."""
        (found,) = [process for process in self.processes if Path(words_of(process)[0]).name == name]
        return found


@dataclass
class RayCluster:
    """A head and nodes of hosts, started as an operator starts them."""

    folder: Path
    environment: dict[str, str]
    port: int
    dashboard_port: int
    with_dashboard: bool = False
    head: Node | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    waiting_hosts: list[str] = field(default_factory=list)
    """Hosts whose nodes are to be started once a campaign has found the new head."""
    _ips: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"{HEAD_IP}:{self.port}"

    @property
    def dashboard(self) -> str:
        """Where Ray's dashboard is, of a cluster that has one."""
        return f"http://{HEAD_IP}:{self.dashboard_port}"

    def start_head(self) -> None:
        (clients,) = free_ports(1)
        ports = (
            f"--port={self.port}",
            f"--ray-client-server-port={clients}",
            f"--dashboard-port={self.dashboard_port}",
        )
        shown = (f"--include-dashboard={str(self.with_dashboard).lower()}", f"--dashboard-host={HEAD_IP}")
        common = ("--head", *shown, "--no-monitor", "--num-cpus=2", '--resources={"gateway": 1}')
        self.head = self._start(HEAD_IP, *common, *ports)

    def start_node(self, host: str, **environment: str) -> None:
        ip = self._ips.setdefault(host, f"127.0.0.{11 + len(self._ips)}")
        words = (f"--address={self.address}", "--num-cpus=1", f'--resources={{"host:{host}": 1}}')
        self.nodes[host] = self._start(ip, *words, **environment)

    def _start(self, ip: str, *words: str, **environment: str) -> Node:
        before = ours(self.folder)
        common = (f"--node-ip-address={ip}", f"--object-store-memory={STORE}", "--include-log-monitor=false")
        common = (*common, "--dashboard-agent-listen-port=0")
        command = [str(RAY), "start", *words, *common]
        command += ["--disable-usage-stats", f"--temp-dir={self.folder}"] if "--head" in words else []
        done = subprocess.run(
            command, env=os.environ | self.environment | environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Node(sorted(ours(self.folder) - before))

    def end_node(self, host: str) -> None:
        """End a host's node as a power cut does."""
        node = self.nodes.pop(host)
        kill_all({*node.processes, *(child for process in node.processes for child in below(process))})

    def end_head(self) -> None:
        assert self.head is not None
        kill_all({*self.head.processes, *(child for process in self.head.processes for child in below(process))})
        self.head = None

    def actor(self, kind: str, node: str | None = None) -> int | None:
        """Return the process of an actor of a class; ``node``: one on the node of this host."""
        among = ours(self.folder) if node is None else below(self.nodes[node].named("raylet"))
        return next((process for process in among if words_of(process)[0].startswith(TITLES[kind])), None)

    def close(self) -> None:
        kill_all(ours(self.folder))


def ours(folder: Path) -> set[int]:
    """Return the processes of a cluster: those whose command line names its folder, and those that they started."""
    named = {process for process in running() if any(str(folder) in word for word in words_of(process))}
    return named.union(*(below(process) for process in named)) - {os.getpid()}


def running() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def words_of(process: int) -> list[str]:
    """Return a process's command line; of one that has ended, an empty word."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]


def below(process: int) -> set[int]:
    """Return the processes that a process has started, and those that these have."""
    found: set[int] = set()
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            found.update(map(int, (task / "children").read_text().split()))
    return found.union(*(below(child) for child in found))


def kill_all(processes: Collection[int]) -> None:
    """Kill processes as ``kill -9`` does, and return once they are gone."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    until(lambda: not any(map(is_there, processes)), 10, f"{processes} end")


def is_there(process: int) -> bool:
    """Return whether a process runs; one that has ended and whose parent has not heard of it does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens at the head's address."""
    with ExitStack() as probes:
        found = [probes.enter_context(socket.create_server((HEAD_IP, 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in found]


@contextmanager
def ray_cluster(
    folder: Path, hosts: Sequence[str] = (), *, dashboard: bool = False, **environment: str
) -> Iterator[RayCluster]:
    """Have a cluster with a node for each of some hosts."""
    cluster = RayCluster(folder, QUICK | environment, *free_ports(2), with_dashboard=dashboard)
    try:
        cluster.start_head()
        for host in hosts:
            cluster.start_node(host)
        yield cluster
    finally:
        cluster.close()


def until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Return what ``condition`` returns once that is true."""
    until_s = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < until_s, f"not within {within_s} s: {what}"
        time.sleep(0.05)
    return found
