"""Everything by T: what suffices alone and how far, what suffices together, and what is proven impossible."""

import pytest
from small_fleet import POLICY, small_fleet

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.planner import reach
from slacktide.planner.deadline_ways import DeadlineAnswer, DeadlineSearch, Way, first_above
from slacktide.planner.levers import Lever, levers, loosened
from slacktide.planner.loosening import Case
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Canary, Policy, Reserve
from slacktide.planner.problem_building import build_problem
from slacktide.planner.reach import Answer, Effort, Levels, Oracle, everything, planned
from slacktide.planner.stopping import Progress

ONE_OUT = POLICY.model_copy(
    update={"canary": Canary(), "reserve": Reserve(), "max_out": {"fleet": 1, "rack": 2}, "deadline_s": None}
)


def search_of(by_s: int, policy: Policy = ONE_OUT, *, only: tuple[str, ...] = (), **effort: object) -> DeadlineSearch:
    case = Case(small_fleet(), build_problem(small_fleet(), policy))
    chosen = [lever for lever in levers(case) if not only or lever.limit in only]
    return DeadlineSearch(Oracle(case, everything(case.problem, by_s), Effort(tries=1, **effort)), chosen)


def way(answer: DeadlineAnswer, limit: str) -> Way:
    return next(one for one in answer.alone if one.changes[0].limit == limit)


def test_present_limits_may_suffice() -> None:
    answer = search_of(7200).run()
    assert (answer.verdict, answer.whole, answer.alone, answer.conflict) == ("reached", True, (), None)
    assert answer.present.makespan_s <= 7200


def test_a_bound_above_the_time_is_a_proof() -> None:
    answer = search_of(1400).run()
    assert answer.verdict == "impossible"
    assert answer.bound_s > 1400
    assert answer.present is None


def test_each_limit_alone_is_given_up_no_further_than_needed() -> None:
    search = search_of(1400)
    answer = search.run()
    assert answer.whole
    more = way(answer, "max_out.fleet")
    assert (more.changes[0].before, more.changes[0].after) == ("1", "2")
    assert more.least
    assert more.plan.makespan_s <= 1400
    shorter = way(answer, "patch time of every host")
    assert shorter.plan.makespan_s <= 1400
    assert answer.together is None
    for one in answer.not_alone:
        assert one.limit not in {way.changes[0].limit for way in answer.alone}
        assert not one.proven or one.bound_s > 1400


def test_a_level_less_than_the_least_is_excluded_by_the_bound() -> None:
    search = search_of(1400)
    answer = search.run()
    known = {lever.limit: lever for lever in search.levers}
    for one in answer.alone:
        lever = known[one.changes[0].limit]
        level = level_of(lever, one.changes[0].after)
        assert one.least == search.oracle.impossible([(lever, level - 1)])
        assert not search.oracle.impossible([(lever, level)])


def test_where_none_suffices_alone_a_smallest_set_does_together() -> None:
    kept: list[Plan] = []
    only = ("max_out.fleet", "max_out.rack", "notice of every VM", "link_share")
    policy = ONE_OUT.model_copy(update={"max_out": {"fleet": 2, "rack": 1}})
    search = search_of(760, policy, only=only, keep=kept.append)
    answer = search.run()
    assert answer.verdict == "impossible"
    assert answer.alone == ()
    assert {one.limit for one in answer.not_alone} == {lever.limit for lever in search.levers}
    assert [one.limit for one in answer.together.changes] == ["max_out.fleet", "max_out.rack"]
    assert answer.together.plan.makespan_s <= 760
    assert answer.together.plan.plan_id in {plan.header.id for plan in kept}
    known = {lever.limit: lever for lever in search.levers}
    levels = [(known[one.limit], level_of(known[one.limit], one.after)) for one in answer.together.changes]
    assert loosened(search.oracle.case, levels).problem.policy.max_out == {"fleet": 3, "rack": 2}
    for lever, _ in levels:
        assert not search.oracle.answer([pair for pair in levels if pair[0] is not lever]).reached


class AtALoss(Oracle):
    """Finds no plan where links are as wide as they get: a search may do worse where it has more freedom."""

    def answer(self, levels: Levels = ()) -> Answer:
        if any(lever.limit == "link_share" and level == lever.most for lever, level in levels):
            return Answer(None, "search")
        return super().answer(levels)


