"""Calibration: known figures are found again, what was not measured is not claimed, caution is on the safe side."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_campaigns import PLANNED, Moves, Truth, measured_campaign

from slacktide.planner.calibration import (
    FEWEST,
    FIGURES,
    Calibration,
    MeasuredCampaign,
    calibrated,
    learn,
    observe,
)
from slacktide.planner.policy import MigrationRules, Policy
from slacktide.planner.prediction_errors import prediction_errors


def learnt(*campaigns: MeasuredCampaign) -> Calibration:
    return learn(observe(campaigns))


def figure(calibration: Calibration, name: str, pair: tuple[str | None, str | None] = ("old", "old")) -> dict:
    rows = calibration.figures.filter(
        (pl.col("figure") == name)
        & pl.col("source_type").eq_missing(pl.lit(pair[0]))
        & pl.col("target_type").eq_missing(pl.lit(pair[1]))
    )
    return rows.row(0, named=True)


def changed(campaign: MeasuredCampaign, *columns: pl.Expr) -> MeasuredCampaign:
    return replace(campaign, migrations=campaign.migrations.with_columns(*columns))


@given(
    setup_s=st.floats(0.2, 30),
    goodput=st.floats(0.3, 0.9),
    switchover_ms=st.floats(5, 200),
    forwarding_s=st.floats(0, 5),
    sent_share=st.floats(0.2, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_without_noise_every_figure_is_found(setup_s, goodput, switchover_ms, forwarding_s, sent_share, seed) -> None:
    """To a thousandth; switchover to half a millisecond, for it and the goodput are told apart step by step."""
    truth = Truth(setup_s, goodput, switchover_ms, forwarding_s, sent_share)
    found = learnt(measured_campaign(Moves(40, truth), seed=seed))
    assert figure(found, "setup_s")["learnt"] == pytest.approx(setup_s, rel=1e-3)
    assert figure(found, "goodput")["learnt"] == pytest.approx(goodput, rel=1e-3)
    assert figure(found, "switchover_ms")["learnt"] == pytest.approx(switchover_ms, abs=0.5)
    assert figure(found, "forwarding_s")["learnt"] == pytest.approx(forwarding_s, rel=1e-3)
    assert figure(found, "sent_share")["median"] == pytest.approx(sent_share, rel=1e-3)


def test_with_noise_medians_are_near_and_the_learnt_is_on_the_safe_side() -> None:
    truth = Truth(sigma=0.1)
    found = learnt(measured_campaign(Moves(400, truth)))
    for name in ("setup_s", "goodput", "switchover_ms", "forwarding_s"):
        assert figure(found, name)["median"] == pytest.approx(getattr(truth, name), rel=0.03)
    tenth = 1.137  # exp(0.1 x 1.2816): nine in ten are below it
    assert figure(found, "setup_s")["learnt"] == pytest.approx(3.4 * tenth, rel=0.03)
    assert figure(found, "switchover_ms")["learnt"] == pytest.approx(75 * tenth, rel=0.03)
    assert figure(found, "goodput")["learnt"] == pytest.approx(0.8 / tenth, rel=0.03)
    row = figure(found, "setup_s")
    assert row["low"] < row["median"] < row["high"] == row["learnt"]


def test_less_caution_learns_what_fewer_kept_to() -> None:
    seen = observe([measured_campaign(Moves(400, Truth(sigma=0.1)))])
    for name, longer in (("setup_s", 1), ("switchover_ms", 1), ("goodput", -1)):
        cautious, half = (figure(learn(seen, caution), name) for caution in (0.9, 0.5))
        assert half["learnt"] == pytest.approx(half["median"], rel=0.01)
        assert longer * cautious["learnt"] > longer * half["learnt"]
        assert cautious["median"] == half["median"]


def test_one_busy_moment_does_not_make_the_rule() -> None:
    campaign = measured_campaign(Moves(FEWEST))
    worst = pl.when(pl.col("migration_id") == "m000003").then(500.0).otherwise("prepare_s").alias("prepare_s")
    assert figure(learnt(changed(campaign, worst)), "setup_s")["learnt"] == pytest.approx(3.4)


def test_pairs_are_apart_and_the_policy_has_the_most_cautious_figure_of_each() -> None:
    slow, thin = Truth(setup_s=9.2), Truth(goodput=0.4, switchover_ms=120.3)
    campaign = measured_campaign(Moves(20, slow, "new", "old"), Moves(20, thin, "old", "new"))
    found = learnt(campaign)
    assert figure(found, "setup_s", ("new", "old"))["learnt"] == pytest.approx(9.2)
    assert figure(found, "setup_s", ("old", "new"))["learnt"] == pytest.approx(3.4)
    rules = calibrated(campaign.policy, found).migration
    assert (rules.setup_s, rules.switchover_ms, rules.forwarding_s) == (10, 121, 1)
    assert rules.goodput == pytest.approx(0.4, abs=0.002)
    most = found.most_cautious("goodput")
    assert most is not None
    assert (most["source_type"], most["target_type"]) == ("old", "new")


def test_a_pair_with_few_migrations_has_the_figures_of_all_together() -> None:
    campaign = measured_campaign(Moves(FEWEST - 1, Truth(setup_s=50.0), "new", "new"), Moves(200))
    found = learnt(campaign)
    row, together = figure(found, "setup_s", ("new", "new")), figure(found, "setup_s", (None, None))
    assert row["pooled"]
    assert row["learnt"] == together["learnt"] == pytest.approx(3.4)
    assert row["median"] == pytest.approx(50.0)
    assert (row["migrations"], together["migrations"]) == (FEWEST - 1, 200 + FEWEST - 1)


def test_of_too_few_migrations_nothing_is_learnt_and_the_policy_stays() -> None:
    campaign = measured_campaign(Moves(FEWEST - 1))
    found = learnt(campaign)
    assert found.nothing
    assert calibrated(campaign.policy, found) == campaign.policy


@pytest.mark.parametrize(
    ("column", "lost"),
    [
        ("reserve_s", {"setup_s"}),
        ("delete_s", {"forwarding_s"}),
        ("transfer_mib", {"goodput", "sent_share"}),
        ("brownout_s", {"goodput"}),
        ("blackout_ms", {"goodput", "switchover_ms"}),
    ],
)
def test_what_was_not_measured_stays_as_it_was(column, lost) -> None:
    campaign = measured_campaign(Moves(30))
    found = learnt(changed(campaign, pl.lit(None, pl.Float64).alias(column)))
    assert {name for name in FIGURES if figure(found, name)["learnt"] is None} == lost
    rules = calibrated(campaign.policy, found).migration
    for name in lost - {"sent_share"}:
        assert getattr(rules, name) == getattr(PLANNED, name)


def test_one_long_copy_says_nothing_of_the_goodput_of_the_others() -> None:
    campaign = measured_campaign(Moves(30))
    short = pl.when(pl.col("migration_id") == "m000000").then("brownout_s").otherwise(0.5).alias("brownout_s")
    shortened = changed(campaign, short)
    found = learnt(shortened)
    assert (figure(found, "goodput")["migrations"], figure(found, "goodput")["learnt"]) == (1, None)
    by_name = {row.name: row for row in prediction_errors(observe([shortened]), found, campaign.policy)}
    assert by_name["medians of each pair"].brownout == by_name["as planned"].brownout


def test_a_copy_that_kept_its_pace_shows_no_less_than_was_asked() -> None:
    """The pace is the plan's: to learn what falls short of it would lower the pace, campaign after campaign."""
    for goodput in (0.95, 0.93, 0.91):
        campaign = measured_campaign(Moves(30, Truth(goodput=goodput)))
        assert calibrated(campaign.policy, learnt(campaign)).migration.goodput == 0.95
    campaign = measured_campaign(Moves(30, Truth(goodput=0.85)))
    assert calibrated(campaign.policy, learnt(campaign)).migration.goodput == pytest.approx(0.85, abs=0.002)


