"""Whether a replica can do its work: its store answers, there is space, and the server is not about to end."""

import os
from pathlib import Path
from typing import Final

from slacktide.errors import SlacktideError
from slacktide.service.http.server import Server
from slacktide.service.http.settings import ServerSettings
from slacktide.service.places import Places
from slacktide.service.store.tokens import list_tokens

LEAST_BYTES: Final = 64 * 2**20
"""Free space below which nothing new is to come: a large batch and its log take some MiB, an upload more."""


def not_ready(server: Server) -> list[str]:
    """Return why new callers had better go elsewhere; nothing in it tells where anything is."""
    found = []
    if leaving_file(server.places, server.settings).exists():
        found.append("the server is shutting down")
    try:
        list_tokens(server.database)
    except SlacktideError:
        found.append("the store does not answer")
    store = server.database.store
    folders = {"data": server.places.data, **({"store": store.path.parent} if store.is_file else {})}
    full = [name for name, folder in folders.items() if _is_full(folder)]
    if full:
        found.append(f"the disk of the {' and the '.join(full)} is full")
    return found


def leaving_file(places: Places, settings: ServerSettings) -> Path:
    """Return the file that tells all replicas, wherever they are, that their server is about to end."""
    return places.data / f"leaving-{settings.instance}"


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return True
    return disk.f_bavail * disk.f_frsize < LEAST_BYTES or bool(disk.f_files and not disk.f_favail)
