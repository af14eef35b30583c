"""What an encoded planning problem is made of: hosts' times out, and VMs' moves, legs and stops."""

from dataclasses import dataclass

from ortools.sat.python.cp_model import IntervalVar, IntVar


@dataclass(frozen=True, slots=True, eq=False)
class Out:
    """A due host's time out of service; all times 0 where it is not patched."""

    host: int
    patched: IntVar
    """Whether the host is patched at all."""
    drain_start_s: IntVar
    drained_s: IntVar
    return_s: IntVar
    interval: IntervalVar
    """From ``drain_start_s`` to ``return_s``."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """The ``number``-th leg of a VM, wherever it leads; numbers count from 1."""

    vm: int
    number: int
    present: IntVar
    start_s: IntVar
    end_s: IntVar


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """A move from one host to one other."""

    vm: int
    source: int
    target: int
    rate: int
    """Number of the rate in the problem's ``rates_mbit_s``."""
    move: Move
    duration_s: int
    present: IntVar


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Legs of one move that differ in nothing but their hosts: at most one is made, at the same rate and time."""

    rate: int
    interval: IntervalVar


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """A VM on a host, after a move or from the start."""

    vm: int
    host: int
    came: Move | None
    """None: it is there from the start."""
    goes: Move | None
    """None: it stays to the end."""
    present: IntVar
    """Always 1 for VMs that never move."""

    @property
    def start_s(self) -> IntVar | int:
        """When the VM's leg to the host starts; 0: it is there from the start."""
        return 0 if self.came is None else self.came.start_s


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A VM in one place for some time."""

    vm: int
    interval: IntervalVar | None
    """None: from the start to the end."""
