"""``slacktide server``: what a server is, its plans and its jobs."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from slacktide.service.commands.options import HERE, Afar, AsJson, Output
from slacktide.service.console import document, figures, show, tell
from slacktide.service.failures import OK

server = App(
    name="server",
    help="A server: who one is there, its plans, its jobs.",
    help_epilogue="",
    sort_key=14,
)
Id = Annotated[str, Parameter(name="ID")]


@server.command(sort_key=1)
def status(*, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Say who the server takes one for, what one may, and which real hosts it has names for."""
    with afar.api() as api:
        found = api.get("/v1/me")
    if as_json:
        document({"server": api.url, **found})
    else:
        profiles = ", ".join(found["profiles"]) or "none"
        show(figures([("server", api.url, f"version {found['version']}"), ("you", found["who"], found["role"])]))
        show(figures([("profiles", profiles, "real hosts, for --profile")]))
    return OK


@server.command(sort_key=2)
def plans(*, fleet: str | None = None, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """List the plans of a server.

    Parameters
    ----------
    fleet
        Id of a fleet, to list the plans for it alone.
    """
    from slacktide.executors.readable import duration
    from slacktide.service.words import counted

    with afar.api() as api:
        found = list(api.items("/v1/plans", fleet_id=fleet))
    if as_json:
        document(found)
        return OK
    rows = []
    for each in found:
        summary, policy = each["header"]["summary"], each["header"]["policy"]["name"]
        what = f"{counted(summary['hosts'], 'host')} in {duration(summary['makespan_s'])}"
        rows.append((each["plan_id"], what, f"fleet {each['fleet_id']}, policy {policy}, {each['created_at']}"))
    if rows:
        show(figures(rows))
    else:
        tell("no plan")
    return OK


@server.command(sort_key=3)
def plan(plan_id: Id, /, *, output: Output, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Write a plan of a server's to a directory here, and show it.

    Parameters
    ----------
    output
        Directory to write; a plan that is there is replaced.
    """
    from slacktide.planner.plan_files import FILE_NAMES
    from slacktide.service.afar.objects import fetched_plan
    from slacktide.service.commands.plan import shown, write
    from slacktide.service.destinations import check_directory

    check_directory(Path(output), FILE_NAMES)
    with afar.api() as api:
        made = fetched_plan(api, plan_id)
    write(made, None, output, None)
    return shown(made, output, None, interrupted=False, as_json=as_json)


@server.command(sort_key=4)
def jobs(*, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """List the jobs of a server: what each does, how far it is, and what went wrong."""
    with afar.api() as api:
        found = list(api.items("/v1/jobs"))
    if as_json:
        document(found)
        return OK
    rows = []
    for each in sorted(found, key=lambda job: str(job["created_at"])):
        wrong = each["error"] or {}
        beside = f"{wrong['object']}: {wrong['fact']}" if wrong else each["words"] or ""
        rows.append((each["job_id"], f"{each['kind']}, {each['state']}", f"{each['created_at']}, {beside}"))
    if rows:
        show(figures(rows))
    else:
        tell("no job")
    return OK


@server.command(sort_key=5)
def cancel(job_id: Id, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Have a job of a server end with what it has."""
    with afar.api() as api:
        found = api.post(f"/v1/jobs/{job_id}/cancel")
    if as_json:
        document(found)
    else:
        show(f"job {job_id} is to end")
    return OK
