"""What a guest is told, in whichever campaign it is told of something."""

from typing import Any

from fastapi import APIRouter

from slacktide.executors.metadata.notice import MaintenanceNotice
from slacktide.executors.store.campaigns import FINISHED
from slacktide.service.guests import notice_of, told_guests
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.given import TheServer
from slacktide.service.http.problems import not_found
from slacktide.service.http.routes.progress import GuestNotice, fleet_has_vm, guest_notice, has_vm
from slacktide.service.store.runs import list_runs

router = APIRouter(prefix="/v1/guests", tags=["guests"], route_class=GuardedRoute)
MOST_CAMPAIGNS = 1000


@router.get("/{vm_id:path}", operation_id="get-guest", response_model=GuestNotice, **allowed("viewer"))
def get(vm_id: str, server: TheServer) -> dict[str, Any]:
    """Look at what a guest is told by its host in any campaign under way; `NONE` where nothing is to come.

    404 where no campaign's fleet has such a VM.
    """
    runs, known = list_runs(server.database, "", MOST_CAMPAIGNS), False
    for run in runs:
        stored = server.views.stored(run.campaign_id) if run.state == "wanted" else None
        if stored is None or stored.state == FINISHED:
            continue
        migrations = server.views.report(run, stored).migrations
        notice = notice_of(told_guests(migrations), vm_id, stored.record.origin)
        if notice.shown is not None:
            return guest_notice(vm_id, notice)
        known = known or has_vm(server, run, migrations, vm_id)
    if not known and not any(fleet_has_vm(server, fleet, vm_id) for fleet in sorted({run.fleet_id for run in runs})):
        raise not_found("VM", vm_id, "List fleets: GET /v1/fleets; and a fleet's VMs: GET /v1/fleets/ID/vms")
    return guest_notice(vm_id, MaintenanceNotice())
