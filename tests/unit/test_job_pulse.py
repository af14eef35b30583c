"""How far a job is, and how long it will take, as it is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slacktide.executors.store.address import store_in
from slacktide.service.jobs.pulse import Pulse
from slacktide.service.store.database import open_database


@pytest.fixture
def pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pulse]:
    monkeypatch.setattr("slacktide.service.jobs.pulse.time.monotonic", lambda: 1000.0)
    database = open_database(store_in(tmp_path / "store.sqlite"))
    yield Pulse(database, "a1b2c3d4e5f60718")
    database.close()


def test_without_a_time_it_is_as_far_as_is_done(pulse: Pulse) -> None:
    assert pulse.far(1020.0) == (None, None)
    pulse.tell(0.25, "plan 3 of 12")
    assert pulse.far(1020.0) == (0.25, 60.0)


def test_with_a_time_it_is_as_far_as_that_is_used(pulse: Pulse) -> None:
    pulse.lasts(20.0)
    assert pulse.far(1005.0) == (0.25, 15.0)
    pulse.tell(0.05, "plan 1 of 20")
    assert pulse.far(1010.0) == (0.5, 10.0)
    pulse.tell(0.9, "plan 18 of 20")
    assert pulse.far(1010.0) == (0.9, pytest.approx(10 / 9))


def test_it_never_goes_back_and_nobody_knows_the_rest_once_its_time_is_over(pulse: Pulse) -> None:
    pulse.lasts(20.0)
    pulse.tell(0.75, "plan 9 of 12")
    pulse.far(1002.0)
    pulse.tell(0.1, "bounds")
    assert pulse.far(1003.0)[0] == 0.75
    assert pulse.far(1040.0) == (0.99, None)
