"""What the doctor found, as people read it: what is wrong first to the eye, with what mends it."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slacktide.executors.doctor.check import AREAS, Check
from slacktide.service.words import counted

STYLES = {"ok": "green", "unknown": "dim", "warning": "yellow", "error": "bold red"}
SUBJECTS_SHOWN = 5
"""Subjects that are named where many are alike: of a large fleet all would hide the rest, and --json has them."""


def doctor_text(checks: Sequence[Check]) -> Group:
    """Return a table of what was looked at, alike checks in one row, and a line that counts."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in ("verdict", "area"):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    table.add_column(overflow="fold", ratio=3)
    for subjects, check in _alike(checks):
        says = Text(check.fact)
        if check.remedy:
            says.append(f"\n{check.remedy}", style="dim" if check.verdict == "unknown" else "italic")
        table.add_row(Text(check.verdict, style=STYLES[check.verdict]), Text(check.area, style="dim"), subjects, says)
    rows: list[RenderableType] = [table, Text(summary(checks))]
    return Group(*rows)


def summary(checks: Sequence[Check]) -> str:
    """Return how many checks came out how."""
    counts = Counter(check.verdict for check in checks)
    wrong = [counted(counts[kind], kind) for kind in ("error", "warning") if counts[kind]]
    unknown = [f"{counts['unknown']} could not be looked at"] if counts["unknown"] else []
    said = ", ".join([*wrong, *unknown]) or "nothing is wrong"
    return f"{counted(len(checks), 'check')}: {said}"


def _alike(checks: Sequence[Check]) -> list[tuple[str, Check]]:
    def key(check: Check) -> tuple[int, str, str, str]:
        return AREAS.index(check.area), check.verdict, check.fact, check.remedy

    first = {key(check): number for number, check in reversed(list(enumerate(checks)))}
    ordered = sorted(checks, key=lambda check: (AREAS.index(check.area), first[key(check)]))
    groups = [list(some) for _, some in groupby(ordered, key)]
    return [(_named([check.subject for check in some]), some[0]) for some in groups]


def _named(subjects: Sequence[str]) -> str:
    more = f" and {len(subjects) - SUBJECTS_SHOWN:,} more" if len(subjects) > SUBJECTS_SHOWN else ""
    return ", ".join(subjects[:SUBJECTS_SHOWN]) + more
