"""A job carried out, in whatever process: read, done, and its outcome written down."""

import traceback
from typing import Any, Protocol

from slacktide.errors import InputError, SlacktideError
from slacktide.service.campaigning import Campaigning
from slacktide.service.jobs.asked import (
    AboutPlan,
    CalibrateAsked,
    ImportAsked,
    ParetoAsked,
    PlanAsked,
    UrgentAsked,
    WhatIfAsked,
)
from slacktide.service.jobs.pulse import Pulse
from slacktide.service.jobs.tools import CellMaps, Tools
from slacktide.service.kept_files import FAILURES, DamagedError
from slacktide.service.places import Places
from slacktide.service.store.database import Database
from slacktide.service.store.jobs import Job, JobState, begin_job, end_job

FINDINGS_KEPT = 100


class JobStarter(Protocol):
    """Has jobs carried out somewhere."""

    def start(self, job_id: str, name: str) -> None:
        """Have a job begin, under a name that an operator recognises."""
        ...


def carry_out(
    job_id: str, places: Places, database: Database, campaigning: Campaigning, cell_maps: CellMaps | None = None
) -> None:
    """Do a job, and write down what came of it: a result, or what was wrong."""
    job = begin_job(database, job_id)
    if job is None:
        return
    state: JobState = "done"
    result = error = None
    with Pulse(database, job_id) as pulse:
        tools = Tools(places, database, campaigning, pulse, job_id, cell_maps)
        try:
            result = _done(job, tools)
            state = "cancelled" if pulse.cancelled() else "done"
        except FAILURES as wrong:
            state, error = "failed", _failure(wrong, job_id, str(places.data))
    if error is not None and job.kind == "urgent" and tools.kept:
        error["plan_id"] = tools.kept[-1]
    end_job(database, job_id, state, result, error)


def error_of(wrong: SlacktideError, hidden: str = "") -> dict[str, Any]:
    """Return an error as plain data: object, fact, remedy, the command line's exit code, and the first findings.

    Parameters
    ----------
    hidden
        Path that is nobody's business, left out of what is said.
    """
    said = [text.replace(f"{hidden}/", "") if hidden else text for text in wrong.said_to_others()]
    told: dict[str, Any] = dict(zip(("object", "fact", "remedy"), said, strict=True))
    told["exit_code"] = wrong.exit_code
    if isinstance(wrong, InputError) and wrong.findings:
        told["findings"] = [finding.as_dict() for finding in wrong.findings[:FINDINGS_KEPT]]
    return told


def _failure(wrong: BaseException, job_id: str, data: str) -> dict[str, Any]:
    """Return why a job failed, as :func:`error_of`; what nobody raises on purpose is printed to the server's log."""
    if isinstance(wrong, DamagedError) or not isinstance(wrong, SlacktideError):
        traceback.print_exception(wrong)
    if isinstance(wrong, SlacktideError):
        return error_of(wrong, data)
    fact = f"this is a bug in Slacktide: {type(wrong).__name__}"
    return {"object": f"job {job_id}", "fact": fact, "remedy": "Report it with the server's log"}


def job_name(job: Job) -> str:
    """Return what a job is called where operators see it: ``plan for fleet 6c6eeb428fcb937b``."""
    for about in ("fleet", "plan"):
        if (name := job.asked.get(f"{about}_id")) is not None:
            return f"{job.kind} for {about} {name}"
    if "profile" in job.asked:
        return f"{job.kind} of the hosts of profile {job.asked['profile']}"
    return f"{job.kind} from {len(job.asked['campaign_ids'])} campaigns"


def _done(job: Job, tools: Tools) -> dict[str, Any]:
    from slacktide.service.jobs.hosts import calibrate_job, import_job
    from slacktide.service.jobs.planning import plan_job, urgent_job
    from slacktide.service.jobs.questions import audit_job, compare_job, explain_job
    from slacktide.service.jobs.reaching import pareto_job, what_if_job

    match job.kind:
        case "plan":
            return plan_job(PlanAsked.model_validate(job.asked), job.created_by, tools)
        case "urgent":
            return urgent_job(UrgentAsked.model_validate(job.asked), job.created_by, tools)
        case "what-if":
            return what_if_job(WhatIfAsked.model_validate(job.asked), job.created_by, tools)
        case "pareto":
            return pareto_job(ParetoAsked.model_validate(job.asked), job.created_by, tools)
        case "calibrate":
            return calibrate_job(CalibrateAsked.model_validate(job.asked), tools)
        case "import":
            return import_job(ImportAsked.model_validate(job.asked), job.created_by, tools)
        case "audit":
            return audit_job(AboutPlan.model_validate(job.asked), tools)
        case "compare":
            return compare_job(AboutPlan.model_validate(job.asked), tools)
        case "explain":
            return explain_job(AboutPlan.model_validate(job.asked), tools)
