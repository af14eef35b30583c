"""What went wrong is told as it was: hosts out, what was not patched, what was over a limit, what was never tried."""

import re
import shutil

import polars as pl
import pytest
from campaigns import planned_fleet, program_of

from slacktide.executors import events
from slacktide.executors.campaign_directory import journal_standing
from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.drivers.settings import Failures
from slacktide.executors.journal import Journal
from slacktide.executors.journal_notes import JournalNotes, journal_notes
from slacktide.executors.over_limits import blackouts_over, over_limits, over_limits_words, with_limits
from slacktide.executors.report import Execution, make_report
from slacktide.executors.report_figures import counts_differ, differ_words
from slacktide.executors.report_page import render_report
from slacktide.executors.report_summary import BlackoutsOver, HostsOver, OverLimits
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.reading import read_journal
from slacktide.service.campaign_text import HOSTS_NAMED, campaign_rows, not_patched_text, planned_hosts
from slacktide.service.words import plain

NOTHING = OverLimits(hosts_out=(), blackouts=None)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return a campaign in which hosts are lost, drains are given up and migrations fail, and its folder."""
    snapshot, plan = planned_fleet("urgent")
    folder = tmp_path_factory.mktemp("troubles") / "c"
    wrong = Failures(lost_hosts_per_mille=50, migrations_per_mille=20, retryable_share=0.0)
    return run_campaign(snapshot, plan, folder, seed=5, failures=wrong, options=RunOptions(use_ray=False)), folder


def words_of(report) -> str:
    """Return the words of a page without its pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slacktide.executors.report_plots.drawings", lambda *_args, **_options: ())
        page = render_report(*planned_fleet("urgent"), report)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page).replace("\u202f", " "))


@pytest.fixture(scope="module")
def words(ran) -> str:
    return words_of(ran[0])


def most_out(folder) -> int:
    """Return the most hosts out at once, from the events alone."""
    journal = read_journal(folder / JOURNAL_FILE)
    out, lost, most = set(), set(), 0
    for _, event in journal.read():
        if isinstance(event, events.HostDrainStarted):
            out.add(event.host_id)
        elif isinstance(event, events.PatchFailed):
            lost.add(event.host_id)
        elif isinstance(event, events.HostReturned | events.HostFailed | events.HostBlocked):
            out -= {event.host_id} - lost
        most = max(most, len(out))
    journal.close()
    return most


def test_a_host_whose_drain_is_given_up_is_out_only_until_then(ran, words) -> None:
    made, folder = ran
    assert made.hosts["released_s"].count() == 3
    assert made.hosts.filter(pl.col("reason") == "patch-failed")["released_s"].null_count() == 1
    assert f"fleet: 4 planned, {most_out(folder)} measured of 4" in words
    assert made.summary.over_limits == NOTHING


def test_a_limit_on_hosts_out_that_was_exceeded_is_a_finding(ran) -> None:
    made, _ = ran
    stayed = made.hosts.with_columns(released_s=pl.lit(None, dtype=pl.Float64))
    limited = with_limits(made.migrations, *planned_fleet("urgent"))
    found = over_limits(program_of("urgent"), stayed, limited)
    assert HostsOver(where="fleet", most=6, limit=4) in found.hosts_out
    assert over_limits_words(found)[0] == "hosts out: fleet 6 of 4"


