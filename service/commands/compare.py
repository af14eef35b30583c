"""``slacktide compare``: a plan beside constant numbers of migrations per host and per cluster."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from slacktide.service.commands.options import HERE, Afar, AsJson, FleetPath, PlanPath
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, progress, show
from slacktide.service.failures import OK

if TYPE_CHECKING:
    from slacktide.planner.streams.comparison import Figures


def compare(
    path: FleetPath,
    plan_path: PlanPath,
    /,
    *,
    constants: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Set a plan beside the same migrations started by constants, N per host and M per cluster.

    Hosts drain in the plan's order and VMs go to the plan's targets; only how many migrations share the links differs.
    Streams share them fairly, and the migration model goes on at the rate of the moment.

    Parameters
    ----------
    constants
        kubevirt, nova, vsphere or ovirt for their defaults, or N:M for N migrations per host and M per cluster; may be
        given several times. [default: all four]
    """
    from slacktide.planner.streams.rules import RULES, stream_rule

    rules = [stream_rule(text) for text in constants or ()] or list(RULES.values())
    if afar.named:
        from slacktide.service.afar.questions import compared as compared_there

        return _shown(*compared_there(afar, path, plan_path, constants or ()), as_json=as_json)
    with progress("Comparing the plan"):
        from slacktide.planner.streams.comparison import compare as compared

        snapshot, made = read_both(path, plan_path)
        rows = list(compared(snapshot, made, rules))
    return _shown(made.header.id, rows, made.hosts.height, made.migrations.height, as_json=as_json)


def _shown(plan_id: str, rows: "list[Figures]", hosts: int, migrations: int, *, as_json: bool) -> int:
    if as_json:
        document({"plan": plan_id, "rows": [row.as_dict() for row in rows]})
    else:
        from slacktide.service.compare_text import comparison_table

        show(comparison_table(rows, hosts, migrations))
    return OK
