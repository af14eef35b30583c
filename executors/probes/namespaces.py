"""Sockets of this process in a network namespace by name."""

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

NAMESPACES: Final = Path("/run/netns")
"""Where `ip netns` keeps namespaces by name."""
CLONE_NEWNET: Final = 0x40000000


def enter(namespace: str) -> None:
    """Have the thread that asks in a namespace from now on, until it ends.

    Raises
    ------
    OSError
        If the namespace cannot be entered.
    """
    with (NAMESPACES / namespace).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)


def socket_in(namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
    """Return the socket that ``make`` gives, which then belongs to ``namespace`` for as long as it is open.

    A thread enters the namespace, makes it and ends; this process stays where it is.

    Raises
    ------
    OSError
        If the namespace cannot be entered or the socket cannot be made.
    """
    made: list[socket.socket | OSError] = []

    def inside() -> None:
        try:
            enter(namespace)
            made.append(make())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=inside, name=f"enter {namespace}")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]
