"""The lab's own authority, and a certificate of it for every host and for the client.

Keys are RSA, to sign and to encipher, which is what libvirt and QEMU check that they are for.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from slacktide.lab.layout import LabHost

KEY_BITS: Final = 2048
VALID: Final = datetime.timedelta(days=3650)
EARLY: Final = datetime.timedelta(days=1)
"""Certificates are valid from a day ago, whatever a guest or a host thinks the time is."""
HOST_FILES: Final = {
    "libvirt/servercert.pem": "certificate",
    "libvirt/private/serverkey.pem": "key",
    "libvirt/clientcert.pem": "certificate",
    "libvirt/private/clientkey.pem": "key",
    "qemu/server-cert.pem": "certificate",
    "qemu/server-key.pem": "key",
    "qemu/client-cert.pem": "certificate",
    "qemu/client-key.pem": "key",
}
"""Where libvirt and QEMU look in a host's /etc/pki."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    def pem(self, part: str) -> bytes:
        """Return the ``certificate`` or the ``key`` as files hold it."""
        if part == "certificate":
            return self.certificate.public_bytes(serialization.Encoding.PEM)
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def new_authority(name: str) -> Pair:
    """Return an authority that signs itself."""
    key = rsa.generate_private_key(65537, KEY_BITS)
    subject = _name(name)
    unsigned = _builder(subject, subject, key).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    unsigned = unsigned.add_extension(_usage(authority=True), True)
    return Pair(unsigned.sign(key, hashes.SHA256()), key)


def new_pair(authority: Pair, name: str, host: LabHost | None = None) -> Pair:
    """Return a certificate for ``name`` as a client, and as a server too if it is a ``host``."""
    key = rsa.generate_private_key(65537, KEY_BITS)
    unsigned = _builder(_name(name), authority.certificate.subject, key)
    unsigned = unsigned.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    unsigned = unsigned.add_extension(_usage(authority=False), True)
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if host is not None:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
        addresses = (host.address, host.migration_address)
        names = [x509.DNSName(host.name), *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses)]
        unsigned = unsigned.add_extension(x509.SubjectAlternativeName(names), False)
    unsigned = unsigned.add_extension(x509.ExtendedKeyUsage(purposes), False)
    return Pair(unsigned.sign(authority.key, hashes.SHA256()), key)


def write_host(folder: Path, authority: Pair, pair: Pair) -> None:
    """Write what a host has in /etc/pki."""
    _write(folder / "CA/cacert.pem", authority.pem("certificate"))
    _write(folder / "qemu/ca-cert.pem", authority.pem("certificate"))
    for name, part in HOST_FILES.items():
        _write(folder / name, pair.pem(part))


def write_client(folder: Path, authority: Pair, pair: Pair) -> None:
    """Write what a client names as ``pkipath`` in its address of a host."""
    _write(folder / "cacert.pem", authority.pem("certificate"))
    _write(folder / "clientcert.pem", pair.pem("certificate"))
    _write(folder / "clientkey.pem", pair.pem("key"))


def write_authority(folder: Path, authority: Pair) -> None:
    """Keep the authority, for hosts that are added later."""
    _write(folder / "certificate.pem", authority.pem("certificate"))
    _write(folder / "key.pem", authority.pem("key"))


def read_authority(folder: Path) -> Pair:
    """Return the authority that was kept."""
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return Pair(x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes()), key)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + VALID)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
