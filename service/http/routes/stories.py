"""What a campaign does with one VM: its migrations, their attempts, and every event about them."""

from typing import Any

import polars as pl
from fastapi import APIRouter
from pydantic import BaseModel

from slacktide.executors.event_codec import to_json
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.campaigns_there import begun
from slacktide.service.http.given import CampaignId, TheServer
from slacktide.service.http.problems import not_found
from slacktide.service.http.routes.events import NumberedEvent
from slacktide.service.kept_files import fleet_table

router = APIRouter(prefix="/v1/campaigns/{campaign_id}", tags=["campaigns"], route_class=GuardedRoute)


class VmStory(BaseModel):
    """A VM, its migrations in the order of their planned starts, and the events about it in the journal's."""

    vm_id: str
    vm: dict[str, Any] | None
    """As the fleet has it; null: it came later."""
    migrations: list[dict[str, Any]]
    """As `GET /v1/campaigns/ID/migrations` has them, with what `GET /v1/campaigns/ID/blackouts` says of the limit."""
    events: list[NumberedEvent]


@router.get("/vms/{vm_id:path}", operation_id="get-campaign-vm", response_model=VmStory, **allowed("viewer"))
def story(campaign_id: CampaignId, vm_id: str, server: TheServer) -> dict[str, Any]:
    """Look at everything that a campaign plans for a VM and has done with it."""
    run, stored = begun(server, campaign_id)
    found = fleet_table(server.places.fleet(run.fleet_id), "vms", [pl.col("vm_id") == vm_id]).to_dicts()
    table = server.views.migrations(run, stored)
    rows = table.filter(pl.col("vm_id") == vm_id).sort("planned_start_s", "migration_id")
    events = server.views.events_about(campaign_id, (vm_id, *rows["migration_id"]))
    if not found and not events:
        raise not_found("VM", vm_id, f"Find its id: GET /v1/fleets/{run.fleet_id}/vms")
    return {
        "vm_id": vm_id,
        "vm": found[0] if found else None,
        "migrations": rows.to_dicts(),
        "events": [{"number": each.number, "event": to_json(each.event)} for each in events],
    }
