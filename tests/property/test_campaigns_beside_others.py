"""Whatever others create, delete and move meanwhile, and whatever fails: nothing is violated, and the campaign ends."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import asked_campaigns
from campaigns import RULES
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from revised_campaigns import agents_of, assert_all_ended, assert_safe, begun, coordinator_in, stood

from slacktide.executors.drivers.settings import Failures, Others, SimulationSettings
from slacktide.executors.journal import Journal
from slacktide.executors.orders import Revise

others = st.builds(
    Others,
    created_per_mille=st.sampled_from([0, 15, 60]),
    deleted_per_mille=st.sampled_from([0, 15, 60]),
    moved_per_mille=st.sampled_from([0, 15, 60]),
)
failures = st.builds(
    Failures,
    migrations_per_mille=st.sampled_from([0, 0, 50]),
    retryable_share=st.sampled_from([0.5, 1]),
    lost_hosts_per_mille=st.sampled_from([0, 0, 30]),
)
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


def carried_out(name, simulated, rules, agents, folder: Path):
    """Return the journal of a campaign; where nothing happens a person has the rest planned anew, or gives way."""
    begun(name, folder)
    path = folder / "journal.sqlite"
    journal = Journal.hold(path, durability="process")
    coordinator = coordinator_in(name, folder, journal, agents_of(name, simulated, agents), rules)
    giving_way = [Revise()], [Revise(give_up=True)]
    entries, _ = asked_campaigns.carried_out(coordinator, journal, path, [], giving_way)
    return entries


@settings(max_examples=12, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["urgent", "baked"]),
    others,
    failures,
    st.integers(0, 100),
    st.sampled_from(["ignore", "revise", "revise", "ask"]),
    st.integers(1, 3),
)
def test_no_host_is_patched_with_a_vm_on_it_and_none_is_lost_or_doubled(
    name, do, wrong, seed, on_drift, agents
) -> None:
    rules = replace(RULES, on_drift=on_drift, vms="told")
    with TemporaryDirectory() as folder:
        simulated = SimulationSettings(seed=seed, failures=wrong, others=do)
        entries = carried_out(name, simulated, rules, agents, Path(folder))
        assert_safe(name, Path(folder), entries)
        assert_all_ended(name, Path(folder), entries)
        _, again = stood(name, Path(folder), entries)
        assert again.last == len(entries)
