"""Agents behind Ray, as the coordinator's process sees them: a call has a time limit, and may be the agent's last."""

import pickle
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import ray

from slacktide.errors import SlacktideError
from slacktide.executors.commands import Report, Turn
from slacktide.executors.drivers.protocol import Adoption, TakenOver
from slacktide.executors.ray_names import call_name

PICKLE_PROTOCOL: Final = 5
"""Calls between coordinator and agents are pickled here, as bytes: Ray's own pickler asks about every object in Python
and takes 1.5 ms for a turn of twenty requests, this one 0.05 ms."""
ANSWER_S: Final = 1.0
"""How long a call is waited for before the coordinator goes on without it; it is answered in milliseconds, and later
answers are taken when they come."""
SLOW_S: Final = 10.0
"""After how long without an answer an agent counts as away."""
HUNG_S: Final = 600.0
"""After how long it counts as ended, and another is started.  To ask hosts that are switched off takes two minutes each
where nobody on their network says that they are; meanwhile only its own hosts wait."""


class _Call(NamedTuple):
    method: str
    answer: Any
    asked_s: float


class RayAgents:
    """Agents behind Ray."""

    def __init__(self, handles: Sequence[Any], names: Sequence[str]) -> None:
        self._handles = list(handles)
        self._names = tuple(names)
        self._named: dict[tuple[int, str], Any] = {}
        """Calls by agent and method, under the names that Ray's state API shows."""
        self._open: dict[int, _Call] = {}
        """Calls that have not been answered."""
        self._ended: dict[int, str] = {}
        self._renewed: set[int] = set()

    @property
    def count(self) -> int:
        """How many agents there are."""
        return len(self._handles)

    def name(self, agent: int) -> str:
        """Return the name by which an operator knows an agent."""
        return self._names[agent]

    def away(self) -> Mapping[int, str]:
        """Return the agents that have ended or have not answered for long, with what is known of why."""
        if not self._open and not self._ended:
            return {}
        now_s = time.monotonic()
        slow = {agent: "does not answer" for agent, call in self._open.items() if now_s - call.asked_s > SLOW_S}
        return slow | self._ended

    def ended(self) -> Mapping[int, str]:
        """Return the agents that have ended, or do not answer any more, with what is known of why."""
        return self._ended

    def busy(self, agent: int) -> bool:
        """Return whether an agent cannot be asked now."""
        return agent in self._open or agent in self._ended

    def renew(self, handles: Mapping[int, Any]) -> None:
        """Take other processes in place of agents that have ended."""
        for agent, handle in handles.items():
            self._handles[agent] = handle
            self._named = {key: call for key, call in self._named.items() if key[0] != agent}
            self._open.pop(agent, None)
            self._ended.pop(agent, None)
            self._renewed.add(agent)

    def renewed(self) -> Collection[int]:
        """Return the agents that are other processes than when this was last asked."""
        found, self._renewed = sorted(self._renewed), set()
        return found

    def exchange(self, turns: Mapping[int, Turn]) -> dict[int, Report]:
        """Have several agents take a turn at once; return the reports that are there."""
        return self._ask("turn", turns)

    def take_over(self, adoptions: Mapping[int, Adoption]) -> dict[int, TakenOver]:
        """Have agents take charge of what was under way; return the answers that are there."""
        return self._ask("take_over", adoptions)

    def _ask(self, method: str, arguments: Mapping[int, Any]) -> dict[int, Any]:
        asked_s = time.monotonic()
        calls = {}
        for agent, argument in arguments.items():
            answer = self._asking(agent, method).remote(method, pickle.dumps(argument, PICKLE_PROTOCOL))
            calls[agent] = _Call(method, answer, asked_s)
        try:
            found = ray.get([call.answer for call in calls.values()], timeout=ANSWER_S)
        except ray.exceptions.RayError:
            self._open |= calls
            return self._arrived(method)
        answers = {agent: pickle.loads(answer) for agent, answer in zip(calls, found, strict=True)}
        return self._arrived(method) | answers if self._open else answers

    def _asking(self, agent: int, method: str) -> Any:  # noqa: ANN401  (Ray makes its handles at run time)
        """Return an agent's call under a name of its own, which is made once."""
        if (agent, method) not in self._named:
            name = call_name(method, self._names[agent])
            self._named[agent, method] = self._handles[agent].ask.options(name=name)
        return self._named[agent, method]

    def _arrived(self, method: str) -> dict[int, Any]:
        """Return the answers that have come meanwhile, and note which will not come."""
        found, now_s = {}, time.monotonic()
        of_method = [(agent, call) for agent, call in self._open.items() if call.method == method]
        for agent, call in of_method:
            ready, _ = ray.wait([call.answer], timeout=0)
            if ready:
                del self._open[agent]
                try:
                    found[agent] = pickle.loads(ray.get(call.answer))
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, SlacktideError):
                        raise error.cause from None
                    raise
                except ray.exceptions.RayError as error:
                    self._ended[agent] = reason_of(error)
            elif now_s - call.asked_s > HUNG_S:
                del self._open[agent]
                self._ended[agent] = f"has not answered for {HUNG_S:.0f} s"
        return found


def reason_of(error: Exception) -> str:
    """Return in a few words why a call to an actor had no answer."""
    if isinstance(error, ray.exceptions.ActorUnavailableError):
        return "its process cannot be reached"
    if "node" in str(error).lower() and "died" in str(error).lower() and "worker process" not in str(error).lower():
        return "its node ended"
    return "its process ended"
