"""What a coordinator hears of what others do with VMs, whichever way its agents say it."""

from collections.abc import Iterable, Sequence

from slacktide.executors import events
from slacktide.executors.campaign_state import CampaignState
from slacktide.executors.drivers.protocol import HostVms, LookRequest
from slacktide.executors.events import Event, HostRefilled, VmEvent
from slacktide.executors.rules import Hearing
from slacktide.executors.sightings import Looked, SeenLists, ToldDeeds


class OthersHeard:
    """Deeds that simulated agents tell, or lists of what is on real hosts; or nothing, where nobody else is there."""

    def __init__(self, hosts: Sequence[str], agents: int, hearing: Hearing) -> None:
        self._hosts, self._agents = tuple(hosts), agents
        self._told = ToldDeeds() if hearing == "told" else None
        self._lists = SeenLists(hosts) if hearing == "asked" else None
        self._arrived: list[str] = []
        """Migrations that are done, whose targets are to be compared."""
        for agent in range(agents):
            self.meet(agent)

    @property
    def tells(self) -> bool:
        """Whether agents tell what others do, and are to be heard before anything is decided."""
        return self._told is not None

    def meet(self, agent: int) -> None:
        """Have the hosts of an agent that is new looked at."""
        if self._lists is not None:
            for host in range(agent, len(self._hosts), self._agents):
                self._lists.ask(host)

    def want(self, hosts: Iterable[int], now: float) -> None:
        """Have hosts looked at, unless that was a moment ago."""
        if self._lists is not None:
            for host in hosts:
                self._lists.ask_again(host, now)

    def requests(self, agent: int, now: float) -> tuple[LookRequest, ...]:
        """Return the looks that an agent is to be asked for."""
        if self._lists is None:
            return ()
        return self._lists.requests(range(agent, len(self._hosts), self._agents), now)

    def take(self, seen: Sequence[HostVms]) -> None:
        """Take what an agent says."""
        if self._told is not None:
            self._told.take(seen)
        elif self._lists is not None:
            self._lists.take(seen)

    def next_s(self) -> float | None:
        """Return when others next do something, as far as that was told."""
        return None if self._told is None else self._told.next_s()

    def is_new(self, news: Iterable[Event], now: float) -> bool:
        """Return whether there is something to be judged at ``now``; ``news`` brings VMs to hosts, and hosts back."""
        if self._lists is None:
            moment = self.next_s()
            return moment is not None and moment <= now
        for event in news:
            if isinstance(event, events.MigrationDone):
                self._arrived.append(event.migration_id)
            elif isinstance(event, events.HostReturned | HostRefilled):
                self._lists.ask(self._hosts.index(event.host_id))
        return True

    def done(self, state: CampaignState, now: float) -> list[VmEvent]:
        """Return what others have done by ``now``, as far as that is certain."""
        if self._lists is None:
            return [] if self._told is None else self._told.judge(state, now)
        for name in self._arrived:
            if name in state.numbers:
                self._lists.open(int(state.program.migrations.target[state.numbers[name]]))
        self._arrived.clear()
        return self._lists.judge(state, now)

    def answers(self, state: CampaignState) -> list[Looked]:
        """Return the answers to looks that were asked for."""
        return [] if self._lists is None else self._lists.answers(state)
