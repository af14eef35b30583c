"""The page while a campaign goes on: what is said of where it stands, its events, their stream, and the focus."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Final, get_args

import pytest
from page_reader import Night, Reader, ask, readers
from page_server import wait_for
from playwright.sync_api import Browser, Page, Route, expect
from small_fleet import small_fleet, small_plan

from slacktide.planner.explanation import explain
from slacktide.planner.pareto import FrontPoint
from slacktide.service.campaigning import RELEASED
from slacktide.service.front_run import FoundFront, front_document
from slacktide.service.http.routes.campaigns import Standing

pytestmark = [pytest.mark.integration, pytest.mark.computing]

HOSTS: Final = 60
MODULES: Final = "/page/static"
WORDS: Final = f"{MODULES}/views/campaign_words.js"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Night]:
    """Return a night whose campaign is paused in its midst, after some thousand events."""
    assert browser
    with ExitStack() as stack:
        made = Night(tmp_path_factory.mktemp("followed"), HOSTS, speed=960)
        stack.callback(made.end)
        made.begin()
        path = f"/v1/campaigns/{made.campaign}"
        wait_for(lambda: made.server.got(f"{path}/map")["number"] > 1500, "1,500 events")
        made.server.asked(f"{path}/orders", {"order": {"kind": "pause", "cancel": True}, "why": "to be looked at"})
        wait_for(lambda: made.standing == "paused", "the pause")
        yield made


@pytest.fixture
def reader(browser: Browser, night: Night) -> Iterator[Callable[..., Reader]]:
    with readers(browser, night) as make:
        yield make


@pytest.fixture
def page(reader: Callable[..., Reader]) -> Page:
    """Return a page on which parts are tried by themselves."""
    return reader("operator").look("jobs")


def campaign(standing: str, state: str = "wanted", **others: Any) -> dict[str, Any]:
    """Return a campaign as the API answers it."""
    progress = {"behind_s": None, "now_s": 90.0, "aborted": None, "paused": None, "decision": None, "revisions": []}
    known = {"campaign_id": "0" * 16, "terms": {"profile": None}, "created_by": "token:0a (ada)", "said": None}
    about = {"standing": standing, "state": state, "holder": None, "progress": progress, "carried_out": None}
    return {**known, **about, "waits_for_approval": False, "finished": False, **others}


def carried(who: str, beside: str) -> dict[str, str]:
    return {"word": "", "who": who, "beside": beside}


SENTENCES: Final = {
    "It is held up by process 7 of this machine, which lives.": campaign(
        "held up", carried_out=carried("process 7 of this machine", "which lives")
    ),
    "It waits for its release: it came back from a backup.": campaign(
        "waits for its release", carried_out=carried("nobody", "it came back from a backup")
    ),
    "It waits for its release: see `slacktide store release`.": campaign(
        "waits for its release",
        "failed",
        said="no room",
        carried_out=carried("nobody", "see `slacktide store release`"),
    ),
    "Nobody carries it out now; the server starts it again. It last said: no room.": campaign(
        "stopped", said="no room", carried_out=carried("nobody", "")
    ),
    "Its process ended every time, and last said: no room. The server does not start it again by itself.": campaign(
        "stopped", "failed", said="no room", carried_out=carried("nobody", "")
    ),
    "Its process ended every time. The server does not start it again by itself.": campaign(
        "failed", "failed", progress=None
    ),
    f"Nobody carries it out: {RELEASED}. The server does not start it again by itself.": campaign(
        "stopped", "failed", said=RELEASED
    ),
    "It waits until somebody starts it; ada has asked for it.": campaign("proposed", "proposed", progress=None),
}


def test_each_standing_has_its_sentence(page: Page) -> None:
    tell = f"async (all) => {{ const found = await import('{WORDS}'); return all.map(found.sentence) }}"
    assert page.evaluate(tell, list(SENTENCES.values())) == list(SENTENCES)


def test_after_a_revision_it_is_said_whose_figures_are_shown(page: Page) -> None:
    tell = f"async (made) => (await import('{WORDS}')).revisedWords(made)"
    assert page.evaluate(tell, []) == ""
    said = page.evaluate(tell, [{"at_s": 60, "plan_id": "a" * 16}])
    assert said.startswith(f"The campaign follows revision 1, plan {'a' * 16}, since 1")
    assert said.endswith("are the first plan's.")


def test_what_is_to_be_decided_is_said_with_since_when_and_how(page: Page) -> None:
    told = campaign("waiting for a decision")
    told["progress"]["decision"] = {"since_s": 60.0, "why": "h2 is lost", "remedy": "plan anew"}
    tell = f"async (one) => (await import('{MODULES}/views/campaign_words.js')).sentence(one)"
    said = page.evaluate(tell, told).replace("\u202f", " ")
    assert "waits for a person's decision since 1 min into the campaign: h2 is lost. What to do: plan anew." in said


def test_what_may_be_asked_follows_what_the_server_wants_of_it(page: Page) -> None:
    tell = f"""async (one) => {{
        const {{ campaignButtons }} = await import('{MODULES}/views/campaign_actions.js');
        return campaignButtons(one, {{ gates: ["start"], kinds: ["fleet"] }}, () => {{}}).map((each) => each.text);
    }}"""
    assert page.evaluate(tell, campaign("stopped", "failed"))[0] == "Start it again…"
    assert "Start it again…" not in page.evaluate(tell, campaign("stopped"))
    assert page.evaluate(tell, campaign("waits for its release", "failed")) == []
    assert page.evaluate(tell, campaign("failed", "failed", progress=None)) == ["Start it again…"]
    assert "Approve…" in page.evaluate(tell, campaign("paused", waits_for_approval=True))
    assert "Approve…" not in page.evaluate(tell, campaign("running"))


def test_a_signal_that_is_not_well_is_trouble(page: Page) -> None:
    tell = f"""async (event) => [
        (await import('{MODULES}/trouble.js')).isTrouble(event),
        (await import('{MODULES}/views/campaign_log.js')).eventWords(event)]"""
    told = {"type": "signal-changed", "at_s": 1, "name": "errors", "healthy": False, "detail": "12 of 10"}
    assert page.evaluate(tell, told) == [True, "Signal errors is not well: 12 of 10"]
    assert page.evaluate(tell, {**told, "healthy": True, "detail": ""}) == [False, "Signal errors is well"]


def test_what_came_of_forwarding_is_said_as_far_as_it_is_known(page: Page) -> None:
    tell = f"""async (event) => [
        (await import('{MODULES}/trouble.js')).isTrouble(event),
        (await import('{MODULES}/views/campaign_log.js')).eventWords(event)]"""
    told = {"type": "forwarding-ended", "at_s": 1, "migration_id": "m1", "unconfirmed": None}
    known = {**told, "forwarded_packets": 412, "lost_packets": 3}
    words = "m1: its source forwards no more"
    assert page.evaluate(tell, known) == [False, f"{words}: 412 packets forwarded, 3 packets lost"]
    late = {**known, "lost_packets": None, "unconfirmed": "h3 has not confirmed"}
    counts = "412 packets forwarded, how many were lost is not known"
    assert page.evaluate(tell, late) == [True, f"{words}: {counts}; h3 has not confirmed"]
    uncounted = {**told, "forwarded_packets": None, "lost_packets": None}
    assert page.evaluate(tell, uncounted) == [False, words]
    assert page.evaluate(tell, {**uncounted, "unconfirmed": "nobody was told"}) == [True, f"{words}: nobody was told"]


def test_more_machine_types_than_a_byte_counts_are_told_apart_or_called_others(page: Page) -> None:
    tell = f"""async (many) => {{
        const names = Array.from({{ length: many }}, (_, place) => `type ${{place}}`);
        const {{ codes, kinds }} = (await import('{MODULES}/palettes.js')).byName(names, names.keys().toArray());
        return [...codes].map((code) => kinds[code].name);
    }}"""
    assert page.evaluate(tell, 256) == [f"type {place}" for place in range(256)]
    assert page.evaluate(tell, 300) == [f"type {place}" for place in range(255)] + ["45 others"] * 45


def test_a_table_that_is_shown_anew_keeps_the_focus(page: Page) -> None:
    tell = f"""async () => {{
        const {{ link }} = await import('{MODULES}/dom.js');
        const who = {{ name: "who", cell: (row) => link("?x", row.who) }};
        const columns = [who, {{ name: "for", cell: (row) => row.s }}];
        const table = (await import('{MODULES}/tables.js')).pagedTable("Late", columns);
        document.querySelector("main").append(table);
        table.set([{{ who: "a", s: "1" }}, {{ who: "b", s: "2" }}]);
        const second = table.querySelectorAll("a")[1];
        second.focus();
        table.set([{{ who: "a", s: "8" }}, {{ who: "b", s: "9" }}, {{ who: "c", s: "1" }}]);
        const kept = document.activeElement === second;
        table.set([{{ who: "c", s: "3" }}]);
        return [kept, table.querySelector("tbody").innerText.split(/\\s+/)];
    }}"""
    assert page.evaluate(tell) == [True, ["c", "3"]]


def test_what_is_asked_again_without_an_answer_is_asked_once(reader: Callable[..., Reader], night: Night) -> None:
    """The same key until the server has answered, and then another."""
    keys: list[str] = []
    one = reader("operator")
    page = one.look("jobs")

    def fail_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/explain", fail_first)
    tell = f"""async (path) => {{
        const {{ post }} = await import('{MODULES}/api.js');
        return post(path).then(() => "done", (error) => error.fact);
    }}"""
    path = f"/v1/plans/{night.plan}/explain"
    asked = [page.evaluate(tell, path) for _ in range(3)]
    assert asked == ["does not answer", "done", "done"]
    assert keys[0] == keys[1] != keys[2]
    expect(page.locator(".banner")).to_be_hidden()
    one.said = [text for text in one.said if "ERR_FAILED" not in text]


def test_what_is_asked_again_after_something_else_is_asked_anew(reader: Callable[..., Reader], night: Night) -> None:
    """An order whose answer was lost, another, and the first once more: it holds, and is not answered as before."""
    lost: list[Route] = []
    one = reader("operator")
    one.page.clock.install()
    page = one.look("jobs")
    path = f"/v1/campaigns/{night.campaign}"

    def lose_first(route: Route) -> None:
        lost.append(route)
        if len(lost) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/orders", lose_first)
    tell = f"""async ([path, most]) => {{
        const {{ post }} = await import('{MODULES}/api.js');
        const body = {{ order: {{ kind: "limits", max_out: {{ fleet: most }} }}, why: "to be asked again" }};
        return post(`${{path}}/orders`, body).then(() => "done", (error) => error.fact);
    }}"""
    asked = [page.evaluate(tell, [path, most]) for most in ("30%", "25%", "30%")]
    assert asked == ["does not answer", "done", "done"]

    def held() -> list[str]:
        events = night.server.got(f"{path}/events?type=limits-changed")["items"]
        return [json.loads(each["event"]["max_out"])["fleet"] for each in events if "again" in each["event"]["why"]]

    wait_for(lambda: held() == ["30%", "25%", "30%"], "all three orders")
    page.unroute("**/orders")
    one.said = [text for text in one.said if "ERR_FAILED" not in text]


def test_a_server_that_ends_asks_a_person_for_no_key(reader: Callable[..., Reader]) -> None:
    one = reader("operator")
    page = one.look("jobs")
    told = {"object": "the server", "fact": "is shutting down", "remedy": "Ask again, under the same key"}
    away = {"type": "urn:slacktide:problem:away", "detail": "under the same key", **told}
    kind = "application/problem+json"
    page.route("**/explain", lambda route: route.fulfill(status=503, content_type=kind, body=json.dumps(away)))
    tell = f"""async () => {{
        const {{ post }} = await import('{MODULES}/api.js');
        return post("/v1/plans/{"0" * 16}/explain").catch((error) => [error.message, error.remedy]);
    }}"""
    said, remedy = page.evaluate(tell)
    assert remedy == "Try again in some seconds: it is done once"
    assert said == f"the server: is shutting down. {remedy}"
    one.said = [text for text in one.said if "status of 503" not in text]


def test_what_holds_no_more_is_asked_anew_and_not_answered_as_before(
    reader: Callable[..., Reader], night: Night
) -> None:
    """Limits whose answer was lost, others by somebody else, and the first once more: they hold."""
    answers: list[str | None] = []
    one = reader("operator")
    page = one.look(f"campaigns/{night.campaign}")
    path = f"/v1/campaigns/{night.campaign}"

    def lose_first(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        answer = route.fetch()
        answers.append(answer.headers.get("idempotency-replayed"))
        if len(answers) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    def limit() -> None:
        page.get_by_role("button", name="Limits…").click()
        page.get_by_label("Hosts out at once, at most").fill("35%")
        page.get_by_label("Why", exact=True).fill("feed B")
        page.get_by_role("button", name="Let them hold").click()

    def limits() -> Any:
        return night.server.got(path)["progress"]["max_out"]["fleet"]

    page.route("**/orders", lose_first)
    limit()
    expect(page.get_by_role("dialog")).to_contain_text("does not answer")
    assert limits() == "35%"
    page.keyboard.press("Escape")
    others = {"order": {"kind": "limits", "max_out": {"fleet": "20%"}}}
    assert night.server.asked(f"{path}/orders", others)["granted"] is True
    limit()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (limits(), answers) == ("35%", [None, "true", None])
    page.unroute("**/orders")
    one.said = [text for text in one.said if "ERR_FAILED" not in text]


def test_what_is_asked_again_much_later_is_asked_anew(reader: Callable[..., Reader]) -> None:
    keys: list[str] = []
    one = reader("operator")
    one.page.clock.install()
    page = one.look("jobs")

    def fail(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        route.abort()

    page.route("**/explain", fail)
    tell = f"""async () => {{
        const {{ post }} = await import('{MODULES}/api.js');
        return post("/v1/plans/{"0" * 16}/explain").then(() => "done", (error) => error.fact);
    }}"""
    for later in ("04:00", "06:00", "00:01"):
        assert page.evaluate(tell) == "does not answer"
        page.clock.fast_forward(later)
    assert keys[0] == keys[1] != keys[2]
    one.said = [text for text in one.said if "ERR_FAILED" not in text]


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


def test_a_campaign_that_has_not_begun_says_why_and_is_taken_back(page: Page) -> None:
    tell = f"""async (campaign) => {{
        const {{ sentence }} = await import('{MODULES}/views/campaign_words.js');
        const {{ campaignButtons }} = await import('{MODULES}/views/campaign_actions.js');
        const named = campaignButtons(campaign, {{ gates: [], kinds: [] }}, () => {{}}).map((each) => each.text);
        return [sentence(campaign), ...named];
    }}"""
    asked = {
        "standing": "starting",
        "state": "wanted",
        "progress": None,
        "origin": None,
        "terms": {},
        "created_by": "a",
    }
    trying = asked | {"tries": 6, "most_tries": 8, "said": "hosts: do not answer"}
    words = "Its process is starting, try 6 of 8. The one before said: hosts: do not answer."
    assert page.evaluate(tell, trying) == [words, "Abort…"]
    assert page.evaluate(tell, trying | {"tries": 1, "said": None}) == ["Its process is starting.", "Abort…"]
    assert page.evaluate(tell, asked | {"standing": "proposed"})[1:] == ["Start it…", "Abort…"]
    back = {"standing": "aborted before it began", "state": "aborted", "said": "aborted before it began, by ada: oh"}
    said = "Nothing of it is carried out: it was aborted before it began, by ada: oh."
    assert page.evaluate(tell, asked | back) == [said, "Start it again…"]


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
    expect(table.locator(".pager .note")).to_have_text(f"51 to {HOSTS} of {HOSTS}")
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


def test_one_stream_is_followed_however_often_the_kind_is_changed(reader: Callable[..., Reader], night: Night) -> None:
    page = reader("viewer").look(f"campaigns/{night.campaign}")
    expect(page.locator(".log li").first).to_be_visible()
    page.evaluate(
        """() => {
            const select = document.querySelector("option[value=trouble]").parentElement;
            for (const kind of ["hosts", "all", "campaign", "migrations", "trouble", "hosts"]) {
                select.value = kind;
                select.dispatchEvent(new Event("change"));
            }
        }"""
    )
    expect(page.locator(".log li").first).to_be_visible()
    wait_for(lambda: page.wait_for_timeout(100) or len(page.workers) == 1, "one worker")
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    wait_for(lambda: page.wait_for_timeout(100) or not page.workers, "the worker's end")


NOTE_BANNER: Final = """addEventListener("DOMContentLoaded", () => {
    const look = () => { if (document.querySelector(".banner:not([hidden])")) window.wasAway = true };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
})"""


def test_a_stream_for_which_there_is_no_room_does_not_count_as_a_server_that_is_away(
    reader: Callable[..., Reader], night: Night
) -> None:
    one = reader("viewer")
    one.page.add_init_script(NOTE_BANNER)
    with night.server.without_streams():
        page = one.look(f"campaigns/{night.campaign}")
        expect(page.get_by_text("There is no room for this stream: server has")).to_be_visible()
        asked = [request.url for request in one.requests]
        wait_for(
            lambda: (
                page.wait_for_timeout(100)
                or sum(request.url.endswith(night.campaign) for request in one.requests[len(asked) :]) >= 2
            ),
            "two looks",
        )
    assert page.evaluate("window.wasAway") is None
    one.said = [text for text in one.said if "503" not in text]


def test_why_a_stream_is_not_sent_is_told_in_the_servers_own_words(page: Page, night: Night) -> None:
    tell = f"""async ([id, about]) => {{
        const {{ follow }} = await import('{MODULES}/feed.js');
        const heard = await new Promise((done) => {{
            window.stop = follow(id, 0, about, {{ events() {{}}, state: (...each) => done(each) }});
        }});
        window.stop();
        return heard;
    }}"""
    state, why = page.evaluate(tell, [night.campaign, ["nothing of this kind"]])
    assert state == "refused now"
    assert "about" in why
    state, why = page.evaluate(tell, ["0" * 16, []])
    assert state == "refused"
    assert "0" * 16 in why


def test_a_stream_that_is_silent_is_begun_anew(page: Page, night: Night) -> None:
    tell = f"""async ([id, number]) => {{
        const {{ follow }} = await import('{MODULES}/feed.js');
        let heard = "";
        await new Promise((done) => {{
            const state = (each) => {{
                heard += `${{each}} `;
                if (/live .*away .*live /.test(heard)) done();
            }};
            window.stop = follow(id, number, [], {{ events() {{}}, state, silenceMs: 1500 }});
        }});
        window.stop();
        return heard;
    }}"""
    number = night.server.got(f"/v1/campaigns/{night.campaign}/map")["number"]
    assert "live away " in page.evaluate(tell, [night.campaign, number])


def test_a_stream_whose_script_could_not_be_had_is_begun_anew(page: Page, night: Night) -> None:
    """The server may end between a view and what follows it."""
    asked: list[str] = []

    def refuse_the_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/static/stream.js", refuse_the_first)
    tell = f"""async (id) => {{
        const {{ follow }} = await import('{MODULES}/feed.js');
        const heard = [];
        await new Promise((done) => {{
            const state = (each) => heard.push(each);
            const events = (told) => done(heard.push(told.events[0].number));
            window.stop = follow(id, 0, [], {{ events, state }});
        }});
        window.stop();
        return heard;
    }}"""
    assert page.evaluate(tell, night.campaign) == ["away", "live", 1]
    assert len(asked) == 2


def test_a_view_that_asks_for_nothing_notes_that_the_server_is_back(
    reader: Callable[..., Reader], night: Night
) -> None:
    page = reader("operator").look(f"plans/{night.plan}")
    expect(page.get_by_text("No plan can run below the dashed line")).to_be_visible()
    night.server.end()
    try:
        page.evaluate(f"async () => (await import('{MODULES}/api.js')).get('/v1/me').catch(() => null)")
        expect(page.locator(".banner")).to_contain_text("The server does not answer")
    finally:
        night.server.begin()
    expect(page.locator(".banner")).to_be_hidden()


@pytest.mark.parametrize(("status", "fact", "limit"), [(404, "does not answer", "20%"), (503, "is starting", "15%")])
def test_what_a_proxy_says_in_the_servers_place_is_no_answer(
    reader: Callable[..., Reader], night: Night, status: int, fact: str, limit: str
) -> None:
    """Nothing is given up for it; what happens after the server is back is shown without anybody's doing."""
    one = reader("operator")
    page = one.look(f"campaigns/{night.campaign}?events=campaign")
    expect(page.locator(".log li").first).to_be_visible()
    with night.server.behind_a_proxy(status):
        expect(page.locator(".banner")).to_contain_text("The server does not answer")
        expect(page.get_by_text("New ones do not come at the moment")).to_be_visible()
        expect(page.locator(".trouble")).to_have_count(0)
        tell = f"""async () => {{
            const {{ get }} = await import('{MODULES}/api.js');
            return get("/v1/me").catch((error) => [error.fact, error.isAway]);
        }}"""
        assert page.evaluate(tell) == [fact, True]
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.locator(".trouble")).to_have_count(0)
    order = {"order": {"kind": "limits", "max_out": {"fleet": limit}}, "why": "after the restart"}
    night.server.asked(f"/v1/campaigns/{night.campaign}/orders", order)
    expect(page.locator(".log li", has_text=f"Other limits, by the operator: fleet {limit}")).to_be_visible()
    orders = page.get_by_role("region", name="Table: Orders")
    expect(orders).to_contain_text(f"limits changed fleet {limit}")
    expect(orders).not_to_contain_text("{")
    one.said = [text for text in one.said if f"status of {status}" not in text]


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


def test_what_jobs_have_found_is_shown_as_they_say_it(page: Page) -> None:
    """A front of which time made only a part, and what limits a plan."""
    point = FrontPoint(6, "makespan", 5, 60, 7200, 7000.0, 0.03, 1.2, 80, 90.0, 88.0, 0.02, "0" * 16, present=True)
    front = front_document(FoundFront("urgent", (point,), (point,), 3, 1.0))
    explained = explain(small_fleet(), small_plan())
    tell = f"""async (job) => {{
        const {{ jobResult }} = await import('{MODULES}/views/job_result.js');
        return jobResult(job).flat(Infinity).filter(Boolean).map((each) => each.textContent).join("\\n");
    }}"""
    said = page.evaluate(tell, {"kind": "pareto", "result": front})
    assert "1 plan that none beats" in said
    assert "3 further plans were not made" in said
    assert "not made" not in page.evaluate(tell, {"kind": "pareto", "result": {**front, "not_planned": 0}})
    said = page.evaluate(tell, {"kind": "explain", "result": {**explained.as_dict(), "text": explained.text()}})
    assert f"What binds: {explained.bounds[0].words}" in said


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