def test_blackouts_are_held_against_their_vms_limit() -> None:
    rows = [
        ("m1", "done", "precopy", 612.0, 500.0),
        ("m2", "done", "precopy", 612.0, 1000.0),
        ("m3", "done", "postcopy", 301.0, 300.0),
        ("m4", "done", "restart", 60_000.0, 500.0),
        ("m5", "failed", "precopy", 900.0, 500.0),
        ("m6", "done", "precopy", None, 500.0),
        ("m7", "done", "precopy", 500.0, 500.0),
    ]
    names = ["migration_id", "state", "strategy", "blackout_ms", "blackout_limit_ms"]
    unseen = {name: pl.lit(None, dtype=pl.Float64) for name in ("probe_blackout_ms", "probe_resolution_ms")}
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(**unseen)
    assert blackouts_over(table) == BlackoutsOver(count=2, longest_ms=612.0, longest_limit_ms=500.0)
    assert blackouts_over(table.tail(1)) is None
    seen = table.tail(1).with_columns(probe_blackout_ms=6505.0, probe_resolution_ms=5.0)
    assert blackouts_over(seen) == BlackoutsOver(count=1, longest_ms=6500.0, longest_limit_ms=500.0)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (13, "13 live migrations' blackouts above their VM's limit, longest 610 ms of 500 ms"),
        (1, "1 live migration's blackout above its VM's limit, longest 610 ms of 500 ms"),
    ],
)
def test_over_limits_in_words(count, expected) -> None:
    part = BlackoutsOver(count=count, longest_ms=610, longest_limit_ms=500)
    assert [plain(text) for text in over_limits_words(OverLimits(hosts_out=(), blackouts=part))] == [expected]
    many = tuple(HostsOver(where=f"rack {number}", most=3, limit=2) for number in range(5))
    shown = over_limits_words(OverLimits(hosts_out=many, blackouts=None))
    assert shown[-1] == "hosts out: 2 more limits"
    assert over_limits_words(NOTHING) == []


def test_what_was_never_tried_is_not_called_failed(ran, words) -> None:
    made, _ = ran
    migrations = made.summary.migrations
    assert (migrations["failed"], migrations["given-up"]) == (2, 232)
    assert "2 of 314 migrations failed; 232 of 314 migrations given up without an attempt" in words
    assert "Failed migrations reason when migrations attempts" in words
    assert "Migrations given up without an attempt reason migrations for example" in words


def test_failed_attempts_and_hosts_not_patched_are_counted_apart(ran) -> None:
    made, _ = ran
    rows = {label: cells for label, *cells in campaign_rows(made.summary, planned_hosts(planned_fleet("urgent")[1]))}
    assert sum(made.summary.failed_attempts.values()) == int(rows["attempts failed"][0]) == 2
    assert rows["hosts not patched"] == ["19", "2 migration-failed, 1 patch-failed, 16 target-not-patched"]
    assert rows["over limits"] == ["none"]
    assert rows["migrations"][1].startswith("done; 2 failed, 232 given up without an attempt; ")
    assert made.hosts.filter(pl.col("state") != "returned").height == 19


def test_hosts_not_patched_are_named_with_what_to_do_next(ran) -> None:
    made, _ = ran
    lines = not_patched_text(made).plain.splitlines()
    half = [each.host_id for each in made.summary.half_drained]
    assert lines[0] == f"not patched: 19 hosts: {len(half)} half drained, 15 never touched"
    named = made.hosts.filter(pl.col("state") == "failed")["host_id"].to_list()
    assert {line.split()[0] for line in lines[1:4]} == {*named, *half}
    assert lines[HOSTS_NAMED + len(half) + 1] == f"  {19 - len(half) - HOSTS_NAMED} more in troubles.parquet"
    assert lines[-1] == "next: plan the rest anew, with `slacktide revise` or on a fresh snapshot"


def test_restarts_stand_apart_from_live_migrations(tmp_path) -> None:
    snapshot, plan = planned_fleet("urgent")
    made = run_campaign(snapshot, plan, tmp_path / "c", options=RunOptions(use_ray=False))
    restarted = made.migrations.filter(pl.col("strategy") == "restart")
    assert restarted.height == made.summary.restarts.count == 2
    for words in (words_of(made), words_of(None)):
        assert "Share of 312 live migrations by length of blackout" in words
        assert "Not drawn: 2 restarts, longest 1 min" in words
        assert "restarts 2, max 1 min" in words
        longest = words[words.index("Longest blackouts of live migrations") : words.index(" Hottest links link")]
        live, _, rest = longest.partition(" Restarts ")
        assert " restart " not in live
        assert rest.count(" restart ") == 2
    rows = {label: cells for label, *cells in campaign_rows(made.summary, planned_hosts(plan))}
    assert rows["restarts"][0] == "2"
    assert plain(rows["restarts"][1]).startswith("blackout max 1 min")


