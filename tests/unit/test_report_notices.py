"""Notice in the report: kept, too short, not given at all, and cut short by guests that were ready."""

import polars as pl
import pytest
from campaigns import planned_fleet
from small_fleet import small_fleet, small_plan
from test_report_troubles import words_of

from slacktide.executors import events
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.drivers.settings import Answering
from slacktide.executors.events import Event
from slacktide.executors.folding import fold
from slacktide.executors.journal import Entry
from slacktide.executors.program import build_program
from slacktide.executors.report import read_report
from slacktide.executors.report_notices import notice_columns, notice_words, notices
from slacktide.executors.report_summary import Notices
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.service.campaign_text import campaign_rows, planned_hosts
from slacktide.service.words import plain

LOCAL = RunOptions(use_ray=False)


def table(*told: Event) -> pl.DataFrame:
    """Return what the report has of m1 and m2, which are promised 60 s."""
    snapshot = small_fleet()
    program = build_program(snapshot, small_plan(snapshot))
    state = fold(initial_state(program), [Entry(number, event) for number, event in enumerate(told, start=1)])
    columns = {name: pl.Series(values).fill_nan(None) for name, values in notice_columns(state).items()}
    part = program.migrations
    names = {"migration_id": part.ids, "vm_id": [program.vms.ids[vm] for vm in part.vm], "attempts": state.attempts}
    return pl.DataFrame(names | columns).filter(pl.col("migration_id").is_in(["m1", "m2"]))


def told(migration: str, told_s: float | None, begun_s: float) -> tuple[Event, ...]:
    waiting = () if told_s is None else (events.MigrationWaiting(told_s, migration),)
    return events.MigrationNotified(0.0, migration), *waiting, events.MigrationIntended(begun_s, migration, 1)


def found(*happened: Event) -> Notices:
    made = notices(table(*happened))
    assert made is not None
    return made


def test_notice_that_was_kept_is_said_to_be() -> None:
    kept = found(*told("m1", 0.5, 60.5), *told("m2", 1.0, 300.0))
    assert (kept.promised, kept.short) == (2, None)
    assert notice_words(kept) == "notice kept for all 2 VMs that want it"
    assert table(*told("m1", 0.5, 60.5))["notice_s"].to_list() == [60.0, None]


def test_notice_that_was_too_short_is_told_by_how_much() -> None:
    short = found(*told("m1", 15.0, 60.0), *told("m2", 0.0, 60.0))
    assert short.short is not None
    assert (short.short.count, short.short.most_s, short.short.migration_id) == (1, 15.0, "m1")
    assert plain(notice_words(short)) == "notice too short for 1 VM of 2, most by 15 s for m1"


@pytest.mark.parametrize("told_s", [None, 75.0])
def test_a_guest_that_was_not_told_before_had_no_notice(told_s: float | None) -> None:
    short = found(*told("m1", told_s, 60.0))
    assert short.short is not None
    assert short.short.most_s == 60.0


def test_a_second_attempt_does_not_make_the_notice_longer() -> None:
    failed = events.MigrationFailed(61.0, "m1", 1, "brownout", "it broke", retryable=True)
    short = found(*told("m1", 30.0, 60.0), failed, events.MigrationIntended(121.0, "m1", 2))
    assert short.short is not None
    assert short.short.most_s == 30.0


def test_who_was_ready_did_not_wait_too_short() -> None:
    notified, waiting, begun = told("m1", 45.0, 60.0)
    ready = found(notified, waiting, events.GuestAcknowledged(50.0, "m1"), begun, *told("m2", 0.0, 60.0))
    assert (ready.short, ready.acknowledged, ready.cut_short) == (None, 1, 1)
    assert notice_words(ready) == "notice kept for all 2 VMs that want it; 1 acknowledged, 1 of them waited shorter"
    too_late = found(notified, waiting, begun, events.GuestAcknowledged(61.0, "m1"))
    assert (too_late.acknowledged, too_late.short is None) == (0, False)


def test_migrations_that_were_never_begun_broke_no_promise() -> None:
    assert notices(table(events.MigrationNotified(0.0, "m1"))) is None


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notices") / "c"
    answering = Answering(per_mille=500, after_s=10)
    return run_campaign(*planned_fleet("urgent"), folder, seed=5, answering=answering, options=LOCAL), folder


def test_a_simulated_campaign_keeps_all_notice_and_says_so(ran) -> None:
    report, _ = ran
    plan = planned_fleet("urgent")[1]
    wanted = plan.migrations.filter(pl.col("start_s") > pl.col("notified_s"))
    made = report.summary.notices
    assert made is not None
    assert (made.promised, made.short) == (wanted.height, None)
    assert 0 < made.acknowledged < made.promised
    rows = {row[0]: row[1] for row in campaign_rows(report.summary, planned_hosts(plan))}
    assert rows["notice"] == notice_words(made)
    words = words_of(report)
    assert plain(notice_words(made)) in words
    assert " Notice VM notice promised given too short by acknowledged " in words


def test_a_page_tells_of_notice_that_was_too_short_first(ran) -> None:
    report, _ = ran
    worst = report.migrations.filter(pl.col("promised_notice_s").is_not_null()).row(0, named=True)
    late = pl.col("migration_id") == worst["migration_id"]
    broken = report.migrations.with_columns(
        told_s=pl.when(late).then(pl.col("start_s") - 12).otherwise("told_s"),
        notice_s=pl.when(late).then(12.0).otherwise("notice_s"),
        acknowledged_s=pl.when(~late).then("acknowledged_s"),
        notice_shortfall_s=pl.when(late).then(pl.col("promised_notice_s") - 12),
    )
    summary = report.summary.model_copy(update={"notices": notices(broken)})
    words = words_of(type(report)(summary, report.hosts, broken, report.troubles))
    assert "Patched, with exceptions" in words
    assert "notice too short for 1 VM of" in words
    assert f"acknowledged {worst['vm_id']} {'1 min' if worst['promised_notice_s'] == 60 else ''}" in words


def test_reports_of_before_are_read(ran) -> None:
    report, folder = ran
    path = folder / "migrations.parquet"
    later = ["told_s", "promised_notice_s", "notice_s", "acknowledged_s", "notice_shortfall_s"]
    pl.read_parquet(path).drop(later).write_parquet(path)
    again = read_report(folder).migrations
    assert again.drop(later).equals(report.migrations.drop(later))
    assert again[later].null_count().row(0) == (again.height,) * 5
