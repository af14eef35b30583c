"""The kill matrix: what was killed in the middle of a campaign, at which of its moments, and how long it was missed."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from campaign_commands import Running
from ray_cluster import TITLES, RayCluster, kill_all, ours, until, words_of

GIVEN_UP_S = 300.0
"""After which nothing is expected any more; a whole cluster with its head takes longest."""


class Row(NamedTuple):
    """One kill."""

    kind: str
    what: str
    at_s: float
    """On the campaign's clock."""
    under_way: str
    recovered_s: float
    """Seconds of this machine until another had taken over."""


def kill_agent(cluster: RayCluster, running: Running, rng: random.Random) -> tuple[str, Callable[[], object]]:
    agents = sorted(one for one in ours(cluster.folder) if words_of(one)[0].startswith(TITLES["HostAgentActor"]))
    kill_all([rng.choice(agents)])
    after = last(running)
    return "an agent's process", lambda: all_back(running, after)


def pause_agent(cluster: RayCluster, running: Running, rng: random.Random) -> tuple[str, Callable[[], object]]:
    """Have an agent say nothing until the coordinator has noticed, and then go on as if nothing had been."""
    agent = rng.choice(
        sorted(one for one in ours(cluster.folder) if words_of(one)[0].startswith(TITLES["HostAgentActor"]))
    )
    after = last(running)
    os.kill(agent, signal.SIGSTOP)
    try:
        until(lambda: told_since(running, after, "agent-away") or running.finished(), 60, "the silence is noticed")
    finally:
        os.kill(agent, signal.SIGCONT)
    return "an agent's process, stopped until that is noticed", lambda: all_back(running, after)


def kill_coordinator(cluster: RayCluster, running: Running, _rng: random.Random) -> tuple[str, Callable[[], object]]:
    after = last(running)
    kill_all([until(lambda: cluster.actor("CampaignCoordinator"), 20, "there is a coordinator")])
    return "the coordinator's process", lambda: told_since(running, after, "campaign-resumed")


def kill_node(cluster: RayCluster, running: Running, rng: random.Random) -> tuple[str, Callable[[], object]]:
    host = rng.choice(sorted(cluster.nodes))
    after = last(running)
    cluster.end_node(host)

    def back() -> bool:
        if host not in cluster.nodes:
            cluster.start_node(host)
        return all_back(running, after)

    return f"the node of {host}, which is started again", back


def kill_runner(_cluster: RayCluster, running: Running, _rng: random.Random) -> tuple[str, Callable[[], object]]:
    after = last(running)
    kill_all([until(running.runner, 20, "there is a runner")])
    return "the process that speaks to Ray", lambda: told_since(running, after, "campaign-resumed")


def kill_command(cluster: RayCluster, running: Running, _rng: random.Random) -> tuple[str, Callable[[], object]]:
    after = last(running)
    running.kill()
    until(lambda: cluster.actor("HostAgentActor") is None, 30, "no agent is left")
    running.start()
    return "the command, which is given again", lambda: told_since(running, after, "campaign-resumed")


def kill_gcs(cluster: RayCluster, running: Running, _rng: random.Random) -> tuple[str, Callable[[], object]]:
    assert cluster.head is not None
    after = last(running)
    kill_all([cluster.head.named("gcs_server")])
    return "the head's GCS; all of the cluster is started again", restart(cluster, running, after)


def kill_head(cluster: RayCluster, running: Running, _rng: random.Random) -> tuple[str, Callable[[], object]]:
    after = last(running)
    cluster.end_head()
    return "the head as a whole; all of the cluster is started again", restart(cluster, running, after)


KINDS = {
    "agent": kill_agent,
    "silence": pause_agent,
    "coordinator": kill_coordinator,
    "node": kill_node,
    "runner": kill_runner,
    "command": kill_command,
    "gcs": kill_gcs,
    "head": kill_head,
}
QUICK_KINDS = tuple(kind for kind in KINDS if kind not in ("gcs", "head", "silence"))
"""What is made up for while the cluster stays."""


def restart(cluster: RayCluster, running: Running, after: int) -> Callable[[], object]:
    """Have a cluster that ends without its head started, as its units would; return what asks whether it is used."""
    is_started = False

    def is_used() -> bool:
        nonlocal is_started
        if not is_started:
            until(
                lambda: not any(words_of(one)[0].endswith("/raylet") for one in ours(cluster.folder)), 60, "nodes end"
            )
            if cluster.head is not None:
                cluster.end_head()
            cluster.waiting_hosts = sorted({*cluster.waiting_hosts, *cluster.nodes})
            cluster.nodes.clear()
            cluster.start_head()
            is_started = True
        if not told_since(running, after, "campaign-resumed"):
            return False
        start_waiting(cluster)
        return True

    return is_used


def raylets(cluster: RayCluster) -> list[int]:
    return [one for one in ours(cluster.folder) if words_of(one)[0].endswith("/raylet")]


def start_waiting(cluster: RayCluster) -> None:
    """Start the nodes of hosts that wait for it."""
    for host in cluster.waiting_hosts:
        cluster.start_node(host)
    cluster.waiting_hosts = []


def last(running: Running) -> int:
    return len(running.entries())


def told_since(running: Running, after: int, kind: str) -> bool:
    return any(one.kind == kind for one in running.entries()[after:])


def all_back(running: Running, after: int) -> bool:
    """Return whether agents have gone since, and all of them are back."""
    told = running.entries()[after:]
    gone = Counter(one.subject for one in told if one.kind == "agent-away")
    back = Counter(one.subject for one in told if one.kind == "agent-back")
    return bool(gone) and gone == back


def killed(kind: str, cluster: RayCluster, running: Running, rng: random.Random) -> Row:
    """Kill something, and return what came of it once another has taken over."""
    entries = running.entries()
    begun = {one.subject for one in entries if one.kind in ("migration-intended", "patch-intended")}
    ended = {one.subject for one in entries if one.kind in ("migration-done", "host-returned")}
    began_s = time.monotonic()
    what, recovered = KINDS[kind](cluster, running, rng)
    until(lambda: recovered() or running.finished(), GIVEN_UP_S, f"{what} is made up for; {running.words}")
    start_waiting(cluster)
    under_way = ", ".join(sorted(begun - ended)) or "nothing"
    return Row(kind, what, entries[-1].at_s, under_way, time.monotonic() - began_s)


def table(rows: list[Row]) -> str:
    """Return the kills as a table."""
    lines = ["| killed | at, s | under way | made up for within, s |", "| --- | ---: | --- | ---: |"]
    lines += [f"| {row.what} | {row.at_s:.0f} | {row.under_way} | {row.recovered_s:.1f} |" for row in rows]
    return "\n".join(lines)
