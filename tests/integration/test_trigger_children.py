"""Commands that outlive whoever began them are known to run by the lock that they hold."""

import os
import signal
import sys
import time

from slacktide.executors.triggers.children import LOCK_FILE, Children, last_words

SPEAKS = [sys.executable, "-c", "import sys, time; print('error: the disk is full', flush=True); time.sleep(600)"]


def test_a_child_is_known_to_run_by_whoever_asks_until_it_ends(tmp_path) -> None:
    begun, others = Children(os.environ), Children(os.environ)
    assert not others.is_running(tmp_path)
    assert begun.begin(tmp_path, SPEAKS)
    assert others.is_running(tmp_path)
    assert not others.begin(tmp_path, SPEAKS), "one at a time"
    while "disk" not in last_words(tmp_path):
        time.sleep(0.02)
    assert last_words(tmp_path) == "the disk is full"
    child = int((tmp_path / LOCK_FILE).read_text())
    assert os.getsid(child) == child, "it has a session of its own"
    os.kill(child, signal.SIGKILL)
    while others.is_running(tmp_path):
        time.sleep(0.02)
    assert not begun.is_running(tmp_path)
