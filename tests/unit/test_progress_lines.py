"""When a campaign that nobody watches says how far it is, and what it says."""

from dataclasses import replace

import pytest
from small_fleet import small_fleet, small_plan

from slacktide.executors import events
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.folding import apply
from slacktide.executors.journal import Entry
from slacktide.executors.program import build_program
from slacktide.executors.progress import Progress, progress
from slacktide.service.progress_lines import LEAST_S, MOST_S, ProgressLines
from slacktide.service.stalled import FailedHosts

BEGUN = Progress(0.0, 7_200, 100, 0, 0, 0, 0, 1_000, 0, 0, 10, 1, 0, finished=False)


class Watched:
    """Lines of a campaign, by a clock that is set."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._lines = ProgressLines(lambda: self.at_s)
        assert self._lines.line(BEGUN) is None

    def after(self, duration_s: float, **changes: object) -> str | None:
        self.at_s += duration_s
        return self._lines.line(replace(BEGUN, **changes))


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_wave_that_opens_is_told_with_an_estimate(watched) -> None:
    assert watched.after(600, now_s=600.0, waves_opened=2, hosts_returned=5, hosts_out=3, migrations_done=50) == (
        "10 min into the campaign: 5 of 100 hosts returned, 3 out; 50 of 1,000 migrations done (5 %); "
        "2 of 10 waves opened, 0 over; about 1 h 50 min of real time to go by the plan"
    )
    assert watched.after(LEAST_S, now_s=610.0, waves_opened=2) is None, "nothing is new"
    assert "2 of 10 waves opened, 1 over" in str(watched.after(60, now_s=670.0, waves_opened=2, waves_over=1))


def test_many_waves_within_seconds_are_one_line(watched) -> None:
    assert watched.after(1, now_s=600.0, waves_opened=3) is None
    assert watched.after(1, now_s=900.0, waves_opened=4) is None
    line = watched.after(LEAST_S, now_s=1_200.0, waves_opened=6)
    assert "6 of 10 waves opened" in str(line)
    assert "about 1 min of real time to go by the plan" in str(line), "a virtual clock runs ahead of this one"


def test_a_tenth_is_told_and_ten_minutes_without_news(watched) -> None:
    assert watched.after(60, now_s=60.0, migrations_done=100) is None
    assert "110 of 1,000 migrations done (11 %); " in str(watched.after(60, now_s=120.0, migrations_done=110))
    assert watched.after(MOST_S - 1, now_s=700.0, migrations_done=111) is None
    assert "111 of 1,000" in str(watched.after(1, now_s=721.0, migrations_done=111))


def test_a_percentage_is_of_the_count_before_it(watched) -> None:
    line = watched.after(60, now_s=60.0, migrations_done=14, migrations_given_up=986, hosts_failed=98, aborted=True)
    assert "14 of 1,000 migrations done (1 %), 986 given up; " in str(line)
    assert str(line).endswith("; aborted, it ends once what is under way has ended"), "nothing goes by the plan"
    assert "999 of 1,000 migrations done (99 %)" in str(watched.after(MOST_S, now_s=660.0, migrations_done=999))


def test_hosts_that_fail_are_told_once_and_not_those_of_before(capsys) -> None:
    failed = FailedHosts()
    for hosts in (
        (("h1", "before"),),
        (("h1", "before"), ("h2", "patch-failed: it is at level 5")),
        (("h2", "again"),),
    ):
        failed.tell(replace(BEGUN, failed_hosts=hosts))
    assert capsys.readouterr().err.splitlines() == ["h2 is not patched: patch-failed: it is at level 5"]


def test_what_it_waits_for_and_how_late_it_is(watched) -> None:
    assert str(watched.after(MOST_S, waits_for="the store does not answer")).endswith(
        "; waits: the store does not answer"
    )
    assert str(watched.after(MOST_S, now_s=7_500.0)).endswith("; 5 min later than planned")
    assert watched.after(MOST_S, now_s=7_500.0, finished=True) is None, "the report is said instead"


def test_nothing_is_told_twice_of_what_was_done_before_a_campaign_was_taken_up(watched) -> None:
    lines = ProgressLines(lambda: watched.at_s)
    assert lines.line(replace(BEGUN, now_s=3_600.0, waves_opened=7, migrations_done=700)) is None
    watched.at_s += 60
    assert lines.line(replace(BEGUN, now_s=3_660.0, waves_opened=7, migrations_done=705)) is None


def test_a_wave_is_over_once_all_its_hosts_have_ended() -> None:
    snapshot = small_fleet()
    program = build_program(snapshot, small_plan(snapshot))
    state = initial_state(program)
    assert progress(state, program).waves_opened == 0
    first = [host for host, wave in zip(program.hosts.ids, program.hosts.wave.tolist(), strict=True) if wave == 0]
    apply(state, [Entry(1, events.WaveOpened(0.0, 0))])
    counted = progress(state, program)
    assert (counted.waves, counted.waves_opened, counted.waves_over) == (len(program.waves.gate), 1, 0)
    apply(state, [Entry(2 + number, events.HostReturned(9.0, host)) for number, host in enumerate(first)])
    assert progress(state, program).waves_over == 1
