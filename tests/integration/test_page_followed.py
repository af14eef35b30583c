"""The page while a campaign goes on: where it stands, its events, its lists, and the focus."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final, get_args

import pytest
from page_reader import PAUSED_HOSTS, Night, Reader, ask
from page_server import wait_for
from playwright.sync_api import Page, Route, expect

from slacktide.service.http.routes.campaigns import Standing

pytestmark = [pytest.mark.integration, pytest.mark.computing]

MODULES: Final = "/page/static"


@pytest.mark.parametrize("path", ["fleets/x", "campaigns/0123456789abcdef/vms/%E0%A4%A"])
def test_an_address_that_leads_nowhere_is_said_to(reader: Callable[..., Reader], path: str) -> None:
    page = reader("viewer").look("jobs")
    page.evaluate(
        "(path) => { history.pushState(null, '', `/page/${path}`); dispatchEvent(new PopStateEvent('popstate')) }", path
    )
    expect(page.get_by_role("alert")).to_contain_text("is no view of the page")


def test_lists_say_of_a_campaign_what_its_view_says(reader: Callable[..., Reader], night: Night) -> None:
    one = reader("viewer")
    for path in ("campaigns", "", f"fleets/{night.fleet}", f"plans/{night.plan}"):
        row = one.look(path).get_by_label("Table: Campaigns").locator("tbody tr").first
        expect(row.locator(".badge")).to_have_text("paused")


def test_how_far_campaigns_are_is_asked_of_all_that_are_under_way(page: Page, night: Night) -> None:
    tell = f"""async ([id, standing]) => {{
        const {{ lookedAt }} = await import('{MODULES}/views/lists.js');
        const rows = [{{ campaign_id: id, standing }}];
        await lookedAt({{ set() {{}} }}, rows);
        return Boolean(rows[0].progress);
    }}"""
    asked = {standing for standing in get_args(Standing) if page.evaluate(tell, [night.campaign, standing])}
    not_under_way = {"proposed", "aborted before it began", "starting", "failed", "finished", "aborted"}
    assert set(get_args(Standing)) - asked == not_under_way


def test_a_list_is_not_asked_for_again_before_it_has_come(reader: Callable[..., Reader]) -> None:
    one = reader("viewer")
    one.page.clock.install()
    page, held = one.look("fleets"), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/fleets?*", hold)
    page.clock.run_for(30_000)
    wait_for(lambda: page.wait_for_timeout(50) or held, "the list's request")
    page.clock.run_for(30_000)
    assert len(held) == 1
    held[0].continue_()
    page.unroute("**/v1/fleets?*")


def test_whoever_is_late_leads_to_the_map_and_keeps_the_rest(reader: Callable[..., Reader], night: Night) -> None:
    """And what is late stays in one table, through which one pages."""
    page = reader("viewer").look(f"campaigns/{night.campaign}?events=hosts")
    late = page.get_by_role("region", name="Table: Hosts and VMs that are late")
    host = late.get_by_role("link", name=re.compile(r"^host-\d+$")).first
    host.wait_for()
    name = host.inner_text()
    page.evaluate("document.querySelector('h1').dataset.seen = 'yes'")
    host.click()
    expect(page.locator(".details h3")).to_have_text(name)
    expect(page.get_by_role("application")).to_be_focused()
    page.wait_for_url(f"**host={name}*")
    assert "events=hosts" in page.url
    expect(page.locator("h1[data-seen=yes]")).to_be_visible()


def test_a_filter_of_the_map_shows_the_first_page_of_its_table(reader: Callable[..., Reader], night: Night) -> None:
    page = reader("viewer").look(f"fleets/{night.fleet}?as=uploaded")
    page.get_by_text("The same as a table").click()
    table = page.locator(".as-table")
    table.get_by_role("button", name="Next").click()
    expect(table.locator(".pager .note")).to_have_text(f"51 to {PAUSED_HOSTS} of {PAUSED_HOSTS}")
    page.locator(".toggles button", has_text=re.compile("active$")).click()
    expect(table.locator(".pager .note")).to_have_text(re.compile(r"^1 to 50 of 5\d$"))
    expect(table.locator("tbody tr").first).to_contain_text("host-000000")


def test_the_log_goes_back_until_it_is_full(reader: Callable[..., Reader], night: Night) -> None:
    """Of few events among thousands too: the first ones, and all that went wrong."""
    path = f"/v1/campaigns/{night.campaign}"
    page = reader("viewer").look(f"campaigns/{night.campaign}?events=campaign")
    log = page.locator(".log li")
    expect(log.last).to_have_text(re.compile("The campaign is created$"))
    page.get_by_label("About", exact=True).select_option("trouble")
    failed = night.server.got(f"{path}/events?type=migration-failed&limit=1000")["items"]
    expect(page.locator(f".log .at[title='event {failed[0]['number']:,}']")).to_have_count(1)
    expect(page.locator(".log li:not(.bad)")).to_have_count(0)
    shown = page.locator(".log li", has_text="failed while")
    expect(shown).to_have_count(len(failed))


def test_the_reason_comes_first_and_nothing_is_stopped_unasked(reader: Callable[..., Reader], night: Night) -> None:
    page = reader("operator").look(f"campaigns/{night.campaign}")
    page.get_by_role("button", name="Abort…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Why", exact=True)).to_be_focused()
    stop = dialog.get_by_role("checkbox")
    expect(stop).not_to_be_checked()
    stop.check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Abort…").click()
    expect(stop).not_to_be_checked()
    page.keyboard.press("Escape")


def test_limits_are_offered_of_what_the_policy_limits(reader: Callable[..., Reader], night: Night) -> None:
    page = reader("operator").look(f"campaigns/{night.campaign}")
    page.get_by_role("button", name="Limits…").click()
    offered = page.get_by_role("dialog").locator("option").all_inner_texts()
    assert offered == list(night.server.got(f"/v1/plans/{night.plan}")["header"]["policy"]["max_out"])
    page.keyboard.press("Escape")


def test_figures_say_as_of_when_they_are(reader: Callable[..., Reader], night: Night) -> None:
    """And go on with the campaign's clock, which nothing has to happen for."""
    page = reader("viewer").look(f"campaigns/{night.campaign}")
    told = page.get_by_text(re.compile("^As of, into the campaign: .*figures .*map .*pictures "))
    expect(told).to_be_visible()
    before = told.inner_text()
    path = f"/v1/campaigns/{night.campaign}"
    last, then = night.server.got(f"{path}/map")["number"], night.server.got(f"{path}/progress")["now_s"]
    wait_for(lambda: night.server.got(f"{path}/progress")["now_s"] > then, "a later moment")
    expect(told).not_to_have_text(before)
    assert night.server.got(f"{path}/map")["number"] == last


