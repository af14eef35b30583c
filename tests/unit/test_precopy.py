"""The migration model: its ladder, its edges, and measured migrations."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from slacktide.planner.policy import MigrationRules
from slacktide.planner.precopy import AUTOCONVERGE, NO_STRATEGY, POSTCOPY, PRECOPY, estimate, estimate_restart

LADDER = MigrationRules(strategies=("precopy", "autoconverge", "postcopy"))
GENTLE = MigrationRules(strategies=("precopy",))

IDLE = (4096, 16, 1.0)
"""Memory, hot set and dirty rate of a guest that does little."""
BUSY = (16384, 64, 200.0)
"""Dirties faster than 1 Gbit/s carries."""
HOPELESS = (16384, 8192, 20000.0)


def test_the_gentlest_strategy_that_keeps_the_limit_is_taken() -> None:
    memory, hot, dirty = np.array([IDLE, BUSY, HOPELESS]).T
    result = estimate(memory, hot, dirty, 0, 500, 1000, LADDER)
    assert result.strategy.tolist() == [PRECOPY, AUTOCONVERGE, POSTCOPY]
    assert result.converges.tolist() == [True, False, False]
    assert (result.blackout_ms <= 500).all()


def test_without_a_strategy_that_works_there_is_none() -> None:
    memory, hot, dirty = np.array([IDLE, BUSY, HOPELESS]).T
    result = estimate(memory, hot, dirty, 0, 500, 1000, GENTLE)
    assert result.strategy.tolist() == [PRECOPY, NO_STRATEGY, NO_STRATEGY]
    assert result.duration_s[1:].tolist() == [-1, -1]


def test_an_idle_guest_by_hand() -> None:
    """4096 MiB and 16 MiB hot at 1000 Mbit/s: 113.248 MiB/s; one round of 36.168 s leaves 36.168 + 16 MiB."""
    result = estimate(*IDLE, 0, 500, 1000, GENTLE)
    rate = 1000 * 0.95 / 8.388608
    assert result.rounds == 1
    assert result.brownout_s == pytest.approx(4096 / rate)
    assert result.blackout_ms == pytest.approx((4096 / rate + 16) / rate * 1000 + 30)
    assert result.transfer_mib == pytest.approx(4096 + 4096 / rate + 16)
    assert result.duration_s == 40  # 2 setup + 36.17 + 0.49 + 1 forwarding


def test_throttling_lengthens_the_brownout_and_postcopy_leaves_only_the_switchover() -> None:
    throttled = estimate(*BUSY, 0, 500, 1000, LADDER)
    assert throttled.brownout_s > 2 * 16384 / 113.25
    assert throttled.rounds > 2
    forced = estimate(*HOPELESS, 0, 500, 1000, LADDER)
    assert forced.blackout_ms == 30
    assert forced.transfer_mib == 2 * 16384


@pytest.mark.parametrize(
    ("memory", "hot", "dirty", "disk", "bandwidth"),
    [
        (np.nan, 16, 1, 0, 1000),
        (4096, np.nan, 1, 0, 1000),
        (4096, 16, np.nan, 0, 1000),
        (4096, 16, 1, np.nan, 1000),
        (4096, 16, 1, 0, np.nan),
        (4096, 16, 1, 0, 0),
    ],
)
def test_what_is_unknown_is_not_guessed(memory: float, hot: float, dirty: float, disk: float, bandwidth: float) -> None:
    assert estimate(memory, hot, dirty, disk, 500, bandwidth, LADDER).strategy == NO_STRATEGY


def test_a_guest_without_a_limit_has_the_policys() -> None:
    rules = LADDER.model_copy(update={"blackout_limit_ms": 100})
    own, common = (estimate(*IDLE, 0, limit, 1000, rules) for limit in (100.0, np.nan))
    assert own.blackout_ms == common.blackout_ms <= 100


def test_a_limit_below_the_switchover_cannot_be_kept() -> None:
    assert estimate(*IDLE, 0, 29, 1000, LADDER).strategy == NO_STRATEGY
    assert estimate(*IDLE, 0, 30, 1000, LADDER).strategy == POSTCOPY


def test_a_local_disk_is_copied_in_the_brownout() -> None:
    without = estimate(*IDLE, 0, 500, 1000, LADDER)
    with_disk = estimate(*IDLE, 10000, 500, 1000, LADDER)
    assert with_disk.blackout_ms == without.blackout_ms
    assert with_disk.transfer_mib == without.transfer_mib + 10000
    assert with_disk.brownout_s == pytest.approx(without.brownout_s + 10000 / (1000 * 0.95 / 8.388608))


def test_a_small_guest_that_fits_the_limit_as_a_whole_converges_whatever_it_dirties() -> None:
    assert estimate(32, 0, 1e6, 0, 500, 1000, GENTLE).converges


def test_a_restart_needs_bandwidth_only_for_a_disk() -> None:
    result = estimate_restart([0, 0, 1000, 1000], [0, 1000, 0, 1000], LADDER)
    assert (result.strategy == NO_STRATEGY).tolist() == [False, False, True, False]
    assert result.duration_s[:2].tolist() == [63, 63]


def test_arguments_broadcast() -> None:
    result = estimate(np.full((3, 1), 4096), 16, 1, 0, 500, np.array([[1000, 2000]]), LADDER)
    assert result.duration_s.shape == (3, 2)


def test_measured_migrations_are_predicted_within_five_percent(real_data: Path) -> None:
    """Medians of 1,000 migrations on Grid'5000; they end with the guest on the target, so forwarding is left out."""
    rules = MigrationRules(forwarding_s=0)
    cells = (
        pl.read_csv(real_data / "grid5000-migrations.csv")
        .group_by("bw_mbps", "mem_used_mb", "hot_dirty_mb", "cold_dirty_mb_s")
        .agg(pl.col("real_dur").median())
        .sort("bw_mbps", "mem_used_mb")
    )
    assert cells.height == 4
    memory, hot, dirty, bandwidth, measured = (
        cells[name].to_numpy() for name in ("mem_used_mb", "hot_dirty_mb", "cold_dirty_mb_s", "bw_mbps", "real_dur")
    )
    result = estimate(memory, hot, dirty, 0, 5000, bandwidth, rules)
    predicted = rules.setup_s + result.brownout_s + result.blackout_ms / 1000
    error = predicted / measured - 1
    assert (error > 0).all()  # planned a little too long rather than too short
    assert (error < 0.05).all()
