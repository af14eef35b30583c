"""Questions to guests, and their answers: each is one packet to a port at which their program listens."""

import socket
import time
from collections.abc import Sequence
from typing import Final

from slacktide.errors import ExecutionError
from slacktide.executors.probes.namespaces import socket_in
from slacktide.lab.guests import Guest
from slacktide.lab.layout import Lab

PORT: Final = 7001
ANSWER_S: Final = 1.0
"""How long a guest may take to answer; it does within a tick of its clock, unless its host is very busy."""
TRIES: Final = 5
VERIFY_S: Final = 60.0
"""How long guests may take to look at all their pages."""
LOOK_S: Final = 0.1


def ask(lab: Lab, guest: Guest, words: str) -> dict[str, str]:
    """Have a guest do something and return its status as names and values; words are `status`, `verify` and others.

    Raises
    ------
    ExecutionError
        If it does not answer.
    """
    with socket_in(lab.control, _socket) as asking:
        for _ in range(TRIES):
            asking.sendto(words.encode("ascii"), (guest.address, PORT))
            try:
                answer = asking.recv(512).decode("ascii", errors="replace")
            except TimeoutError:
                continue
            return dict(word.split("=", 1) for word in answer.split() if "=" in word)
    raise ExecutionError(f"guest {guest.name}", "does not answer", "See whether it runs: `slacktide lab status`")


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(ANSWER_S)
    return made


def verify(lab: Lab, guests: Sequence[Guest]) -> dict[str, int]:
    """Have guests look at every page of their working sets, and return how many are not as they had left them.

    Raises
    ------
    ExecutionError
        If one does not answer, or is not finished in time.
    """
    for guest in guests:
        ask(lab, guest, "verify")
    found: dict[str, int] = {}
    until_s = time.monotonic() + VERIFY_S
    while missing := [guest for guest in guests if guest.name not in found]:
        if time.monotonic() > until_s:
            fact = f"{', '.join(guest.name for guest in missing)} did not look at all their pages in {VERIFY_S:.0f} s"
            raise ExecutionError(f"lab {lab.name}", fact, "Ask again: the machine may be busy")
        for guest in missing:
            status = ask(lab, guest, "status")
            if status["to_verify"] == "0":
                found[guest.name] = int(status["bad"])
        time.sleep(LOOK_S)
    return found
