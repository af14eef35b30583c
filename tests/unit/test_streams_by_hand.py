"""Moves under constant rules, followed by hand."""

import numpy as np
import pytest
from small_fleet import POLICY, small_fleet
from streams_on_paper import INSTANT, problem_of, vm, work_on

from slacktide.errors import UsageError
from slacktide.planner.policy import MigrationRules
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.planner.streams.comparison import compare
from slacktide.planner.streams.replayed import replay
from slacktide.planner.streams.rules import ONE_PER_NIC, RULES, StreamRule, stream_rule

ALL_AT_ONCE = StreamRule("all")
FINE_S = 0.001


def test_eight_guests_one_after_the_other_take_a_third_of_all_at_once():
    # 32 GiB each, 0.1 GiB/s dirtied, 1.16 GiB/s: k M / (R - D) = 241.5 s against k M / (R - k D) = 711 s, less the rest
    # that is sent in the blackouts.
    problem = problem_of(2, [vm(0, 32 * 1024, dirty_mib_s=102.4)] * 8, nic_mbit_s=9_964)
    work = work_on([(number, 0, 1) for number in range(8)])
    in_turn = replay(problem, work, ONE_PER_NIC, slot_s=FINE_S)
    at_once = replay(problem, work, ALL_AT_ONCE, slot_s=FINE_S)
    assert in_turn.drained_s[0] == pytest.approx(241.5, abs=0.2)
    assert at_once.drained_s[0] == pytest.approx(710.5, abs=1.0)
    assert (in_turn.blackout_s <= 0.5).all()
    assert at_once.blackout_s.sum() > 1.9 * in_turn.blackout_s.sum()


def test_what_a_stream_leaves_free_the_other_takes():
    problem = problem_of(3, [vm(0, 1000), vm(1, 500)])
    done = replay(problem, work_on([(0, 0, 2), (1, 1, 2)]), ALL_AT_ONCE, slot_s=FINE_S)
    # 50 MiB/s each until 10 s; then 500 MiB are left for the first, at 100 MiB/s.
    np.testing.assert_allclose(done.end_s, [15.0, 10.0], atol=0.01)
    np.testing.assert_allclose(done.sent_mib, [1000, 500])


def test_dirtying_goes_on_while_the_rate_changes():
    vms = [vm(0, 1000, dirty_mib_s=10.0, blackout_limit_ms=1500), vm(1, 500)]
    done = replay(problem_of(3, vms), work_on([(0, 0, 2), (1, 1, 2)]), ALL_AT_ONCE, slot_s=FINE_S)
    # The first round ends at 15 s as above; 150 MiB have been dirtied and take 1.5 s.
    assert done.brownout_s[0] == pytest.approx(15.0, abs=0.01)
    assert done.blackout_s[0] == pytest.approx(1.5, abs=0.01)
    assert done.sent_mib[0] == pytest.approx(1150, abs=0.5)


def test_a_blackout_that_begins_alone_and_is_joined_breaks_its_limit():
    vms = [vm(0, 1000, hot_mib=140.0, blackout_limit_ms=1500), vm(1, 5000, notice_s=10)]
    done = replay(problem_of(3, vms), work_on([(0, 0, 2), (1, 1, 2)]), ALL_AT_ONCE, slot_s=FINE_S)
    # At 100 MiB/s 140 MiB would take 1.4 s; the second stream starts as the blackout does, and halves the rate.
    assert done.blackout_s[0] == pytest.approx(2.8, abs=0.01)


def test_a_guest_that_does_not_converge_is_paused_after_the_last_round():
    problem = problem_of(2, [vm(0, 1000, dirty_mib_s=95.0, hot_mib=10.0)])
    done = replay(problem, work_on([(0, 0, 1)]), ALL_AT_ONCE)
    assert done.blackout_s[0] > 0.5
    slowed = problem_of(2, [vm(0, 1000, dirty_mib_s=95.0, hot_mib=10.0)], MigrationRules())
    assert replay(slowed, work_on([(0, 0, 1)]), ALL_AT_ONCE).blackout_s[0] <= 0.5


def test_five_in_a_cluster_and_the_sixth_waits():
    problem = problem_of(12, [vm(host, 1000 + 100 * host) for host in range(6)])
    done = replay(problem, work_on([(host, host, 6 + host) for host in range(6)]), RULES["kubevirt"])
    assert done.start_s.tolist() == [0, 0, 0, 0, 0, 10]
    assert done.end_s.tolist() == [10, 11, 12, 13, 14, 25]


