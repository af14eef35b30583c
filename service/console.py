"""What the command line prints: results on standard output, messages and progress on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from threading import Timer
from typing import Any, Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from slacktide.findings import Finding
from slacktide.service.words import plain

PIPE_COLUMNS: Final = 1_000
"""Width of what goes into a pipe or a file: no line is ever broken there."""

Told = Callable[[float | None, str], None]
"""Takes how much is done (None: unknown) and a few words about it."""


def show(renderable: RenderableType) -> None:
    """Print a result for people on standard output; lines have no blanks at their end."""
    _print(renderable, sys.stdout)


def tell(renderable: RenderableType) -> None:
    """Print a message on standard error."""
    _print(renderable, sys.stderr)


def document(data: Any) -> None:  # noqa: ANN401  (whatever JSON can hold)
    """Print a result for programs: one JSON document on standard output."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def figures(rows: Iterable[tuple[str, ...]]) -> Group:
    """Return aligned rows of a label, a value and what belongs beside it; the last cell of a row widens no other."""
    cells = [tuple(plain(cell) for cell in row) for row in rows]
    widths = [
        max((len(row[column]) for row in cells if column < len(row) - 1), default=0)
        for column in range(max(map(len, cells), default=0))
    ]
    return Group(*(_grid(list(alike), widths[:length]) for length, alike in groupby(cells, key=len)))


def findings_text(findings: Iterable[Finding]) -> Text:
    """Return findings one after the other: severity, place, message, rule; and the remedy below."""
    lines = Text()
    for finding in findings:
        place = "" if finding.file is None else finding.file
        place += "" if finding.row is None else f" row {finding.row}"
        place += "" if finding.at_s is None else f" at {finding.at_s} s"
        lines.append(f"{finding.severity:<7}", style="red" if finding.severity == "error" else "yellow")
        lines.append(f"  {place.strip()}{': ' if place else ''}{finding.message} [{finding.rule}]\n")
        lines.append(f"         {finding.remedy}\n", style="dim")
    lines.rstrip()
    return lines


def shows_bars() -> bool:
    """Return whether standard error is a terminal on which a bar can move; else lines are all that is read there."""
    console = Console(stderr=True)
    return sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal


@contextmanager
def progress(task: str) -> Iterator[Told]:
    """Show how far ``task`` is, with an estimate of the rest, where standard error is a terminal."""
    if not shows_bars():
        yield lambda _fraction, _words: None
        return
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        number = bar.add_task(task, total=None, words="")

        def told(fraction: float | None, words: str) -> None:
            total = None if fraction is None else 1.0
            bar.update(number, total=total, completed=fraction or 0.0, words=plain(words))

        yield told


@contextmanager
def told_if_slow(words: str, after_s: float) -> Iterator[None]:
    """Print a message on standard error where the block takes longer than ``after_s`` seconds."""
    timer = Timer(after_s, tell, (words,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _grid(rows: list[tuple[str, ...]], widths: list[int]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=widths[0])
    for number, width in enumerate(widths[1:-1], start=1):
        table.add_column(style="bold" if number == 1 else None, no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _print(renderable: RenderableType, stream: TextIO) -> None:
    terminal = stream.isatty()
    console = Console(file=stream, width=None if terminal else PIPE_COLUMNS, highlight=False, emoji=False, markup=False)
    with console.capture() as captured:
        console.print(renderable, soft_wrap=isinstance(renderable, str | Text) and not terminal)
    text = "\n".join(line.rstrip() for line in captured.get().split("\n"))
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, errors="replace").decode(encoding))
    stream.flush()
