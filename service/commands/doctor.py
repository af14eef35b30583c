"""``slacktide doctor``: an installation is looked at, and what is wrong with it comes with what mends it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from slacktide.errors import UsageError
from slacktide.service.commands.options import AsJson
from slacktide.service.commands.serve import DataPath, StoreUrl, default_data
from slacktide.service.console import document, progress, show
from slacktide.service.failures import OK, REFUSED
from slacktide.service.stores import VARIABLE

if TYPE_CHECKING:
    from slacktide.executors.connections_file import HostAddress
    from slacktide.executors.store.address import Store
    from slacktide.ids import HostId


def doctor(
    *,
    connections: Path | None = None,
    fleet: Path | None = None,
    data: DataPath = None,
    store: StoreUrl = None,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    by: str | None = None,
    measure_links: Annotated[bool, Parameter(negative="")] = False,
    seconds: Annotated[float, Parameter(validator=Number(gt=0, lte=30))] = 2.0,
    clock_limit_ms: Annotated[float, Parameter(validator=Number(gt=0))] = 500.0,
    as_json: AsJson = False,
) -> int:
    """Look at an installation: what is well, what is not, and what mends it.

    Looked at are Python and packages, the server's data directory and certificate, the store, the cluster that
    RAY_ADDRESS names with all its nodes, and the hosts of a file of connections: libvirt and QEMU, certificates,
    clocks, links. Nothing is changed. Exit code 1 if there is an error.

    Parameters
    ----------
    connections
        JSON file with the address of each host. [default: beside the fleet, its name and "-connections.json"]
    fleet
        Fleet that states what hosts' links carry.
    tls_certificate
        The server's certificate, as `slacktide serve` is given it.
    tls_key
        Its key.
    by
        Command that leads to Python on a host that is no node of Ray, such as 'ssh {host} /opt/slacktide/bin/python'.
        What is seen on the host alone is then seen: QEMU's certificates, keys' permissions, its clock.
    measure_links
        Fill the link from each host to the next for some seconds, and state what arrived. Others on these links have
        less meanwhile.
    seconds
        How long each link is filled.
    clock_limit_ms
        How far a clock may be from this machine's.
    """
    from slacktide.executors.doctor.check import has_error
    from slacktide.executors.doctor.lines import words_of
    from slacktide.service.doctor import Installation, examine

    if (tls_certificate is None) != (tls_key is None):
        raise UsageError("--tls-certificate", "needs --tls-key, and the other way round", "Give both or neither")
    if by is not None:
        words_of(by)  # a command that is none is refused before anybody is asked
    folder = _data(data)
    installation = Installation(
        data=folder,
        store=_store(folder, store),
        server_pair=None if tls_certificate is None or tls_key is None else (tls_certificate, tls_key),
        addresses=_addresses(connections, fleet),
        ray_address=os.environ.get("RAY_ADDRESS") or None,
        by=by,
        stated_mbit_s=_stated(fleet),
        measure_s=seconds if measure_links else None,
        clock_limit_ms=clock_limit_ms,
    )
    with progress("Looking at") as told:
        checks = examine(installation, told)
    if as_json:
        document({"healthy": not has_error(checks), "checks": [check.as_dict() for check in checks]})
    else:
        from slacktide.service.doctor_text import doctor_text

        show(doctor_text(checks))
    return REFUSED if has_error(checks) else OK


def _data(given: Path | None) -> Path | None:
    """Return the server's data directory; None: there is no sign of a server."""
    from slacktide.executors.presence import is_missing

    folder = (given or default_data()).resolve()
    return folder if given is not None or not is_missing(folder) else None


def _store(data: Path | None, url: str | None) -> "Store | None":
    """Return the store that is meant; None: there is no sign of one."""
    from slacktide.executors.presence import is_missing
    from slacktide.executors.store.address import parse_store, store_in
    from slacktide.service.places import STORE_FILE

    named = url or os.environ.get(VARIABLE)
    if named:
        return parse_store(named)
    return store_in(data / STORE_FILE) if data is not None and not is_missing(data) else None


def _addresses(connections: Path | None, fleet: Path | None) -> "dict[HostId, HostAddress]":
    from slacktide.executors.connections_file import connections_beside, read_connections

    if connections is not None:
        return read_connections(connections)
    if fleet is not None and connections_beside(fleet).is_file():
        return read_connections(connections_beside(fleet))
    return {}


def _stated(fleet: Path | None) -> "dict[HostId, int]":
    """Return what a fleet says that its hosts' cards may carry of migrations."""
    if fleet is None:
        return {}
    from slacktide.datasets.files import read_snapshot

    hosts = read_snapshot(fleet).hosts
    return dict(hosts.select("host_id", "migration_mbit_s").iter_rows())
