"""Laws of moves carried out on paper: shares, volumes, and the migration model at a rate that stays."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from streams_on_paper import NIC_MBIT_S, problem_of, vm, work_on
from tiny_fleets import tiny_fleet, tiny_policy

from slacktide.planner import search
from slacktide.planner.assembly import predictions
from slacktide.planner.plan import STRATEGIES
from slacktide.planner.policy import MigrationRules
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.planner.streams.replayed import _course, _links, _lists, _moves, _shares, replay
from slacktide.planner.streams.rules import ONE_PER_NIC, RULES, StreamRule
from slacktide.planner.streams.sharing import add_use, begin_sending, end_sending, share
from slacktide.planner.streams.work import work_of
from slacktide.planner.sweep import excess, levels
from slacktide.topology import max_min_rates

ALL_AT_ONCE = StreamRule("all")


def guests():
    return st.builds(
        lambda memory, hot, dirty, disk, limit: vm(
            0,
            memory,
            hot_mib=hot * memory,
            dirty_mib_s=dirty,
            local_disk_mib=disk,
            blackout_limit_ms=limit,
        ),
        st.integers(1, 4000),
        st.sampled_from([0.0, 0.01, 0.05, 0.5]),
        st.floats(0, 150),
        st.sampled_from([0, 0, 700]),
        st.sampled_from([None, 60, 300, 2000]),
    )


@settings(max_examples=150)
@given(guests(), st.sampled_from([("precopy", "autoconverge"), ("precopy", "autoconverge", "postcopy")]))
def test_one_stream_alone_is_what_the_model_says(guest, strategies):
    problem = problem_of(2, [guest], MigrationRules(strategies=strategies))
    model = predictions(problem, np.zeros(1, np.int64), np.array([NIC_MBIT_S]))
    if model.strategy[0] < 0:
        return
    done = replay(problem, work_on([(0, 0, 1)]), ONE_PER_NIC)
    assert STRATEGIES[done.strategy[0]] == STRATEGIES[model.strategy[0]]
    assert done.end_s[0] - done.start_s[0] == model.duration_s[0]
    assert done.brownout_s[0] == pytest.approx(model.brownout_s[0], rel=1e-6)
    assert 1000 * done.blackout_s[0] == pytest.approx(model.blackout_ms[0], rel=1e-6, abs=1e-6)
    assert done.sent_mib[0] == pytest.approx(model.transfer_mib[0], rel=1e-6)


@st.composite
def replays(draw):
    fleet = tiny_fleet(draw(st.integers(6, 14)), draw(st.integers(0, 10**6)), fill=draw(st.sampled_from([0.4, 0.6])))
    policy = tiny_policy(out=draw(st.integers(1, 4)), canary=draw(st.integers(0, 1)))
    rule = draw(st.sampled_from([ONE_PER_NIC, ALL_AT_ONCE, *RULES.values()]))
    with patch.object(search, "JOINT_EFFORT", 0.01):  # how good a plan is makes no difference here
        return fleet, make_plan(fleet, policy, stop=Iterations(0)), rule


@settings(max_examples=40)
@given(replays())
def test_what_comes_of_a_plan(replayed):
    fleet, plan, rule = replayed
    problem = build_problem(fleet, plan.header.policy)
    work = work_of(problem, plan)
    done = replay(problem, work, rule)
    assert np.isfinite(done.return_s).all()
    assert np.isfinite(done.end_s).all()
    assert done.let_out_against_limits == 0
    _sends_everything(problem, done)
    _keeps_capacity(problem, done)
    _keeps_constants(problem, done, rule)


def _sends_everything(problem, done):
    live = ~problem.vms.restart[done.vm]
    disk_mib = problem.vms.local_disk_mib[done.vm]
    memory_mib = np.where(live, problem.vms.demand[done.vm, 1], 0)
    assert (done.sent_mib >= (memory_mib + disk_mib) * (1 - 1e-6)).all()
    sending_s = done.brownout_s + done.blackout_s
    fastest_mib_s = problem.network.egress_mbit_s[done.source] / 8.388608 * problem.policy.migration.goodput
    assert (done.sent_mib <= sending_s * fastest_mib_s * (1 + 1e-6)).all()


def _keeps_capacity(problem, done):
    count = len(problem.hosts.ids)
    used = np.zeros((count, 2), np.int64)
    np.add.at(used, problem.vms.host, problem.vms.demand)
    host = np.concatenate([done.target, done.source])
    at_s = np.concatenate([done.start_s, done.end_s]).astype(np.int64)
    size = problem.vms.demand[done.vm]
    swept = levels(host, at_s, np.concatenate([size, -size]), used)
    for resource in range(2):
        assert not len(excess(swept, problem.hosts.capacity[:, resource], resource).key)


def _keeps_constants(problem, done, rule):
    count = len(problem.hosts.ids)
    outgoing, incoming = rule.per_host(problem.network.egress_mbit_s, 10**6)
    one = np.ones(len(done.vm), np.int64)
    at_s = np.concatenate([done.start_s, done.end_s]).astype(np.int64)
    cluster = np.array([rule.cluster or 10**6])
    for host, limit in ((done.source, outgoing), (done.target, incoming), (np.zeros(len(one), np.int64), cluster)):
        swept = levels(np.concatenate([host, host]), at_s, np.concatenate([one, -one]), np.zeros(count, np.int64))
        assert not len(excess(swept, limit).key)


@settings(max_examples=40)
@given(replays())
def test_sharing_only_what_a_change_reaches_is_sharing_everything(replayed):
    fleet, plan, rule = replayed
    problem = build_problem(fleet, plan.header.policy)
    work = work_of(problem, plan)
    near, everywhere = replay(problem, work, rule), replay(problem, work, rule, everywhere=True)
    np.testing.assert_allclose(near.end_s, everywhere.end_s, atol=1.0)
    np.testing.assert_allclose(near.sent_mib, everywhere.sent_mib, rtol=1e-6)


@settings(max_examples=100)
@given(st.data())
def test_rates_are_max_min_fair_whatever_begins_and_ends(data):
    problem = build_problem(tiny_fleet(12, data.draw(st.integers(0, 50))), tiny_policy())
    pairs = st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] != pair[1])
    drawn = data.draw(st.lists(pairs, min_size=2, max_size=20))
    work = work_on([(0, source, target) for source, target in drawn])
    moves, lists, links = _moves(problem, work), _lists(problem, work), _links(problem)
    course, shares, streams = _course(moves), _shares(links, len(drawn)), np.zeros(1, np.int64)
    on: list[int] = []
    for move in data.draw(st.lists(st.integers(0, len(drawn) - 1), min_size=1, max_size=30)):
        relieved = False
        if move in on:
            relieved = end_sending(links, moves, course, shares, streams, move)
            on.remove(move)
        else:
            begin_sending(links, moves, shares, streams, move)
            on.append(move)
        found = share(links, moves, lists, course, shares, streams, np.array([move]), 1, relieved)
        for stream in shares.streams[:found].tolist():
            add_use(links, moves, shares, stream, shares.rate[stream] - course.rate[stream])
            course.rate[stream] = shares.rate[stream]
        loads = _loads(links, work, sorted(on))
        rates = course.rate[sorted(on)]
        assert (loads.T @ rates <= links.limit_mbit_s * (1 + 1e-6)).all()
        np.testing.assert_allclose(rates, max_min_rates(links.limit_mbit_s, loads), rtol=1e-6)


def _loads(links, work, on):
    """Return what each stream puts on each NIC and bundle."""
    dense = np.zeros((len(on), len(links.limit_mbit_s)))
    for row, move in enumerate(on):
        source, target = work.source[move], work.target[move]
        dense[row, [source, links.hosts + target]] = 1.0
        pair = links.access_class[source] * links.classes + links.access_class[target]
        legs = slice(links.route_start[pair], links.route_start[pair + 1])
        np.add.at(dense[row], 2 * links.hosts + links.route_bundle[legs], links.route_share[legs])
    return sparse.csr_array(dense)
