"""What the audit says of failing hosts is what trying every placement says, and its restarts keep every rule."""

from functools import cache

import numpy as np
import pytest
from failures_by_hand import World, world
from tiny_fleets import tiny_fleet, tiny_policy

from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.planner import hardening
from slacktide.planner.constraints.failures import FailuresRestartable
from slacktide.planner.failing import samples
from slacktide.planner.failing.packing import WAYS, pack
from slacktide.planner.failing.proof import possible
from slacktide.planner.failing.trial import Trial, Trials
from slacktide.planner.plan import Plan
from slacktide.planner.policy import Reserve
from slacktide.planner.replay import Replay
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations

MOST_VMS = 6
"""VMs that fall together, up to which every placement is tried."""
PARTS = 6
"""Parts of a plan's time: enough moments before, during and after drains."""
CASES = [(seed, fill, per) for seed in range(2) for fill in (0.5, 0.7) for per in (None, "power")]


@cache
def planned(seed: int, fill: float, per: str | None, failing: int) -> tuple[FleetSnapshot, Plan]:
    """Return a tiny fleet and a plan for it in which failing hosts are not looked at."""
    fleet = tiny_fleet(6, seed, fill=fill)
    policy = tiny_policy().model_copy(update={"reserve": Reserve(hosts=failing, per=per)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardening, "ROUNDS", 0)
        return fleet, make_plan(fleet, policy, stop=Iterations(0))


def tried(fleet: FleetSnapshot, plan: Plan) -> tuple[Replay, Trials]:
    replay, reserve = Replay(fleet, plan), plan.header.policy.reserve
    alike = (np.zeros(len(replay.hosts.ids), np.int64), ("fleet",))
    domain, names = alike if reserve.per is None else (replay.domain_of(reserve.per) or alike)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "MOST_PARTS", PARTS)
        return replay, Trials(replay, domain, len(names), reserve.hosts)


def as_world(fleet: FleetSnapshot, plan: Plan, trials: Trials, number: int) -> tuple[World, frozenset[str]]:
    """Return a failure worked out by hand, and the hosts of its domain."""
    ids, failed = trials.replay.hosts.ids, trials.failures.hosts[number]
    sample = trials.failures.sample[number]
    hand = world(fleet, plan, int(trials.samples.at_s[sample]), frozenset(ids[host] for host in failed if host >= 0))
    beside = trials.beside.host[trials.beside.sample == sample]
    return hand, frozenset(ids[host] for host in beside)


def one(trials: Trials, number: int) -> Trial:
    return trials.trial(np.array([number]), narrow=False)


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize(("seed", "fill", "per"), CASES)
def test_restarts_on_paper_keep_every_rule(seed: int, fill: float, per: str | None, failing: int) -> None:
    fleet, plan = planned(seed, fill, per, failing)
    replay, trials = tried(fleet, plan)
    assert len(trials) > 0
    together = trials.trial(np.arange(len(trials)), narrow=True)
    columns = [pack(together, way) for way in WAYS]
    for number in range(len(trials)):
        hand, hosts = as_world(fleet, plan, trials, number)
        rows = np.flatnonzero(together.failure == number)
        assert sorted(replay.vms.ids[vm] for vm in together.vm[rows]) == hand.fallen()
        for column in columns:
            if (column[rows] >= 0).all():
                chosen = together.host[number][column[rows]]
                placed = {
                    replay.vms.ids[vm]: replay.hosts.ids[host]
                    for vm, host in zip(together.vm[rows], chosen, strict=True)
                }
                assert hand.keeps_all(placed, hosts)


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize(("seed", "fill", "per"), CASES)
def test_proofs_agree_with_every_placement(seed: int, fill: float, per: str | None, failing: int) -> None:
    fleet, plan = planned(seed, fill, per, failing)
    _, trials = tried(fleet, plan)
    for number in range(len(trials)):
        hand, hosts = as_world(fleet, plan, trials, number)
        if len(hand.fallen()) > MOST_VMS:
            continue
        assert possible(one(trials, number), 0) is hand.restartable(hosts)


@pytest.mark.parametrize(("seed", "fill", "per"), CASES)
def test_a_domain_is_short_where_one_of_its_failures_is(seed: int, fill: float, per: str | None) -> None:
    fleet, plan = planned(seed, fill, per, 1)
    replay, trials = tried(fleet, plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "MOST_PARTS", PARTS)
        found = FailuresRestartable(plan.header.policy.reserve).outcome(replay)
    assert found is not None
    possible_ones = [possible(one(trials, number), 0) for number in range(len(trials))]
    domain = trials.samples.domain[trials.failures.sample]
    short = {int(domain[number]) for number, each in enumerate(possible_ones) if not each}
    assert {each.domain for each in found.shortfalls} == short
