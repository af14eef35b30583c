"""Whatever is evacuated in whatever campaign: nothing is violated, and the host leaves before all others."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from campaigns import RULES, program_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from revised_campaigns import assert_all_ended, assert_safe, carried_out

from slacktide.executors.campaign_state import HostStage
from slacktide.executors.control_events import PlanRevised
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.orders import Evacuate, Pause, Resume, Revise, Skip
from slacktide.planner.plan_files import read_plan

HOSTS = program_of("urgent").hosts.ids
failures = st.builds(
    Failures,
    migrations_per_mille=st.sampled_from([0, 20, 100]),
    retryable_share=st.sampled_from([0, 0.5, 1]),
    lost_hosts_per_mille=st.sampled_from([0, 30, 150]),
    overruns_per_mille=st.sampled_from([0, 200]),
    overrun_factor=st.sampled_from([1, 3]),
)
evacuations = st.builds(Evacuate, host_id=st.sampled_from(HOSTS))
others = st.one_of(
    st.just(Revise()),
    st.builds(Skip, host_id=st.sampled_from(HOSTS)),
    st.builds(Pause, cancel=st.booleans()),
    st.just(Resume()),
)
rounds = st.integers(0, 300)
asked = st.tuples(
    st.lists(st.tuples(rounds, evacuations), min_size=1, max_size=3), st.lists(st.tuples(rounds, others), max_size=2)
).map(lambda parts: [*parts[0], *parts[1]])


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.sampled_from(["urgent", "baked"]),
    asked,
    failures,
    st.integers(0, 100),
    st.sampled_from(["ignore", "revise", "ask"]),
)
def test_an_evacuated_host_leaves_first_is_empty_and_stays_out(name, asking, wrong, seed, on_drift) -> None:
    rules = replace(RULES, on_drift=on_drift)
    with TemporaryDirectory() as folder:
        entries, _ = carried_out(name, asking, SimulationSettings(seed=seed, failures=wrong), rules, Path(folder))
        raised = any(entry.event.type == "limits-changed" for entry in entries)
        assert_safe(name, Path(folder), entries, limits_hold=not raised)
        state = assert_all_ended(name, Path(folder), entries)
        for entry in entries:
            if isinstance(entry.event, PlanRevised):
                assert_first(Path(folder) / entry.event.plan, entry.event.evacuates)
        empty = np.flatnonzero(state.host_stage == HostStage.EVACUATED).tolist()
        assert set(empty) <= set(state.evacuated)
        assert not np.isin(state.vm_host, empty).any()


def assert_first(path: Path, host: str | None) -> None:
    """Check that hosts that a revision evacuates leave before all that had not begun to, and that VMs go elsewhere."""
    plan = read_plan(path)
    leaves = pl.col("host_id").is_in(list(plan.header.policy.evacuate))
    ahead = plan.hosts.filter(pl.col("drain_start_s") >= plan.header.revision.from_s)
    first, rest = ahead.filter(leaves), ahead.filter(~leaves)
    if first.height and rest.height:
        assert first["drain_start_s"].max() <= rest["drain_start_s"].min()
    assert host is None or host in plan.hosts["host_id"]
    later = plan.migrations.filter(pl.col("start_s") >= plan.header.revision.from_s)
    assert not set(later["target"]) & set(plan.header.policy.evacuate)
