"""What opens a wave at run time: its planned start, and what its gate asks of the waves before.

A gate never opens on a patch that hosts do not come back from.  Hosts that could not be drained say nothing about the
patch and keep no gate closed, as long as one host of the wave did return.  Hosts that are evacuated are in waves apart:
no gate is before them, and none waits for them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np

from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.program import Program

TOLERATED_LOST_SHARE: Final = 0.02
"""Share of a wave's hosts that may fail to come back from their patch and the next wave still begin.

A machine that does not survive a reboot says little about the patch; two in a hundred say something, and a patch that
kills hosts should stop before it is everywhere.  The canary wave tolerates none: it is there to find that out.
"""


@dataclass(slots=True)
class _Wave:
    left: int = 0
    """Hosts that have neither returned nor failed."""
    returned: int = 0
    lost: int = 0
    last_return_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Opening:
    """What a gate says of its wave: ``at_s`` when it opens as far as is known, or ``never`` and why."""

    at_s: float | None = None
    """Null: some host has yet to return."""
    never: str | None = None


class Gates:
    """Waves in their order; one opens only after the one before."""

    def __init__(self, program: Program, state: CampaignState) -> None:
        self._kind = program.waves.gate
        self._start_s: list[int] = program.waves.start_s.tolist()
        self._policy = program.policy
        self._of_host: list[int] = program.hosts.wave.tolist()
        self._waves = [_Wave() for _ in self._kind]
        self._before: list[int] = program.waves.before.tolist()
        self._open: list[bool] = (~np.isnan(state.wave_opened_s) | program.waves.apart).tolist()
        self._order: list[int] = self._in_order(program)
        self._place_of = {wave: place for place, wave in enumerate(self._order)}
        self._asks = "approval" in self._kind
        self._place = 0
        """In that order, of the wave that opens next."""
        self._pass_open()
        self.closed: str | None = next(iter(state.wave_closed.values()), None)
        """Why no further wave will open; null: they may."""
        stages, times = state.host_stage.tolist(), state.host_times
        for host in np.flatnonzero(program.hosts.planned).tolist():
            self._waves[self._of_host[host]].left += 1
            stage = HostStage.FAILED if host in state.forgiven else stages[host]
            self.end(host, stage, float(times[host, HostStage.RETURNED]))

    @staticmethod
    def _in_order(program: Program) -> list[int]:
        """Return the waves in the order in which they open.

        Those that wait for each other open by number.  Others keep their numbers in a revision, whenever they start.
        """
        numbers = np.arange(len(program.waves.gate))
        pipelined = program.policy.gates.kind == "pipelined"
        order: list[int] = (np.lexsort((numbers, program.waves.start_s)) if pipelined else numbers).tolist()
        return order

    def _pass_open(self) -> None:
        while self._place < len(self._order) and self._open[self._order[self._place]]:
            self._place += 1

    @property
    def next_wave(self) -> int:
        """The wave that opens next; as many as there are: all have opened."""
        return self._order[self._place] if self._place < len(self._order) else len(self._order)

    def open(self) -> None:
        """Let the next wave begin."""
        self._open[self.next_wave] = True
        self._pass_open()

    def end(self, host: int, stage: int, at_s: float) -> None:
        """Count a host that has returned, failed or is lost."""
        if stage < HostStage.RETURNED:
            return
        wave = self._waves[self._of_host[host]]
        wave.left -= 1
        if stage == HostStage.RETURNED:
            wave.returned += 1
            wave.last_return_s = max(wave.last_return_s, at_s)
        elif stage == HostStage.LOST:
            wave.lost += 1

    def is_open(self, wave: int) -> bool:
        """Return whether the wave's hosts may be drained."""
        return self._open[wave]

    def late(self, wave: int, now: float) -> bool:
        """Return whether the wave should have opened and has not."""
        return not self._open[wave] and now >= self._start_s[wave]

    def asking(self, approved: Collection[int]) -> int | None:
        """Return the first wave that has yet to open and asks a person who has not approved it; None: none does."""
        waits = (wave for wave in self._order[self._place :] if self._kind[wave] == "approval")
        return next((wave for wave in waits if not self._open[wave] and wave not in approved), None)

    def is_promised(self, wave: int, approved: Collection[int]) -> bool:
        """Return whether no person has yet to be asked before the wave opens."""
        if self._open[wave] or not self._asks:
            return True
        asking = self.asking(approved)
        return asking is None or self._place_of[wave] < self._place_of[asking]

    def next_opening(self) -> Opening | None:
        """Return when the next wave opens, or None where no wave is left or may open."""
        number = self.next_wave
        if number >= len(self._kind) or self.closed is not None:
            return None
        start_s = float(self._start_s[number])
        kind = self._kind[number]
        if kind in ("start", "pipelined") or self._before[number] < 0:
            return Opening(at_s=start_s)
        before, bake_s, tolerated = self._before[number], self._policy.gates.bake_s, TOLERATED_LOST_SHARE
        if kind == "canary":
            before, bake_s, tolerated = 0, self._policy.canary.bake_s, 0.0
        wave = self._waves[before]
        hosts = wave.returned + wave.lost
        if wave.lost > tolerated * max(hosts + wave.left, 1):
            return Opening(never=f"wave {before}: {wave.lost} of {hosts} hosts did not come back from their patch")
        if wave.left:
            return Opening()
        if not wave.returned:
            return Opening(never=f"wave {before}: no host was patched")
        return Opening(at_s=max(start_s, wave.last_return_s + bake_s))

    def shut(self) -> tuple[int, str] | None:
        """Return the wave whose gate stays closed for good, and why; None: none does."""
        if self.closed is not None:
            return self.next_wave, self.closed
        opening = self.next_opening()
        return None if opening is None or opening.never is None else (self.next_wave, opening.never)

    def needs_approval(self) -> bool:
        """Return whether a person has to approve the next wave."""
        return self._kind[self.next_wave] == "approval"
