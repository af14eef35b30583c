"""Many live hosts, each asked the same at once; whichever does not answer is named."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from slacktide.errors import ExecutionError, InputError
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.inventory.hosts import AT_ONCE, Told, connected
from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt

HOSTS_NAMED: Final = 20
"""Hosts that one error names: all of a large fleet would hide what is wrong with them."""
Answer = TypeVar("Answer")


class LiveHosts:
    """Connections to hosts, and a thread for each while they are asked."""

    def __init__(
        self, connections: "Mapping[HostId, libvirt.virConnect]", pool: ThreadPoolExecutor, told: Told
    ) -> None:
        self._connections = connections
        self._pool = pool
        self._told = told

    def each(
        self, words: str, hosts: Sequence[HostId], ask: "Callable[[HostId, libvirt.virConnect], Answer]"
    ) -> dict[HostId, Answer]:
        """Return what each of ``hosts`` answers, telling in ``words`` how far it is.

        Raises
        ------
        ExecutionError
            If one does not answer.
        """

        def answer(host: HostId) -> Answer:
            import libvirt

            try:
                return ask(host, self._connections[host])
            except libvirt.libvirtError as error:
                fact = f"does not tell what it is asked: {error.get_error_message()}"
                raise ExecutionError(host, fact, "Look at its libvirtd's log, and try again") from error

        found = {}
        for host, said in zip(hosts, self._pool.map(answer, hosts), strict=True):
            found[host] = said
            self._told(len(found) / len(hosts), words)
        return found


@contextmanager
def live_hosts(hosts: Sequence[HostId], addresses: Mapping[HostId, HostAddress], told: Told) -> Iterator[LiveHosts]:
    """Have connections to all ``hosts``, which are closed at the end.

    Raises
    ------
    UsageError
        If libvirt's binding is missing.
    InputError
        If the address of a host is unknown.
    ExecutionError
        If a host does not answer, with the names of all that do not.
    """
    if unknown := [host for host in hosts if host not in addresses]:
        remedy = "Add where its libvirtd answers to the file of connections, or import the hosts again"
        raise InputError(_names(unknown), "is not in the file of connections", remedy)
    told(None, "connecting")
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, max(1, len(hosts)))) as pool:
        tried = dict(zip(hosts, pool.map(lambda host: _tried(addresses[host].uri), hosts), strict=True))
        connections = {host: found for host, found in tried.items() if not isinstance(found, ExecutionError)}
        try:
            if silent := {host: found for host, found in tried.items() if isinstance(found, ExecutionError)}:
                first = next(iter(silent.values()))
                raise ExecutionError(_names(list(silent)), f"{first.subject} {first.fact}", first.remedy) from first
            yield LiveHosts(connections, pool, told)
        finally:
            for connection in connections.values():
                _close(connection)


def _tried(uri: str) -> "libvirt.virConnect | ExecutionError":
    try:
        return connected(uri)
    except ExecutionError as error:
        return error


def _close(connection: "libvirt.virConnect") -> None:
    import libvirt

    with suppress(libvirt.libvirtError):
        connection.close()


def _names(hosts: Sequence[HostId]) -> str:
    more = f" and {len(hosts) - HOSTS_NAMED} more" if len(hosts) > HOSTS_NAMED else ""
    return ", ".join(hosts[:HOSTS_NAMED]) + more
