"""What a revision keeps and changes, as people read it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.text import Text

from slacktide.executors.readable import count, duration
from slacktide.service.words import counted, plain

if TYPE_CHECKING:
    from slacktide.planner.plan import ParentBounds, Plan

STRANDED_SHOWN: Final = 20
"""Stranded VMs that are named; plan.json has them all."""
WEAKER: "Final[dict[ParentBounds, str]]" = {
    "other-limits": "the limits are others",
    "other-fleet": "hosts are lost, or VMs have come or gone",
    "departed": "not all has gone as planned",
    "other-hosts": "other hosts are planned",
    "canary": "the canary has other hosts",
    "waves": "a wave that has begun may take more hosts",
    "parent-refused": "the audit refuses the parent",
}
"""Why the bounds of the parent say nothing of its revision."""


def revision_title(child: "Plan") -> str | Text:
    """Return one line that says what is revised, from when on, and when all is done."""
    header, revision = child.header, child.header.revision
    assert revision is not None, "only revisions are shown as such"
    end = duration(header.summary.makespan_s)
    from_s = duration(revision.from_s)
    return plain(f"Plan {header.id}, revises {header.parent} from {from_s} on: the last host returns after {end}")


def revision_rows(child: "Plan") -> Iterator[tuple[str, ...]]:
    """Yield label, value and what belongs beside it."""
    assert child.header.revision is not None, "only revisions are shown as such"
    changes = child.header.revision.changes
    yield "under way", counted(changes.hosts_under_way, "host"), f"out, {counted(changes.moves_under_way, 'migration')}"
    yield (
        "kept",
        counted(changes.hosts_kept, "host"),
        f"to the second, {counted(changes.moves_kept, 'migration')}",
    )
    others = (
        f"{count(changes.moves_led_elsewhere)} to another target, {count(changes.moves_rescheduled)} at another time, "
        f"{count(changes.moves_new)} new, {count(changes.moves_dropped)} dropped"
    )
    yield "changed", counted(changes.hosts_changed, "host"), f"at another time; migrations: {others}"
    if changes.hosts_new:
        yield "new", counted(changes.hosts_new, "host"), "that the parent left alone"
    if changes.hosts_deferred:
        yield "left alone", counted(changes.hosts_deferred, "host"), "that the parent planned; reasons below"
    ground = child.header.revision.parent_bounds
    if ground == "kept":
        yield "bounds", "parent's", "hold as well: all has gone as planned, under the same limits"
    elif ground is not None:
        yield "bounds", "own", f"of the rest alone, often weaker than the parent's, which do not hold: {WEAKER[ground]}"
    if changes.stranded_vms:
        where = "on hosts that are down, listed below: restart them elsewhere"
        yield "stranded", counted(changes.stranded_vms, "VM"), where


def stranded_text(child: "Plan") -> Text:
    """Return the first stranded VMs, each with its host, and what to do once they run elsewhere."""
    assert child.header.revision is not None, "only revisions are shown as such"
    stranded = child.header.revision.stranded
    text = Text(f"stranded: {counted(len(stranded), 'VM')}\n", style="yellow")
    for one in stranded[:STRANDED_SHOWN]:
        text.append(f"  {one.vm_id} on {one.host_id}\n", style="default")
    if len(stranded) > STRANDED_SHOWN:
        more = count(len(stranded) - STRANDED_SHOWN)
        text.append(f"  and {more} more in plan.json, under revision\n", style="default")
    text.append("next: once they run elsewhere, revise with `--gone-vm` for each", style="default")
    return text
