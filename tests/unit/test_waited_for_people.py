"""What a campaign waited for people is told beside its makespan: pauses and approvals, no second twice."""

import pytest
from small_fleet import POLICY, small_fleet, small_plan
from story import Story, canary_back, drained_to

from slacktide.executors import control_events as asked
from slacktide.executors import events
from slacktide.executors.program import build_program
from slacktide.executors.waited import waited_for_people_s
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

PAUSED = asked.CampaignPaused(100.0, 1, "ada", "", cancel=False)
HARDER = asked.CampaignPaused(150.0, 2, "ada", "", cancel=True)
CONTINUED = asked.CampaignContinued(300.0, 3, "ada", "")
BUDGET = asked.CampaignPaused(400.0, 0, "the budget lost_hosts", "", cancel=False)


@pytest.mark.parametrize(
    ("told", "until_s", "waited_s"),
    [
        ([], 900.0, 0.0),
        ([PAUSED, HARDER, CONTINUED], 900.0, 200.0),
        ([PAUSED, CONTINUED, BUDGET], 900.0, 700.0),
        ([PAUSED, CONTINUED, BUDGET], 200.0, 100.0),
        ([PAUSED, asked.CampaignAborted(350.0, 4, "ada", "", cancel=False)], 900.0, 250.0),
    ],
    ids=["none", "one", "to the end", "until the last host is back", "abort"],
)
def test_pauses(told, until_s, waited_s) -> None:
    state = drained_to(build_program(small_fleet(), small_plan())).state
    assert waited_for_people_s(state, told, until_s) == waited_s


def test_a_gate_that_asks_is_waited_for_from_when_it_could_have_opened() -> None:
    plan = make_plan(small_fleet(), POLICY.model_copy(update={"approve_start": True}), seed=1, stop=Iterations(5))
    story = Story(build_program(small_fleet(), plan))
    start_s = float(plan.waves["start_s"][0])
    story.happens(events.WaveApproved(start_s + 500, 0, "ada", 1), events.WaveOpened(start_s + 500, 0))
    assert waited_for_people_s(story.state, [], 9_000.0) == 500
    paused = [asked.CampaignPaused(start_s + 100, 1, "ada", "", cancel=False)]
    paused += [asked.CampaignContinued(start_s + 600, 2, "ada", "")]
    assert waited_for_people_s(story.state, paused, 9_000.0) == 600, "no second counts twice"


def test_a_gate_that_bakes_waits_for_nobody() -> None:
    assert waited_for_people_s(canary_back(build_program(small_fleet(), small_plan()), 900).state, [], 5_000.0) == 0