def test_the_longer_of_two_blackouts_counts() -> None:
    unprobed, probed = (measured_campaign(Moves(30), probed=probed) for probed in (False, True))
    shortest = figure(learnt(unprobed), "switchover_ms")["learnt"]
    assert figure(learnt(probed), "switchover_ms")["learnt"] == pytest.approx(shortest + 7, abs=0.5)


def test_migrations_that_say_nothing_are_left_out_and_counted() -> None:
    campaign = measured_campaign(Moves(30))
    number = pl.int_range(pl.len())
    states = (
        pl.when(number < 4).then(pl.lit("failed")).otherwise(pl.lit("done")).cast(campaign.migrations["state"].dtype)
    )
    kind = campaign.migrations["strategy"].dtype
    ways = pl.when(number > 26).then(pl.lit("postcopy")).otherwise("strategy").cast(kind)
    seen = observe([changed(campaign, states.alias("state"), ways.alias("strategy"))])
    assert (seen.table.height, seen.not_done, seen.other_strategies) == (23, 4, 3)


def test_rounding_is_up_in_time_and_down_in_goodput() -> None:
    campaign = measured_campaign(Moves(30, Truth(3.0, 0.8, 75.0, 0.0)))
    rules = calibrated(campaign.policy, learnt(campaign)).migration
    assert (rules.setup_s, rules.forwarding_s) == (3, 0)
    assert rules.switchover_ms in (75, 76)
    assert MigrationRules.model_validate(rules.model_dump()) == rules
    assert rules.goodput == round(rules.goodput, 3) <= 0.8005


