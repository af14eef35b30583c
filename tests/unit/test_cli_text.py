"""What people read: aligned, with units, bounds and remedies, the same in a pipe as on a terminal."""

import io
import sys
from dataclasses import replace

import polars as pl
import pytest

from slacktide.datasets.summary import summarise
from slacktide.executors.report_tiles import verdict
from slacktide.executors.report_view import ReportView
from slacktide.findings import Finding
from slacktide.planner.stopping import Iterations, Progress, TimeLimit
from slacktide.service import console
from slacktide.service.campaign_text import campaign_rows, campaign_title, complete, planned_hosts
from slacktide.service.either_stop import EitherStop
from slacktide.service.fleet_text import fleet_rows
from slacktide.service.plan_text import deferred_text, plan_rows, plan_title, progress_words
from slacktide.service.words import counted, plain, resource
from tests.sample_campaign import sample_plan, sample_report, sample_snapshot
from tests.small_fleet import small_fleet, small_plan


def read(rows: object) -> dict[str, str]:
    """Return rows as label and everything beside it; of labels that repeat the first."""
    texts: dict[str, str] = {}
    for label, *cells in rows:  # type: ignore[attr-defined]
        texts.setdefault(label, plain("  ".join(cells)))
    return texts


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("memory", "free memory of the fleet"),
        ("vcpus", "free vCPUs of the fleet"),
        ("chain", "longest chain of notice, drain and patch"),
        ("hosts-out:fleet", "hosts out at once in the fleet"),
        ("hosts-out:rack:r-01", "hosts out at once in rack r-01"),
        ("something-new", "something-new"),
    ],
)
def test_resources_in_words(name, words):
    assert resource(name) == words


def test_numbers_with_nouns():
    assert [counted(1, "host"), counted(1204, "host"), counted(2, "switch", "switches")] == [
        "1 host",
        "1,204 hosts",
        "2 switches",
    ]


def test_a_plan_has_its_bounds_beside_its_figures():
    rows = read(plan_rows(sample_plan(sample_snapshot(40))))
    assert rows["makespan"].startswith("2 h 15 min  bound 2 h 6 min")
    assert ", gap 11.1 %" in rows["exposure"]
    assert "host-h" in rows["exposure"]
    assert rows["bound by"] == "free memory of the fleet"
    assert " ms" in rows["blackout"]
    assert rows["blackout"].endswith("predicted, live migrations; limit 500 ms for VMs without their own")
    assert rows["audit"] == "3 rules  checked, no finding"
    assert rows["planning"] == "3.2 s  seed 1"


def test_restarts_are_told_apart_from_blackouts_of_live_migrations():
    plan = small_plan()
    rows = read(plan_rows(plan))
    live = plan.migrations.filter(pl.col("strategy") != "restart")["predicted_blackout_ms"].max()
    assert f"max {live:.0f} ms, predicted, live migrations" in rows["blackout"]
    assert rows["restarts"].startswith("1  blackout max 1 min")


def test_deferred_hosts_are_counted_by_reason_with_the_remedy():
    text = deferred_text(small_plan()).plain
    assert text.splitlines() == [
        "deferred: 2 hosts",
        "      1  down: Bring h5 back, or exclude it",
        "      1  pinned-vm: Stop v6, or change its eviction",
    ]


def test_the_title_says_what_a_plan_achieves():
    plan = small_plan()
    assert plan_title(plan).endswith("policy small: 3 of 5 due hosts patched within 25 min 40 s, 2 deferred")
    nothing = plan.header.summary.model_copy(update={"hosts": 0})
    empty = replace(plan, header=plan.header.model_copy(update={"summary": nothing}))
    assert plan_title(empty).endswith(": nothing can be planned, all 2 due hosts deferred")
    none_due = replace(empty, deferred=plan.deferred.clear())
    assert plan_title(none_due).endswith(": no host is due, there is nothing to plan")


def test_a_fleet_at_a_glance():
    rows = read(fleet_rows(summarise(small_fleet())))
    assert rows["hosts"] == "6  4 active, 1 down, 1 empty"
    assert rows["VMs"] == "6  1.0 per host; 4 live, 1 pinned, 1 restart"
    assert rows["memory"] == "12.5 %  48.0 GiB of 384.0 GiB used"
    assert rows["unknown"] == "1  dirty rates; 1 hot sets"


