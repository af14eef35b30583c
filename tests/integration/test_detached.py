"""Commands that outlive whoever began them are known to run by the lock that they hold."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from slacktide.errors import OutputError
from slacktide.executors.detached import LOCK_FILE, begin, is_running, last_words

SPEAKS = [sys.executable, "-c", "import sys, time; print('error: the disk is full', flush=True); time.sleep(600)"]


def test_a_command_is_known_to_run_by_whoever_asks_until_it_ends(tmp_path) -> None:
    assert not is_running(tmp_path)
    assert begin(tmp_path, SPEAKS, os.environ)
    assert is_running(tmp_path)
    assert not begin(tmp_path, SPEAKS, os.environ), "one at a time"
    while "disk" not in last_words(tmp_path):
        time.sleep(0.02)
    assert last_words(tmp_path) == "the disk is full"
    child = int((tmp_path / LOCK_FILE).read_text())
    assert os.getsid(child) == child, "it has a session of its own"
    os.kill(child, signal.SIGKILL)
    while is_running(tmp_path):
        time.sleep(0.02)
    assert begin(tmp_path, ["true"], os.environ), "another may begin"


def test_it_is_nobodys_child(tmp_path) -> None:
    """Ray ends the children of its workers, and their children."""
    begin(tmp_path, SPEAKS, os.environ)
    while "disk" not in last_words(tmp_path):
        time.sleep(0.02)
    child = int((tmp_path / LOCK_FILE).read_text())
    status = (Path("/proc") / str(child) / "status").read_text()
    os.kill(child, signal.SIGKILL)
    assert f"PPid:\t{os.getpid()}\n" not in status


def test_a_program_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(OutputError, match="/nonexistent/slacktide: cannot be begun: no such program"):
        begin(tmp_path, ["/nonexistent/slacktide"], os.environ)
    assert not is_running(tmp_path)
