"""Cells planned as tasks of Ray: on this machine's processors, or on those of a cluster.

Every cell's problem goes into Ray's shared memory once; a try's task is small.  Tasks are named as an operator reads
them in Ray's state: ``plan cell 3 of 20``.
"""

import pickle
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final

import ray

from slacktide.errors import ExecutionError, SlacktideError
from slacktide.executors.actors import cluster
from slacktide.executors.ray_agents import PICKLE_PROTOCOL
from slacktide.planner.cell_plans import CellTask, Planner
from slacktide.planner.listing.decisions import Schedule
from slacktide.planner.problem import Problem

STORE_BYTES: Final = 1024 * 2**20
"""Ray's shared memory on one machine: the cells of 100,000 hosts take about 200 MiB, a round's schedules 100 MiB."""


class RayCells:
    """A map over cells that has Ray do the work; Ray is started at the first call and ended with the block."""

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus
        self._stack = ExitStack()
        self._started = False
        self._stored: dict[int, tuple[Problem, Any]] = {}

    def __enter__(self) -> "RayCells":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stored.clear()
        self._stack.close()

    def __call__(self, function: Planner, problems: Sequence[Problem], tasks: Sequence[CellTask]) -> Iterator[Schedule]:
        """Yield the schedule of every task in turn; closed early, it cancels what is not done."""
        if not self._started:
            self._stack.enter_context(cluster(self._cpus, STORE_BYTES, job="plan in cells"))
            self._started = True
        remote = ray.remote(num_cpus=1)(_planned)
        answers = [
            remote.options(name=task.name).remote(function, self._reference(problem), task)
            for problem, task in zip(problems, tasks, strict=True)
        ]
        done = 0
        try:
            for answer, task in zip(answers, tasks, strict=True):
                schedule = _got(answer, task)
                done += 1
                yield schedule
        finally:
            for answer in answers[done:]:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(answer, force=True)  # compiled code hears no gentler word

    def _reference(self, problem: Problem) -> Any:  # noqa: ANN401  (Ray's references are not typed)
        """Return where a cell's problem is in Ray's memory, having put it there if it was not."""
        if id(problem) not in self._stored:
            self._stored[id(problem)] = problem, ray.put(pickle.dumps(problem, PICKLE_PROTOCOL))
        return self._stored[id(problem)][1]


def _planned(function: Planner, problem: bytes, task: CellTask) -> bytes:
    """Plan one cell in a process of Ray.

    Problem and schedule are pickled here: arrays that lie in Ray's own memory cannot be written to, and compiled code
    takes them for another type.
    """
    return pickle.dumps(function(pickle.loads(problem), _writable(task)), PICKLE_PROTOCOL)


def _writable(task: CellTask) -> CellTask:
    copy: CellTask = pickle.loads(pickle.dumps(task))
    return copy


def _got(answer: Any, task: CellTask) -> Schedule:  # noqa: ANN401  (Ray's references are not typed)
    """Return a task's schedule; the planner's own errors are raised as they were, Ray's with a remedy."""
    try:
        schedule: Schedule = pickle.loads(ray.get(answer))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SlacktideError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        fact = f"the task `{task.name}` was lost: {str(error).splitlines()[0]}"
        raise ExecutionError("Ray", fact, "Plan in this process (leave out --ray), or give Ray more memory") from error
    return schedule