def test_where_hypervisor_and_probe_differ_is_told_with_the_largest_difference() -> None:
    rows = [
        ("m1", "done", "precopy", 50.0, 54.0, 5.0),
        ("m2", "done", "postcopy", 4.0, 6642.7, 5.0),
        ("m3", "done", "precopy", 80.0, 60.0, 5.0),
        ("m4", "done", "restart", 60_000.0, 10.0, 5.0),
        ("m5", "done", "precopy", None, 60.0, 5.0),
        ("m6", "failed", "precopy", 1.0, 60.0, 5.0),
    ]
    names = ["migration_id", "state", "strategy", "blackout_ms", "probe_blackout_ms", "probe_resolution_ms"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    differ = counts_differ(table)
    assert differ is not None
    assert (differ.count, differ.compared, differ.migration_id) == (2, 3, "m2")
    assert differ.most_ms == pytest.approx(6638.7)
    assert "2 of 3 migrations" in plain(differ_words(differ))
    assert counts_differ(table.head(1)) is None


def test_patches_that_overran_are_told_and_who_plans_the_rest_anew(ran, tmp_path) -> None:
    snapshot, plan = planned_fleet("urgent")
    wrong = Failures(overruns_per_mille=100, overrun_factor=2.0)
    report = run_campaign(snapshot, plan, tmp_path / "c", seed=5, failures=wrong, options=RunOptions(use_ray=False))
    hosts = report.hosts
    longer_s = hosts["return_s"] - hosts["drained_s"] - (hosts["planned_return_s"] - hosts["planned_drained_s"])
    late = report.summary.overruns
    assert late is not None
    assert late.count == (longer_s > 300).sum() > 0
    assert late.most_s == longer_s.max()
    assert hosts["host_id"][longer_s.arg_max()] == late.host_id
    rows = {row[0]: plain(row[1]) for row in campaign_rows(report.summary, planned_hosts(plan))}
    said = rows["overruns"]
    assert said.startswith(f"{late.count} host")
    assert f"took over 5 min longer to patch than planned, {late.host_id} most, by " in said
    assert said.endswith("`slacktide revise` plans the rest anew")
    assert said in words_of(report)
    assert ran[0].summary.overruns is None
    assert "overruns" not in {row[0] for row in campaign_rows(ran[0].summary, planned_hosts(plan))}


def test_a_host_that_was_not_touched_is_counted_apart(ran) -> None:
    made, folder = ran
    snapshot, plan = planned_fleet("urgent")
    (lost,) = made.hosts.filter(pl.col("reason") == "patch-failed")["host_id"]
    returned = made.hosts.filter(pl.col("state") == "returned")["host_id"][0]
    journal, state = read_journal(folder / JOURNAL_FILE), journal_standing(snapshot, plan, folder)[1]
    journal.close()
    execution = Execution(simulated=True, seed=5, wall_s=1.0, ray=False, agents=1)
    again = make_report(snapshot, plan, state, journal.record, execution, JournalNotes({lost, returned}))
    assert again.summary.not_patched == {"migration-failed": 2, "patch-refused": 1, "target-not-patched": 16}
    assert again.troubles.filter(pl.col("subject") == lost)["reason"].to_list() == ["patch-refused"]
    assert again.hosts.filter(pl.col("host_id") == returned)["reason"].to_list() == [None]


def test_the_journal_knows_hosts_that_were_not_touched(tmp_path, ran) -> None:
    _, folder = ran
    assert journal_notes(folder).untouched == frozenset()
    shutil.copytree(folder, tmp_path / "c")
    journal = Journal.hold(tmp_path / "c" / JOURNAL_FILE)
    journal.append([events.PatchFailed(9.0, "h1", "refused", True), events.PatchFailed(9.0, "h2", "broken", False)])
    journal.close()
    assert journal_notes(tmp_path / "c").untouched == {"h1"}
