"""Whatever happens and is asked for, and however often the rest is planned anew: nothing is violated, and it ends."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from campaigns import RULES, program_of
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from revised_campaigns import assert_all_ended, assert_safe, carried_out, stood

from slacktide.executors.control_events import PlanRevised
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.orders import Pause, Resume, Revise, Skip

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
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""A failing campaign is not made smaller: each takes a second, and its seed tells all."""


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
