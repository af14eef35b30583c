"""A search ends when it is told to, in the middle of a try too; a first plan is never half of one."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from small_fleet import POLICY, small_fleet, small_plan

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import search
from slacktide.planner.audit import audit
from slacktide.planner.bounds import compute_bounds
from slacktide.planner.listing.schedule import build_instance, list_schedule, new_halt
from slacktide.planner.needs import host_needs
from slacktide.planner.orders import Queue
from slacktide.planner.policy import PRESETS
from slacktide.planner.pressing import pressing_order
from slacktide.planner.problem_building import build_problem
from slacktide.planner.search import passes
from slacktide.planner.solve import make_plan, terms_of
from slacktide.planner.stopping import Iterations, Progress, TimeLimit
from slacktide.service.either_stop import EitherStop
from slacktide.service.plan_text import plan_rows, progress_words
from slacktide.service.words import plain

PROBLEM = build_problem(generate_fleet(GeneratorSettings(hosts=120, seed=4)), PRESETS["urgent"])
INSTANCE = build_instance(PROBLEM)
NEEDS = host_needs(PROBLEM)
TERMS = terms_of(PROBLEM, NEEDS, compute_bounds(PROBLEM))
ORDER = pressing_order(PROBLEM, NEEDS)
QUEUE = Queue(ORDER)


def test_a_halted_pass_returns_nothing() -> None:
    halt = new_halt()
    halt[0] = 1
    assert list_schedule(PROBLEM, INSTANCE, ORDER, TERMS, halt) is None
    assert list_schedule(PROBLEM, INSTANCE, ORDER, TERMS) is not None


def test_a_time_that_is_over_halts_the_try_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try that would go on until somebody halts it is ended by the time limit, and by nothing else."""
    ends = threading.Event()

    def endless(_problem, _instance, _order, _terms, halt, _promised):
        while not halt[0]:
            ends.wait(0.01)

    monkeypatch.setattr(search, "list_schedule", endless)
    assert (
        passes(
            PROBLEM, INSTANCE, TERMS, [lambda _: QUEUE, lambda _: QUEUE], EitherStop([Iterations(9), TimeLimit(0.2)])
        )
        == []
    )


def test_counted_tries_are_never_halted() -> None:
    assert not Iterations(0).over()
    assert len(passes(PROBLEM, INSTANCE, TERMS, [lambda _: QUEUE, lambda _: QUEUE], Iterations(0))) == 2


def test_an_interrupt_before_the_first_plan_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "wait", pressed)
    with pytest.raises(KeyboardInterrupt):
        make_plan(small_fleet(), POLICY, stop=Iterations(0))


def test_nothing_that_can_be_planned_has_no_bound_to_show() -> None:
    seen = []
    none_out = POLICY.model_copy(update={"max_out": {"fleet": 0}})
    make_plan(small_fleet(), none_out, stop=Iterations(1), progress=seen.append)
    assert all("bound" not in progress_words(progress) for progress in seen)


def test_a_missed_deadline_stands_in_the_plan_s_figures() -> None:
    made = make_plan(small_fleet(), POLICY.model_copy(update={"deadline_s": 60}), stop=Iterations(0))
    said = [plain("  ".join(cells)) for label, *cells in plan_rows(made) if label == "warning"]
    assert len(said) == 1
    assert "after the deadline" in said[0]


def test_of_a_plan_for_another_fleet_only_that_is_said() -> None:
    plan = small_plan()
    other = small_fleet(vms={"v1": {"memory_mib": 1024}})
    report = audit(other, replace(plan, migrations=plan.migrations.clear()))
    assert report.checked_rules == ("snapshot-digest",)
    assert [finding.rule for finding in report.findings] == ["snapshot-digest"]


@pytest.mark.parametrize(("phase", "planned"), [("1 of 3 cells planned", False), ("improving", True)])
def test_an_interrupt_keeps_the_best_plan_of_the_cells_once_there_is_one(phase: str, planned: bool) -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=120, seed=4, hosts_per_rack=8))

    def interrupt(progress: Progress) -> None:
        if progress.phase == phase:
            raise KeyboardInterrupt

    if not planned:
        with pytest.raises(KeyboardInterrupt):
            make_plan(fleet, PRESETS["urgent"], stop=Iterations(50), cells=3, progress=interrupt)
        return
    plan = make_plan(fleet, PRESETS["urgent"], stop=Iterations(50), cells=3, progress=interrupt)
    assert audit(fleet, plan).errors == ()


def test_a_time_that_is_over_ends_a_round_of_tries() -> None:
    fleet = generate_fleet(GeneratorSettings(hosts=120, seed=4, hosts_per_rack=8))
    plan = make_plan(fleet, PRESETS["urgent"], stop=TimeLimit(0), cells=3)
    assert plan.header.id == make_plan(fleet, PRESETS["urgent"], stop=Iterations(0), cells=3).header.id


def test_passes_are_repaired_as_often_as_they_may_be_while_somebody_straggles(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def sooner(order, schedule):
        tried.append(schedule)
        return order[::-1] if len(tried) < 4 else None

    monkeypatch.setattr(search, "stragglers_sooner", sooner)
    for repairs, passes_made in ((0, 1), (2, 3), (9, 4)):
        tried.clear()
        found = passes(PROBLEM, INSTANCE, TERMS, [lambda _: QUEUE], repairs=repairs)
        assert len(found) == passes_made
        assert all(len(each.host) == len(ORDER) for each in found)


@pytest.mark.parametrize("in_turn", [False, True])
def test_nobody_else_leaves_before_the_last_host_that_is_kept(in_turn: bool) -> None:
    """Every third host is taken out of the first half of a plan, so that there are places, and is not to take them."""
    whole = list_schedule(PROBLEM, INSTANCE, ORDER, TERMS)
    early = whole.drain_start_s <= np.median(whole.drain_start_s)
    part = early & ((np.cumsum(early) % 3 > 0) | (whole.wave == 0))
    kept = whole.part(part)
    assert part.sum() < early.sum()
    (found,) = passes(PROBLEM, INSTANCE, TERMS, [lambda _: Queue(whole.host[~part], in_turn, kept)])
    same = np.isin(found.host, kept.host)
    starts_s = dict(zip(kept.host.tolist(), kept.drain_start_s.tolist(), strict=True))
    assert [starts_s[host] for host in found.host[same].tolist()] == found.drain_start_s[same].tolist()
    assert found.drain_start_s[~same].min() >= kept.drain_start_s.max()
