"""The narrow seam between a migration and the network: where the fabric takes a VM to be, and what it is told.

A fabric knows a VM by its network cards.  Nothing that a fabric does or fails to do decides where a VM runs; that is
the hypervisors' word alone.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from slacktide.ids import HostId, VmId


class Move(NamedTuple):
    """One VM's way from one host to another."""

    vm_id: VmId
    cards: tuple[str, ...]
    """MAC addresses of its network cards, in small letters; empty: it has none, and nothing is to be told."""
    source: HostId
    target: HostId


class Passed(NamedTuple):
    """What a source's host counted of packets for a VM that had left it."""

    forwarded: int
    """Packets sent on to the target."""
    lost: int | None
    """Packets that the guest had not read when it was paused, and those that came later and were not sent on; null:
    what it had not read is not known, for its source had ended before that was asked, or another process knew."""


class Fabric(Protocol):
    """Tells the network; raises ``DriverError`` where it cannot.

    Each call may be made again, by another process too, after one that was cut short.
    """

    @property
    def limit_s(self) -> float:
        """How long a source forwards at most, in seconds; then it stops by itself, whoever has died."""
        ...

    def locate(self, move: Move) -> Mapping[HostId, HostId | None]:
        """Return where each endpoint sends the VM's packets; null: to its own guests, or it does not know."""
        ...

    def prepare(self, move: Move) -> None:
        """Make ready for the switch while the guest still runs on its source."""
        ...

    def forward(self, move: Move) -> None:
        """Have the source send the VM's packets on to the target, which keeps them for the guest, from now on."""
        ...

    def announce(self, move: Move) -> None:
        """Begin to tell every endpoint that the VM is on the target."""
        ...

    def confirm(self, move: Move) -> Mapping[HostId, str]:
        """Return the endpoints that do not send to the target yet, and what they do, in words that follow their names.

        Empty: the fabric has caught up.
        """
        ...

    def stop_forwarding(self, move: Move) -> Passed | None:
        """Have the source send nothing on any more; return what it counted, null: it counts nothing."""
        ...

    def withdraw(self, move: Move) -> None:
        """Take back what was made for a move that has not come about: the VM is on its source."""
        ...

    def close(self) -> None:
        """Let go of the endpoints; what is under way at them goes on."""
        ...
