"""Processes that the doctor asks in lines: what they say, and what becomes of those that do not answer."""

import os
import select
import signal

import pytest

from slacktide.errors import ExecutionError
from slacktide.executors.doctor.lines import Line

SAYS_3 = "read line; echo '{\"said\": 3}'"


def shell(words: str) -> Line:
    return Line("h1", ["sh", "-c", words])


def test_a_way_that_leads_nowhere_says_why_each_time_it_is_asked() -> None:
    line = shell("echo no route to host >&2; exit 1")
    for _ in range(2):
        with pytest.raises(ExecutionError, match="has ended; it said: no route to host"):
            line.ask("about")
    line.close()
    with pytest.raises(ExecutionError, match="no route to host"):
        line.ask("about")
    with pytest.raises(ExecutionError, match="cannot be run"):
        Line("h1", ["/nowhere/ssh", "h1"])


def test_what_the_way_there_prints_is_passed_over() -> None:
    line = shell(f"echo welcome; {SAYS_3}")
    assert line.ask("clock_ms") == 3
    line.close()
    with pytest.raises(ExecutionError, match="is asked no more"):
        line.ask("clock_ms")


def test_one_that_prints_without_end_is_given_up_in_time() -> None:
    with pytest.raises(ExecutionError, match="does not answer within 1 s"):
        Line("h1", ["timeout", "20", "yes"]).ask("about", limit_s=1)


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch) -> None:
    monkeypatch.setattr("slacktide.executors.doctor.lines.LONGEST_LINE", 2**20)
    with pytest.raises(ExecutionError, match="a line without an end"):
        Line("h1", ["timeout", "20", "cat", "/dev/zero"]).ask("about")


def test_an_answer_that_breaks_off_is_told() -> None:
    with pytest.raises(ExecutionError, match="no JSON"):
        shell("read line; echo '{\"said\": [1'").ask("about")


def test_one_that_complains_at_length_answers_all_the_same() -> None:
    line = shell(f"head -c 300000 /dev/zero | tr '\\0' x >&2; {SAYS_3}; echo at last >&2")
    assert line.ask("about", limit_s=20) == 3
    with pytest.raises(ExecutionError, match="xat last"):
        line.ask("about", limit_s=20)


def test_a_line_is_closed_though_others_go_on_that_it_has_started() -> None:
    """As a connection that ssh keeps open for others does, beside the complaints of the first."""
    line = shell("""setsid sh -c 'echo "{\\"said\\": $$}"; exec sleep 20 >/dev/null' & exec cat""")
    other = os.pidfd_open(line.ask("about"))
    try:
        line.close()
        assert not select.select([other], [], [], 0.5)[0], "it is still there"
    finally:
        signal.pidfd_send_signal(other, signal.SIGKILL)
        os.close(other)
