"""The page in a real browser: what each view shows, and what may be done there by whom."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from page_reader import Night, Reader, View, ask, readers, views
from page_server import wait_for
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.integration, pytest.mark.computing]

HOSTS: Final = 200
PICTURES: Final = os.environ.get("SLACKTIDE_PICTURES")
"""Folder for pictures of every view; none are made without."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Night]:
    assert browser
    made = Night(tmp_path_factory.mktemp("page"), HOSTS, speed=240)
    yield made
    made.end()


@pytest.fixture
def under_way(night: Night) -> Night:
    """Return the night with its campaign begun, by whichever test was first."""
    night.begin()
    return night


@pytest.fixture
def reader(browser: Browser, night: Night) -> Iterator[Callable[..., Reader]]:
    with readers(browser, night.server) as make:
        yield make


def test_whoever_may_not_act_is_told_why_and_may_give_a_token(reader: Callable[..., Reader], night: Night) -> None:
    one = reader()
    page = one.look(f"plans/{night.plan}")
    button = page.get_by_role("button", name="Have it carried out…")
    expect(button).to_be_disabled()
    expect(page.get_by_text("You are viewer; this is for operators.").first).to_be_visible()
    page.get_by_role("button", name="Without a token: viewer").click()
    page.get_by_label("Token").fill("slacktide_000000000000_wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("Token").fill(night.server.tokens["operator"])
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("button", name="the operator: operator")).to_be_visible()
    expect(page.get_by_role("button", name="Have it carried out…")).to_be_enabled()
    kept = page.evaluate("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
    assert kept == [[night.server.tokens["operator"]], [], ""]
    page.reload()
    expect(page.get_by_role("button", name="the operator: operator")).to_be_visible()
    assert not [request.url for request in one.requests if night.server.tokens["operator"] in request.url]
    one.said = [text for text in one.said if "401" not in text]


def test_a_plan_is_read_before_it_is_approved(reader: Callable[..., Reader], night: Night) -> None:
    page = reader("operator").look(f"plans/{night.plan}")
    summary = night.server.got(f"/v1/plans/{night.plan}")["header"]["summary"]
    left = sum(summary["deferred"].values())
    tiles = page.get_by_label("Key figures")
    expect(tiles).to_contain_text(f"{summary['hosts']} of {summary['hosts'] + left}")
    expect(tiles).to_contain_text("over the bound")
    for title in ("Waves", "Hosts out", "Exposure", "Hottest links", "Blackouts of live migrations, predicted"):
        heading = page.get_by_role("region", name="Pictures").get_by_role("heading", name=title, exact=True)
        expect(heading).to_be_visible()
    expect(page.get_by_text("No plan can run below the dashed line")).to_be_visible()
    expect(page.get_by_role("heading", name=f"Deferred: {left} hosts")).to_be_visible()
    assert page.get_by_label("Table: Deferred hosts").locator("tbody tr").count() == min(left, 10)
    page.get_by_role("button", name="Explain it").click()
    bought = page.get_by_role("region", name="Table: What each relaxation buys")
    expect(bought).to_contain_text("max_out.fleet")
    expect(page.get_by_text("What binds:")).to_be_visible()
    page.get_by_role("button", name="Have it carried out…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{summary['hosts']} hosts are drained")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Have it carried out…")).to_be_focused()


def test_the_map_is_reached_by_keyboard_and_by_address(reader: Callable[..., Reader], night: Night) -> None:
    one = reader("viewer")
    page = one.look(f"fleets/{night.fleet}?colour=fill")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    fleet = page.get_by_role("application")
    fleet.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    shown = page.locator(".details h3")
    expect(shown).to_have_text(re.compile(r"^host-\d{6}$"))
    host = shown.inner_text()
    assert host != "host-000000"
    expect(page.locator(".map-whole [role=status]")).to_contain_text(host)
    page.wait_for_url(f"**host={host}*")
    page.keyboard.press("Tab")
    expect(fleet).not_to_be_focused()
    page.reload()
    expect(page.locator(".details h3")).to_have_text(host)
    expect(page.get_by_label("Colours")).to_have_value("fill")
    counts = page.locator(".toggles b").all_inner_texts()
    assert sum(map(int, counts)) == HOSTS
    key = page.locator(".toggles button").first
    key.click()
    expect(key).to_have_attribute("aria-pressed", "true")
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("region", name="Table: Hosts", exact=True).locator("tbody tr")).to_have_count(
        min(50, int(counts[0]))
    )
    page.locator("canvas").click(position={"x": 3, "y": 20})
    expect(shown).to_have_text("host-000000")


