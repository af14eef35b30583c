"""Jobs as tasks of Ray: on this machine's processors, or wherever the cluster has one free.

A task has the name of its job, as operators read it in Ray's state: ``plan for fleet 6c6eeb428fcb937b``.
"""

import sys

import ray

from slacktide.executors.logs import log_settings, log_to
from slacktide.executors.ray_cells import RayCells
from slacktide.service.ahead import load_planner
from slacktide.service.http.server import campaigning_of, open_places
from slacktide.service.http.settings import ServerSettings
from slacktide.service.jobs.carrying import carry_out


class RayJobs:
    """Has Ray carry jobs out; a job whose process ends is begun again by whoever sees that it is silent."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    def start(self, job_id: str, name: str) -> None:
        """Have a job begin, under its name."""
        task = ray.remote(num_cpus=1, max_retries=0)(_carried_out)
        task.options(name=name).remote(job_id, self._settings)

    def warm_up(self) -> None:
        """Have a process load the planner, so that the first job does not wait for that."""
        ray.remote(num_cpus=1, max_retries=0)(load_planner).options(name="load the planner").remote()


def _carried_out(job_id: str, settings: ServerSettings) -> None:
    log_to(sys.stdout, log_settings(), job=job_id)
    places, database = open_places(settings)
    try:
        carry_out(job_id, places, database, campaigning_of(settings, places, database), RayCells)
    finally:
        database.close()
