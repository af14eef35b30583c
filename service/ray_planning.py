"""Planning as one task of Ray, under a name that operators read in its state: ``plan urgent for s3://bucket/fleet``."""

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import ray

from slacktide.executors.actors import cluster, ray_errors
from slacktide.executors.ray_agents import PICKLE_PROTOCOL
from slacktide.executors.ray_cells import STORE_BYTES

Result = TypeVar("Result")


def in_task(function: Callable[..., Result], arguments: tuple[object, ...], *, name: str, cpus: int) -> Result:
    """Return what a function of Slacktide's returns, called in a task of Ray; an interrupt ends the task.

    Raises
    ------
    SlacktideError
        What the function raises.
    ExecutionError
        If Ray does not start, or loses the task.
    """
    with cluster(cpus, STORE_BYTES, job=name):
        task = ray.remote(num_cpus=min(cpus, _most_cpus()))(_called).options(name=name)
        answer = task.remote(function, pickle.dumps(arguments, PICKLE_PROTOCOL))
        remedy = "Plan in this process (without on_ray), or give Ray more memory"
        try:
            with ray_errors(lost=f"the task `{name}` was lost", remedy=remedy):
                result: Result = pickle.loads(ray.get(answer))
        except KeyboardInterrupt:
            ray.cancel(answer, force=True)  # compiled code hears no gentler word
            raise
    return result


def _called(function: Callable[..., Any], arguments: bytes) -> bytes:
    """Call a function in a process of Ray; arguments and result are pickled here, as those of cells are."""
    return pickle.dumps(function(*pickle.loads(arguments)), PICKLE_PROTOCOL)


def _most_cpus() -> float:
    """Return the processors of the largest node: a task that asks for more waits for ever."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return max((node["Resources"].get("CPU", 1.0) for node in nodes if node["Alive"]), default=1.0)
