"""Maintenance by real commands: what comes of them, and of them when agents and processes are killed."""

import os
import signal
import time
from pathlib import Path

import pytest
from maintained import HOST, LEVEL, Maintained, StandIn, agent, kill_session, newest, until

from slacktide.executors import events
from slacktide.executors.maintenance import notes, runner

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def shell(script: str, **more) -> dict:
    return {"kind": "command", "command": ["sh", "-c", script], **more}


def slow(log: Path, seconds: float = 1.0, **more) -> dict:
    """Write down when it begins and ends."""
    return shell(f"echo begin >>{log}; sleep {seconds}; echo end >>{log}", **more)


def lines(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_a_command_is_filled_in_and_its_host_returns(folder: Path, log: Path) -> None:
    script = f'echo "$SLACKTIDE_HOST $SLACKTIDE_PATCH_LEVEL $1 $2 {{other}}" >{log}'
    action = {"kind": "command", "command": ["sh", "-c", script, "sh", "{host}", "to-{patch_level}"]}
    patched = Maintained(folder, action).begin()
    patched.returned()
    assert [type(event) for event in patched.events] == [events.PatchStarted, events.HostReturned]
    assert log.read_text().split() == [HOST, LEVEL, HOST, f"to-{LEVEL}", "{other}"]
    assert patched.host.waited == 1, "the host's own word that it is back is the last check"


def test_a_text_is_split_into_words_and_no_shell_is_asked(folder: Path, log: Path) -> None:
    Maintained(folder, {"kind": "command", "command": f"cp '/proc/self/cmdline' {log}"}).begin().returned()
    assert log.read_bytes().split(b"\0")[:2] == [b"cp", b"/proc/self/cmdline"]


def test_a_command_that_fails_is_told_with_its_last_words(folder: Path) -> None:
    failed = Maintained(folder, shell("echo no room left; exit 3")).begin().failed()
    assert failed.reason == "sh ended with 3 and said: no room left"
    assert failed.untouched is False


def test_an_exit_code_can_say_that_nothing_was_done(folder: Path) -> None:
    failed = Maintained(folder, shell("exit 255", untouched_codes=[255])).begin().failed()
    assert failed.untouched is True
    assert failed.reason.startswith("it was not touched: sh ended with 255")


def test_a_host_is_not_untouched_where_an_earlier_try_did_something(folder: Path, log: Path) -> None:
    action = shell(f"test -e {log} && exit 255; touch {log}; exit 1", untouched_codes=[255])
    failed = Maintained(folder, action | {"retries": 1, "retry_after_s": 0.05}).begin().failed()
    assert failed.untouched is False
    assert "ended with 255" in failed.reason
    assert "try 2" in failed.reason


def test_a_program_that_is_missing_and_a_host_with_guests_are_not_touched(folder: Path, log: Path) -> None:
    failed = Maintained(folder, {"kind": "command", "command": "no-such-program {host}", "retries": 3}).begin().failed()
    assert failed.untouched is True
    assert "there is no program no-such-program" in failed.reason
    failed = Maintained(folder, slow(log), host=StandIn("vm1 run on it")).begin().failed()
    assert failed.untouched is True
    assert "vm1 run on it" in failed.reason
    assert lines(log) == []


def test_a_host_with_guests_that_should_have_left_has_not_failed_and_may_be_patched_later(
    folder: Path, log: Path
) -> None:
    for action in (slow(log), {"kind": "none"}):
        kept = Maintained(folder, action, host=StandIn("vm1 run on it", occupied=True)).begin()
        assert kept.refilled().detail == "vm1 run on it"
    assert lines(log) == []
    Maintained(folder, slow(log, 0)).begin().returned()


def test_a_command_is_tried_again_with_pauses_that_double(folder: Path, log: Path) -> None:
    script = f"date +%s.%N >>{log}; test $(wc -l <{log}) -ge 3"
    Maintained(folder, shell(script, retries=2, retry_after_s=0.4)).begin().returned()
    first, second, third = map(float, lines(log))
    assert second - first >= 0.4
    assert third - second >= 0.8


def test_the_last_try_that_fails_is_told(folder: Path, log: Path) -> None:
    failed = Maintained(folder, shell(f"echo x >>{log}; exit 1", retries=2, retry_after_s=0.02)).begin().failed()
    assert len(lines(log)) == 3
    assert failed.reason.endswith("This was try 3")


def test_no_try_begins_when_the_campaign_does_not_wait_any_more(folder: Path, log: Path) -> None:
    failed = Maintained(folder, slow(log), late_s=10_000.0).begin().failed()
    assert failed.untouched is True
    assert "does not wait for it any longer" in failed.reason
    assert lines(log) == []


def test_a_try_that_takes_too_long_is_stopped_with_all_its_processes(folder: Path, log: Path, monkeypatch) -> None:
    monkeypatch.setattr(runner, "GRACE_S", 0.5)
    began_s = time.monotonic()
    failed = Maintained(folder, slow(log, 60, timeout_s=0.5)).begin().failed()
    assert time.monotonic() - began_s < 10
    assert "took longer than 0.5 s and was stopped" in failed.reason
    assert failed.untouched is False
    assert notes.processes_of(newest(folder)) == []
    stubborn = shell("trap '' TERM; while :; do sleep 0.1; done", timeout_s=0.5)
    failed = Maintained(folder / "other", stubborn).begin().failed()
    assert "was stopped" in failed.reason
    assert notes.processes_of(newest(folder / "other")) == []


def test_nothing_is_done_in_a_rehearsal(folder: Path) -> None:
    patched = Maintained(folder, {"kind": "none"}).begin()
    patched.returned()
    assert not folder.exists()
    assert Maintained(folder, {"kind": "none"}, host=StandIn("vm1 run on it")).begin().failed().untouched is True


def test_guests_that_a_patch_in_place_ended_are_told_whoever_takes_it_up(folder: Path, log: Path) -> None:
    kept = StandIn(guests=("vm1", "vm2"), left=("vm1", "vm2"))
    Maintained(folder.with_name("kept"), slow(log, 0), host=kept).begin().returned()
    before, after = StandIn(guests=("vm1", "vm2")), StandIn(left=("vm1",))
    assert Maintained(folder, slow(log, 0), host=before).begin().failed().reason == "vm1, vm2 ran before"
    failed = Maintained(folder, slow(log, 0), host=after).adopt().failed()
    assert failed.reason == "vm2 ran before"
    assert failed.untouched is False


def test_a_command_outlives_its_agent_and_what_comes_of_it_is_taken_over(folder: Path, log: Path) -> None:
    with agent(folder, slow(log)) as running:
        until(lambda: lines(log) == ["begin"], "it begins")
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        patched = Maintained(folder, slow(log)).adopt()
        patched.returned()
    assert lines(log) == ["begin", "end"]
    assert patched.host.waited == 1


@pytest.mark.parametrize("code", [0, 4])
def test_what_ended_while_no_agent_was_there_is_not_done_again(folder: Path, log: Path, code: int) -> None:
    action = shell(f"echo begin >>{log}; sleep 0.5; echo the end >>{log}; exit {code}")
    with agent(folder, action) as running:
        until(lambda: lines(log)[:1] == ["begin"], "it begins")
        running.kill()
        running.wait()
    until(lambda: len(lines(log)) == 3, "it ends by itself")
    until(lambda: not notes.processes_of(newest(folder)), "its leader ends")
    patched = Maintained(folder, action).adopt()
    patched.returned() if code == 0 else patched.failed()
    assert len(lines(log)) == 3


def test_ctrl_c_at_the_agent_does_not_reach_the_command(folder: Path, log: Path) -> None:
    with agent(folder, slow(log)) as running:
        until(lambda: lines(log) == ["begin"], "it begins")
        os.killpg(running.pid, signal.SIGINT)
        running.wait()
        until(lambda: lines(log) == ["begin", "end"], "it ends by itself")


def test_a_command_that_was_killed_with_its_agent_is_begun_again_once_the_host_is_back(folder: Path, log: Path) -> None:
    with agent(folder, slow(log)) as running:
        until(lambda: lines(log) == ["begin"] and newest(folder).process, "it begins")
        running.kill()
        running.wait()
        kill_session(newest(folder))
    patched = Maintained(folder, slow(log)).adopt()
    patched.returned()
    assert lines(log) == ["begin", "begin", "end"]
    assert patched.host.waited == 2


def test_a_command_whose_leader_was_killed_is_waited_for_before_it_is_begun_again(folder: Path, log: Path) -> None:
    with agent(folder, slow(log)) as running:
        until(lambda: lines(log) == ["begin"] and newest(folder).process, "it begins")
        running.kill()
        running.wait()
        os.kill(newest(folder).process, signal.SIGKILL)
    Maintained(folder, slow(log)).adopt().returned()
    assert lines(log) == ["begin", "end", "begin", "end"], "never twice at once"


def test_a_command_that_is_killed_while_its_agent_lives_has_failed(folder: Path, log: Path) -> None:
    patched = Maintained(folder, slow(log, 30)).begin()
    until(lambda: lines(log) == ["begin"] and newest(folder).process, "it begins")
    kill_session(newest(folder))
    failed = patched.failed()
    assert "was killed from outside" in failed.reason
    assert failed.untouched is False


def test_two_agents_of_a_host_begin_a_command_once(folder: Path, log: Path) -> None:
    both = [Maintained(folder, slow(log, 0.5)).begin() for _ in range(2)]
    for patched in both:
        patched.returned()
    assert lines(log) == ["begin", "end"]


def test_another_patch_of_the_host_waits_for_the_one_that_goes_on(folder: Path, log: Path) -> None:
    first = Maintained(folder, slow(log)).begin()
    until(lambda: lines(log) == ["begin"], "it begins")
    second = Maintained(folder, slow(log))
    second.runner._key = "another campaign's"
    second.begin()
    first.returned()
    second.returned()
    assert lines(log) == ["begin", "end", "begin", "end"]


def test_a_result_of_another_patch_counts_for_nothing(folder: Path, log: Path) -> None:
    Maintained(folder, slow(log, 0)).begin().returned()
    later = Maintained(folder, slow(log, 0))
    later.runner._key = "another campaign's"
    later.begin().returned()
    assert len(lines(log)) == 4


def test_hosts_are_patched_side_by_side_whatever_they_are_called(folder: Path, log: Path) -> None:
    names = ["../../h1", "h1", "-h", "h 2", "ö"]
    all_of_them = [Maintained(folder, slow(log, 1.0), name=name).begin() for name in names]
    until(lambda: lines(log) == ["begin"] * len(names), "all have begun before the first ends")
    for patched in all_of_them:
        patched.returned()
    assert {file.parent for file in folder.rglob("*")} == {folder}


def test_an_agent_that_cannot_go_on_says_so(folder: Path, log: Path) -> None:
    folder.mkdir(mode=0o700)
    patched = Maintained(folder, slow(log))
    patched.runner._notes.base.with_name(f"{patched.runner._notes.base.name}.said").mkdir()
    failed = patched.begin().failed()
    assert "the agent cannot go on with it" in failed.reason
    assert lines(log) == []


def test_notes_that_others_could_have_written_are_not_believed(folder: Path, log: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    failed = Maintained(folder, slow(log)).begin().failed()
    assert failed.untouched is True
    assert "not a folder that only this user may read and write" in failed.reason
    assert "SLACKTIDE_NOTES" in failed.reason
    assert lines(log) == []
