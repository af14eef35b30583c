"""Rows as Markdown, and Markdown between the markers of a page."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


COLUMNS = (
    "family",
    "policy",
    "who",
    "makespan s",
    "x ours",
    "exposure host-h",
    "x ours",
    "moves per VM",
    "blackout s",
    "over limit",
    "planning s",
    "MiB",
    "gap makespan",
    "gap exposure",
    "deferred",
    "remark",
)


def row_table(rows: Sequence[Row]) -> str:
    """Return rows as a table; each of ours is what those after it are compared with."""
    lines, ours = [], rows[0] if rows else None
    for row in rows:
        if row.who == "Slacktide":
            ours = row
        lines.append(_cells(row, ours or row))
    return markdown(COLUMNS, lines)


def _cells(row: Row, ours: Row) -> list[str]:
    same = row is ours
    return [
        row.family,
        row.policy,
        f"**{row.who}**" if same else row.who,
        _number(row.makespan_s),
        "" if same else _ratio(row.makespan_s, ours.makespan_s),
        _number(row.exposure_host_h),
        "" if same else _ratio(row.exposure_host_h, ours.exposure_host_h),
        _number(row.moves_per_vm, 3),
        _number(row.blackout_s),
        _number(row.over_limit),
        _number(row.planning_s, 1),
        _number(row.peak_mib),
        _percent(row.makespan_gap),
        _percent(row.exposure_gap),
        _number(row.deferred),
        f"bound by {row.binding}" if same and row.binding and not row.remark else row.remark,
    ]


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _ratio(value: float | None, ours: float | None) -> str:
    return "" if value is None or not ours else f"{value / ours:.2f}"


def rewrite(page: Path, tables: dict[str, str]) -> None:
    """Put each table between its markers ``<!-- name -->`` and ``<!-- /name -->`` in a page; others stay."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        between = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
        if not between.search(text):
            raise SystemExit(f"{page}: has no markers for {name!r}; add <!-- {name} --> and <!-- /{name} -->")
        text = between.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")
