"""A coordinator in a process of its own, whose agents are in another one: what two machines of a campaign are.

Run as a program with ``serve`` and an address it is the agents; with the URL of a store and that address it carries the
campaign out, some hundred rounds a second, until it ends or may not go on.
"""

import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from itertools import count
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from campaigns import coordinator_of, drivers_of, program_of

from slacktide.errors import SlacktideError
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.commands import Turn
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import Journal
from slacktide.executors.store import lease
from slacktide.executors.store.address import parse_store

KEY = b"the tests' own"
COUNT = 2
LEASE_S = 2.0
"""Shorter than in earnest, so that the tests need not wait for it."""


class Agents:
    """Agents with a list of who had them do something."""

    def __init__(self) -> None:
        drivers = drivers_of(program_of(), SimulationSettings(seed=4), COUNT)
        self._agents = LocalAgents([HostAgent(driver) for driver in drivers])
        self._generations: list[int] = []

    def ask(self, method: str, argument: Any) -> Any:
        answer = getattr(self._agents, method)(argument)
        if method == "exchange":
            self._generations += [turn.generation for turn in argument.values() if turn.migrate or turn.patch]
        return answer

    def generations(self) -> list[int]:
        """Return the generations whose requests were begun, in order."""
        return self._generations


class AgentsServer(BaseManager):
    """The process that the agents are in."""


AgentsServer.register("agents", exposed=("ask", "generations"))


class FarAgents:
    """Agents of another process, as a coordinator wants them."""

    count = COUNT

    def __init__(self, address: str, sleeps_at: int | None) -> None:
        self.exchanges, self.sleeps_at = 0, sleeps_at
        server = AgentsServer(address, KEY)
        server.connect()
        self.there = server.agents()

    def exchange(self, turns: Mapping[int, Turn]) -> Any:
        self.exchanges += 1
        if self.exchanges == self.sleeps_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return self.there.ask("exchange", dict(turns))

    def name(self, agent: int) -> str:
        return f"{agent}-of-{COUNT}"

    def away(self) -> Mapping[int, str]:
        return {}

    def busy(self, _agent: int) -> bool:
        return False

    def renewed(self) -> Collection[int]:
        return ()

    def take_over(self, adoptions: Mapping[int, Any]) -> Any:
        return self.there.ask("take_over", dict(adoptions))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def as_on_another_machine() -> None:
    """Know nothing of other processes, and have leases that are over soon."""
    lease.is_gone = lambda _holder: False
    lease.LEASE_S, lease.RENEW_S = LEASE_S, LEASE_S / 3


def main(url: str, address: str, sleeps: str = "", when: str = "0") -> int:
    """Carry the campaign out; stop this process like SIGSTOP before round ``when``, or within an exchange."""
    as_on_another_machine()
    program, agents = program_of(), FarAgents(address, int(when) if sleeps == "exchange" else None)
    sys.stdin.readline()
    try:
        journal = Journal.hold(parse_store(url, Path.cwd()), durability="process")
    except SlacktideError as error:
        say(f"refused: {error}")
        return 1
    say(f"holds {journal.generation}")
    try:
        coordinator = coordinator_of(program, journal, agents)
        for number in count():
            if sleeps == "round" and number == int(when):
                os.kill(os.getpid(), signal.SIGSTOP)
            if coordinator.state.finished:
                break
            coordinator.round()
            time.sleep(0.005)
    except SlacktideError as error:
        say(f"ended: {error}")
        try:
            agents.exchange({0: Turn(generation=journal.generation, acknowledged=-1, until_s=0.0)})
        except SlacktideError as refusal:
            say(f"agents: {refusal}")
        return 1
    finally:
        journal.close()
    say("finished")
    return 0


def serve(address: str) -> None:
    """Have agents answer at an address until this process ends."""
    agents = Agents()
    AgentsServer.register("agents", lambda: agents, exposed=("ask", "generations"))
    server = AgentsServer(address, KEY).get_server()
    say("ready")
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(main(*sys.argv[1:]))
