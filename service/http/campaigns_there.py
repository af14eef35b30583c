"""Campaigns that the paths of operations name: whether they are there, and whether anybody has begun them."""

from slacktide.errors import ExecutionError
from slacktide.executors.store.campaigns import StoredCampaign
from slacktide.service.campaign_standing import why_not_begun
from slacktide.service.campaigning import MOST_STARTS
from slacktide.service.http.problems import there
from slacktide.service.http.server import Server
from slacktide.service.store.runs import STARTED_BY_HAND, Run, find_run


def run_of(server: Server, campaign_id: str) -> Run:
    """Return a campaign as it was asked for.

    Raises
    ------
    ApiError
        404, if there is none.
    """
    remedy = "Create it: POST /v1/campaigns; or list them: GET /v1/campaigns"
    return there(find_run(server.database, campaign_id), "campaign", campaign_id, remedy)


def begun(server: Server, campaign_id: str) -> tuple[Run, StoredCampaign]:
    """Return a campaign that somebody has begun to carry out.

    Raises
    ------
    ApiError
        404, if there is none.
    ExecutionError
        If nobody has.
    """
    run, stored = run_of(server, campaign_id), server.views.stored(campaign_id)
    if stored is None:
        raise has_not_begun(run)
    return run, stored


def has_not_begun(run: Run) -> ExecutionError:
    """Return the error that nobody has begun a campaign, with why, and what to do."""
    why = why_not_begun(run.state, run.starts, MOST_STARTS, run.said)
    remedy = "Wait until its process has begun, or abort it"
    if run.state in STARTED_BY_HAND:
        remedy = f"Start it: POST /v1/campaigns/{run.campaign_id}/start"
    return ExecutionError(f"campaign {run.campaign_id}", f"has not begun: {why}", remedy)
