"""Every curve of the report equals an independent, plain computation on small cases."""

import numpy as np
import polars as pl
import pytest
from campaigns import planned_fleet

from slacktide.executors.blackouts import BINS, SHORTEST_MS, comparison, distribution
from slacktide.executors.curves import (
    StepCurve,
    condensed,
    exposure,
    hosts_out,
    out_limits,
    peaks_by_group,
    step_curve,
    wave_rows,
    wave_spans,
)
from slacktide.executors.report_plots import exposure_bound
from slacktide.executors.report_view import ReportView
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_ends_come_before_starts() -> None:
    curve = step_curve(floats(0, 10), floats(10, 20))
    assert curve.peak == 1
    assert curve.at(floats(-1, 0, 9.9, 10, 19.9, 20)).tolist() == [0, 1, 1, 1, 1, 0]


def test_step_curve_equals_counting_second_by_second() -> None:
    rng = np.random.default_rng(3)
    start = rng.integers(0, 50, 40).astype(float)
    end = start + rng.integers(0, 20, 40)
    weight = rng.integers(1, 9, 40).astype(float)
    seconds = np.arange(0, 80, dtype=float)
    counted = [float(weight[(start <= second) & (second < end)].sum()) for second in seconds]
    assert step_curve(start, end, weight).at(seconds).tolist() == counted


def test_condensing_keeps_every_excess_and_the_end() -> None:
    rng = np.random.default_rng(4)
    start = rng.integers(0, 9_000, 5_000).astype(float)
    curve = step_curve(start, start + rng.integers(1, 400, 5_000))
    drawn = condensed(curve, 10_000, columns=50)
    assert len(drawn.at_s) == 51
    assert drawn.peak == curve.peak
    every = np.arange(0, 10_000, dtype=float)
    assert (drawn.at(every) >= curve.at(every)).all()
    width = 200
    assert drawn.value[:-1].tolist() == [float(curve.at(every[i : i + width]).max()) for i in range(0, 10_000, width)]
    assert drawn.value[-1] == curve.at(floats(10_000))[0]


def test_a_short_curve_stays_exact() -> None:
    curve = StepCurve(floats(1, 2), floats(5, 0))
    drawn = condensed(curve, 4)
    assert (drawn.at_s.tolist(), drawn.value.tolist()) == ([0, 1, 2, 4], [0, 5, 0, 0])


def test_a_campaign_under_way_is_drawn_as_far_as_it_is_known() -> None:
    drawn = condensed(StepCurve(floats(0, 2, 8), floats(5, 4, 3), until_s=6), 10)
    assert (drawn.at_s.tolist(), drawn.value.tolist()) == ([0, 2, 6], [5, 4, 4])


def test_peaks_by_group_equal_each_group_alone() -> None:
    rng = np.random.default_rng(5)
    group = rng.integers(0, 6, 300)
    start = rng.integers(0, 60, 300).astype(float)
    end = start + rng.integers(1, 9, 300)
    weight = rng.integers(1, 5, 300).astype(float)
    alone = [step_curve(start[group == g], end[group == g], weight[group == g]).peak for g in range(7)]
    assert peaks_by_group(group, start, end, weight, groups=7).tolist() == alone
    assert alone[6] == 0


HOSTS = pl.DataFrame(
    {
        "host_id": ["a", "b", "c", "d"],
        "wave": [0, 1, 1, 2],
        "drain_start_s": [0, 10, 12, 30],
        "drained_s": [5, 14, 20, 33],
        "return_s": [9, 24, 26, 40],
    }
)
DOMAINS = pl.DataFrame({"host_id": ["a", "b", "c", "d"], "kind": ["rack"] * 4, "domain_id": ["r1", "r2", "r2", "r1"]})


def test_the_most_loaded_domain_is_shown_with_its_limit() -> None:
    fleet, rack = out_limits(HOSTS, HOSTS["host_id"], DOMAINS, {"rack": "50%", "fleet": 3})
    assert (fleet.kind, fleet.limit) == ("fleet", 3)
    assert (rack.kind, rack.domain, rack.hosts, rack.limit) == ("rack", "r2", ("b", "c"), 1)
    assert hosts_out(HOSTS, rack.hosts, 50).at(floats(9, 10, 12, 23, 24, 25, 26)).tolist() == [0, 1, 2, 2, 1, 1, 0]


