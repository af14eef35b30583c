"""What libvirt's errors mean for an attempt."""

from typing import TYPE_CHECKING, Final

from slacktide.ids import HostId

if TYPE_CHECKING:
    import libvirt

LASTING_WORDS: Final = ("certificate", "TLS confirmation", "already exists", "to the same host")
"""libvirt gives these causes no code of their own.  A peer that ends in the middle is told in words of TLS, too, and is
no such cause."""
BROKEN: Final = "what carried its memory from {source} to {target} broke; {target}'s QEMU log of it may say why"
"""Among the reasons is a certificate of the source's that the target does not trust: only the target knows."""
LOST: Final = "the connection to {source}'s libvirtd, or from there to {target}'s, was lost"
MEANINGS: Final = (
    ("TLS confirmation", "{target}'s libvirtd does not trust {source}'s client certificate, or the other way round"),
    ("server-cert", "{target}'s QEMU has a certificate that is not trusted"),
    ("client-cert", "{source}'s QEMU has a certificate that is not trusted"),
    ("certificate", "{source} or {target} has a certificate that is not trusted"),
    ("client socket is closed", "{source}'s libvirtd lost its connection to {target}'s"),
    ("End of file while reading data", "the connection to {source}'s libvirtd was lost"),
    ("hangup", LOST),
    ("Cannot recv data", LOST),
    ("Cannot write data", LOST),
    ("unexpectedly closed the monitor", "its QEMU on {target} ended"),
    ("is not running", "its QEMU ended"),
    ("post-copy phase", "its post-copy from {source} to {target} broke off"),
    ("TLS channel", BROKEN),
    ("socket", BROKEN),
)
"""What libvirt's words mean to someone who looks after hosts; the first that fits counts."""

PKI: Final = "Compare authority, dates and names: openssl x509 -noout -issuer -dates -ext subjectAltName -in"
REMEDIES: Final = (
    ("TLS confirmation", PKI + " of {source}'s clientcert.pem and of {target}'s cacert.pem, in libvirt's /etc/pki"),
    ("server-cert", PKI + " of {target}'s /etc/pki/qemu/server-cert.pem and of {source}'s ca-cert.pem"),
    ("client-cert", PKI + " of {source}'s /etc/pki/qemu/client-cert.pem and of {target}'s ca-cert.pem"),
    ("certificate", PKI + " of {source}'s clientcert.pem, {target}'s servercert.pem and the cacert.pem of both"),
)
"""What to do about a certificate, as :data:`MEANINGS`; all else passes, or is said by its meaning."""


def lasting(error: "libvirt.libvirtError") -> bool:
    """Return whether the same attempt would fail again."""
    import libvirt

    codes = (
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_MIGRATE_UNSAFE,
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_OPERATION_DENIED,
        libvirt.VIR_ERR_CPU_INCOMPATIBLE,
        libvirt.VIR_ERR_INVALID_ARG,
    )
    words = error.get_error_message() or ""
    return error.get_error_code() in codes or any(cause in words for cause in LASTING_WORDS)


def words(error: BaseException) -> str:
    """Return an error in the words of who raised it, on one line."""
    said = getattr(error, "get_error_message", None)
    return " ".join(str(said() if said else error).split()) or type(error).__name__


def told(error: BaseException, source: HostId, target: HostId) -> str:
    """Return what an error of a migration means, with its own words where they say more."""
    said = words(error)
    meaning = next((meaning for cause, meaning in MEANINGS if cause in said), None)
    return said if meaning is None else f"{meaning.format(source=source, target=target)} (libvirt: {said})"


def remedy(error: BaseException | None, source: HostId, target: HostId) -> str | None:
    """Return what to do about an error of a migration that stays until somebody does something; None: nobody knows."""
    said = "" if error is None else words(error)
    found = next((text for cause, text in REMEDIES if cause in said), None)
    return None if found is None else found.format(source=source, target=target)
