"""Whatever is asked of a campaign, and whenever: no VM is lost or doubled, no limit broken, and it ends."""

from pathlib import Path
from tempfile import TemporaryDirectory

import asked_campaigns
import numpy as np
from campaigns import RULES, agents_of, assert_safe, coordinator_of, program_of, record_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slacktide.executors import events
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.decisions import next_actions
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.events import Stage
from slacktide.executors.folding import fold
from slacktide.executors.journal import Journal
from slacktide.executors.orders import Abort, Approve, Limits, Pause, Resume, Skip

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


def carried_out(name: str, asking, seed: int, folder: Path) -> tuple[list, list]:
    """Return the journal of a campaign, and what was asked; at last a person ends every pause and lifts every limit."""
    program, path = program_of(name), folder / "journal.sqlite"
    journal = Journal.create(path, record_of(), durability="process")
    agents = agents_of(program, SimulationSettings(seed=seed, failures=WRONG))
    coordinator = coordinator_of(program, journal, agents, RULES)
    giving_way = Resume(), Limits(max_out={"fleet": "100%"})
    return asked_campaigns.carried_out(coordinator, journal, path, asking, [giving_way])


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
