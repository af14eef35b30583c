"""The process that speaks to Ray for the doctor: it answers lines of JSON about the cluster and each of its nodes.

An actor is put on every node that is asked about something; all of them end with this process.
"""

import json
import sys
import urllib.request
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from slacktide.executors.actors import actor_class, cluster
from slacktide.executors.doctor.on_host import ASKED, HostSide, in_a_line

DASHBOARD_S: Final = 5.0


class NodeSide(HostSide):
    """What is asked of a node; Ray's version there is beside the rest."""

    def about(self) -> dict[str, Any]:
        """Return what runs there."""
        return {**super().about(), "ray": ray.__version__}


class Nodes:
    """The cluster and its nodes, as a driver of Ray asks them."""

    def __init__(self) -> None:
        self._actors: dict[str, Any] = {}

    def cluster(self) -> dict[str, Any]:
        """Return the nodes, and whether the dashboard answers."""
        nodes = [
            {
                "node": node["NodeID"],
                "address": node["NodeManagerAddress"],
                "alive": bool(node["Alive"]),
                "resources": node.get("Resources", {}),
            }
            for node in ray.nodes()  # type: ignore[no-untyped-call]
        ]
        context = ray.get_runtime_context()
        return {
            "ray": ray.__version__,
            "address": context.gcs_address,
            "nodes": nodes,
            "dashboard": _dashboard(),
        }

    def ask(self, node: str, what: str, how: dict[str, Any], within_s: float) -> Any:  # noqa: ANN401
        """Return what a node answers within a time, in which what answers there is started as well."""
        if what not in ASKED:
            raise ValueError(f"nobody knows {what}")
        actor = self._actors.get(node)
        if actor is None:
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            # Threads: while it waits for what arrives, it may be asked for something else.
            kind = actor_class(NodeSide, f"doctor on {node[:8]}", scheduling_strategy=there, max_concurrency=4)
            actor = self._actors[node] = kind.remote()
        return ray.get(getattr(actor, what).remote(**how), timeout=within_s)


def _dashboard() -> dict[str, Any]:
    """Return where the dashboard is, and whether it answers; an empty address: the cluster has none."""
    from ray._private.worker import get_dashboard_url

    url = get_dashboard_url()  # type: ignore[no-untyped-call]
    if not url:
        return {"url": "", "answers": False}
    address = url if url.startswith("http") else f"http://{url}"
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=DASHBOARD_S) as answer:
            return {"url": address, "answers": answer.status == 200}
    except OSError as error:
        wanted = getattr(error, "code", None) in (401, 403)
        return {"url": address, "answers": wanted}


def answer(nodes: Nodes, line: str) -> dict[str, Any]:
    """Return the answer to a question: ``{"said": ...}``, or ``{"wrong": why}``."""
    try:
        question = json.loads(line)
        if question["ask"] == "cluster":
            return {"said": nodes.cluster()}
        return {"said": nodes.ask(question["on"], question["ask"], question["with"], question["within_s"])}
    except Exception as error:
        return {"wrong": in_a_line(error)}


def main() -> None:
    """Answer each line of standard input, until it ends."""
    with cluster(1, job="doctor"):
        nodes = Nodes()
        for line in sys.stdin:
            sys.stdout.write(json.dumps(answer(nodes, line)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
