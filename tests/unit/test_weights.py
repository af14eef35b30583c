"""Critical hosts first: weights in policy, bound, search, joint model, audit and text."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from small_fleet import POLICY, small_fleet, small_plan
from tiny_fleets import heuristic, tiny_fleet, tiny_policy

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.errors import InputError
from slacktide.executors.readable import host_hours
from slacktide.executors.report_page import plan_page
from slacktide.planner.assembly import exposure_s, weighted_exposure_s
from slacktide.planner.audit import audit
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.joint import Solved, solve_joint
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import plan_id, read_plan, write_plan
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.policy_files import policy_digest, read_policy
from slacktide.planner.problem_building import build_problem
from slacktide.planner.solve import assemble, make_plan
from slacktide.planner.stopping import Iterations
from slacktide.planner.weights import host_weights
from slacktide.service.plan_text import plan_rows


def weighted(policy: Policy, *rules: dict) -> Policy:
    return Policy.model_validate({**policy.model_dump(), "weights": rules})


def weights_of(*rules: dict) -> list[float]:
    """Return the weights of h1 to h6 of the small fleet."""
    return (host_weights(small_fleet(), weighted(POLICY, *rules)) / 1000).tolist()


def test_a_host_has_the_weight_of_the_first_rule_that_names_it() -> None:
    assert weights_of() == [1.0] * 6
    by_id, by_type = {"hosts": ["h2"], "weight": 5}, {"machine_type": "m2", "weight": 2.5}
    by_domain = {"domain": {"kind": "rack", "id": "r1"}, "weight": 3}
    assert weights_of(by_id, by_domain, by_type) == [3.0, 5.0, 3.0, 1.0, 1.0, 2.5]
    assert weights_of(by_domain, by_id) == [3.0, 3.0, 3.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"hosts": ("h1", "h9"), "weight": 2}, "host 'h9'"),
        ({"machine_type": "m7", "weight": 2}, "machine type 'm7'"),
        ({"domain": {"kind": "rack", "id": "r3"}, "weight": 2}, "rack 'r3'"),
        ({"domain": {"kind": "row", "id": "r1"}, "weight": 2}, "row 'r1'"),
    ],
)
def test_names_that_the_fleet_does_not_have_are_refused(rule: dict, named: str) -> None:
    with pytest.raises(InputError, match=rf"`weights.1` names {named}"):
        build_problem(small_fleet(), weighted(POLICY, {"hosts": ["h1"], "weight": 2}, rule))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weights: [{hosts: [h1], weight: 0.5}]\n", "`weights.0.weight` in line 1: Input should be greater"),
        ("weights: [{hosts: [h1], weight: 1001}]\n", "`weights.0.weight` in line 1: Input should be less"),
        ("weights: [{hosts: [h1], weight: 1.2345}]\n", "more than three decimals"),
        ("weights: [{weight: 2}]\n", "a weight needs one of `hosts`, `machine_type` and `domain`"),
        ("weights: [{hosts: [h1], machine_type: m1, weight: 2}]\n", "Name the hosts in one way"),
        ("weights: [{hosts: [h1], wieght: 2}]\n", "Did you mean `weight`?"),
        ("weights: [{domain: {kind: rack, ID: r1}, weight: 2}]\n", "`weights.0.domain.ID` in line 1 is not a field"),
    ],
)
def test_wrong_weights_in_a_file_are_named(tmp_path, text: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_policy(path)
    assert said in str(caught.value)


def test_a_policy_without_weights_keeps_its_digest() -> None:
    assert policy_digest(PRESETS["urgent"]) == "3e5af8724e0fc391a02e47493bdebea1458c77d62d2d8dd91bbbea2a4266c71e"
    assert policy_digest(weighted(POLICY, {"hosts": ["h1"], "weight": 2})) != policy_digest(POLICY)


def test_rules_that_say_1_change_nothing_but_the_summary() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10))
    plain, one = (
        make_plan(fleet, policy, stop=Iterations(2))
        for policy in (
            PRESETS["urgent"],
            weighted(PRESETS["urgent"], {"domain": {"kind": "rack", "id": fleet.hosts["rack_id"][0]}, "weight": 1}),
        )
    )
    assert plain.hosts.equals(one.hosts)
    assert plain.migrations.equals(one.migrations)
    assert plain.header.summary.weighted_exposure_host_h is None
    assert one.header.summary.weighted_exposure_host_h == pytest.approx(one.header.summary.exposure_host_h)
    assert one.header.summary.weighted_exposure_bound_host_h == pytest.approx(
        plain.header.summary.exposure_bound_host_h
    )


@pytest.fixture(scope="module")
def critical() -> Plan:
    """Return a plan for 60 hosts, ten of them ten times as critical."""
    fleet = generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10))
    policy = weighted(PRESETS["urgent"], {"hosts": fleet.hosts["host_id"][20:30].to_list(), "weight": 10})
    return make_plan(fleet, policy, stop=Iterations(2))


def test_critical_hosts_return_earlier(critical: Plan) -> None:
    plain = make_plan(
        generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10)), PRESETS["urgent"], stop=Iterations(2)
    )
    heavy = list(critical.header.policy.weights[0].hosts)

    def mean_return_s(plan: Plan) -> float:
        return plan.hosts.filter(plan.hosts["host_id"].is_in(heavy))["return_s"].mean()

    assert mean_return_s(critical) < 0.8 * mean_return_s(plain)


def test_a_few_hosts_far_more_critical_than_others_leave_behind_the_canary_at_once() -> None:
    """They are not taken for the canary, which is hosts that are back soonest."""
    fleet = generate_fleet(GeneratorSettings(hosts=400))
    heaviest = {"hosts": ["host-000007", "host-000027"], "weight": 10}
    heavy = {"domain": {"kind": "rack", "id": "rack-00003"}, "weight": 4}
    policy = weighted(PRESETS["urgent"], heaviest, heavy, {"machine_type": "gen-1", "weight": 1.5})
    hosts = make_plan(fleet, policy, stop=Iterations(0)).hosts
    starts_s = hosts.filter(hosts["host_id"].is_in(heaviest["hosts"]))["drain_start_s"]
    assert starts_s.max() < hosts["drain_start_s"].sort()[len(hosts) // 4]


def test_weighted_figures_stand_beside_their_bound(critical: Plan) -> None:
    summary = critical.header.summary
    assert summary.audit.findings == ()
    assert summary.weighted_exposure_host_h > summary.exposure_host_h
    assert 0 < summary.weighted_exposure_bound_host_h <= summary.weighted_exposure_host_h
    rows = {row[0]: row[1:] for row in plan_rows(critical)}
    assert "gap" in rows["weighted"][1]
    assert rows["exposure"] != rows["weighted"]
    page = plan_page(generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10)), critical)
    assert host_hours(summary.weighted_exposure_host_h) in page
    assert host_hours(summary.weighted_exposure_bound_host_h) in page


def test_the_audit_counts_weighted_figures_again(critical: Plan) -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10))

    def said(**changes: float | None) -> str:
        summary = critical.header.summary.model_copy(update=changes)
        changed = replace(critical, header=critical.header.model_copy(update={"summary": summary}))
        return " ".join(finding.message for finding in audit(fleet, changed).findings)

    assert said() == ""
    assert "weighted_exposure_host_h is stated as 1" in said(weighted_exposure_host_h=1.0)
    assert "weighted_exposure_host_h is missing" in said(weighted_exposure_host_h=None)
    assert "weighted_exposure_bound_host_h" in said(weighted_exposure_bound_host_h=1e9)
    assert "weighted_exposure_gap is stated as" in said(weighted_exposure_gap=7.0)
    plain = small_plan()
    odd = plain.header.summary.model_copy(update={"weighted_exposure_host_h": 1.0})
    findings = audit(small_fleet(), replace(plain, header=plain.header.model_copy(update={"summary": odd}))).findings
    assert any("the policy has no weights" in finding.message for finding in findings)


def test_a_weighted_plan_reads_back(critical: Plan, tmp_path) -> None:
    write_plan(critical, tmp_path / "plan")
    assert read_plan(tmp_path / "plan").header == critical.header
    assert plan_id(critical) == critical.header.id


@pytest.mark.parametrize("seed", range(6))
def test_the_joint_optimum_is_between_the_bound_and_every_order(seed: int) -> None:
    """List scheduling over every order of the hosts is brute force that the joint model must not lose to."""
    snapshot = tiny_fleet(4, seed)
    ids = snapshot.hosts["host_id"].to_list()
    rules = ({"hosts": ids[:1], "weight": 1 + seed}, {"hosts": ids[2:3], "weight": 2.5})
    problem = build_problem(snapshot, weighted(tiny_policy("exposure"), *rules))
    first = heuristic(problem)
    outcome = solve_joint(problem, first, effort=5.0)
    assert isinstance(outcome, Solved)
    value_s = weighted_exposure_s(problem, outcome.schedule)
    for order in permutations(np.flatnonzero(problem.hosts.due).tolist()):
        listed = in_order(problem, order)
        if len(listed.host) == len(outcome.schedule.host):
            assert value_s <= weighted_exposure_s(problem, listed)
    if len(outcome.schedule.host) == problem.hosts.due.sum():
        assert value_s >= compute_bounds(problem).weighted_exposure_s - 1e-6
    if outcome.proven:
        assert outcome.bound == pytest.approx(value_s)
    assert audit(snapshot, assemble(snapshot, problem, outcome.schedule, 0, 0.0)).errors == ()


def test_the_joint_optimum_where_every_order_is_known() -> None:
    """Empty hosts, one out at once: the best order is by weight over patch time, by Smith's rule."""
    patch_s = {"h1": 600, "h2": 300, "h4": 900}
    snapshot = small_fleet(
        hosts={
            **{host: {"maintenance_s": seconds} for host, seconds in patch_s.items()},
            "h3": {"state": "down"},
            "h6": {"state": "active"},
        },
        vms={f"v{number}": None for number in range(1, 7)},
    )
    policy = weighted(
        POLICY.model_copy(
            update={
                "objective": ("exposure",),
                "max_out": {"fleet": 1},
                "canary": POLICY.canary.model_copy(update={"hosts": 0}),
                "selection": POLICY.selection.model_copy(update={"hosts": ("h1", "h2", "h4", "h5")}),
            }
        ),
        {"hosts": ["h4"], "weight": 7.5},
        {"hosts": ["h5"], "weight": 2},
    )
    problem = build_problem(snapshot, policy)
    outcome = solve_joint(problem, None, effort=5.0)
    assert isinstance(outcome, Solved)
    assert outcome.proven
    weight = {"h1": 1, "h2": 1, "h4": 7.5}
    best_s = min(exposed_s(order, patch_s, weight) for order in permutations(patch_s)) + 2 * sum(patch_s.values())
    assert weighted_exposure_s(problem, outcome.schedule) == best_s == outcome.bound
    assert exposure_s(problem, outcome.schedule) < best_s
    assert compute_bounds(problem).weighted_exposure_s <= best_s


