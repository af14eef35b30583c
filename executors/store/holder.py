"""Who holds a campaign: host, process and a token; and whether that process is known to be gone."""

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path
from typing import Literal

TOKEN_LENGTH = 6
"""Hexadecimal digits of the token; as many before it name the place."""


Fate = Literal["lives", "ended", "unknown"]
"""What is known of a holder."""
_HERE: set[str] = set()
"""Holders of this process that have not let go."""


def new_holder() -> str:
    """Return a name that no other holder has, as ``host:process:token``."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{_place()}{secrets.token_hex(TOKEN_LENGTH // 2)}"
    _HERE.add(holder)
    return holder


def let_go(holder: str) -> None:
    """Note that a holder of this process has ended, whether its store has heard of it or not."""
    _HERE.discard(holder)


def is_gone(holder: str) -> bool:
    """Return whether a holder is known to have ended."""
    return fate_of(holder) == "ended"


def fate_of(holder: str) -> Fate:
    """Return what is known of a holder: it is in this process, or in one beside it, and lives or has ended.

    Of a process on another machine, in another container or from before a restart of the machine nothing is known.
    """
    host, process, token = holder.rsplit(":", 2)
    if host != socket.gethostname() or not token.startswith(_place()) or not process.isdecimal():
        return "unknown"
    if int(process) == os.getpid():
        return "lives" if holder in _HERE else "ended"
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "ended"
    except OSError:
        return "unknown"
    return "ended" if stat.rpartition(")")[2].split()[0] in "ZX" else "lives"


def process_of(holder: str) -> str:
    """Return the number of a holder's process on its machine."""
    return holder.rsplit(":", 2)[1]


@cache
def _place() -> str:
    """Return what processes have in common that see each other's numbers: the boot and the namespace of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    namespace = Path("/proc/self/ns/pid").readlink()
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:TOKEN_LENGTH]
