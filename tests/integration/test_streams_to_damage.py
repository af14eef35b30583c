"""Streams of a campaign whose journal is damaged while it is followed."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from http_server import InProcess, carry_out_launched, in_process, served
from page_reader import opened_browser
from playwright.sync_api import expect
from small_fleet import small_fleet

from slacktide.datasets.files import write_snapshot
from slacktide.errors import ExecutionError
from slacktide.executors.events import CampaignFinished
from slacktide.service.client.access import Access
from slacktide.service.client.api import Api
from slacktide.service.client.streams import followed

pytestmark = pytest.mark.integration

UNFINISHED = f"UPDATE events SET number = -1 WHERE type = '{CampaignFinished.type}'"
FINISHED_AFTER_A_GAP = "UPDATE events SET number = (SELECT max(number) + 2 FROM events) WHERE number = -1"


@pytest.fixture
def unfinished(tmp_path: Path) -> tuple[InProcess, str]:
    """An API, and a campaign of its whose last event is not there yet."""
    api = in_process(tmp_path)
    write_snapshot(small_fleet(), tmp_path / "fleet")
    asked = {"fleet_id": api.upload(tmp_path / "fleet").json()["fleet_id"], "hosts": "due", "iterations": 1}
    job = api.call("POST", "/v1/campaigns/urgent", "operator", json=asked).json()["job_id"]
    carry_out_launched(api)
    change(api, UNFINISHED)
    return api, api.get(f"/v1/jobs/{job}")["result"]["campaign_id"]


def change(api: InProcess, statement: str) -> None:
    with closing(sqlite3.connect(api.server.places.store)) as store, store:
        store.execute(statement)


def heard(stream: Iterator[tuple[str, Any]], kinds: list[str]) -> None:
    """Note the kinds of a stream's events until it ends."""
    kinds += (kind for kind, _ in stream)


@pytest.mark.parametrize("path", ["/events/stream", "/progress/stream", "/progress/stream?news=true"])
def test_who_follows_is_told_of_the_damage(unfinished: tuple[InProcess, str], path: str) -> None:
    api, campaign = unfinished
    with served(api) as url, Api(Access(url, api.tokens["viewer"], None)) as client:
        stream = followed(client, f"/v1/campaigns/{campaign}{path}")
        kinds = [next(stream)[0]]
        change(api, FINISHED_AFTER_A_GAP)
        with pytest.raises(ExecutionError, match=r"is damaged: event \d+ is missing before event \d+"):
            heard(stream, kinds)
    assert CampaignFinished.type not in kinds
    if path == "/events/stream":
        with closing(sqlite3.connect(api.server.places.store)) as store:
            told = store.execute("SELECT type FROM events WHERE number > 0 ORDER BY number").fetchall()
        assert kinds == [type_ for (type_,) in told[:-1]]


def test_who_looks_at_the_page_is_told_of_the_damage(unfinished: tuple[InProcess, str]) -> None:
    api, campaign = unfinished
    with served(api) as url, opened_browser() as browser, browser.new_context() as context:
        context.add_init_script(f"sessionStorage.setItem('slacktide-token', '{api.tokens['viewer']}')")
        page = context.new_page()
        page.goto(f"{url}/page/campaigns/{campaign}")
        expect(page.locator(".log li").first).to_be_visible()
        change(api, FINISHED_AFTER_A_GAP)
        said = re.compile(f"New ones do not come at the moment: the journal of campaign {campaign} is damaged: event")
        expect(page.locator(".note", has_text=said)).to_be_visible()