def test_a_campaign_is_started_paused_and_goes_on_through_a_restart(
    reader: Callable[..., Reader], night: Night
) -> None:
    """From the page alone; while the server is away the page says so, and then goes on where it was."""
    one = reader("operator")
    page = one.look(f"campaigns/{night.campaign}")
    expect(page.get_by_text("It waits until somebody starts it")).to_be_visible()
    ask(page, "Start it…")
    expect(page.locator(".title .badge")).to_have_text("running")
    expect(page.get_by_role("heading", name="Hosts by stage")).to_be_visible()
    back = page.locator(".toggles li", has_text="patched and back").locator("b")
    expect(back).to_have_text(re.compile(r"^[3-9]\d$"))
    expect(page.locator(".log li", has_text="is patched and back").first).to_be_visible()
    page.get_by_role("button", name="Pause…").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    assert page.locator("textarea:invalid").count() == 1
    page.get_by_label("Why", exact=True).fill("power\nfeed B")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator(".title .badge")).to_have_text("paused")
    expect(page.locator(".lead")).to_contain_text("by the operator: power feed B")
    paused = night.server.got(f"/v1/campaigns/{night.campaign}/events?type=campaign-paused")["items"][-1]["event"]
    assert (paused["why"], paused["cancel"]) == ("power feed B", False)
    late = page.get_by_role("region", name="Table: Hosts and VMs that are late")
    expect(late).to_contain_text("the campaign is paused")
    pictures(one, {"campaign": views(night)["campaign"]})
    one.look(f"campaigns/{night.campaign}")
    expect(page.locator(".log li").first).to_be_visible()

    night.server.end()
    expect(page.locator(".banner")).to_contain_text("The server does not answer")
    night.server.begin()
    expect(page.locator(".banner")).to_be_hidden()
    ask(page, "Resume…", Why="the feed is back")
    expect(page.locator(".title .badge")).to_have_text("running")
    expect(page.locator(".log li", has_text="Resumed by the operator: the feed is back")).to_be_visible()
    numbers = [int(each.replace(",", "")) for each in page.locator(".log .at").evaluate_all(EVENT_NUMBERS)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers)
    expect(page.get_by_role("region", name="Table: Orders")).to_contain_text("power feed B")


EVENT_NUMBERS: Final = "all => all.map(each => each.title.replace('event ', ''))"


def test_one_vms_story(reader: Callable[..., Reader], under_way: Night) -> None:
    path = f"/v1/campaigns/{under_way.campaign}"
    failed = wait_for(
        lambda: under_way.server.got(f"{path}/events?type=migration-failed&limit=1")["items"], "a failed attempt"
    )[0]["event"]["migration_id"]
    rows = under_way.server.got(f"{path}/migrations?limit=1000")["items"]
    move = next((row for row in rows if row["migration_id"] == failed), rows[0])
    page = reader("viewer").look(f"campaigns/{under_way.campaign}")
    page.get_by_label("One VM's story").fill(move["vm_id"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(move["vm_id"])
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    first = page.locator(".move").first
    expect(first.get_by_role("img")).to_be_visible()
    expect(first).to_contain_text("pre-migration brownout")
    expect(page.get_by_role("region", name="Table: Attempts").first).to_contain_text("why it failed")
    expect(page.get_by_role("region", name="Table: Events")).to_contain_text("failed while")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Campaign")


MARKUP: Final = "<img src=x onerror=alert(1)>"


def marked(folder: Path) -> Path:
    """Return a fleet of which a host's name is markup."""
    columns = ("host_id", "tail", "head")
    for path in (Path(__file__).parents[1] / "replay" / "urgent" / "fleet").iterdir():
        if path.suffix == ".parquet":
            table = pl.read_parquet(path)
            names = [name for name in columns if name in table.columns]
            table = table.with_columns(pl.col(names).replace("host-000000", MARKUP)) if names else table
            table.write_parquet(folder / path.name)
        else:
            shutil.copy(path, folder)
    return folder


def test_what_others_have_named_stays_text(reader: Callable[..., Reader], under_way: Night, tmp_path: Path) -> None:
    """A VM that is asked for, a host of a fleet, and why somebody asked for something."""
    one = reader("operator")
    path, name = f"campaigns/{under_way.campaign}", quote(MARKUP)
    page = one.look(f"{path}/vms/{name}")
    expect(page.get_by_role("alert")).to_contain_text(MARKUP)
    assert page.locator("main img").count() == 0
    one.said = [text for text in one.said if "404" not in text]
    page = one.look(f"fleets/{under_way.server.upload(marked(tmp_path))}?host={name}")
    expect(page.locator(".details h3")).to_have_text(MARKUP)
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("button", name=MARKUP)).to_be_visible()
    assert page.locator("main img").count() == 0
    order = {"order": {"kind": "limits", "max_out": {"fleet": "20%"}}, "why": MARKUP}
    assert under_way.server.asked(f"/v1/{path}/orders", order)
    page = one.look(f"{path}?events=campaign")
    expect(page.get_by_role("region", name="Table: Orders")).to_contain_text(MARKUP)
    assert page.locator("main img").count() == 0
    policy = page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return 'taken' } catch (error) { return error.name } }"
    )
    assert policy == "TypeError"
    one.said = [text for text in one.said if "TrustedHTML" not in text and "Trusted Type" not in text]


RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("light", 390), ("dark", 1280)])
def test_no_rule_of_accessibility_is_broken(
    reader: Callable[..., Reader], under_way: Night, scheme: str, width: int
) -> None:
    """In the dark, colours alone are looked at: all else is the same."""
    one = reader("operator", color_scheme=scheme, size=(width, 900))
    wrong = []
    for name, view in views(under_way).items():
        page = one.whole(view)
        found = Axe().run(page, options={"runOnly": RULES if scheme == "light" else ["color-contrast"]})
        for each in found.response["violations"]:
            wrong.append([name, each["id"], *(node["html"][:200] for node in each["nodes"][:5])])
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_view_scrolls_sideways(reader: Callable[..., Reader], under_way: Night, width: int) -> None:
    one = reader("operator", size=(width, 844))
    for name, view in views(under_way).items():
        page = one.whole(view)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over == 0, f"{name} at {width} px: {over} px too wide"


def test_pictures_of_every_view(browser: Browser, under_way: Night) -> None:
    if PICTURES is None:
        pytest.skip("no pictures are made: SLACKTIDE_PICTURES names no folder")
    one = Reader(browser, under_way.server, "operator")
    pictures(one, {name: view for name, view in views(under_way).items() if name != "campaign"})
    one.leave()


def pictures(one: Reader, shown: dict[str, View]) -> None:
    """Take a picture of some views at every size and in both schemes, as the reader sees them."""
    if PICTURES is None:
        return
    folder = Path(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    for size, scheme in (((1280, 900), "light"), ((1280, 900), "dark"), ((390, 844), "light")):
        one.page.set_viewport_size({"width": size[0], "height": size[1]})
        one.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for name, view in shown.items():
            page = one.whole(view)
            page.wait_for_timeout(1500)
            page.screenshot(path=folder / f"{name}-{size[0]}-{scheme}.png", full_page=True)
    one.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.long
def test_ten_thousand_hosts(browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are on the map and are followed; how quick that is, is printed."""
    large = Night(tmp_path, 10_000, speed=4)
    one = Reader(browser, large.server, "operator")
    told = []
    try:
        large.server.asked(f"/v1/campaigns/{large.campaign}/start")
        path = f"/v1/campaigns/{large.campaign}"
        for name, view in (("fleet", f"fleets/{large.fleet}"), ("plan", f"plans/{large.plan}")):
            page = one.look(view)
            expect(page.locator("canvas")).to_be_visible()
            told.append(quickness(page, name))
            if PICTURES is not None:
                page.wait_for_timeout(1500)
                page.screenshot(path=Path(PICTURES) / f"{name}-10000.png")
            assert sum(int(each.replace(",", "")) for each in page.locator(".toggles b").all_inner_texts()) == 10_000
        page = one.look(f"campaigns/{large.campaign}")
        told.append(quickness(page, "campaign"))
        wait_for(lambda: large.server.got(path)["progress"], "the campaign")
        expect(page.locator(".toggles li", has_text="patched").first).to_be_visible()
        page.evaluate("window.longTasks.length = 0")
        page.wait_for_timeout(10_000)
        told.append(f"campaign, 10 s of following: long tasks {page.evaluate('window.longTasks')} ms")
        assert sum(int(each.replace(",", "")) for each in page.locator(".toggles b").all_inner_texts()) == 10_000
        if PICTURES is not None:
            page.screenshot(path=Path(PICTURES) / "campaign-10000.png")
    finally:
        one.leave()
        large.end()
    with capsys.disabled():
        print("\n" + "\n".join(told))  # noqa: T201
    assert not one.said


def quickness(page: Page, name: str) -> str:
    """Return when something, and when the map, was first seen, and what held the page up until then."""
    paint = page.evaluate("Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)")
    now = page.evaluate("Math.round(performance.now())")
    return f"{name}: first paint {paint} ms, whole {now} ms, long tasks {page.evaluate('window.longTasks')} ms"
