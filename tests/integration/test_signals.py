"""A signal from outside, looked at again and again."""

import time

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
