"""Who watches a campaign hears of waves, hosts, orders, failures and waits that last, and not of every queue."""

from dataclasses import replace

import pytest
from campaigns import record_of
from small_fleet import small_fleet, small_plan
from story import Story, drained_to

from slacktide.executors import control_events, events
from slacktide.executors.order_state import DECIDE
from slacktide.executors.program import build_program
from slacktide.executors.store.campaigns import StoredCampaign
from slacktide.executors.store.holder import let_go, new_holder
from slacktide.executors.waiting import Waiting
from slacktide.service.campaign_news import AGAIN_S, LASTS_S, CampaignNews
from slacktide.service.campaign_view import Viewed


class Watcher:
    """A watcher whose clock is set."""

    def __init__(self, story: Story, holder: str) -> None:
        self.now_s, self.story = 0.0, story
        self.news = CampaignNews(lambda: self.now_s)
        record = replace(record_of(), settings='{"driver": "simulated"}')
        self.stored = StoredCampaign(record, 1, holder, "2999-01-01T00:00:00.000Z", True, None)

    def hears(self, *told, waits=(), after_s=1.0) -> list[str]:
        """Return what is told once some events have happened, without the moment."""
        self.now_s += after_s
        self.story.happens(*told)
        lines = self.news.lines(Viewed(self.stored, self.story.state, (), "plan"), told, waits)
        return [line.split("into the campaign: ", 1)[1] for line in lines]


@pytest.fixture
def watcher():
    holder = new_holder()
    made = Watcher(drained_to(build_program(small_fleet(), small_plan())), holder)
    assert made.hears() == ["the campaign is running"]
    yield made
    let_go(holder)


def test_hosts_and_waves_are_grouped(watcher) -> None:
    assert watcher.hears(
        events.WaveOpened(800, 1),
        events.HostDrainStarted(800, "h2"),
        events.HostDrainStarted(800, "h4"),
        events.HostReturned(801, "h1"),
    ) == ["wave 1 has opened, 1 host", "2 hosts began to leave: h2, h4", "1 host returned: h1"]
    assert watcher.hears(
        events.PatchFailed(900, "h2", "it is at level 5"),
        events.HostBlocked(900, "h4", "aborted", "asked for by ada"),
        events.MigrationFailed(900, "m1", 1, "connected", "no route", retryable=True),
    ) == [
        "1 host not back from the patch: h2; it is at level 5",
        "1 host left alone: h4; aborted: asked for by ada",
        "1 attempt to migrate failed, last m1: no route",
    ]


def test_orders_have_who_asked_and_repeats_of_a_rule_are_told_once(watcher) -> None:
    late = [control_events.OrderRefused(at, 0, "the campaign", f"{at}", "revise", "no room") for at in (90, 95)]
    assert watcher.hears(late[0]) == ["no revision: no room (90)"]
    assert watcher.hears(late[1]) == []
    assert watcher.hears(control_events.CampaignPaused(100, 1, "ada", "lunch", False)) == [
        "ada: paused (lunch)",
        "it is paused, asked for by ada: lunch; end that with `slacktide campaign resume`",
    ]
    assert watcher.hears(control_events.CampaignContinued(110, 2, "ada", "")) == [
        "ada: goes on",
        "the campaign is running",
    ]
    (line,) = watcher.news.lines(
        Viewed(watcher.stored, watcher.story.state, (), "plan"),
        [control_events.CampaignAborted(105, 3, "a", "", False)],
        [],
    )
    assert line.split(" into the campaign: ")[1] == "a: aborted"
    assert " UTC, 1 min 45 s into the campaign: " in line, "its own moment, not that of the look"


def test_only_waits_that_last_are_told_hosts_by_reason_and_vms_in_one_line(watcher) -> None:
    def waits(left: int) -> list[Waiting]:
        drains = f"drains longer than planned: {left} VMs are still on it"
        vms = [Waiting(f"v{number}", f"m{number}", "waits for m1 to end", 0.0) for number in range(30)]
        return [Waiting("h1", None, drains, 0.0), *vms]

    assert watcher.hears(waits=waits(4)) == []
    assert watcher.hears(waits=waits(3), after_s=LASTS_S / 2) == []
    assert watcher.hears(waits=waits(2), after_s=LASTS_S / 2) == [
        "1 host waits: h1: drains longer than planned: 2 VMs are still on it",
        "30 VMs wait, v0 longest: waits for m1 to end",
    ]
    assert watcher.hears(waits=waits(1), after_s=LASTS_S) == [], "a VM less is nothing new"
    assert watcher.hears(waits=waits(1), after_s=AGAIN_S) == ["30 VMs wait, v0 longest: waits for m1 to end"]
    watcher.hears(control_events.CampaignPaused(100, 1, "ada", "lunch", False))
    assert watcher.hears(waits=waits(1), after_s=AGAIN_S) == [], "the pause says it all"


def test_a_decision_that_is_waited_for_is_told_with_what_to_do(watcher) -> None:
    assert watcher.hears(control_events.DecisionAwaited(100, "h2 is lost")) == [
        f"it is waiting for a decision: h2 is lost; {DECIDE}"
    ]
    assert watcher.hears(control_events.DecisionOver(110)) == ["the campaign is running"]
