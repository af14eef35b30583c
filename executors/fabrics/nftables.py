"""The packet filter of the network namespace that a thread is in, by the system's own library for it.

Sets whose elements the kernel drops when their time is over, and counts, are there in no other interface of the kernel.
"""

import ctypes
import json
from typing import Any, Final

from slacktide.errors import DriverError

LIBRARY: Final = "libnftables.so.1"
_JSON: Final = 1 << 4
"""``NFT_CTX_OUTPUT_JSON``."""


class Nftables:
    """One context; used by the thread that made it, in the namespace that it was in."""

    def __init__(self) -> None:
        """Open it.

        Raises
        ------
        DriverError
            If the system has no such library.
        """
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise DriverError("nftables", f"is not there: {error}", "Install the package nftables") from error
        for name in ("nft_ctx_new", "nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(self._library, name).restype = ctypes.c_char_p if name.endswith("buffer") else ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_output_set_flags(self._context, _JSON)

    def run(self, words: str) -> list[dict[str, Any]]:
        """Carry commands out, all or none, and return what they list.

        Raises
        ------
        DriverError
            If the kernel refuses, with its words.
        """
        failed = self._library.nft_run_cmd_from_buffer(self._context, words.encode("ascii"))
        said: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        wrong: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            first = wrong.decode(errors="replace").strip().split("\n")[0]
            raise DriverError("nftables", f"refuses `{words.strip()}`: {first}", "See docs/fabric.md", retryable=True)
        found: list[dict[str, Any]] = json.loads(said)["nftables"] if said.strip() else []
        return found

    def close(self) -> None:
        """Close it."""
        self._library.nft_ctx_free(self._context)
