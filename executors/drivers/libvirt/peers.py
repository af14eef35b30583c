"""By which address a source reaches a target, and whether that may be without encryption."""

from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from slacktide.errors import DriverError
from slacktide.executors.connections_file import HostAddress
from slacktide.ids import HostId

ENCRYPTED: Final = ("qemu+tls", "qemu+ssh", "qemu+libssh", "qemu+libssh2")
LOCAL: Final = ("qemu", "qemu+unix")
"""Sockets of the machine that an agent is on: no address for other hosts."""


class Peer(NamedTuple):
    """A target as its sources reach it."""

    uri: str
    encrypted: bool
    """Whether control and memory are encrypted and both sides authenticated."""


def peer_of(host: HostId, address: HostAddress, *, allow_unencrypted: bool) -> Peer:
    """Return how sources reach ``host``: as its address says, else by TLS and its name.

    Raises
    ------
    DriverError
        If that is without encryption, and the policy does not allow it by name.
    """
    uri = address.peer
    if uri is None:
        parts = urlsplit(address.uri)
        local = parts.scheme in LOCAL and not parts.netloc
        uri = f"qemu+tls://{host}/system" if local else urlunsplit(parts._replace(query=""))
    encrypted = urlsplit(uri).scheme in ENCRYPTED
    if not encrypted and not allow_unencrypted:
        fact = f"is reached by {uri}, which neither encrypts nor authenticates"
        remedy = "Give it a qemu+tls address as its peer, or set migration.allow_unencrypted in the policy"
        raise DriverError(f"host {host}", fact, remedy)
    return Peer(uri, encrypted)
