"""When the rest of a campaign is planned anew by itself."""

from types import SimpleNamespace

import numpy as np
from campaigns import program_of

from slacktide.executors.campaign_state import initial_state
from slacktide.executors.decisions import Scheduler
from slacktide.executors.readable import duration
from slacktide.executors.replanning import LATE_S, Replanning
from slacktide.executors.rules import Rules

IDLE = SimpleNamespace(is_making=False, is_due=False)
RULES = Rules(on_drift="revise")


def first_hosts():
    program = program_of("urgent")
    state = initial_state(program)
    left_s = program.hosts.drain_start_s[program.hosts.due & (program.hosts.wave == 0)]
    return program, state, int(left_s.max())


def test_a_journal_that_is_behind_makes_no_host_late() -> None:
    program, state, last_s = first_hosts()
    scheduler = Scheduler(program, state, RULES)
    left = [each.host_id for each in scheduler.decide(last_s) if each.type == "host-drain-started"]
    assert len(left) == (program.hosts.due & (program.hosts.wave == 0)).sum()
    assert np.isnan(state.wave_opened_s).all(), "nothing of it is in the state yet"
    assert Replanning(IDLE, RULES, state).next(scheduler, state, last_s + 2 * LATE_S) is None


def test_a_host_that_should_have_left_long_since_is_late() -> None:
    program, state, last_s = first_hosts()
    scheduler = Scheduler(program, state, RULES)
    scheduler.slots.change({"fleet": 1})
    scheduler.decide(last_s)
    wanted = Replanning(IDLE, RULES, state).next(scheduler, state, last_s + 2 * LATE_S)
    assert wanted is not None
    assert f"is to leave {duration(2 * LATE_S)} later than planned" in wanted.why
