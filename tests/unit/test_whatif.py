"""What limits buy: figures of audited plans, beside what the bound promises, until the time is over."""

from dataclasses import replace

import pytest
from small_fleet import POLICY, small_fleet

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import reach
from slacktide.planner.audit import audit
from slacktide.planner.levers import levers
from slacktide.planner.loosening import Case
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Canary, Policy, Reserve
from slacktide.planner.problem_building import build_problem
from slacktide.planner.reach import Effort, planned
from slacktide.planner.whatif import Purchase, figures_of, purchases
from slacktide.service.what_if_text import above_promise, purchase_rows
from slacktide.service.words import plain


def case_of(policy: Policy, **settings: object) -> Case:
    fleet = generate_fleet(GeneratorSettings(hosts=40, hosts_per_rack=10, pinned_share=0.0, **settings))
    return Case(fleet, build_problem(fleet, policy))


def bought(case: Case, kept: list[Plan] | None = None, **effort: object) -> tuple[Plan, dict[str, Purchase]]:
    doing = Effort(tries=1, keep=(kept if kept is not None else []).append, **effort)
    present = planned(case, doing)
    return present, {one.limit: one for one in purchases(case, present, doing)}


TIGHT = PRESETS["urgent"].model_copy(update={"max_out": {"fleet": 3, "rack": 2}})


@pytest.fixture(scope="module")
def tight() -> tuple[Case, Plan, dict[str, Purchase], list[Plan]]:
    case, kept = case_of(TIGHT, fill=0.4), list[Plan]()
    return case, *bought(case, kept), kept


def test_one_host_more_buys_time_and_exposure(tight) -> None:
    _, present, table, _ = tight
    one = table["max_out.fleet"]
    assert (one.before, one.after, one.unit, one.units) == ("3", "4", "host", 1.0)
    assert one.gain_s == present.header.summary.makespan_s - one.plan.makespan_s
    assert one.gain_h_per_unit == pytest.approx(one.gain_s / 3600)
    assert one.exposure_gain_host_h > 0
    assert one.bound_gain_s > 0
    assert one.exposure_bound_gain_host_h > 0


def test_gains_are_per_unit(tight) -> None:
    one = tight[2]["patch time of every host"]
    assert (one.unit, one.units) == ("percent", 10.0)
    assert one.exposure_gain_host_h_per_unit == pytest.approx(one.exposure_gain_host_h / 10)
    assert tight[2]["canary.bake_s"].units == 2.5


def test_every_figure_is_that_of_a_plan_that_audits_clean(tight) -> None:
    case, present, table, kept = tight
    plans = {plan.header.id: plan for plan in kept}
    assert set(table) == {lever.limit for lever in levers(case)}
    for lever in levers(case):
        one = table[lever.limit]
        plan = plans[one.plan.plan_id]
        assert figures_of(plan) == one.plan
        fleet = lever.loosen(case, lever.step).snapshot if one.of_fleet else case.snapshot
        assert audit(fleet, plan).errors == ()
        assert one.present == (one.plan.plan_id == present.header.id)


def test_no_looser_limit_is_worse_in_what_the_policy_asks_for(tight) -> None:
    assert all(one.exposure_gain_host_h >= -1e-9 for one in tight[2].values())
    for one in tight[2].values():
        if one.present:
            assert (one.gain_s, one.exposure_gain_host_h, one.more_hosts) == (0, 0, 0)


def test_what_the_bound_promises_most_of_comes_first(tight) -> None:
    promised = [one.bound_gain_s for one in tight[2].values()]
    assert promised == sorted(promised, reverse=True)


def test_more_than_the_bound_promises_is_never_shown_without_saying_so(tight) -> None:
    one = replace(
        tight[2]["max_out.fleet"],
        gain_s=398,
        bound_gain_s=0.0,
        exposure_gain_host_h=5.0,
        exposure_bound_gain_host_h=6.0,
        more_hosts=0,
    )
    assert (one.gain_above_bound_s, one.exposure_gain_above_bound_host_h) == (398, 0)
    _, row = purchase_rows([one])
    assert plain(row[2]) == "-6 min 38 s *"
    assert plain(row[3]) == "-5.0 host-h"
    assert above_promise(one) == (True, False)
    kept = replace(one, bound_gain_s=398.4)
    assert above_promise(kept) == (False, False)
    for other in (replace(one, bound_gain_s=None, exposure_bound_gain_host_h=None), replace(one, more_hosts=2)):
        assert (other.gain_above_bound_s, above_promise(other)) == (None, (False, False))


def test_when_the_time_is_over_the_table_ends() -> None:
    case = case_of(TIGHT, fill=0.4)
    found: list[Purchase] = []
    doing = Effort(tries=1, over=lambda: len(found) == 2)
    for one in purchases(case, planned(case, doing), doing):
        found.append(one)
    assert 2 == len(found) < len(levers(case))


def test_a_limit_that_lets_hosts_in_says_so() -> None:
    policy = POLICY.model_copy(
        update={"max_out": {"fleet": 3, "rack": 0}, "canary": Canary(), "reserve": Reserve(), "deadline_s": None}
    )
    case = Case(small_fleet(), build_problem(small_fleet(), policy))
    present, table = bought(case)
    assert present.hosts.height == 0
    assert table["max_out.rack"].more_hosts == 3
    assert table["max_out.rack"].bound_gain_s is None
    assert table["max_out.fleet"].more_hosts == 0


def test_a_plan_that_the_audit_refuses_is_never_shown(monkeypatch) -> None:
    case = case_of(TIGHT)
    plan = planned(case, Effort(tries=0))
    broken = plan.header.summary.audit.model_copy(
        update={"findings": ({"severity": "error", "message": "it is wrong", "rule": "some-rule"},)}
    )
    summary = plan.header.summary.model_copy(update={"audit": broken})
    wrong = replace(plan, header=plan.header.model_copy(update={"summary": summary}))
    monkeypatch.setattr(reach, "plan_problem", lambda *_args, **_options: wrong)
    with pytest.raises(RuntimeError, match="it is wrong"):
        planned(case, Effort(tries=0))


def test_weighted_policies_have_weighted_figures() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=40, hosts_per_rack=10))
    rule = {"hosts": fleet.hosts["host_id"][:5].to_list(), "weight": 9}
    policy = Policy.model_validate({**TIGHT.model_dump(), "weights": [rule]})
    plan = planned(Case(fleet, build_problem(fleet, policy)), Effort(tries=0))
    assert figures_of(plan).exposure_host_h == plan.header.summary.weighted_exposure_host_h
    assert figures_of(plan).exposure_bound_host_h == plan.header.summary.weighted_exposure_bound_host_h