def test_what_is_not_known_yet_is_being_worked_out(reader: Callable[..., Reader], night: Night) -> None:
    one, held = reader("viewer"), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    for what in ("waiting", "curves"):
        one.page.route(f"**/{night.campaign}/{what}*", hold)
    page = one.look(f"campaigns/{night.campaign}")
    wait_for(lambda: page.wait_for_timeout(50) or len(held) >= 2, "both requests")
    expect(page.locator(".started").get_by_text("It is being worked out.")).to_have_count(4)
    for route in held:
        route.continue_()
    for what in ("waiting", "curves"):
        page.unroute(f"**/{night.campaign}/{what}*")
    expect(page.locator(".started").get_by_text("It is being worked out.")).to_have_count(0)


def test_the_overview_says_how_far_campaigns_are_and_which_plans_are_late(
    reader: Callable[..., Reader], night: Night
) -> None:
    policy = {**night.server.got(f"/v1/plans/{night.plan}")["header"]["policy"], "deadline_s": 60}
    asked = {"fleet_id": night.fleet, "policy": policy, "time_limit_s": 0}
    late = night.server.done(night.server.asked("/v1/plans", asked))["plan_id"]
    hosts = night.server.got(f"/v1/campaigns/{night.campaign}")["progress"]["hosts"]
    for width, most in ((1280, 5), (390, 2)):
        page = reader("viewer", size=(width, 844)).look("")
        row = page.get_by_label("Table: Campaigns").locator("tbody tr").first
        share = f"{hosts['returned']} of {sum(hosts.values())} hosts"
        expect(row).to_contain_text(share)
        expect(row).to_contain_text("paused")
        plan = page.get_by_label("Table: Plans").locator("tbody tr", has_text=late[:8])
        expect(plan.locator(".badge.bad")).to_contain_text("missed by")
        assert max(page.locator("tbody").nth(place).locator("tr").count() for place in range(4)) <= most
        expect(page.get_by_label("Table: Jobs")).not_to_contain_text("improving")
    assert page.evaluate("document.documentElement.scrollHeight") < 2400


def test_a_what_if_that_is_done_says_what_must_give(reader: Callable[..., Reader], night: Night) -> None:
    asked = {"fleet_id": night.fleet, "plan_id": night.plan, "within_s": 600, "iterations": 1}
    job = night.server.asked("/v1/what-ifs", {**asked, "relax": ["max_out.fleet"]})
    found = night.server.done(job)
    page = reader("viewer").look(f"jobs/{job['job_id']}")
    shown = page.get_by_label("What it has found")
    expect(shown).to_contain_text("Everything by 10")
    expect(shown.get_by_role("heading", name="What must give")).to_be_visible()
    expect(shown.get_by_role("link", name=found["present"]["plan_id"][:8])).to_be_visible()
    bought = page.get_by_role("region", name="Table: What each relaxation buys").locator("tbody tr")
    expect(bought).to_have_count(len(found["purchases"]))
    expect(page.locator(".facts a[href$=null]")).to_have_count(0)
    expect(page.locator("main")).not_to_contain_text("max_out.fleet alone")


def test_no_level_of_headings_is_left_out_where_a_plan_is_explained(
    reader: Callable[..., Reader], night: Night
) -> None:
    job = night.server.asked(f"/v1/plans/{night.plan}/explain")
    night.server.done(job)
    page = reader("viewer").look(f"jobs/{job['job_id']}")
    expect(page.get_by_label("What it has found").get_by_role("heading", level=2)).to_have_text("What limits the plan")
    levels = page.locator("main :is(h1, h2, h3)").evaluate_all("all => all.map((each) => Number(each.tagName[1]))")
    assert 3 in levels
    assert all(later <= former + 1 for former, later in pairwise(levels))


def test_the_campaign_goes_on(reader: Callable[..., Reader], night: Night) -> None:
    """Last, for it is not paused from then on."""
    page = reader("operator").look(f"campaigns/{night.campaign}")
    ask(page, "Resume…", Why="looked at")
    expect(page.locator(".title .badge")).to_have_text("running")
    expect(page.locator(".log li", has_text="Resumed by the operator: looked at")).to_be_visible()
