"""What tests share: with a real Ray, two real hosts, a browser on the page, or the command line on a server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from afar_place import FLEET, Place, served_from
from http_server import InProcess
from live_migrations import TwoHosts, two_hosts
from page_reader import Night, Reader, opened_browser, paused_night, readers
from playwright.sync_api import Browser, Page


@pytest.fixture
def ray_ends(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """End Ray after the test, and let it write to the terminal meanwhile.

    Ray ends the whole process where it cannot go on; what it says then would be lost with what pytest has captured.
    """
    with capfd.disabled():
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Have a browser for all tests of a file."""
    with opened_browser() as found:
        yield found


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Night]:
    """Have a night whose campaign is paused in its midst, after some thousand events."""
    assert browser
    with paused_night(tmp_path_factory.mktemp("night")) as made:
        yield made


@pytest.fixture
def reader(browser: Browser, night: Night) -> Iterator[Callable[..., Reader]]:
    """Have somebody make readers of the night's page."""
    with readers(browser, night.server) as make:
        yield make


@pytest.fixture
def page(reader: Callable[..., Reader]) -> Page:
    """Return a page on which parts are tried by themselves."""
    return reader("operator").look("jobs")


@pytest.fixture(scope="module")
def served_afar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InProcess, str, Path]]:
    """Have a server for the commands of all tests of a file."""
    with served_from(tmp_path_factory.mktemp("afar")) as server:
        yield server


@pytest.fixture
def place(
    served_afar: tuple[InProcess, str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Place:
    """Have the command line be an operator's on that server."""
    process, url, folder = served_afar
    monkeypatch.setenv("SLACKTIDE_TOKEN", process.tokens["operator"])
    return Place(process, url, folder, capsys)


@pytest.fixture
def planned(place: Place) -> Path:
    """Return a plan that was made on the server and is here; it is made once."""
    plan = place.folder / "plan"
    if not plan.exists():
        place.there("plan", FLEET, "--preset", "urgent", "--iterations", 2, "-o", plan)
    return plan


@pytest.fixture(scope="module")
def hosts_of_this_file() -> Iterator[TwoHosts]:
    """Have two hosts of a lab for all tests of a file."""
    with two_hosts() as two:
        yield two


@pytest.fixture
def two(hosts_of_this_file: TwoHosts, request: pytest.FixtureRequest) -> Iterator[TwoHosts]:
    """Have them in order, and note how long a fault took to be noticed."""
    yield hosts_of_this_file
    request.node.user_properties += [("noticed_s", moving.noticed_s) for moving in hosts_of_this_file.moving]
    hosts_of_this_file.mend()
