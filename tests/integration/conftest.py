"""What tests with a real Ray share, those with two real hosts, and those that look at the page."""

from collections.abc import Iterator

import pytest
import ray
from live_migrations import TwoHosts, two_hosts
from page_reader import opened_browser
from playwright.sync_api import Browser


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