def test_predictions_with_the_learnt_figures_are_near_and_hardly_ever_too_low() -> None:
    campaigns = [measured_campaign(Moves(100, Truth(sigma=0.05)), seed=seed) for seed in (1, 2)]
    seen = observe(campaigns)
    by_name = {row.name: row for row in prediction_errors(seen, learn(seen), campaigns[-1].policy)}
    before, after = by_name["as planned"], by_name["learnt"]
    unseen, median = by_name["learnt from the other campaigns"], by_name["medians of each pair"]
    assert before.brownout.slower == 1
    assert before.blackout.slower > 0.95
    assert after.brownout.median < 0.1 < before.brownout.median
    assert after.duration.slower < 0.1 < before.duration.slower
    assert unseen.brownout.median == pytest.approx(after.brownout.median, abs=0.02)
    assert median.blackout.median < 0.05
    assert after.brownout.migrations == 200


def test_one_campaign_leaves_none_out() -> None:
    campaign = measured_campaign(Moves(30))
    names = [row.name for row in prediction_errors(observe([campaign]), learnt(campaign), campaign.policy)]
    assert names == ["as planned", "learnt", "medians of each pair", "learnt, memory in use known"]


def test_the_memory_in_use_explains_what_was_not_sent() -> None:
    campaign = measured_campaign(Moves(60, Truth(sent_share=0.4, goodput=0.95)))
    by_name = {row.name: row for row in prediction_errors(observe([campaign]), learnt(campaign), campaign.policy)}
    assert by_name["learnt"].brownout.median > 1
    assert by_name["learnt, memory in use known"].brownout.median < 0.05


def test_a_switchover_above_the_limit_makes_predictions_impossible_not_wrong() -> None:
    campaign = measured_campaign(Moves(30))
    slow = changed(campaign, pl.col("blackout_ms") + 600)
    rows = list(prediction_errors(observe([slow]), learnt(slow), Policy()))
    assert rows[1].impossible == 30
    assert rows[1].brownout.median is None
    assert rows[0].impossible == 0
