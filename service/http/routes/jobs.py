"""Jobs: what takes longer than an answer may; how far it is, and what came of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from slacktide.errors import ExecutionError
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.given import JobId, TheServer
from slacktide.service.http.pages import Cursor, PageSize, key_of, model_of, page_of, pages_of
from slacktide.service.http.problems import there
from slacktide.service.http.server import Server
from slacktide.service.jobs.carrying import job_name
from slacktide.service.store.jobs import ENDED, Job, JobKind, JobState, add_job, cancel_job, find_job, list_jobs

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=GuardedRoute)
JobView = model_of(Job)


def begin(server: Server, kind: JobKind, by: str, asked: BaseModel) -> Response:
    """Have a job carried out, and answer where it is to be looked for."""
    job = add_job(server.database, kind, by, asked.model_dump(mode="json"))
    server.jobs.start(job.job_id, job_name(job))
    return JSONResponse(job._asdict(), 202, {"Location": f"/v1/jobs/{job.job_id}"})


@router.get("", operation_id="list-jobs", response_model=pages_of(JobView), **allowed("viewer"))
def list_all(
    server: TheServer,
    kind: JobKind | None = None,
    state: JobState | None = None,
    about: Annotated[str | None, Query(pattern=r"^[0-9a-f]{16}$", description="Id of a fleet or a plan.")] = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """List jobs, by id."""
    found = list_jobs(server.database, key_of(cursor), limit + 1, kind, state, about)
    return page_of([each._asdict() for each in found], limit, [each.job_id for each in found])


@router.get("/{job_id}", operation_id="get-job", response_model=JobView, **allowed("viewer"))
def get(job_id: JobId, server: TheServer) -> dict[str, Any]:
    """Look at a job: how far it is, and once it is done what came of it."""
    return _job(server, job_id)._asdict()


@router.post("/{job_id}/cancel", operation_id="cancel-job", response_model=JobView, **allowed("operator"))
def cancel(job_id: JobId, server: TheServer) -> dict[str, Any]:
    """Have a job end.

    Planning ends with the best plan so far; a campaign that was to begin with it then waits to be started.
    """
    if _job(server, job_id).state in ENDED:
        raise ExecutionError(f"job {job_id}", "has ended", f"Look at what came of it: GET /v1/jobs/{job_id}")
    cancel_job(server.database, job_id)
    return _job(server, job_id)._asdict()


def _job(server: Server, job_id: str) -> Job:
    return there(find_job(server.database, job_id), "job", job_id, "List jobs: GET /v1/jobs")
