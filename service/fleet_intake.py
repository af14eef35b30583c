"""An uploaded fleet, read by a process of its own with limits on its memory and time.

What is uploaded may unpack to a thousand times its size, or be damaged so that a reader in another language ends the
process that it is in.  Here that is this process.  What is kept is written anew from what was read.

Called as ``python -m slacktide.service.fleet_intake FOLDER KEPT ROWS BYTES SECONDS``; ``KEPT`` is where fleets are, or
``-`` to check alone.  Prints one JSON object: ``fleet_id`` (null: it has errors), ``summary``, ``findings``.
"""

import asyncio
import json
import resource
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slacktide.errors import ExecutionError, InputError, OutputError
from slacktide.findings import Finding
from slacktide.service.kept_sums import keep

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot

OWN: Final = {"fleet": "fleet.json"} | {
    name: f"{name}.parquet" for name in ("hosts", "vms", "services", "links", "domains")
}
"""Parts of an upload, and what a snapshot's files are called."""
ID_DIGITS: Final = 16
FINDINGS_KEPT: Final = 1000
SUBJECTS_KEPT: Final = 20
"""Of one finding: a rule about links may be broken by all of them at once."""
MESSAGE_KEPT: Final = 1000
"""Characters of what a finding says; what it is about may have been made up to be long."""
NAME_KEPT: Final = 200
"""Characters of a subject; a fleet's names have no more, and those of what is no fleet may."""
ANSWER_BYTES: Final = 4 * 2**20
"""What the process may say; a fleet's figures and 1,000 findings have some hundred thousand."""
META_BYTES: Final = 2**18
"""A ``fleet.json``, which every list of fleets tells."""


class Intake(NamedTuple):
    """What came of an upload."""

    fleet_id: str | None
    """Null: it has errors."""
    summary: dict[str, Any] | None
    findings: list[dict[str, Any]]


class Bounds(NamedTuple):
    """What reading may take."""

    rows: int
    memory_bytes: int
    cpu_s: int


def fleet_id_of(snapshot: "FleetSnapshot") -> str:
    """Return the name under which a fleet is kept: what its digest begins with."""
    from slacktide.datasets.digest import digest

    return digest(snapshot)[:ID_DIGITS]


async def take_in(folder: Path, kept: Path | None, bounds: Bounds) -> Intake:
    """Read an upload's files in a process of its own; a sound fleet is kept beneath ``kept``, under its id.

    Raises
    ------
    InputError
        If it takes more memory or time than it may, or ends the process that reads it.
    ExecutionError
        If no process can be started.
    OutputError
        If it cannot be kept: the disk is full.
    """
    where = "-" if kept is None else str(kept)
    command = (sys.executable, "-m", __name__, str(folder), where, *map(str, bounds))
    none = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=none, stdout=asyncio.subprocess.PIPE, stderr=none, limit=ANSWER_BYTES
        )
    except OSError as error:
        raise ExecutionError("the process that reads fleets", f"cannot be started: {error}", "Try again") from error
    try:
        said = await _said(process)
    except BaseException:
        process.kill()
        raise
    if said is None:
        process.kill()
        await process.wait()
        fact = f"has more kinds of hosts, domains or findings than an answer of {ANSWER_BYTES // 2**20} MiB holds"
        raise InputError("upload", fact, "Look at it with `slacktide fleet show` and `slacktide fleet check`")
    if process.returncode != 0:
        fact = "cannot be read within the limits of memory and time, or is damaged"
        raise InputError(
            "upload", fact, "Check it with `slacktide fleet check`; whoever runs the server can allow more"
        )
    found = json.loads(said)
    if "unwritten" in found:
        raise OutputError(*found["unwritten"])
    if "error" in found:
        raise InputError(*found["error"])
    return Intake(**found)


async def _said(process: asyncio.subprocess.Process) -> bytes | None:
    """Return all that a process says until it ends; None: it says more than it may, and goes on."""
    assert process.stdout is not None
    said = bytearray()
    while piece := await process.stdout.read(2**16):
        said += piece
        if len(said) > ANSWER_BYTES:
            return None
    await process.wait()
    return bytes(said)


def _main(folder: str, kept: str, rows: str, memory: str, seconds: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump(_read(Path(folder), None if kept == "-" else Path(kept), int(rows)), sys.stdout)


def _read(folder: Path, kept: Path | None, most: int) -> dict[str, Any]:
    from slacktide.datasets.files import check_snapshot, write_snapshot
    from slacktide.datasets.summary import summarise

    for name in OWN:
        rows = _rows(folder / OWN[name]) if name != "fleet" else 0
        if rows > most:
            fact = f"has {rows:,} rows, the most allowed is {most:,}"
            return {"error": (f"part {name}", fact, "Send a smaller fleet; whoever runs the server can allow more")}
    meta_bytes = (folder / OWN["fleet"]).stat().st_size
    if meta_bytes > META_BYTES:
        fact = f"has {meta_bytes:,} bytes, the most allowed is {META_BYTES:,}"
        return {"error": ("part fleet", fact, "Leave out of its fields what does not describe the fleet")}
    snapshot, findings = check_snapshot(folder)
    told = [_told(finding) for finding in findings[:FINDINGS_KEPT]]
    if snapshot is None:
        return {"fleet_id": None, "summary": None, "findings": told}
    fleet_id = fleet_id_of(snapshot)
    if kept is not None:
        try:
            keep(kept / fleet_id, partial(write_snapshot, snapshot))
        except OutputError as error:
            return {"unwritten": (error.subject, error.fact, error.remedy)}
    return {"fleet_id": fleet_id, "summary": summarise(snapshot).as_dict(), "findings": told}


def _told(finding: Finding) -> dict[str, Any]:
    """Return a finding as it is answered: a beginning of what names and lists may make long."""
    said = finding.as_dict()
    for name in ("message", "remedy"):
        said[name] = _beginning(said[name], MESSAGE_KEPT)
    said["subjects"] = [_beginning(subject, NAME_KEPT) for subject in finding.subjects[:SUBJECTS_KEPT]]
    return said


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _rows(path: Path) -> int:
    """Return how many rows a file says it has; 0 where it cannot be read: the reader finds that too, and says why."""
    import polars as pl

    try:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return 0


if __name__ == "__main__":
    _main(*sys.argv[1:])
