"""The network namespaces of labs, and the processes in them."""

import os
import re
from pathlib import Path

from slacktide.executors.probes.namespaces import NAMESPACES


def namespaces_of(lab: str) -> list[str]:
    """Return the names of the namespaces of a lab that are there."""
    ours = re.compile(rf"{re.escape(lab)}-(switch|control|h\d+)")
    return sorted(path.name for path in NAMESPACES.glob("*") if ours.fullmatch(path.name))


def processes_in(namespace: str) -> list[int]:
    """Return the processes in a network namespace, whoever started them."""
    try:
        wanted = (NAMESPACES / namespace).stat().st_ino
    except FileNotFoundError:
        return []
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                inode = os.stat(f"/proc/{entry.name}/ns/net").st_ino
            except OSError:
                continue  # it has ended meanwhile
            if inode == wanted:
                found.append(int(entry.name))
    return sorted(found)


def first_process_in(namespace: str) -> int | None:
    """Return the process that is number 1 of its own process namespace; None: no host runs there."""
    for process in processes_in(namespace):
        if _numbers(process)[1:] == ["1"]:
            return process
    return None


def command_of(process: int) -> str:
    """Return the short name of a process, empty: it has ended."""
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _numbers(process: int) -> list[str]:
    """Return a process's numbers, from the outermost namespace to its own."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return []
    return next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
