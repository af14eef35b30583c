"""``slacktide preflight``: live hosts are asked whether they could carry a plan out."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from slacktide.service.commands.options import AsJson, FleetPath, PathOption, PlanPath
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, progress, show
from slacktide.service.failures import OK, REFUSED

if TYPE_CHECKING:
    from slacktide.executors.preflight.checks import Refusal
    from slacktide.executors.preflight.moves import PlannedMove


def preflight(
    path: FleetPath,
    plan_path: PlanPath,
    /,
    *,
    connections: PathOption = None,
    shared_path: tuple[str, ...] = (),
    as_json: AsJson = False,
) -> int:
    """Ask the live hosts of a plan whether every migration could be carried out, before any guest is told.

    Nothing is changed on the hosts. All hosts of the plan must answer. Migrations that a host would refuse are
    listed, each with what is wrong and what to do; the exit code is then 1.

    Parameters
    ----------
    connections
        JSON file with the address of each host. [default: beside the fleet, its name and "-connections.json"]
    shared_path
        Folder that all hosts see, as for `fleet import libvirt`; repeat it for more.
    """
    from slacktide.executors.connections_file import connections_beside, read_connections
    from slacktide.executors.preflight.moves import planned_moves
    from slacktide.executors.preflight.whole import preflight as asked

    addresses = read_connections(connections or connections_beside(path))
    with progress("Reading fleet and plan"):
        from slacktide.planner.belonging import refuse_another_snapshot

        snapshot, plan = read_both(path, plan_path)
        refuse_another_snapshot(snapshot, plan)
        moves = planned_moves(snapshot, plan)
    with progress("Asking hosts") as told:
        shared = [PurePosixPath(folder) for folder in shared_path]
        found = asked(moves, addresses, told, shared, plan.header.summary.makespan_s)
    if as_json:
        document(_document(plan.header.id, moves, found))
    else:
        from slacktide.service.preflight_text import preflight_text

        show(preflight_text(plan.header.id, moves, found))
    return REFUSED if found else OK


def _document(plan_id: str, moves: "list[PlannedMove]", found: "list[Refusal]") -> dict[str, Any]:
    return {
        "plan": plan_id,
        "migrations": len(moves),
        "hosts": len({host for move in moves for host in (move.source, move.target)}),
        "vms": len({move.vm_id for move in moves}),
        "refusals": [refusal.as_dict() for refusal in found],
    }
