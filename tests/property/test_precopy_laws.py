"""Laws of the migration model, over random guests."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.planner.plan import STRATEGIES
from slacktide.planner.policy import MigrationRules
from slacktide.planner.precopy import MAX_ROUNDS, estimate, estimate_restart

EVERYTHING = MigrationRules(strategies=("precopy", "autoconverge", "postcopy"))
NO_OVERHEAD = EVERYTHING.model_copy(update={"switchover_ms": 0, "setup_s": 0, "forwarding_s": 0})

memory = st.floats(1, 1e6)
hot = st.floats(0, 1e4)
dirty = st.floats(0, 2e3)
disk = st.floats(0, 1e6)
limit = st.floats(1, 1e5)
bandwidth = st.floats(1, 4e5)
guests = st.tuples(memory, hot, dirty, disk, limit, bandwidth)
ladders = st.lists(st.sampled_from(["precopy", "autoconverge", "postcopy"]), unique=True).map(
    lambda names: EVERYTHING.model_copy(update={"strategies": tuple(names)})
)


@given(guests, ladders)
def test_blackout_keeps_the_limit_wherever_a_strategy_is_given(guest: tuple[float, ...], rules: MigrationRules) -> None:
    result = estimate(*guest, rules)
    if result.strategy >= 0:
        assert STRATEGIES[int(result.strategy)] in rules.strategies
        assert result.blackout_ms <= guest[4] * (1 + 1e-9)
        assert 1 <= result.rounds <= MAX_ROUNDS
        spans = rules.setup_s + result.brownout_s + result.blackout_ms / 1000 + rules.forwarding_s
        assert spans - 1e-6 <= result.duration_s < spans + 1
    else:
        assert result.duration_s == -1
        assert np.isnan(result.transfer_mib)


@given(guests, ladders, st.sampled_from([0.125, 0.5, 2.0, 8.0]))
def test_all_rates_times_k_make_all_times_a_kth(guest: tuple[float, ...], ladder: MigrationRules, k: float) -> None:
    rules = ladder.model_copy(update={"switchover_ms": 0})
    memory_mib, hot_mib, dirty_mib_s, disk_mib, limit_ms, rate = guest
    before = estimate(memory_mib, hot_mib, dirty_mib_s, disk_mib, limit_ms, rate, rules)
    after = estimate(memory_mib, hot_mib, dirty_mib_s * k, disk_mib, limit_ms / k, rate * k, rules)
    assert after.strategy == before.strategy
    assert after.rounds == before.rounds
    assert after.brownout_s * k == pytest.approx(before.brownout_s, nan_ok=True)
    assert after.blackout_ms * k == pytest.approx(before.blackout_ms, nan_ok=True)
    assert after.transfer_mib == pytest.approx(before.transfer_mib, nan_ok=True)


@given(guests, st.sampled_from(["precopy", "autoconverge", "postcopy"]), st.floats(1, 10))
def test_within_a_strategy_more_bandwidth_is_never_slower(guest: tuple[float, ...], name: str, factor: float) -> None:
    rules = EVERYTHING.model_copy(update={"strategies": (name,)})
    slow = estimate(*guest, rules)
    fast = estimate(*guest[:5], guest[5] * factor, rules)
    if slow.strategy >= 0:
        assert fast.strategy >= 0
        assert fast.duration_s <= slow.duration_s
        assert fast.transfer_mib <= slow.transfer_mib * (1 + 1e-9)


@given(guests)
def test_the_guest_is_paused_at_the_first_round_that_allows_it(guest: tuple[float, ...]) -> None:
    """Against the rounds counted one by one, as the formula's source tells them."""
    rules = NO_OVERHEAD.model_copy(update={"strategies": ("precopy",)})
    result = estimate(*guest, rules)
    memory_mib, hot_mib, dirty_mib_s, disk_mib, limit_ms, bandwidth_mbit_s = guest
    hot_mib = min(hot_mib, memory_mib)
    rate = bandwidth_mbit_s * rules.goodput * 1e6 / 8 / 2**20
    size, sent, rounds = memory_mib, 0.0, 0
    while True:
        sent, rounds = sent + size, rounds + 1
        size = min(memory_mib - hot_mib, dirty_mib_s / rate * size)
        left_ms = (size + hot_mib) / rate * 1000
        if left_ms <= limit_ms * (1 - 1e-6) or rounds > MAX_ROUNDS + 1:
            break
        if left_ms <= limit_ms * (1 + 1e-6):
            return  # on the edge, where rounding of doubles decides
    assert (result.strategy >= 0) == (rounds <= MAX_ROUNDS)
    if rounds <= MAX_ROUNDS:
        assert result.converges
        assert result.rounds == rounds
        assert result.brownout_s == pytest.approx((sent + disk_mib) / rate, rel=1e-6)
        assert result.blackout_ms == pytest.approx(left_ms, rel=1e-6, abs=1e-6)
        assert result.transfer_mib == pytest.approx(sent + size + hot_mib + disk_mib, rel=1e-6)


@given(st.lists(guests, min_size=1, max_size=5), ladders)
def test_an_array_is_the_same_as_one_by_one(fleet: list[tuple[float, ...]], rules: MigrationRules) -> None:
    together = estimate(*np.array(fleet).T, rules)
    for index, guest in enumerate(fleet):
        alone = estimate(*guest, rules)
        for field in dataclasses.fields(alone):
            np.testing.assert_allclose(getattr(together, field.name)[index], getattr(alone, field.name), rtol=1e-12)


@given(disk, bandwidth)
def test_a_restart_stands_still_while_it_boots_and_copies_its_disk(disk_mib: float, bandwidth_mbit_s: float) -> None:
    result = estimate_restart(disk_mib, bandwidth_mbit_s, EVERYTHING)
    copying_s = disk_mib * 2**20 * 8 / (bandwidth_mbit_s * 1e6 * EVERYTHING.goodput)
    assert STRATEGIES[int(result.strategy)] == "restart"
    assert result.blackout_ms == pytest.approx((EVERYTHING.restart_s + copying_s) * 1000)
    assert result.transfer_mib == disk_mib
    assert result.brownout_s == 0
