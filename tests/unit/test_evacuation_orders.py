"""A host about to fail is evacuated by order in the middle of a campaign, whatever the campaign is doing."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from campaigns import RULES
from revised_campaigns import assert_all_ended, assert_safe, carried_out, stood

from slacktide.executors import events
from slacktide.executors.campaign_state import CampaignState, HostStage
from slacktide.executors.control_events import HostSkipped, OrderRefused, PlanRevised
from slacktide.executors.drivers.settings import Failures, SimulationSettings
from slacktide.executors.journal import Entry
from slacktide.executors.order_state import revision_reason
from slacktide.executors.orders import Abort, Evacuate, Limits, Pause, Resume, Skip
from slacktide.executors.readable import duration
from slacktide.executors.waiting import Waiting, waiting
from slacktide.planner.plan_files import read_plan
from slacktide.service.control_text import _hosts_counted

NAME = "urgent"
GOES_WELL = SimulationSettings(seed=3)


def evacuated(folder, asking, simulated=GOES_WELL, on_drift="ignore") -> tuple[list[Entry], CampaignState]:
    """Return the journal of a campaign of which ``asking`` is asked, by round, and where it stands at its end."""
    entries, _ = carried_out(NAME, asking, simulated, replace(RULES, on_drift=on_drift), folder)
    assert_safe(NAME, folder, entries)
    return entries, assert_all_ended(NAME, folder, entries)


def turn_of(entries: list[Entry]) -> tuple[int, PlanRevised]:
    return next((at, entry.event) for at, entry in enumerate(entries) if isinstance(entry.event, PlanRevised))


def about(entries: list[Entry], host: str) -> list[str]:
    return [entry.event.type for entry in entries if getattr(entry.event, "host_id", None) == host]


def stage_of(state: CampaignState, host: str) -> HostStage:
    return HostStage(int(state.host_stage[state.host_numbers[host]]))


def test_a_host_in_service_leaves_first_is_not_patched_and_stays_out(tmp_path) -> None:
    entries, state = evacuated(tmp_path, [(2, Evacuate(host_id="host-000018"))])
    assert about(entries, "host-000018") == ["host-drain-started", "host-drained", "host-evacuated"]
    at, turn = turn_of(entries)
    assert (turn.evacuates, turn.by) == ("host-000018", "a person")
    drains = [each.event.host_id for each in entries[at:] if isinstance(each.event, events.HostDrainStarted)]
    assert drains[0] == "host-000018"
    assert state.evacuated == {state.host_numbers["host-000018"]: "asked for by a person"}
    assert int((state.host_stage == HostStage.RETURNED).sum()) == 23
    assert not state.lost
    assert not np.isin(state.vm_host, state.host_numbers["host-000018"]).any()


@pytest.mark.parametrize("on_drift", ["ask", "revise"])
def test_it_is_done_whatever_is_to_be_done_of_drift(tmp_path, on_drift) -> None:
    entries, state = evacuated(tmp_path, [(20, Evacuate(host_id="host-000018"))], on_drift=on_drift)
    assert stage_of(state, "host-000018") == HostStage.EVACUATED
    child = read_plan(tmp_path / turn_of(entries)[1].plan)
    row = child.hosts.row(by_predicate=pl.col("host_id") == "host-000018", named=True)
    ahead = child.hosts.filter(pl.col("drain_start_s") >= child.header.revision.from_s)
    assert row["drain_start_s"] == ahead["drain_start_s"].min()


def test_an_order_while_it_is_paused_is_granted_and_waits_for_the_end_of_the_pause(tmp_path) -> None:
    asking = [(10, Pause()), (12, Evacuate(host_id="host-000018")), (30, Resume())]
    entries, state = evacuated(tmp_path, asking)
    kinds = [entry.event.type for entry in entries]
    begun = next(at for at, each in enumerate(entries) if getattr(each.event, "host_id", "") == "host-000018")
    assert kinds.index("plan-revised") < kinds.index("campaign-continued") < begun
    assert stage_of(state, "host-000018") == HostStage.EVACUATED


def test_a_gate_that_lost_hosts_keep_closed_stays_closed(tmp_path) -> None:
    """All canaries are lost: the host is evacuated, and nobody else leaves; a person has to judge the patch."""
    lost = SimulationSettings(seed=1, failures=Failures(lost_hosts_per_mille=1000))
    entries, state = evacuated(tmp_path, [(230, Evacuate(host_id="host-000018"))], lost, on_drift="ask")
    assert any(isinstance(entry.event, events.WaveClosed) for entry in entries)
    assert stage_of(state, "host-000018") == HostStage.EVACUATED
    at, _ = turn_of(entries)
    drains = {each.event.host_id for each in entries[at:] if isinstance(each.event, events.HostDrainStarted)}
    assert drains == {"host-000018"}
    assert not state.forgiven


def test_hosts_that_are_out_stay_out_and_are_no_failures(tmp_path) -> None:
    """host-000015 and host-000017 are the canary: one drains, the other is being patched when the order comes.

    Others take their place as canary; the patch of the second ends, and it is not given back all the same.
    """
    entries, state = evacuated(tmp_path, [(1, Evacuate(host_id="host-000015")), (45, Evacuate(host_id="host-000017"))])
    assert about(entries, "host-000015") == ["host-drain-started", "host-drained", "host-evacuated"]
    assert about(entries, "host-000017")[-2:] == ["host-returned", "host-evacuated"]
    assert stage_of(state, "host-000017") == HostStage.EVACUATED
    assert not state.host_reasons
    assert int((state.host_stage == HostStage.RETURNED).sum()) == 22


def test_a_host_that_has_returned_is_emptied_again(tmp_path) -> None:
    entries, state = evacuated(tmp_path, [(150, Evacuate(host_id="host-000015"))])
    kinds = about(entries, "host-000015")
    assert kinds[kinds.index("host-returned") :] == [
        "host-returned",
        "host-drain-started",
        "host-drained",
        "host-evacuated",
    ]
    assert int((state.host_stage == HostStage.RETURNED).sum()) == 23


@pytest.mark.parametrize(
    ("asking", "words"),
    [
        ([(20, Abort()), (21, Evacuate(host_id="host-000018"))], "the campaign is aborted"),
        ([(2, Evacuate(host_id="host-000018")), (3, Evacuate(host_id="host-000018"))], "is being evacuated already"),
        ([(2, Evacuate(host_id="host-000018")), (90, Evacuate(host_id="host-000018"))], "is evacuated already"),
        ([(20, Evacuate(host_id="nowhere"))], "the fleet has no host nowhere"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(tmp_path, asking, words) -> None:
    entries, _ = carried_out(NAME, asking, GOES_WELL, RULES, tmp_path)
    refused = [entry.event for entry in entries if isinstance(entry.event, OrderRefused)]
    assert [words in event.reason for event in refused if event.kind == "evacuate"] == [True]


def test_skip_takes_an_evacuation_back(tmp_path) -> None:
    asking = [(2, Evacuate(host_id="host-000018")), (3, Skip(host_id="host-000018"))]
    entries, _ = carried_out(NAME, asking, GOES_WELL, RULES, tmp_path)
    assert_safe(NAME, tmp_path, entries)
    state = assert_all_ended(NAME, tmp_path, entries)
    assert any(isinstance(entry.event, HostSkipped) for entry in entries)
    assert stage_of(state, "host-000018") in (HostStage.BLOCKED, HostStage.FAILED)
    assert state.evacuated == {}


def test_until_it_may_leave_what_it_waits_for_and_the_planned_moment_are_said(tmp_path) -> None:
    entries, _ = evacuated(tmp_path, [(2, Limits(max_out={"fleet": 1})), (20, Evacuate(host_id="host-000018"))])
    at, turn = turn_of(entries)
    _, state = stood(NAME, tmp_path, entries[: at + 1])
    host = state.host_numbers["host-000018"]
    planned_s = float(state.program.hosts.drain_start_s[host])
    waits = [each for each in waiting(state, turn.at_s) if each.subject == "host-000018"]
    assert waits == [
        Waiting(
            "host-000018",
            None,
            "is to be evacuated: it waits for a place, fleet: at most 1 host out; "
            f"planned for {duration(planned_s)} into the campaign",
            turn.at_s,
        )
    ]
    assert not [each for each in waiting(state, planned_s) if each.reason.startswith("is to be evacuated")]


def test_show_counts_the_evacuated_apart_from_those_to_patch_and_says_whose_revision_it_was(tmp_path) -> None:
    entries, state = evacuated(tmp_path, [(20, Evacuate(host_id="host-000018"))])
    assert _hosts_counted(state) == ("23", "of 23 planned hosts returned; 0 out, 0 left alone, 1 evacuated")
    _, turn = turn_of(entries)
    assert revision_reason(turn.by, "ecc", turn.evacuates) == "evacuation of host-000018, asked for by a person: ecc"
    assert revision_reason("the campaign", "h1 is lost", None) == "h1 is lost"