def test_a_way_is_found_where_the_search_is_at_a_loss_without_limits() -> None:
    only = ("max_out.fleet", "max_out.rack", "link_share")
    search = search_of(760, ONE_OUT.model_copy(update={"max_out": {"fleet": 2, "rack": 1}}), only=only)
    search.oracle = AtALoss(search.oracle.case, search.oracle.goal, search.oracle.effort)
    answer = search.run()
    assert [one.limit for one in answer.together.changes] == ["max_out.fleet", "max_out.rack"]
    assert answer.together.plan.makespan_s <= 760
    assert not answer.together.of_fleet


def test_what_no_limit_can_give_has_no_way() -> None:
    answer = search_of(715, only=("link_share", "notice of every VM")).run()
    assert (answer.alone, answer.together, answer.whole) == ((), None, True)
    assert all(one.proven for one in answer.not_alone)
    assert answer.conflict.members == ()


def test_when_the_time_is_over_what_is_known_is_kept() -> None:
    assert search_of(1400, over=lambda: True).run().whole is False
    asked = iter([False] * 3 + [True] * 10_000)
    answer = search_of(1400, over=lambda: next(asked)).run()
    assert not answer.whole
    assert answer.verdict == "impossible"
    assert answer.as_dict()["conflict"] is None


def test_every_way_is_a_plan_in_time() -> None:
    kept: list[Plan] = []
    answer = search_of(1400, keep=kept.append).run()
    makespans = {plan.header.id: plan.header.summary.makespan_s for plan in kept}
    for one in answer.alone:
        assert makespans[one.plan.plan_id] == one.plan.makespan_s <= 1400


def test_a_plan_under_stricter_limits_answers_for_looser_ones() -> None:
    oracle = search_of(1400).oracle
    (fleet,) = (lever for lever in levers(oracle.case) if lever.limit == "max_out.fleet")
    (rack,) = (lever for lever in levers(oracle.case) if lever.limit == "link_share")
    stricter = oracle.answer([(fleet, 1)])
    assert stricter.reached
    assert oracle.answer([(fleet, 2)]) is stricter
    assert oracle.answer([(rack, 1), (fleet, 1)]) is stricter
    assert not oracle.answer([(rack, 1)]).reached


def test_a_search_that_fails_where_it_has_most_freedom_is_helped(monkeypatch) -> None:
    search = search_of(1000, only=("patch time of every host",))
    searched = Oracle._searched

    def clumsy(self: Oracle, case: Case) -> Answer:
        loosest = int(case.problem.hosts.maintenance_s[0]) < 200
        return Answer(None, "search") if loosest else searched(self, case)

    monkeypatch.setattr(Oracle, "_searched", clumsy)
    (found,) = search.run().alone
    assert found.plan.makespan_s <= 1000


@pytest.mark.parametrize("least", range(1, 9))
def test_bisection_finds_the_first_level(least: int) -> None:
    asked: list[int] = []

    def fails(level: int) -> bool:
        asked.append(level)
        return level < least

    assert first_above(fails, 0, 8) == least
    assert len(asked) <= 3


def level_of(lever: Lever, value: str) -> int:
    return next(level for level in range(lever.most + 1) if lever.value(level) == value)


def test_the_search_goes_on_until_a_plan_is_back_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its canary this fleet's first plan takes 2 h 46 min; a few tries later one takes 2 h 28 min."""
    fleet = generate_fleet(GeneratorSettings(hosts=60, seed=3))
    policy = PRESETS["urgent"].model_copy(update={"canary": Canary(), "objective": ("makespan", "exposure", "moves")})
    case = Case(fleet, build_problem(fleet, policy))
    told: list[tuple[int, int | None]] = []
    original = reach.Tries.note

    def note(tries: reach.Tries, progress: Progress) -> None:
        told.append((progress.iteration, progress.makespan_s))
        original(tries, progress)

    monkeypatch.setattr(reach.Tries, "note", note)
    by_s = 9600
    assert planned(case, Effort(tries=0)).header.summary.makespan_s > by_s
    told.clear()
    answer = Oracle(case, everything(case.problem, by_s), Effort(tries=12)).answer()
    assert answer.reached
    assert answer.plan.header.summary.makespan_s <= by_s
    assert max(iteration for iteration, _ in told) < 12, "once it is reached the search ends"
