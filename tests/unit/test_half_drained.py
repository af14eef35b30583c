"""Hosts that are given up half-way are named with the VMs that have gone, apart from those never touched."""

import pytest
from campaigns import record_of
from small_fleet import small_fleet, small_plan
from story import Story, canary_back, drained_to
from test_report_page import outline

from slacktide.executors import control_events, events
from slacktide.executors.half_drained import half_drained, half_drained_words
from slacktide.executors.program import build_program
from slacktide.executors.report import CampaignReport, Execution, make_report, read_report, write_report
from slacktide.executors.report_page import render_report
from slacktide.executors.report_summary import HalfDrained
from slacktide.service.campaign_text import campaign_rows, not_patched_text, planned_hosts

ABORTED = control_events.CampaignAborted(850.0, 1, "ada", "bad patch", cancel=False)


@pytest.fixture
def story() -> Story:
    """Return a campaign that is aborted once one of the two VMs of h2 has left, and before h4 was touched."""
    story = canary_back(build_program(small_fleet(), small_plan()), 700)
    story.at(800)
    story.happens(
        events.MigrationIntended(800, "m3", 1),
        events.MigrationIntended(800, "m4", 1),
        ABORTED,
    )
    story.at(850)
    story.moved(860, "m4")
    story.happens(events.MigrationFailed(861, "m3", 1, "connected", "no route", retryable=False))
    story.at(862)
    return story


@pytest.fixture
def report(story: Story) -> CampaignReport:
    execution = Execution(simulated=True, seed=0, wall_s=1.0, ray=False, agents=1)
    return make_report(small_fleet(), small_plan(), story.state, record_of(), execution)


def test_a_host_that_vms_have_left_is_half_drained_once_it_is_given_up(story: Story) -> None:
    (h2,) = half_drained(story.state)
    assert h2 == HalfDrained(host_id="h2", gone_vms=1, remaining_vms=1, gone_to={"h1": 1})
    assert half_drained_words(h2) == "1 of 2 VMs gone, now 1 on h1"


def test_a_host_that_drains_or_has_returned_is_not() -> None:
    story = drained_to(build_program(small_fleet(), small_plan()))
    story.moved(100, "m1")
    assert half_drained(story.state) == ()
    assert half_drained(canary_back(story.program, 700).state) == ()


def test_many_places_are_summed_up() -> None:
    gone_to = {f"h{number}": number for number in range(1, 7)}
    said = half_drained_words(HalfDrained(host_id="h9", gone_vms=21, remaining_vms=4, gone_to=gone_to))
    assert said == "21 of 25 VMs gone, now 6 on h6, 5 on h5, 4 on h4, 3 on h3, 3 on 2 hosts more"


def test_the_report_names_them_before_those_never_touched(report: CampaignReport, tmp_path) -> None:
    assert [each.host_id for each in report.summary.half_drained] == ["h2"]
    columns = report.hosts.select("host_id", "gone_vms", "remaining_vms").rows()
    assert columns == [("h1", None, None), ("h2", 1, 1), ("h4", None, None)]
    assert not_patched_text(report).plain.splitlines() == [
        "not patched: 2 hosts: 1 half drained, 1 never touched",
        "  h2  1 of 2 VMs gone, now 1 on h1; blocked, aborted: asked for by ada: bad patch",
        "  h4  blocked, aborted: asked for by ada: bad patch",
        "half-drained hosts are in service, unpatched; VMs that have gone stay where they are, and a later plan takes "
        "the hosts on as they are",
        "next: plan the rest anew, with `slacktide revise` or on a fresh snapshot",
    ]
    rows = {row[0]: row[1:] for row in campaign_rows(report.summary, planned_hosts(small_plan()))}
    assert rows["half drained"] == ("1", "of these, in service; 1 of 2 VMs gone")
    write_report(report, tmp_path)
    assert read_report(tmp_path).summary == report.summary


def test_the_page_has_a_table_of_them(report: CampaignReport, monkeypatch) -> None:
    monkeypatch.setattr("slacktide.executors.report_plots.drawings", lambda *_args, **_options: ())
    words = outline(render_report(small_fleet(), small_plan(), report)).words
    assert "1 host left half drained" in words
    assert "h2 1 1 1 on h1 aborted" in words
    assert words.index("Hosts half drained") < words.index("Hosts not patched")


def test_reports_of_before_have_none(report: CampaignReport, tmp_path) -> None:
    write_report(report, tmp_path)
    report.hosts.drop("gone_vms", "remaining_vms").write_parquet(tmp_path / "hosts.parquet")
    assert read_report(tmp_path).hosts["gone_vms"].null_count() == 3
