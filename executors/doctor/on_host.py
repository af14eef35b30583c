"""What only a host itself can see: its certificates and keys, its clock, what arrives at it.

Run there as ``python -m slacktide.executors.doctor.on_host``, it answers questions on standard input, each a line of
JSON; on a node of Ray it is an actor's.
"""

import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from slacktide import __version__
from slacktide.executors.doctor import throughput
from slacktide.executors.doctor.check import Check
from slacktide.executors.doctor.files import Pair, pair_checks, secret_checks, unread_check
from slacktide.executors.presence import is_missing

QEMU_CONF: Final = Path("/etc/libvirt/qemu.conf")
LIBVIRTD_CONFS: Final = (Path("/etc/libvirt/virtproxyd.conf"), Path("/etc/libvirt/libvirtd.conf"))
DEFAULT_DIRECTORY: Final = "/etc/pki/qemu"
LIBVIRT: Final = {
    "cert_file": "/etc/pki/libvirt/servercert.pem",
    "key_file": "/etc/pki/libvirt/private/serverkey.pem",
    "ca_file": "/etc/pki/CA/cacert.pem",
}
READERS: Final = ("kvm", "libvirt-qemu", "libvirt", "qemu")
"""Groups as which QEMU runs, which has to read its key."""
_SETTING: Final = re.compile(r'^\s*(\w+)\s*=\s*"?([^"#]*?)"?\s*(?:#.*)?$', re.MULTILINE)


class HostSide:
    """Answers on a host; each method's answer can be JSON."""

    def __init__(self) -> None:
        self._sinks: dict[int, throughput.Sink] = {}

    def about(self) -> dict[str, Any]:
        """Return what runs here."""
        return {
            "machine": platform.node(),
            "python": platform.python_version(),
            "slacktide": __version__,
            "environment": {name: os.environ.get(name, "") for name in ("RAY_AUTH_MODE", "RAY_USE_TLS")},
        }

    def clock_ms(self) -> float:
        """Return the milliseconds since 1970 by this clock."""
        return time.time() * 1000

    def certificates(self, host: str, addresses: Sequence[str]) -> list[dict[str, Any]]:
        """Return checks of what libvirtd and QEMU here show to others, who reach the host by one of ``addresses``."""
        return [check.as_dict() for check in host_certificates(host, addresses)]

    def ray_secrets(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return checks of what Ray here shows to others, who reach it by one of ``names``, and of its token."""
        return [check.as_dict() for check in ray_secrets(names[0], names)]

    def migration_address(self) -> str:
        """Return where migrations arrive, as QEMU's settings say; empty: they say nothing."""
        settings = settings_in(QEMU_CONF) or {}
        found = settings.get("migration_host") or settings.get("migration_address") or ""
        return "" if found in ("0.0.0.0", "::") else found

    def listen(self, address: str, seconds: float) -> dict[str, Any]:
        """Take bytes at an address; return where, and what a sender has to show."""
        sink = throughput.Sink(address, seconds)
        self._sinks[sink.port] = sink
        return {"port": sink.port, "mark": sink.mark}

    def send(self, address: str, port: int, mark: str, seconds: float) -> None:
        """Send to another host that listens."""
        throughput.send(address, port, mark, seconds)

    def received_mbit_s(self, port: int) -> float:
        """Return the rate at which bytes came, once all have."""
        return self._sinks.pop(port).received().mbit_s


ASKED: Final = frozenset(
    {"about", "clock_ms", "certificates", "ray_secrets", "migration_address", "listen", "send", "received_mbit_s"}
)


def host_certificates(host: str, addresses: Sequence[str]) -> list[Check]:
    """Return what is wrong with the certificates of this host, or that nothing is."""
    return [*_libvirtd_certificates(host, addresses), *_qemu_certificates(host, addresses)]


def _libvirtd_certificates(host: str, addresses: Sequence[str]) -> Iterator[Check]:
    what, libvirt = f"{host}: libvirtd's files", dict(LIBVIRT)
    for path in LIBVIRTD_CONFS:
        settings = settings_in(path)
        if settings is None:  # it may name other files than the usual ones
            yield unread_check("certificates", what, path)
            return
        libvirt |= {name: value for name, value in settings.items() if name in LIBVIRT and value}
    server = Pair(what, Path(libvirt["cert_file"]), Path(libvirt["key_file"]), Path(libvirt["ca_file"]))
    yield from pair_checks("certificates", server, [host, *addresses])


def _qemu_certificates(host: str, addresses: Sequence[str]) -> Iterator[Check]:
    what, qemu = f"{host}: QEMU's for migrations", settings_in(QEMU_CONF)
    if qemu is None:
        yield unread_check("certificates", what, QEMU_CONF)
        return
    folder = Path(qemu.get("migrate_tls_x509_cert_dir") or qemu.get("default_tls_x509_cert_dir") or DEFAULT_DIRECTORY)
    shown = Pair(what, folder / "server-cert.pem", folder / "server-key.pem", folder / "ca-cert.pem")
    known = [host, *addresses, *filter(None, [qemu.get("migration_host"), qemu.get("migration_address")])]
    yield from pair_checks("certificates", shown, known, READERS)
    client = Pair(
        f"{host}: QEMU's as a source", folder / "client-cert.pem", folder / "client-key.pem", folder / "ca-cert.pem"
    )
    if not is_missing(client.certificate):  # without one, the server's is shown
        yield from pair_checks("certificates", client, (), READERS)


def ray_secrets(place: str, names: Sequence[str] = ()) -> list[Check]:
    """Return what is wrong with the certificate and the token of Ray's processes here, as their environment says.

    Where there is neither, nothing is returned: that is told of where the environment is looked at.
    """
    told = os.environ.get
    found: list[Check] = []
    if told("RAY_USE_TLS") == "1":
        files = [Path(told(f"RAY_TLS_{name}", "")) for name in ("SERVER_CERT", "SERVER_KEY", "CA_CERT")]
        pair = Pair(f"Ray's on {place}", files[0], files[1], files[2])
        found += pair_checks("certificates", pair, names)
    path = told("RAY_AUTH_TOKEN_PATH")
    if told("RAY_AUTH_MODE") == "token" and path:
        found += secret_checks("certificates", f"Ray's token on {place}", Path(path))
    return found


def settings_in(path: Path) -> dict[str, str] | None:
    """Return what a configuration file of libvirt's sets, by name: nothing without a file; None: it cannot be read."""
    try:
        return dict(_SETTING.findall(path.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return {} if is_missing(path) else None


def answer(side: HostSide, line: str) -> dict[str, Any]:
    """Return the answer to a question: ``{"said": ...}``, or ``{"wrong": why}``."""
    try:
        question = json.loads(line)
        if question["ask"] not in ASKED:
            return {"wrong": f"nobody knows {question['ask']}"}
        return {"said": getattr(side, question["ask"])(**question.get("with", {}))}
    except Exception as error:
        return {"wrong": in_a_line(error)}


def in_a_line(error: Exception) -> str:
    """Return an error's kind and, where it has words, the last line of them."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip()}" if lines else type(error).__name__


def main() -> None:
    """Answer each line of standard input, until it ends."""
    side = HostSide()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(side, line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