def test_hosts_left_alone_count_until_the_makespan_with_their_weight() -> None:
    policy = weighted(POLICY.model_copy(update={"objective": ("exposure",)}), {"hosts": ["h4"], "weight": 4})
    problem = build_problem(small_fleet(), policy)
    closed = np.array(
        [
            0 if name == ("rack", "r2") else limit
            for name, limit in zip(problem.out.names, problem.out.limit, strict=True)
        ]
    )
    problem = replace(problem, out=replace(problem.out, limit=closed))
    outcome = solve_joint(problem, None, effort=10.0)
    assert isinstance(outcome, Solved)
    patched = len(outcome.schedule.host)
    assert patched == problem.hosts.due.sum() - 1
    assert outcome.proven
    assert outcome.bound == pytest.approx(weighted_exposure_s(problem, outcome.schedule))


def exposed_s(order: tuple[str, ...], patch_s: dict[str, int], weight: dict[str, float]) -> float:
    """Return the weighted exposure of hosts patched one after the other."""
    returns_s = np.cumsum([patch_s[host] for host in order])
    return float(sum(weight[host] * back_s for host, back_s in zip(order, returns_s.tolist(), strict=True)))


def in_order(problem, order):
    from slacktide.planner import solve
    from slacktide.planner.listing.schedule import build_instance, list_schedule
    from slacktide.planner.needs import host_needs

    terms = solve.terms_of(problem, host_needs(problem), compute_bounds(problem))
    return list_schedule(problem, build_instance(problem), np.array(order, np.int64), terms)
