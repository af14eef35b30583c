"""Campaigns carried out by processes of their own, which outlive whoever started them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slacktide.errors import ExecutionError, OutputError
from slacktide.executors.store.address import Store
from slacktide.service.stores import VARIABLE

LOG_FILE: Final = "run.log"
EXIT_FILE: Final = "exit"
"""Holds the exit code of the process once it has ended."""
_DETACHED: Final = """
log=$1 code=$2
shift 2
( "$@" >>"$log" 2>&1 </dev/null; echo $? >"$code.partial"; mv "$code.partial" "$code" ) >/dev/null 2>&1 </dev/null &
"""
"""The shell that starts the process ends at once, so that it is nobody's child: Ray ends those of its workers."""
MOST_SAID: Final = 2_000
"""Characters at the end of a log among which the last line is looked for."""


@dataclass(frozen=True, slots=True)
class CampaignLaunch:
    """What `slacktide run` is to do, and where it says what."""

    fleet: Path
    plan: Path
    directory: Path
    """Of the campaign."""
    log_folder: Path
    """Has the log and the exit code; not the campaign's own directory."""
    store: Store | None = None
    options: Sequence[str] = ()


def launch_campaign(launch: CampaignLaunch) -> None:
    """Start a process with a session of its own that carries a campaign out, or goes on with it.

    Two for one campaign do no harm: the second is refused by the campaign's lease.

    Raises
    ------
    OutputError
        If its log cannot be written.
    ExecutionError
        If no process can be started.
    """
    log, code = launch.log_folder / LOG_FILE, launch.log_folder / EXIT_FILE
    try:
        launch.log_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        code.unlink(missing_ok=True)
    except OSError as error:
        fact = f"cannot be written: {error.strerror or error}"
        raise OutputError(str(launch.log_folder), fact, "Free some space, or see to its permissions") from error
    run = [sys.executable, "-m", "slacktide.service.cli", "run", str(launch.fleet), str(launch.plan)]
    command = [
        "/bin/sh",
        "-c",
        _DETACHED,
        "sh",
        str(log),
        str(code),
        *run,
        "-o",
        str(launch.directory),
        *launch.options,
    ]
    try:
        subprocess.run(command, check=True, env=_environment(launch.store), start_new_session=True)
    except (OSError, subprocess.CalledProcessError) as error:
        fact = f"cannot be started: {error}"
        raise ExecutionError(f"the process for {launch.directory.name}", fact, "See the machine's limits") from error


def exit_code(log_folder: Path) -> int | None:
    """Return how the last process for a campaign ended, None: it has not."""
    try:
        return int((log_folder / EXIT_FILE).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def last_words(log_folder: Path) -> str:
    """Return the last line that a process for a campaign wrote; empty: none."""
    try:
        text = (log_folder / LOG_FILE).read_bytes()[-MOST_SAID:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _environment(store: Store | None) -> dict[str, str]:
    """Return the environment of the process: the store's URL is in it, and not among what others see of processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") or name == "RAY_ADDRESS"}
    if store is not None:
        kept[VARIABLE] = store.url.render_as_string(hide_password=False)
    return kept
