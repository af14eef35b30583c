"""A server's jobs: asked for, waited for with a bar, ended by Ctrl-C with what they have."""

import time
from typing import Any, Final, NamedTuple

from slacktide.errors import ExecutionError
from slacktide.service.client.api import Api
from slacktide.service.client.refusals import failure_of
from slacktide.service.console import progress, tell
from slacktide.service.interrupts import Interruption, Terminated, held_interrupts, remembered_interrupts, told_to_end

FIRST_LOOK_S: Final = 0.1
LONGEST_LOOK_S: Final = 1.0
"""A job says how far it is once a second."""
ENDED: Final = ("done", "failed", "cancelled")


class Outcome(NamedTuple):
    """What came of a job."""

    result: dict[str, Any] | None
    """Null: it was cancelled before there was anything."""
    interrupted: bool
    """Whether Ctrl-C was pressed."""


def done(api: Api, path: str, asked: object, task: str) -> Outcome:
    """Have a job done, and return what came of it; Ctrl-C has it end with the best so far, a second one leaves it.

    Raises
    ------
    SlacktideError
        With which the job failed, or as the server refuses it.
    KeyboardInterrupt
        At the second Ctrl-C, or asked to end; the job is cancelled, and ends by itself.
    """
    with held_interrupts() as held:  # a job that is asked for and not known could not be cancelled
        job_id = str(api.post(path, asked)["job_id"])
    with told_to_end(), remembered_interrupts() as interruption:
        try:
            if held.pressed is Terminated:
                raise Terminated
            if held.pressed:
                interruption.happened = True
                _cancel(api, job_id)
            return _ended(api, job_id, task, interruption)
        except Terminated:
            _cancel(api, job_id)
            tell(f"job {job_id} is to end with what it has; `slacktide server jobs` says what came of it")
            raise


def _ended(api: Api, job_id: str, task: str, interruption: Interruption) -> Outcome:
    """Return what came of a job, once it has ended."""
    cancelled, look_s = interruption.happened, FIRST_LOOK_S
    with progress(task) as told:
        while True:
            try:
                job = api.get(f"/v1/jobs/{job_id}")
                if job["state"] in ENDED:
                    break
                told(job["fraction"], job["words"] or job["state"])
                time.sleep(look_s)
            except KeyboardInterrupt as error:
                if cancelled or isinstance(error, Terminated):
                    raise
                cancelled = True
                tell("interrupted: the job ends with what it has; Ctrl-C once more leaves it to the server")
                _cancel(api, job_id)
            look_s = min(LONGEST_LOOK_S, 1.5 * look_s)
    if job["state"] == "failed":
        raise failure_of({"object": f"job {job_id}", "fact": "has failed", "remedy": "", **(job["error"] or {})})
    return Outcome(job["result"], interruption.happened)


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Return the result of a job that nobody can end with less than all of it.

    Raises
    ------
    KeyboardInterrupt
        If it was cancelled.
    """
    if outcome.result is None or outcome.interrupted:
        raise KeyboardInterrupt
    return outcome.result


def _cancel(api: Api, job_id: str) -> None:
    try:
        api.post(f"/v1/jobs/{job_id}/cancel")
    except ExecutionError:
        return  # it has ended meanwhile
