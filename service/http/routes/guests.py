"""What a guest is told, in whichever campaign it is told of something."""

from typing import Any

from fastapi import APIRouter

from slacktide.executors.metadata.notice import MaintenanceNotice
from slacktide.executors.store.campaigns import FINISHED
from slacktide.service.guests import notice_of, told_guests
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.given import TheServer
from slacktide.service.http.routes.progress import GuestNotice, guest_notice
from slacktide.service.store.runs import list_runs

router = APIRouter(prefix="/v1/guests", tags=["guests"], route_class=GuardedRoute)
MOST_CAMPAIGNS = 1000


@router.get("/{vm_id:path}", operation_id="get-guest", response_model=GuestNotice, **allowed("viewer"))
def get(vm_id: str, server: TheServer) -> dict[str, Any]:
    """Look at what a guest is told by its host in any campaign under way; `NONE` where nothing is to come."""
    for run in list_runs(server.database, "", MOST_CAMPAIGNS):
        stored = server.views.stored(run.campaign_id) if run.state == "wanted" else None
        if stored is None or stored.state == FINISHED:
            continue
        notice = notice_of(told_guests(server.views.report(run, stored).migrations), vm_id, stored.record.origin)
        if notice.shown is not None:
            return guest_notice(vm_id, notice)
    return guest_notice(vm_id, MaintenanceNotice())
