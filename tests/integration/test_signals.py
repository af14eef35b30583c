"""A signal from outside, looked at again and again."""

import json
import threading
import time

import pytest

from slacktide.executors.health import watching
from slacktide.executors.health.files import read_health
from slacktide.executors.health.watching import WELL, Verdict, Watch


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never comes about"
        time.sleep(0.01)


def test_a_signal_is_not_well_once_it_fails_several_times_in_a_row(tmp_path) -> None:
    flag = tmp_path / "well"
    flag.touch()
    file = tmp_path / "health.yaml"
    file.write_text(
        f"signals: [{{name: flag, every_s: 0.05, tries: 3, check: {{kind: command, command: [test, -e, {flag}]}}}}]",
    )
    watch = Watch(read_health(file))
    try:
        assert watch.changes() == [Verdict("flag", True, WELL)]
        flag.unlink()
        found: list[Verdict] = []
        until(lambda: found.extend(watch.changes()) or found)
        assert [(each.healthy, each.name) for each in found] == [(False, "flag")]
        assert "it ended with 1" in found[0].detail
        flag.touch()
        until(lambda: found.extend(watch.changes()) or len(found) == 2)
        assert found[1] == Verdict("flag", True, WELL)
    finally:
        watch.close()


@pytest.fixture
def ends() -> threading.Event:
    """Lets looks that hang go at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def one_signal(tmp_path, **more):
    file = tmp_path / "health.yaml"
    fields = {"name": "flag", "every_s": 0.05, "tries": 1, "check": {"kind": "command", "command": "true"}} | more
    file.write_text(json.dumps({"signals": [fields]}))
    return read_health(file)


def test_a_look_that_goes_wrong_is_not_well_and_is_followed_by_others(tmp_path) -> None:
    looks = iter([None, MemoryError("no memory left"), None])

    def look(_check) -> None:
        found = next(looks, None)
        if found is not None:
            raise found

    watch = Watch(one_signal(tmp_path), look)
    found: list[Verdict] = []
    try:
        until(lambda: found.extend(watch.changes()) or len(found) == 3)
    finally:
        watch.close()
    assert [each.healthy for each in found] == [True, False, True]
    assert found[1].detail == "it cannot be looked at: MemoryError: no memory left"


def test_a_first_look_that_never_ends_is_waited_for_no_longer_than_its_time(tmp_path, ends, monkeypatch) -> None:
    monkeypatch.setattr(watching, "GRACE_S", 0.1)
    health = one_signal(tmp_path, check={"kind": "command", "command": "true", "answer_within_s": 0.1})
    watch = Watch(health, lambda _: None if ends.wait(30) else "late")
    try:
        (verdict,) = watch.changes()
        assert (verdict.name, verdict.healthy) == ("flag", False)
        assert verdict.detail.startswith("it has not answered within 0.2 s: nobody knows how it is")
        assert watch.changes() == []
        ends.set()
        found: list[Verdict] = []
        until(lambda: found.extend(watch.changes()) or found)
        assert found == [Verdict("flag", True, WELL)]
    finally:
        watch.close()


def test_a_signal_that_nobody_looks_at_any_more_is_not_well(tmp_path, ends, monkeypatch) -> None:
    monkeypatch.setattr(watching, "GRACE_S", 0.1)
    looks = iter([lambda: None])
    health = one_signal(tmp_path, check={"kind": "command", "command": "true", "answer_within_s": 0.1})
    watch = Watch(health, lambda _: next(looks, lambda: ends.wait(30) and None)())
    try:
        assert watch.changes() == [Verdict("flag", True, WELL)]
        found: list[Verdict] = []
        until(lambda: found.extend(watch.changes()) or found)
        assert found[0].healthy is False
        assert found[0].detail.startswith("it was looked at last more than 0.25 s ago: nobody knows how it is")
    finally:
        watch.close()
