"""What libvirt's errors mean for an attempt."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import libvirt

LASTING_WORDS: Final = ("certificate", "already exists", "to the same host", "TLS")
"""libvirt gives these causes no code of their own."""


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
