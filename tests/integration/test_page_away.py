"""What is asked and followed on the page while the server is away, full, or has a proxy in its place."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from page_reader import Night, Reader
from page_server import wait_for
from playwright.sync_api import Page, Request, Route, expect

pytestmark = [pytest.mark.integration, pytest.mark.computing]

MODULES: Final = "/page/static"


def without_the_first(page: Page, pattern: str) -> list[Request]:
    """Have the first call of what is meant come to nothing; return the calls, which are noted as they are made."""
    calls: list[Request] = []

    def handle(route: Route) -> None:
        calls.append(route.request)
        if len(calls) == 1:
            route.abort()
        else:
            route.continue_()

    page.route(pattern, handle)
    return calls


def test_what_is_asked_again_without_an_answer_is_asked_once(reader: Callable[..., Reader], night: Night) -> None:
    """The same key until the server has answered, and then another."""
    one = reader("operator")
    page = one.look("jobs")
    calls = without_the_first(page, "**/explain")
    tell = f"""async (path) => {{
        const {{ post }} = await import('{MODULES}/api.js');
        return post(path).then(() => "done", (error) => error.fact);
    }}"""
    path = f"/v1/plans/{night.plan}/explain"
    asked = [page.evaluate(tell, path) for _ in range(3)]
    assert asked == ["does not answer", "done", "done"]
    keys = [call.headers["idempotency-key"] for call in calls]
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
    asked = without_the_first(page, "**/static/stream.js")
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
