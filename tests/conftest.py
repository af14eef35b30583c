"""Guards and profiles for all tests."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgresql import Server, binaries, running_server

from slacktide.executors.maintenance.notes import FOLDER_VARIABLE
from slacktide.executors.store.address import Store, store_in

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

LONG = "SLACKTIDE_LONG"
"""With it in the environment tests run as well that take a minute or more of all processors."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    if not os.environ.get(LONG):
        reason = pytest.mark.skip(reason=f"takes a minute or more of all processors: {LONG}=1 runs it")
        for item in items:
            if item.get_closest_marker("long") is not None:
                item.add_marker(reason)


@pytest.fixture(autouse=True)
def _pure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside tests/integration nothing starts Ray and nothing sleeps, but who waits for a process to end."""
    if "integration" in request.node.path.parts:
        return
    sleep = time.sleep

    def forbidden(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("only tests/integration may start Ray or sleep")

    def nap(seconds: float) -> None:
        (sleep if sys._getframe(1).f_globals["__name__"] == "subprocess" else forbidden)(seconds)

    monkeypatch.setattr(time, "sleep", nap)
    monkeypatch.setattr("ray.init", forbidden)


@pytest.fixture(autouse=True, scope="session")
def _notes_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep notes of maintenance among the tests' own files, for their processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("maintenance") / "notes"))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real traces; skip where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SLACKTIDE_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real traces not found at {folder}; set SLACKTIDE_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Have a PostgreSQL server of the tests' own; skip where PostgreSQL is not installed."""
    if binaries() is None:
        pytest.skip("POSTGRESQL IS NOT INSTALLED: apt-get install postgresql; campaigns in it are not tested")
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return a store of each kind in which nothing is."""
    if request.param == "sqlite":
        return store_in(tmp_path / "journal.sqlite")
    server: Server = request.getfixturevalue("postgresql")
    return server.new_store()
