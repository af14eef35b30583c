"""Parts of the page by themselves: sentences, buttons, events in words, tables."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from page_reader import readers
from page_server import PageServer
from playwright.sync_api import Browser, Page
from small_fleet import small_fleet, small_plan

from slacktide.planner.explanation import explain
from slacktide.planner.pareto import FrontPoint
from slacktide.service.campaigning import RELEASED
from slacktide.service.front_run import FoundFront, front_document

pytestmark = [pytest.mark.integration, pytest.mark.computing]

MODULES: Final = "/page/static"
WORDS: Final = f"{MODULES}/views/campaign_words.js"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[PageServer]:
    """Return a server that holds nothing."""
    assert browser
    made = PageServer(tmp_path_factory.mktemp("parts"))
    try:
        yield made
    finally:
        made.leave()


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    """Return a page on which parts are tried by themselves."""
    with readers(browser, server) as make:
        yield make("operator").look("jobs")


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
