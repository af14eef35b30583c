"""Whatever is asked of a campaign, and whenever: no VM is lost or doubled, no limit broken, and it ends."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from campaigns import RULES, assert_safe, coordinator_of, drivers_of, program_of, record_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.executors import coordinator as coordinating
from slacktide.executors import events
from slacktide.executors.agent import HostAgent
from slacktide.executors.agents import LocalAgents
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.decisions import next_actions
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.events import Stage
from slacktide.executors.folding import fold
from slacktide.executors.journal import Journal
from slacktide.executors.orders import Abort, Approve, Limits, Pause, Resume, Skip
from slacktide.executors.store.orders import ask
from slacktide.ids import CampaignId

WRONG = Failures(migrations_per_mille=60, lost_hosts_per_mille=20, overruns_per_mille=100, overrun_factor=3)
HOSTS = program_of("urgent").hosts.ids
orders = st.one_of(
    st.builds(Pause, cancel=st.booleans()),
    st.builds(Resume),
    st.builds(Abort, cancel=st.booleans()),
    st.builds(Skip, host_id=st.sampled_from(HOSTS)),
    st.builds(Approve),
    st.builds(Limits, max_out=st.fixed_dictionaries({"fleet": st.sampled_from([0, 1, 3, "50%"])})),
)
asked = st.lists(st.tuples(st.integers(0, 250), orders), min_size=1, max_size=6)
STUCK_ROUNDS = 50
"""Rounds in which nothing happens, after which a person gives way."""


def carried_out(name: str, asking, seed: int, folder: Path) -> tuple[list, list]:
    """Return the journal of a campaign, and what was asked; at last a person ends every pause and lifts every limit."""
    program, path = program_of(name), folder / "journal.sqlite"
    journal = Journal.create(path, record_of(), durability="process")
    drivers = drivers_of(program, SimulationSettings(seed=seed, failures=WRONG), 2)
    coordinator = coordinator_of(program, journal, LocalAgents([HostAgent(driver) for driver in drivers]), RULES)
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
                for order in (Resume(), Limits(max_out={"fleet": "100%"})):
                    ask(path, CampaignId("test"), by="a person", why=None, kind=order.kind, body=order.body())
            assert number < 20_000, "the campaign does not end"
    entries, given_to_it = journal.read(), journal.orders(0)
    journal.close()
    return entries, given_to_it


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["urgent", "baked"]), asked, st.integers(0, 100), st.data())
def test_nothing_is_violated_and_every_order_is_answered_once(name, asking, seed, data) -> None:
    program = program_of(name)
    with TemporaryDirectory() as folder:
        entries, given_to_it = carried_out(name, asking, seed, Path(folder))
    raised = any(getattr(entry.event, "type", "") == "limits-changed" for entry in entries)
    if not raised:
        assert_safe(program, entries)
    answered = [entry.event.order for entry in entries if getattr(entry.event, "order", None)]
    assert answered == [order.number for order in given_to_it], "an order is answered twice, or never"
    state = fold(initial_state(program), entries)
    assert np.isin(state.stage, [Stage.DONE, Stage.GIVEN_UP]).all()
    assert (state.host_stage[program.hosts.planned] >= HostStage.RETURNED).all()
    for host in state.skipped:
        assert state.host_stage[host] in (HostStage.BLOCKED, HostStage.FAILED)
    cut = data.draw(st.integers(1, len(entries)))
    part = fold(initial_state(program), entries[:cut])
    now = max(entry.event.at_s for entry in entries[:cut])
    once = next_actions(program, part, now, RULES)
    assert once == next_actions(program, part, now, RULES)
    running = [action for action in once if isinstance(action, events.MigrationIntended | events.HostDrainStarted)]
    assert not (running and (part.paused is not None or part.aborted is not None)), "it begins what it must not"
