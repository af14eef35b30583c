"""The file that says where each host's libvirtd answers.

One JSON object: host id to address, or to ``{"uri": address, "peer": address}``.
"""

import json
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from slacktide.errors import InputError, UsageError
from slacktide.ids import HostId
from slacktide.object_store import AnyPath

FORM: Final = 'Write "h1": "qemu+tls://h1/system", or "h1": {"uri": ..., "peer": ...}'


class HostAddress(NamedTuple):
    """Where a host's libvirtd answers."""

    uri: str
    """From here."""
    peer: str | None = None
    """From other hosts, where they have to reach it by another address; null: the same."""


def connections_beside(fleet: AnyPath) -> AnyPath:
    """Return where the addresses of a fleet's hosts are, if nobody says otherwise: where the import wrote them."""
    whole = fleet.resolve()
    return whole.with_name(f"{whole.name}-connections.json")


def read_connections(path: AnyPath) -> dict[HostId, HostAddress]:
    """Return the address of each host.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it cannot be read, or is not of this form.
    """
    if not path.is_file():
        remedy = "Give --connections with the file that `slacktide fleet import libvirt` wrote"
        raise UsageError(str(path), "there is no such file", remedy)
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), f"cannot be read: {error}", "Mend it, or import the hosts again") from error
    if not isinstance(data, dict):
        raise InputError(str(path), "is no JSON object of hosts and addresses", FORM)
    return {HostId(host): _address(path, host, value) for host, value in data.items()}


def _address(path: AnyPath, host: str, value: object) -> HostAddress:
    subject = f"{path}, host {host}"
    if isinstance(value, str):
        value = {"uri": value}
    if not isinstance(value, dict):
        raise InputError(subject, "has neither an address nor an object with one", FORM)
    if unknown := sorted(value.keys() - {"uri", "peer"}):
        raise InputError(subject, f"has an unknown key {unknown[0]}", FORM)
    uri, peer = value.get("uri"), value.get("peer")
    if not isinstance(uri, str) or not uri:
        raise InputError(subject, "has no address: uri is missing or no text", FORM)
    if peer is not None and not (isinstance(peer, str) and peer):
        raise InputError(subject, "has a peer that is no address", "Write an address, or leave peer out")
    for each in filter(None, (uri, peer)):
        try:
            _ = urlsplit(each).port
        except ValueError as error:
            raise InputError(subject, f"has the address {each}, which is none: {error}", FORM) from error
    return HostAddress(uri, peer)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a dictionary, each key being there once."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} is there twice")
        found[key] = value
    return found
