"""Whatever happens and is asked for, and however often the rest is planned anew: nothing is violated, and it ends."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from campaigns import RULES, program_of
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from revised_campaigns import agents_of, assert_all_ended, assert_safe, begun, coordinator_in, stood

from slacktide.executors import coordinator as coordinating
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.journal import Journal
from slacktide.executors.orders import Limits, Pause, Resume, Revise, Skip
from slacktide.executors.store.orders import ask
from slacktide.ids import CampaignId

HOSTS = program_of("urgent").hosts.ids
failures = st.builds(
    Failures,
    migrations_per_mille=st.sampled_from([0, 20, 100, 400]),
    retryable_share=st.sampled_from([0, 0.5, 1]),
    lost_hosts_per_mille=st.sampled_from([0, 30, 150]),
    overruns_per_mille=st.sampled_from([0, 200]),
    overrun_factor=st.sampled_from([1, 3]),
)
orders = st.one_of(
    st.just(Revise()),
    st.just(Revise()),
    st.builds(Skip, host_id=st.sampled_from(HOSTS)),
    st.builds(Pause, cancel=st.booleans()),
    st.just(Resume()),
    st.just(Revise(give_up=True)),
    st.builds(Revise, add_hosts=st.sampled_from(HOSTS).map(lambda host: (host,))),
)
asked = st.lists(st.tuples(st.integers(0, 300), orders), max_size=6)
FIRST_MOVE_FAILS = (
    [(66, Revise(give_up=True)), (227, Revise()), (232, Revise())],
    Failures(migrations_per_mille=100, retryable_share=0, overruns_per_mille=200, overrun_factor=3),
)
"""A VM's first of two moves fails for good, and a person is asked; its second was begun meanwhile."""
STUCK_ROUNDS = 50
"""Rounds in which nothing happens, after which a person gives way."""
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""A failing campaign is not made smaller: each takes a second, and its seed tells all."""


def carried_out(name, asking, simulated, rules, folder: Path):
    """Carry a campaign out to its end and return its journal; where it waits for a person, it goes on after a while."""
    begun(name, folder)
    path = folder / "journal.sqlite"
    journal = Journal.hold(path, durability="process")
    coordinator = coordinator_in(name, folder, journal, agents_of(name, simulated), rules)
    at_round: dict[int, list] = {}
    for place, order in asking:
        at_round.setdefault(place, []).append(order)
    quiet, last, number = 0, 0, 0
    with (
        patch.object(coordinating, "ORDERS_INTERVAL_S", 0),
        patch.object(coordinating.time, "sleep", lambda _s: None),
    ):
        while not coordinator.state.finished:
            for order in at_round.pop(number, []):
                ask(path, CampaignId("test"), by="a person", why=None, kind=order.kind, body=order.body())
            coordinator.round()
            number += 1
            quiet, last = (quiet + 1, last) if journal.last == last else (0, journal.last)
            if quiet > STUCK_ROUNDS:
                quiet = 0
                for order in (Resume(), Revise(give_up=True), Limits(max_out={"fleet": "100%"})):
                    ask(path, CampaignId("test"), by="a person", why=None, kind=order.kind, body=order.body())
            assert number < 20_000, "the campaign does not end"
    coordinator.close()
    entries, given_to_it = journal.read(), journal.orders(0)
    journal.close()
    return entries, given_to_it


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["urgent", "baked"]),
    asked,
    failures,
    st.integers(0, 100),
    st.sampled_from(["ignore", "revise", "ask"]),
)
@example("urgent", *FIRST_MOVE_FAILS, 10, "ask")
def test_nothing_is_violated_over_all_plans_and_it_ends(name, asking, wrong, seed, on_drift) -> None:
    rules = replace(RULES, on_drift=on_drift)
    with TemporaryDirectory() as folder:
        simulated = SimulationSettings(seed=seed, failures=wrong)
        entries, given_to_it = carried_out(name, asking, simulated, rules, Path(folder))
        raised = any(entry.event.type == "limits-changed" for entry in entries)
        assert_safe(name, Path(folder), entries, limits_hold=not raised)
        state = assert_all_ended(name, Path(folder), entries)
        answered = [entry.event.order for entry in entries if getattr(entry.event, "order", None)]
        assert answered == [order.number for order in given_to_it], "an order is answered twice, or never"
        assert len(state.revisions) == sum(isinstance(entry.event, PlanRevised) for entry in entries)
        _, again = stood(name, Path(folder), entries)
        assert again.last == len(entries)
