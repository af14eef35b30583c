"""What live hosts have against a plan, as people read it."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.executors.preflight.checks import Refusal
    from slacktide.executors.preflight.moves import PlannedMove

SHOWN: Final = 20
"""Refusals that are listed: more would hide the first, and ``--json`` has all."""


def preflight_text(plan_id: str, moves: "Sequence[PlannedMove]", found: "Sequence[Refusal]") -> Group:
    """Return what was asked, what speaks against it by rule, and the first refusals one by one."""
    hosts = {host for move in moves for host in (move.source, move.target)}
    asked = (
        f"{counted(len(moves), 'migration')} of {counted(len({move.vm_id for move in moves}), 'VM')} "
        f"between {counted(len(hosts), 'host')} checked"
    )
    if not found:
        return Group(Text(f"Plan {plan_id}: {asked}, nothing speaks against them"))
    kinds = ", ".join(f"{number:,} {rule}" for rule, number in Counter(one.rule for one in found).most_common())
    lines: list[RenderableType] = [
        Text(f"Plan {plan_id}: {asked}, {counted(len(found), 'refusal')}: {kinds}"),
        _table(found[:SHOWN]),
    ]
    if len(found) > SHOWN:
        lines.append(Text(f"and {len(found) - SHOWN:,} more; --json lists all", style="dim"))
    return Group(*lines)


def _table(found: "Sequence[Refusal]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("rule", "VM", "from", "to"):
        table.add_column(column, no_wrap=True)
    table.add_column("what is wrong", overflow="fold", ratio=1)
    table.add_column("what to do", overflow="fold", ratio=1)
    for one in found:
        cells = (one.rule, one.vm_id, one.source, one.target, one.fact, one.remedy)
        table.add_row(Text(cells[0], style="red"), *map(Text, cells[1:]))
    return table
