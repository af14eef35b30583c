"""Certificates of libvirt's TLS: whether files are there, in force, of one authority, and of the host that shows them.

What QEMU shows for the memory is on the hosts alone, and is not seen from here.
"""

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from slacktide.executors.presence import is_missing

TLS: Final = "qemu+tls"
PORT: Final = 16514
"""Where libvirtd listens for TLS."""
CONNECT_S: Final = 5.0
SYSTEM: Final = ("/etc/pki/CA/cacert.pem", "/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/clientkey.pem")
"""Where libvirt looks for authority, certificate and key of a client, unless an address names a folder."""
NAMES: Final = ("cacert.pem", "clientcert.pem", "clientkey.pem")
"""The same in a folder that an address names, or of a user."""

Reason = tuple[str, str]
"""A fact and a remedy."""


class Pki(NamedTuple):
    """Files of a client."""

    authority: Path
    certificate: Path
    key: Path


def pki_of(uri: str) -> Pki:
    """Return the files with which an address is opened from here."""
    named = parse_qs(urlsplit(uri).query).get("pkipath")
    own = Path.home() / ".pki/libvirt"
    if named:
        return Pki(*(Path(named[0]) / name for name in NAMES))
    if os.geteuid() and all(os.access(own / name, os.F_OK) for name in NAMES):
        return Pki(*(own / name for name in NAMES))
    return Pki(*map(Path, SYSTEM))


def client_reasons(uri: str, until: datetime) -> Iterator[Reason]:
    """Yield what is wrong with the certificate with which this machine opens an address by TLS."""
    if urlsplit(uri).scheme != TLS:
        return
    pki = pki_of(uri)
    missing = [path for path in pki if not os.access(path, os.R_OK)]
    for path in missing:
        fact = f"{path} is not there" if is_missing(path) else f"{path} cannot be read by this user"
        yield fact, "Put it there, or name its folder as pkipath in the host's address"
    if missing:
        return
    try:
        authorities = x509.load_pem_x509_certificates(pki.authority.read_bytes())
        own = x509.load_pem_x509_certificate(pki.certificate.read_bytes())
    except (OSError, ValueError) as error:
        yield f"{pki.authority} or {pki.certificate} is no certificate: {error}", "Make it anew"
        return
    yield from reasons(str(pki.certificate), own, authorities, until)


def server_reasons(uri: str, client_uri: str, until: datetime) -> Iterator[Reason]:
    """Yield what is wrong with the certificate that a host's libvirtd shows at an address; nothing if nobody answers.

    Parameters
    ----------
    client_uri
        The address by which this machine opens the host: its files say whom it trusts.
    """
    found = server_certificate(uri, client_uri)
    if found is None:
        return
    host, shown, authorities = found
    what = f"the certificate of libvirtd at {host}"
    yield from reasons(what, shown, authorities, until)
    if not names(shown, host):
        fact = f"{what} is for {', '.join(sorted(_names(shown))) or 'no name'}: hosts that go there would refuse it"
        yield fact, f"Make it with {host} among its names, or give one that it has in the file of connections"


def server_certificate(uri: str, client_uri: str) -> tuple[str, x509.Certificate, list[x509.Certificate]] | None:
    """Return the host of an address, the certificate that it shows, and whom this machine trusts; None: it shows none.

    Parameters
    ----------
    client_uri
        As in :func:`server_reasons`.
    """
    parts = urlsplit(uri)
    if parts.scheme != TLS or parts.hostname is None:
        return None
    pki = pki_of(client_uri)
    try:
        shown = _shown(parts.hostname, parts.port or PORT, pki)
        return parts.hostname, shown, x509.load_pem_x509_certificates(pki.authority.read_bytes())
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return None


def reasons(
    what: str, certificate: x509.Certificate, authorities: Sequence[x509.Certificate] | None, until: datetime
) -> Iterator[Reason]:
    """Yield what is wrong with a certificate that is to hold from now until the end of a campaign.

    Parameters
    ----------
    authorities
        Those that are trusted; None: who connects decides whom it trusts.
    """
    now, begins, ends = datetime.now(UTC), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins > now:
        yield f"{what} is not in force before {_moment(begins)}", "Set this machine's clock, or make it anew"
    if ends < now:
        yield f"{what} has expired on {_moment(ends)}", "Make it anew, and restart what shows it"
    elif ends < until:
        fact = f"{what} expires on {_moment(ends)}, before the plan ends ({_moment(until)})"
        yield fact, "Make it anew before, and restart what shows it"
    if authorities is None:
        return
    signers = [one for one in authorities if _signed_by(certificate, one)]
    if not signers:
        fact = f"{what} is signed by {certificate.issuer.rfc4514_string()}, which is not trusted here"
        yield fact, "Make it with the authority that all hosts trust"
    elif all(one.not_valid_after_utc < now for one in signers):
        yield f"the authority that signed {what} has expired", "Make the authority and its certificates anew"


def names(certificate: x509.Certificate, host: str) -> bool:
    """Return whether a certificate is for a host, by its name or address."""
    wild = f"*.{host.partition('.')[2]}" if "." in host else host
    return not {host.lower(), wild.lower()}.isdisjoint(_names(certificate)) or _address(host) in _names(certificate)


def _names(certificate: x509.Certificate) -> set[str]:
    """Return whom a certificate is for: its alternative names or, without any, its common name."""
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return {str(one.value).lower() for one in common}
    dns = {name.lower() for name in listed.get_values_for_type(x509.DNSName)}
    return dns | {str(address) for address in listed.get_values_for_type(x509.IPAddress)}


def _address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _shown(host: str, port: int, pki: Pki) -> x509.Certificate:
    """Return the certificate that a server shows; whether it is to be trusted is another question."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pki.certificate, pki.key)
    with (
        socket.create_connection((host, port), CONNECT_S) as raw,
        context.wrap_socket(raw, server_hostname=host) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    if shown is None:
        raise ValueError(f"{host} shows no certificate")
    return x509.load_der_x509_certificate(shown)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
