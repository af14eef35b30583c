"""The figures that a plan states: one is changed, and the audit finds that it is not so."""

import math
from dataclasses import replace
from typing import Any

import pytest
from broken_plans import only, with_summary
from small_fleet import small_fleet, small_plan

from slacktide.planner.audit import audit

# summary


@pytest.mark.parametrize(
    "name", ["hosts", "vms", "waves", "migrations", "moves_per_vm", "makespan_s", "exposure_host_h"]
)
def test_a_figure_that_is_wrong(name: str) -> None:
    """The gap that is stated is then wrong too, where the figure has one."""
    plan = small_plan()
    wrong = getattr(plan.header.summary, name) + 1
    findings = audit(small_fleet(), with_summary(plan, **{name: wrong})).findings
    assert {finding.rule for finding in findings} == {"summary"}
    assert findings[0].message.startswith(f"{name} is stated as")
    gap = {"makespan_s": "makespan_gap", "exposure_host_h": "exposure_gap"}.get(name)
    assert [finding.message.split()[0] for finding in findings[1:]] == ([gap] if gap else [])


def test_exposure_by_hand() -> None:
    """h1 returns at 700 s, h2 at 1,463 s, h4 at 1,540 s; h3 and h5 are deferred and count until then."""
    assert small_plan().header.summary.exposure_host_h == pytest.approx((700 + 1463 + 3 * 1540) / 3600)


@pytest.mark.parametrize("name", ["p50", "p99", "max"])
def test_a_blackout_that_is_wrong(name: str) -> None:
    plan = small_plan()
    blackout = plan.header.summary.predicted_blackout_ms.model_copy(update={name: 1.0})
    finding = only(list(audit(small_fleet(), with_summary(plan, predicted_blackout_ms=blackout)).findings))
    assert finding.rule == "summary"
    assert f"predicted_blackout_ms.{name} is stated as 1.0" in finding.message


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"deferred": {"down": 2}}, "deferred is stated"),
        ({"makespan_gap": 0.0}, "makespan_gap is stated as 0.000000, but it is 1.200000"),
        ({"exposure_gap": 0.0}, "exposure_gap is stated"),
        ({"binding_resource": "rack"}, "binding_resource rack gives the bound None"),
        (
            {"bounds": {"chain": 1600.0}, "makespan_bound_s": 1600.0, "makespan_gap": -0.0375},
            "makespan_bound_s 1,600.0 is above makespan_s 1,540",
        ),
        ({"exposure_bound_host_h": 9.0, "exposure_gap": -0.790648}, "exposure_bound_host_h 9.0 is above"),
        ({"exposure_bound_host_h": 0.0, "exposure_gap": 0.0}, "exposure_bound_host_h is stated as 0.0, which bounds"),
        ({"exposure_bound_host_h": math.nan, "exposure_gap": 0.0}, "exposure_bound_host_h is stated as nan"),
        ({"bounds": {"chain": 700.0, "memory": 1e9}}, "and the highest bound 1000000000.0"),
    ],
)
def test_other_figures_that_are_wrong(figures: dict[str, Any], text: str) -> None:
    finding = only(list(audit(small_fleet(), with_summary(small_plan(), **figures)).findings))
    assert finding.rule == "summary"
    assert text in finding.message


def test_an_objective_that_is_not_the_policy_s() -> None:
    plan = small_plan()
    other = replace(plan, header=plan.header.model_copy(update={"objective": ("moves",)}))
    finding = only(list(audit(small_fleet(), other).findings))
    assert finding.message == "objective is stated as moves, but the policy's is another"
