"""Who looks at the page in a real browser: readers, and a night with a plan and a campaign to look at."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from page_server import PageServer, wait_for
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

SEED: Final = 3
PAUSED_HOSTS: Final = 60
"""Of a night whose campaign is paused."""
PATIENCE_MS: Final = 60_000
expect.set_options(timeout=PATIENCE_MS)
OUTSIDE: Final = re.compile(r"^(?!http://127\.0\.0\.1:|blob:http://127\.0\.0\.1:|data:)")
AWAY: Final = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE", "status of 409")
"""What a browser complains of while the server is away, and where a campaign has not begun."""
WATCH: Final = """
window.longTasks = [];
new PerformanceObserver((list) => list.getEntries().forEach((each) => window.longTasks.push(Math.round(each.duration))))
  .observe({type: 'longtask', buffered: true});
"""


def browser_path() -> str | None:
    """Return where a browser is, None: nowhere."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Open a browser for as long as the block lasts; the test is skipped where there is none."""
    path = browser_path()
    if path is None:
        pytest.skip("no Chromium found: install the package chromium to look at the page in a browser")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


def generated(folder: Path, hosts: int) -> Path:
    words = ["fleet", "generate", "--hosts", str(hosts), "--seed", str(SEED), "-o", str(folder / "fleet")]
    subprocess.run([sys.executable, "-m", "slacktide.service.cli", *words], check=True, capture_output=True)
    return folder / "fleet"


class Night:
    """A server with a plan and a campaign that waits to be started; `end` leaves nothing running."""

    def __init__(self, folder: Path, hosts: int, speed: float) -> None:
        self.folder = folder
        self.server = PageServer(folder)
        self.fleet = self.server.upload(generated(folder, hosts))
        asked = {"fleet_id": self.fleet, "preset": "urgent", "time_limit_s": 0}
        self.job = self.server.asked("/v1/plans", asked)
        self.plan = self.server.done(self.job)["plan_id"]
        terms = {"simulation": {"seed": SEED, "failures_per_mille": 20, "lost_hosts_per_mille": 8, "speed": speed}}
        made = {"plan_id": self.plan, "start": "on-approval", "terms": terms}
        self.campaign = self.server.asked("/v1/campaigns", made)["campaign_id"]

    @property
    def standing(self) -> str:
        found: str = self.server.got(f"/v1/campaigns/{self.campaign}")["standing"]
        return found

    def begin(self) -> None:
        """Have the campaign started, unless it was, and wait until it has moved a VM."""
        path = f"/v1/campaigns/{self.campaign}"
        if self.standing == "proposed":
            self.server.asked(f"{path}/start")
        wait_for(
            lambda: (self.server.got(path)["progress"] or {"migrations": {}})["migrations"].get("done"), "a migration"
        )

    def end(self) -> None:
        """End the server, and then the campaign's process, which would go on without it."""
        self.server.leave()
        for process in self._processes():
            os.kill(process, signal.SIGTERM)
        wait_for(lambda: not self._processes(), "the end of the campaign's process")

    def _processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().decode().split("\0")
                    if "run" in words and any(word.startswith(f"{self.folder}/") for word in words):
                        found.append(int(entry.name))
        return found


@contextmanager
def paused_night(folder: Path) -> Iterator[Night]:
    """Have a night whose campaign is paused in its midst, after some thousand events."""
    made = Night(folder, PAUSED_HOSTS, speed=960)
    try:
        made.begin()
        path = f"/v1/campaigns/{made.campaign}"
        wait_for(lambda: made.server.got(f"{path}/map")["number"] > 1500, "1,500 events")
        made.server.asked(f"{path}/orders", {"order": {"kind": "pause", "cancel": True}, "why": "to be looked at"})
        wait_for(lambda: made.standing == "paused", "the pause")
        yield made
    finally:
        made.end()


class View(NamedTuple):
    """A view of the page."""

    path: str
    whole: str
    """Selects what is there once the view shows what it is for."""


class Reader:
    """Somebody who looks at the page, with what the browser complained of and whom it asked."""

    def __init__(self, browser: Browser, server: PageServer, role: str | None = None, **how: Any) -> None:
        self.server = server
        size = how.pop("size", (1280, 900))
        self.context: BrowserContext = browser.new_context(viewport={"width": size[0], "height": size[1]}, **how)
        if role is not None:
            token = server.tokens[role]  # type: ignore[index]
            self.context.add_init_script(f"sessionStorage.setItem('slacktide-token', '{token}')")
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.said: list[str] = []
        self.requests: list[Request] = []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))

    def look(self, path: str) -> Page:
        self.page.goto(f"{self.server.url}/page/{path}")
        expect(self.page.locator("main:not([aria-busy]) h1")).to_be_visible()
        return self.page

    def whole(self, view: View) -> Page:
        """Look at a view until all of it is there, with nothing that went wrong."""
        page = self.look(view.path)
        expect(page.locator(view.whole).first).to_be_visible()
        expect(page.locator("figure:visible .drawing:empty")).to_have_count(0)
        expect(page.locator(".trouble")).to_have_count(0)
        return page

    def leave(self) -> None:
        self.context.close()


@contextmanager
def readers(browser: Browser, server: PageServer) -> Iterator[Callable[..., Reader]]:
    """Have somebody make readers; what a browser complains of at the end fails the test."""
    made: list[Reader] = []

    def make(role: str | None = None, **how: Any) -> Reader:
        made.append(Reader(browser, server, role, **how))
        return made[-1]

    yield make
    for each in made:
        asked = [request.url for request in each.requests]
        each.leave()
        assert not [url for url in asked if OUTSIDE.match(url)]
        wrong = [text for text in each.said if not any(known in text for known in AWAY)]
        assert not wrong, wrong


def views(night: Night) -> dict[str, View]:
    """Return every view, of a night whose campaign is under way."""
    move = night.server.got(f"/v1/campaigns/{night.campaign}/migrations?limit=1")["items"][0]
    lists = {name: View(name, "tbody tr") for name in ("fleets", "plans", "campaigns", "jobs")}
    return {
        "overview": View("", "section:nth-of-type(4) tbody tr"),
        **lists,
        "fleet": View(f"fleets/{night.fleet}", ".toggles li:nth-child(2)"),
        "plan": View(f"plans/{night.plan}", ".plots figure:nth-of-type(5) svg"),
        "campaign": View(f"campaigns/{night.campaign}", ".started:not([hidden]) .log li"),
        "vm": View(f"campaigns/{night.campaign}/vms/{move['vm_id']}", ".move svg"),
        "job": View(f"jobs/{night.job['job_id']}", ".facts a"),
    }


def ask(page: Page, button: str, **fields: str) -> None:
    """Press a button and answer its dialog."""
    page.get_by_role("button", name=button).first.click()
    dialog = page.get_by_role("dialog")
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " "), exact=True).fill(value)
    dialog.get_by_role("button").first.click()
    expect(dialog).to_have_count(0)
