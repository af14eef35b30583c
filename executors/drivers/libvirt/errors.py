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
