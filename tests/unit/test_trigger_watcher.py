"""A watcher by steps: what keeps it from its work, and what does not."""

from contextlib import closing

import pytest
from triggers_at_hand import ALERTS, HOSTS, alert

from slacktide.clock import SystemClock
from slacktide.executors.store.address import store_in
from slacktide.executors.store.triggers import TriggerStore
from slacktide.executors.triggers import alerts_told, request_watch
from slacktide.executors.triggers.making import Place
from slacktide.executors.triggers.settings import Triggers, read_triggers
from slacktide.executors.triggers.trigger import State, changed
from slacktide.executors.triggers.watcher import IDLE_S, Watcher


@pytest.fixture
def settings(tmp_path) -> Triggers:
    (tmp_path / "requests").mkdir()
    (tmp_path / "t.yaml").write_text("fleet: {directory: none}\ncampaigns: c\nrequests: {paths: [requests]}\n")
    return read_triggers(tmp_path / "t.yaml")


def watcher(settings: Triggers, tmp_path, said: list[str]) -> Watcher:
    place = Place(store_in(tmp_path / "triggers.sqlite"), tmp_path, ("false",), {})
    return Watcher(settings, place, SystemClock(), said.append)


def fires(tmp_path) -> TriggerStore:
    """Have an alert of a host come, and return the store."""
    store, now = TriggerStore(store_in(tmp_path / "triggers.sqlite"), "fleet"), SystemClock().now()
    store.decide(lambda rows: alerts_told.told(rows, alert(), "h1", HOSTS, ALERTS, now).changes, now)
    return store


def test_what_goes_wrong_with_files_keeps_no_alert(settings, tmp_path, monkeypatch) -> None:
    def broken(_paths: object) -> None:
        raise RuntimeError("something that nobody thought of")

    monkeypatch.setattr(request_watch, "look", broken)
    said: list[str] = []
    with closing(watcher(settings, tmp_path, said)) as mine, closing(fires(tmp_path)) as store:
        mine.step()
        mine.step()
        assert [each.state for each in store.all()] == [State.BEGINS]
    words = "what files ask for cannot be looked at, all else goes on: RuntimeError: something that nobody thought of"
    assert said.count(words) == 1


def test_a_second_watcher_waits_and_says_for_whom(settings, tmp_path) -> None:
    said: list[str] = []
    elsewhere = settings.model_copy(update={"campaigns": tmp_path / "too"})
    with closing(watcher(elsewhere, tmp_path, said)) as second:
        with closing(watcher(settings, tmp_path, [])) as first, closing(fires(tmp_path)) as store:
            first.step()
            assert second.step() == IDLE_S
            assert said[0].startswith("waits: fleet fleet is watched for by ")
            assert len(said) == 1
            (begun,) = store.all()
            assert begun.state is State.BEGINS
            store.decide(lambda rows: [changed(rows[0], launched=True)], begun.came_at)
        second.step()
        assert said[1] == "fleet fleet is watched for here now"
        assert "begun in a directory of campaigns that is not here" in said[2]
