"""Commands that checks ask, as bad as they come: real processes."""

import os
import time
from pathlib import Path

import pytest

from slacktide.executors.maintenance.commands import TAIL_BYTES, Ended, asked

pytestmark = pytest.mark.integration


def script(folder: Path, text: str | bytes, mode: int = 0o755) -> list[str]:
    file = folder / "look"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return [str(file)]


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never comes about"
        time.sleep(0.01)


def test_a_command_that_ends_is_told_with_what_it_printed() -> None:
    assert asked(["sh", "-c", "echo good; echo bad >&2; exit 3"], {}, 10) == Ended(3, "good\n", "bad\n")
    assert asked(["sh", "-c", "echo $LEVEL; kill -9 $$"], {"LEVEL": "7"}, 10) == Ended(-9, "7\n", "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("exit 0\n", "cannot be started: Exec format error. Has it a first line such as #!/bin/sh?"),
        (b"\x7fELFgarbage", "cannot be started: Exec format error"),
        ("#!/nowhere/sh\n", "cannot be started: No such file or directory"),
    ],
)
def test_what_is_no_program_is_a_finding(tmp_path, content, says) -> None:
    assert says in asked(script(tmp_path, content), {}, 10)


def test_a_program_that_is_being_written_is_a_finding(tmp_path) -> None:
    words = script(tmp_path, Path("/bin/true").read_bytes())
    with Path(words[0]).open("ab"):
        assert asked(words, {}, 10) == f"{words[0]} cannot be started: Text file busy"
    assert asked(words, {}, 10) == Ended(0, "", "")


def test_a_program_that_is_not_there_is_a_finding(tmp_path) -> None:
    assert asked(["no-such-program"], {}, 10) == "there is no program no-such-program where the agent runs"
    words = script(tmp_path, "exit 0", 0o644)
    assert asked(words, {}, 10) == f"there is no program {words[0]} where the agent runs"
    assert asked(["true", "a\0b"], {}, 10) == "true cannot be started: embedded null byte"


@pytest.mark.parametrize("command", ["yes", "yes >&2", "trap '' TERM; while :; do sleep 1; done"])
def test_a_command_that_goes_on_is_killed_however_much_it_prints(command: str) -> None:
    assert asked(["sh", "-c", command], {}, 0.5) == "it did not end within 0.5 s"


def test_the_end_of_a_long_output_is_kept() -> None:
    ended = asked(["sh", "-c", "seq 200000; echo the last line"], {}, 20)
    assert isinstance(ended, Ended)
    assert len(ended.out) == TAIL_BYTES
    assert ended.out.endswith("200000\nthe last line\n")


@pytest.mark.parametrize(
    ("ends", "found"), [("exit 0", Ended(0, "begun\n", "")), ("sleep 60", "it did not end within 1 s")]
)
def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path, ends, found) -> None:
    """It is in another session, and holds the output open."""
    left = tmp_path / "left"
    background = f"setsid sh -c 'echo $$ >{left}.partial; mv {left}.partial {left}; exec sleep 60' &"
    begun = time.monotonic()
    assert asked(["sh", "-c", f"echo begun; {background} {ends}"], {}, 1) == found
    assert time.monotonic() - begun < 30, "it waited for the background"
    until(left.exists)
    process = int(left.read_text())
    assert not has_ended(process)
    os.kill(process, 9)
    until(lambda: has_ended(process))


def test_nothing_stays_open(tmp_path) -> None:
    asked(["true"], {}, 10)
    before = len(os.listdir("/proc/self/fd"))
    for words in (["true"], ["sleep", "60"], script(tmp_path, "x")):
        asked(words, {}, 0.2)
    assert len(os.listdir("/proc/self/fd")) == before