def test_a_campaign_has_plan_and_bound_beside_what_was_measured():
    plan = sample_plan(sample_snapshot(40))
    summary = sample_report(plan).summary
    rows = read(campaign_rows(summary, planned_hosts(plan)))
    assert rows["hosts"] == "36  returned; 4 deferred"
    assert "9 failed" in rows["migrations"]
    assert rows["attempts failed"] == "9  9 before its memory was copied"
    assert rows["over limits"] == "2 live migrations' blackouts above their VM's limit, longest 612 ms of 500 ms"
    assert "hosts not patched" not in rows
    assert "restarts" not in rows
    assert "planned 2 h 15 min, bound 2 h 6 min (+" in rows["makespan"]
    assert rows["execution"] == "21.4 s  2 agents on Ray, seed 2"
    assert "(simulated): 36 of 36 planned hosts patched in" in campaign_title(summary, planned_hosts(plan))
    part = read(campaign_rows(summary.model_copy(update={"not_patched": {"patch-failed": 2}}), planned_hosts(plan)))
    assert part["makespan"].endswith("bound 2 h 6 min, for all planned hosts")
    assert "hosts not patched stay exposed" in part["exposure"]


def test_text_and_page_say_the_same_of_when_hosts_were_patched_and_the_campaign_ended():
    snapshot = sample_snapshot(40)
    plan = sample_plan(snapshot)
    report = sample_report(plan)

    def said(**changes: object) -> tuple[str, str]:
        summary = report.summary.model_copy(update=changes)
        page = verdict(ReportView(snapshot, plan, replace(report, summary=summary))).sentence
        return campaign_title(summary, planned_hosts(plan)), plain(page)

    ends = report.summary.makespan.model_copy(update={"measured_s": 14_220.0})
    title, sentence = said(makespan=ends, end_s=20_280.0)
    for text in (title, sentence):
        assert "hosts patched in 3 h 57 min; the campaign ended after 5 h 38 min" in text
    for text in said(makespan=ends, end_s=14_220.4):
        assert "hosts patched in 3 h 57 min" in text
        assert "ended after" not in text
    nothing = ends.model_copy(update={"measured_s": None})
    for text in said(makespan=nothing, end_s=600.0, hosts={"failed": 36}):
        assert "hosts patched; the campaign ended after 10 min" in text


def test_a_campaign_is_complete_when_every_planned_host_returned():
    plan = sample_plan(sample_snapshot(40))
    summary = sample_report(plan).summary
    assert complete(summary, planned_hosts(plan))
    assert not complete(summary.model_copy(update={"finished": False}), planned_hosts(plan))
    assert not complete(summary.model_copy(update={"hosts": {"returned": 35, "failed": 1}}), planned_hosts(plan))


def test_progress_names_the_bound():
    now = Progress("improving", 7, 7320, 7000.0, 1.0, 3.0, 0.5)
    assert plain(progress_words(now)) == "improving 7: 2 h 2 min, bound 1 h 57 min"
    assert progress_words(replace(now, makespan_s=None)) == "improving"


def test_either_limit_ends_the_search():
    both = EitherStop([TimeLimit(1e9), Iterations(4)])
    assert not both(3, 10.0, 1.0)
    assert both(4, 10.0, 1.0)
    assert both.fraction(2) == 0.5


def test_rows_align_and_end_without_blanks(capsys):
    console.show(console.figures([("hosts", "9", "in 2 waves"), ("makespan", "1 h 2 min", ""), ("plan", "a/b/c")]))
    assert capsys.readouterr().out.splitlines() == [
        "hosts     9          in 2 waves",
        "makespan  1 h 2 min",
        "plan      a/b/c",
    ]


def test_lines_in_a_pipe_are_not_broken(capsys):
    console.show("word " * 60)
    assert capsys.readouterr().out.count("\n") == 1


def test_text_is_printed_as_it_is(capsys):
    console.show("fleet [red] :smile: 'x' 3.5")
    assert capsys.readouterr().out == "fleet [red] :smile: 'x' 3.5\n"


def test_an_alphabet_without_some_signs_is_no_error(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    console.show("h\u00f4te")
    stream.flush()
    assert stream.buffer.getvalue() == b"h?te\n"  # type: ignore[attr-defined]


def test_findings_say_where_and_how_to_mend():
    findings = [
        Finding("vm-memory", "v1 has -1 MiB", "Correct it", file="vms.parquet", row=3),
        Finding("deadline", "the plan ends late", "Allow more", "warning", at_s=90),
    ]
    assert console.findings_text(findings).plain.splitlines() == [
        "error    vms.parquet row 3: v1 has -1 MiB [vm-memory]",
        "         Correct it",
        "warning  at 90 s: the plan ends late [deadline]",
        "         Allow more",
    ]


def test_no_progress_in_a_pipe(capsys):
    with console.progress("Planning") as told:
        told(0.5, "half")
        told(None, "unknown")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
