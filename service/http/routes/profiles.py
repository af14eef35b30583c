"""Real hosts by the names that the server has for them: what is there, what they have taught, how their signals are."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.responses import Response

from slacktide.errors import UsageError
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import run_of
from slacktide.service.http.given import TheCaller, TheServer
from slacktide.service.http.routes.jobs import JobView, begin
from slacktide.service.jobs.asked import CalibrateAsked, ImportAsked

router = APIRouter(prefix="/v1", tags=["real hosts"], route_class=GuardedRoute)
ProfileName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["production"])]


class SignalSeen(BaseModel):
    """A signal as it is now."""

    name: str
    healthy: bool
    detail: str


@router.post(
    "/fleets/import", operation_id="import-fleet", status_code=202, response_model=JobView, **allowed("operator")
)
def take_inventory(asked: ImportAsked, server: TheServer, caller: TheCaller) -> Response:
    """Have the live hosts of a profile asked what they are and what runs on them, as a job; its result names the fleet.

    Nothing is changed on the hosts.  All of them must answer.
    """
    server.campaigning.profile(asked.profile)
    return begin(server, "import", caller.who, asked)


@router.post("/calibrations", operation_id="calibrate", status_code=202, response_model=JobView, **allowed("operator"))
def calibrate(asked: CalibrateAsked, server: TheServer, caller: TheCaller) -> Response:
    """Learn the migration model's figures from campaigns on real hosts, as a job; its result has a policy with them."""
    for campaign_id in asked.campaign_ids:
        run_of(server, campaign_id)
    return begin(server, "calibrate", caller.who, asked)


@router.post(
    "/profiles/{profile}/signals",
    operation_id="look-at-signals",
    response_model=list[SignalSeen],
    **allowed("operator"),
)
def signals(profile: ProfileName, server: TheServer) -> list[dict[str, Any]]:
    """Look once at every signal of a profile, as a campaign on its hosts would."""
    from slacktide.executors.health.files import read_health
    from slacktide.executors.health.watching import Watch

    file = server.campaigning.profile(profile).health
    if file is None:
        fact = "has no file of signals"
        raise UsageError(f"profile {profile}", fact, "Whoever runs the server writes one: `health` of the profile")
    watch = Watch(read_health(file))
    try:
        return [{"name": each.name, "healthy": each.healthy, "detail": each.detail} for each in sorted(watch.changes())]
    finally:
        watch.close()