def test_a_host_that_never_returned_stays_out() -> None:
    lost = HOSTS.with_columns(return_s=pl.when(pl.col("host_id") != "d").then("return_s"))
    assert hosts_out(lost, ("d",), 50).at(floats(29, 30, 49)).tolist() == [0, 1, 1]


def test_exposure_counts_due_hosts_until_they_return() -> None:
    curve = exposure(pl.Series([9, 24, None, 40]), due=5)
    assert curve.at(floats(0, 8, 9, 24, 39, 40, 99)).tolist() == [5, 5, 4, 3, 3, 2, 2]


def test_the_bound_on_exposure_is_the_plan_s_and_never_beaten() -> None:
    snapshot, recorded = planned_fleet()
    plan = make_plan(snapshot, recorded.header.policy, stop=Iterations(0))
    bound = exposure_bound(ReportView(snapshot, plan, None))
    due = plan.hosts.height + plan.deferred.height
    planned = exposure(plan.hosts["return_s"], due)
    moments = np.arange(0.0, float(plan.hosts["return_s"].max()), 10.0)  # type: ignore[arg-type]
    assert (bound.at(moments) <= planned.at(moments)).all()
    assert bound.value[-1] == plan.deferred.height
    patched_s = float((np.diff(bound.at_s) * (bound.value[:-1] - plan.deferred.height)).sum())
    summary = plan.header.summary
    bound_s = patched_s + plan.deferred.height * summary.makespan_bound_s
    assert bound_s / 3600 == pytest.approx(summary.exposure_bound_host_h)


def test_waves_span_their_hosts_stages() -> None:
    waves = pl.DataFrame({"wave": [0, 1, 2], "gate": ["start", "canary", "pipelined"]})
    rows = wave_rows(waves)
    assert rows["label"].to_list() == ["0 canary", "1", "2"]
    spans = wave_spans(HOSTS, rows).filter(pl.col("row") == 1).select("stage", "start_s", "end_s")
    assert spans.rows() == [("drain", 10.0, 20.0), ("patch", 14.0, 26.0), ("return", 24.0, 26.0)]


@pytest.mark.parametrize("number", [24, 25, 100, 999])
def test_many_waves_share_rows_and_the_canary_does_not(number: int) -> None:
    waves = pl.DataFrame({"wave": range(number), "gate": ["start", "canary"] + ["pipelined"] * (number - 2)})
    rows = wave_rows(waves, most=24)
    assert rows["row"].n_unique() <= 24
    assert rows["row"].is_sorted()
    assert (rows["row"] == 0).sum() == 1
    assert rows["label"][0] == "0 canary"


def test_the_distribution_counts_every_blackout_once() -> None:
    sample = floats(0, 0.2, 30, 31, 500, 60_000)
    table = distribution({"planned": sample, "probe": floats()}, limit_ms=500)
    planned = table.filter(pl.col("series") == "planned")
    assert len(planned) == BINS
    assert planned["count"].sum() == len(sample)
    assert planned["share"].sum() == pytest.approx(1)
    for row in planned.iter_rows(named=True):
        raised = np.maximum(sample, SHORTEST_MS)
        assert row["count"] == ((raised >= row["from_ms"]) & (raised < row["to_ms"])).sum()
    assert table.filter(pl.col("series") == "probe")["count"].sum() == 0


def test_no_bin_is_finer_than_the_probe_sees() -> None:
    measured = np.random.default_rng(6).uniform(30, 120, 500)
    table = distribution({"measured": measured, "probe": np.ceil(measured / 10) * 10}, limit_ms=500)
    for series in ("measured", "probe"):
        rows = table.filter(pl.col("series") == series)
        assert rows["count"].sum() == len(measured)
        assert (rows["to_ms"] - rows["from_ms"]).min() >= 10
        assert (rows["to_ms"][:-1] == rows["from_ms"][1:]).all()
        inside = rows.filter((pl.col("from_ms") > 40) & (pl.col("to_ms") < 115))
        assert inside["count"].min() > 0


def test_the_comparison_leaves_out_what_is_unknown() -> None:
    cells = comparison(pl.Series([100.0, 100.0, 50.0, 7.0]), pl.Series([110.0, 110.0, 60.0, None]))
    assert sorted(cells["count"]) == [1, 2]
    twice = cells.row(by_predicate=pl.col("count") == 2, named=True)
    assert twice["predicted_from_ms"] <= 100 < twice["predicted_to_ms"]
    assert twice["measured_from_ms"] <= 110 < twice["measured_to_ms"]
