"""What becomes of a trigger whose plan is there: launched, kept to what fits into its window, given up."""

from datetime import timedelta

import pytest
from small_fleet import small_fleet, small_plan
from triggers_at_hand import NOW, Rows, request

from slacktide.datasets.files import write_snapshot
from slacktide.errors import SlacktideError
from slacktide.executors.store.address import store_in
from slacktide.executors.triggers.making import MOST_NARROWED, Maker, Place
from slacktide.executors.triggers.settings import Triggers
from slacktide.executors.triggers.trigger import Asked, Course, State, Trigger, applied
from slacktide.planner.plan_files import write_plan

PLAN = small_plan()
MAKESPAN_S = int(PLAN.header.summary.makespan_s)


class Making:
    """A maker, a trigger that begins, and its directory with a plan."""

    def __init__(self, folder, *, with_plan: bool = True, **course: object) -> None:
        write_snapshot(small_fleet(), folder / "fleet")
        settings = Triggers.model_validate(
            {"fleet": {"directory": folder / "fleet"}, "campaigns": folder, "alerts": {}}
        )
        place = Place(store_in(folder / "s.sqlite"), folder, ("/nonexistent/slacktide",), {})
        self.maker = Maker(settings, place)
        asked = Asked(start="approve", due=request("k", "patched", order="other").due)
        begun = Course(attempt=1, directory="000001-1", **course)
        self.rows = Rows(Trigger(1, "request", "k", "here", NOW, State.BEGINS, asked, begun))
        self.directory = folder / "000001-1"
        self.directory.mkdir()
        if with_plan:
            write_plan(PLAN, self.directory / "plan")

    def take(self, now=NOW) -> Trigger:
        taken = self.maker.take(self.rows.rows[0], (), now, self.noted)
        if taken is not None:
            self.noted(taken)
        return self.rows.rows[0]

    def noted(self, taken) -> Trigger | None:
        made = self.rows.decide(lambda rows: applied(rows, taken))
        return made[0].trigger if made else None


def test_a_plan_that_fits_is_launched(tmp_path) -> None:
    for folder, until in (("free", None), ("window", NOW + timedelta(seconds=MAKESPAN_S))):
        (tmp_path / folder).mkdir()
        one = Making(tmp_path / folder, until=until).take()
        assert (one.state, one.course.launched, one.course.plan_s) == (State.BEGINS, True, MAKESPAN_S)


def test_hosts_that_do_not_fit_into_the_window_wait_for_the_next(tmp_path) -> None:
    hosts = PLAN.hosts.sort("return_s")
    fits = hosts.filter(hosts["return_s"] < MAKESPAN_S)["host_id"].to_list()
    making = Making(tmp_path, until=NOW + timedelta(seconds=MAKESPAN_S - 1))
    one = making.take()
    assert (one.state, one.course.launched, one.course.attempt) == (State.BEGINS, False, 2)
    assert one.course.only == tuple(sorted(fits))
    assert sorted((*one.course.left, *fits)) == sorted(hosts["host_id"])


@pytest.mark.parametrize(("left_s", "narrowed"), [(1, 0), (MAKESPAN_S - 1, MOST_NARROWED)])
def test_where_nothing_fits_all_waits_for_the_next_window(tmp_path, left_s, narrowed) -> None:
    until = NOW + timedelta(seconds=left_s)
    one = Making(tmp_path, until=until, narrowed=narrowed).take()
    assert (one.state, one.course.not_before, one.course.left) == (State.WAITS, until, ())
    assert sorted(one.course.only) == sorted(PLAN.hosts["host_id"])
    assert "nothing fits into what is left of its window" in one.detail


def test_a_step_that_fails_is_tried_three_times_with_pauses_and_then_given_up(tmp_path) -> None:
    making, now = Making(tmp_path, with_plan=False), NOW
    for tries in (1, 2, 3):
        with pytest.raises(SlacktideError, match="cannot be begun"):
            making.take(now)
        one = making.rows.rows[0]
        assert (one.course.tries, one.course.step) == (tries, "plan"), "written down before it is done"
        assert making.take(now).course.tries == tries, "not again before its pause is over"
        now = one.course.not_before
    assert making.take(now).state is State.FAILED
    assert making.rows.rows[0].detail.startswith("no plan")


def test_where_no_host_is_due_it_is_done(tmp_path) -> None:
    making = Making(tmp_path, with_plan=False, only=())
    one = making.take()
    assert one.state is State.DONE
    assert one.detail.startswith("no host is due: hosts are at `")
    assert "none that is asked for is below `" in one.detail