def test_two_leave_a_host_and_two_come_to_one():
    problem = problem_of(4, [vm(0, 1000)] * 3 + [vm(1, 1000)] * 1)
    work = work_on([(0, 0, 2), (1, 0, 2), (2, 0, 3), (3, 1, 2)])
    done = replay(problem, work, RULES["ovirt"])
    assert done.start_s.tolist() == [0, 0, 20, 20]
    assert replay(problem, work, RULES["kubevirt"]).start_s.tolist()[3] == 0


def test_vsphere_counts_by_the_speed_of_the_nic():
    many = [vm(0, 1000)] * 10
    work = work_on([(number, 0, 1) for number in range(10)])
    for nic_mbit_s, at_once in ((1_000, 4), (10_000, 8)):
        done = replay(problem_of(2, many, nic_mbit_s=nic_mbit_s), work, RULES["vsphere"])
        assert (done.start_s == 0).sum() == at_once


def test_one_of_a_service_moves_at_a_time():
    problem = problem_of(4, [vm(0, 1000, service_id="s"), vm(1, 1000, service_id="s")])
    done = replay(problem, work_on([(0, 0, 2), (1, 1, 3)]), ALL_AT_ONCE)
    assert done.start_s.tolist() == [0, 10]


def test_hosts_wait_for_a_place_and_for_the_return_of_their_targets():
    problem = problem_of(4, [vm(0, 1000), vm(1, 1000)], max_out=1)
    done = replay(problem, work_on([(0, 0, 2), (1, 1, 3)]), ALL_AT_ONCE)
    assert done.drain_start_s.tolist() == [0, 110]
    assert done.return_s.tolist() == [110, 220]
    free = problem_of(4, [vm(0, 1000), vm(1, 1000)])
    to_the_first = work_on([(0, 0, 2), (1, 1, 0)], after_return=np.array([-1, 0]))
    assert replay(free, to_the_first, ALL_AT_ONCE).drain_start_s.tolist() == [0, 110]


def test_a_vm_that_comes_first_leaves_with_the_host():
    problem = problem_of(4, [vm(0, 1000), vm(1, 500)])
    work = work_on([(0, 0, 1), (1, 1, 2), (0, 1, 2)], arrival_for=np.array([1, -1, -1]))
    done = replay(problem, work, ONE_PER_NIC)
    assert done.drain_start_s.tolist() == [0, 10]
    assert done.start_s.tolist() == [0, 10, 15]


def test_moves_back_hold_up_the_next_wave():
    problem = problem_of(4, [vm(0, 1000), vm(1, 500)])
    work = work_on(
        [(0, 0, 2), (0, 2, 0), (1, 1, 3)],
        order=np.array([0, 1]),
        wave=np.array([0, 1]),
        late=np.zeros(2, np.bool_),
        behind=np.array([-1, 0]),
        bake_s=np.array([0, 7]),
        back=np.array([False, True, False]),
        after_return=np.array([-1, 0, -1]),
    )
    done = replay(problem, work, ONE_PER_NIC)
    assert done.start_s.tolist() == [0, 110, 127]
    assert done.return_s.tolist() == [110, 232]


def test_what_no_order_allows_is_counted():
    problem = problem_of(2, [vm(0, 1000)], max_out=0)
    done = replay(problem, work_on([(0, 0, 1)]), ONE_PER_NIC)
    assert done.let_out_against_limits == 1
    assert done.makespan_s == 110


def test_restarts_send_their_disk_and_boot():
    rules = INSTANT.model_copy(update={"restart_s": 30})
    problem = problem_of(2, [vm(0, 1000, eviction="restart"), vm(0, 8, eviction="restart", local_disk_mib=500)], rules)
    done = replay(problem, work_on([(0, 0, 1), (1, 0, 1)]), ALL_AT_ONCE)
    assert done.blackout_s == pytest.approx([30, 35], abs=0.01)
    assert done.brownout_s.tolist() == [0, 0]


@pytest.mark.parametrize("text", ["hyperv", "2", "0:5", "2:", "a:b", "-1:4"])
def test_constants_that_make_no_sense_are_refused(text):
    with pytest.raises(UsageError, match="N:M"):
        stream_rule(text)


def test_constants_by_numbers():
    assert stream_rule("2:50") == StreamRule("2:50", outgoing=2, incoming=2, cluster=50)


def test_the_plan_s_own_row_has_the_plan_s_figures() -> None:
    """Hosts that are left alone count in the exposure of every row."""
    plan = make_plan(small_fleet(), POLICY, stop=Iterations(0))
    assert plan.deferred.height
    own, *others = compare(small_fleet(), plan, [RULES["nova"]])
    assert own.makespan_s == plan.header.summary.makespan_s
    assert own.exposure_host_h == pytest.approx(plan.header.summary.exposure_host_h)
    assert all(row.exposure_host_h > plan.deferred.height * row.makespan_s / 3600 for row in others)
