"""Maintenance over HTTP, against a real server: answers of every kind, jobs, secrets, agents that are killed."""

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from maintained import HOST, LEVEL, Maintained, agent, kill_session, newest, until
from patch_servers import Answer, Asked, patch_server

pytestmark = pytest.mark.integration
SECRET = "s3cr3t-of-the-night"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def ends() -> threading.Event:
    """Lets answers of a hanging server go at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Answer one after the other, the last one for ever."""
    left = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda _: next(left)


def call(url: str, **more) -> dict:
    return {"kind": "http", "url": f"{url}/hosts/{{host}}/patch", **more}


def job(status: Callable[[], Answer], **headers: str) -> Callable[[Asked], Answer]:
    """Begin a job at a POST, and answer a GET with its status."""
    return lambda asked: Answer(202, {"job": {"id": "j 7"}}, headers) if asked.method == "POST" else status()


def test_a_call_has_what_its_action_says_and_no_secret_is_left(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATCH_TOKEN", SECRET)
    with patch_server(in_turn(Answer(200))) as server:
        action = call(
            server.url,
            method="PUT",
            headers={"Authorization": "Bearer ${PATCH_TOKEN}", "X-Host": "{host}"},
            json={"level": "{patch_level}", "of": ["{host}", 1], "token": "${PATCH_TOKEN}", "literal": "{braces}"},
        )
        Maintained(folder, action).begin().returned()
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PUT", f"/hosts/{HOST}/patch")
    assert asked.headers["Authorization"] == f"Bearer {SECRET}"
    assert asked.headers["X-Host"] == HOST
    assert asked.headers["Idempotency-Key"]
    assert asked.headers["Content-Type"] == "application/json"
    expected = f'{{"level": "{LEVEL}", "of": ["{HOST}", 1], "token": "{SECRET}", "literal": "{{braces}}"}}'
    assert asked.body == expected
    kept = [file.read_bytes() for file in folder.iterdir()]
    assert kept
    assert not any(SECRET.encode() in content for content in kept)


def test_a_host_is_encoded_in_an_address(folder: Path) -> None:
    with patch_server(in_turn(Answer(200))) as server:
        Maintained(folder, call(server.url), name="a/b?c").begin().returned()
    assert server.asked[0].path == "/hosts/a%2Fb%3Fc/patch"


def test_a_secret_that_an_answer_repeats_is_hidden(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATCH_TOKEN", SECRET)
    with patch_server(in_turn(Answer(401, f"no such token: {SECRET}"))) as server:
        action = call(server.url, headers={"Authorization": "Bearer ${PATCH_TOKEN}"}, retries=3, retry_after_s=0.05)
        failed = Maintained(folder, action).begin().failed()
    assert failed.untouched is True
    assert "answered with 401 and: no such token: ***" in failed.reason
    assert SECRET not in failed.reason
    assert len(server.asked) == 1, "no other try mends a call that is wrong"


@pytest.mark.parametrize("more", [270, 285, 295, 299])
def test_no_part_of_a_secret_is_left_where_an_answer_is_cut(folder: Path, monkeypatch, more: int) -> None:
    monkeypatch.setenv("PATCH_TOKEN", SECRET)
    with patch_server(in_turn(Answer(401, f"{SECRET}{'.' * more}"))) as server:
        action = call(server.url, headers={"Authorization": "Bearer ${PATCH_TOKEN}"})
        failed = Maintained(folder, action).begin().failed()
    assert "night" not in failed.reason
    assert f"and: {'***'[: 300 - more]}{'.' * more}" in failed.reason


def test_a_variable_that_is_not_set_is_named_and_nothing_is_called(folder: Path, monkeypatch) -> None:
    monkeypatch.delenv("PATCH_TOKEN", raising=False)
    with patch_server(in_turn(Answer(200))) as server:
        action = call(server.url, headers={"Authorization": "Bearer ${PATCH_TOKEN}"})
        failed = Maintained(folder, action).begin().failed()
    assert failed.untouched is True
    assert "environment variable PATCH_TOKEN: is not set" in failed.reason
    assert server.asked == []


def test_500_then_200_is_tried_again_as_another_call(folder: Path) -> None:
    with patch_server(in_turn(Answer(500, "database locked"), Answer(200))) as server:
        Maintained(folder, call(server.url, retries=1, retry_after_s=0.05)).begin().returned()
    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert len(keys) == len(set(keys)) == 2


def test_500_without_another_try_may_have_touched_the_host(folder: Path) -> None:
    with patch_server(in_turn(Answer(500, "database locked"))) as server:
        failed = Maintained(folder, call(server.url)).begin().failed()
    assert failed.untouched is False
    assert "answered with 500 and: database locked" in failed.reason


def test_a_connection_that_is_refused_has_touched_nothing(folder: Path) -> None:
    with patch_server(in_turn(Answer(200))) as server:
        url = server.url
    failed = Maintained(folder, call(url, retries=1, retry_after_s=0.05)).begin().failed()
    assert failed.untouched is True
    assert "cannot connect" in failed.reason
    assert "try 2" in failed.reason


def test_a_redirection_is_not_followed(folder: Path) -> None:
    with patch_server(in_turn(Answer(307, headers={"Location": "/elsewhere"}))) as server:
        failed = Maintained(folder, call(server.url)).begin().failed()
    assert failed.untouched is True
    assert "answered with 307" in failed.reason
    assert len(server.asked) == 1


def test_a_server_that_hangs_is_asked_for_the_same_once_more(folder: Path, ends: threading.Event) -> None:
    def hang(_: Asked) -> Answer:
        ends.wait(30)
        return Answer(200)

    with patch_server(hang) as server:
        action = call(server.url, answer_within_s=0.5, retries=1, retry_after_s=0.05)
        failed = Maintained(folder, action).begin().failed()
        ends.set()
    assert failed.untouched is False
    assert "had no answer within 0.5 s" in failed.reason
    first, second = (asked.headers["Idempotency-Key"] for asked in server.asked)
    assert first == second


def test_a_server_that_dribbles_is_stopped_when_its_time_is_over(
    folder: Path, ends: threading.Event, monkeypatch
) -> None:
    monkeypatch.setattr("slacktide.executors.maintenance.tries.GRACE_S", 0.2)

    def hang(_: Asked) -> Answer:
        ends.wait(30)
        return Answer(200)

    with patch_server(hang) as server:
        failed = Maintained(folder, call(server.url, answer_within_s=300, timeout_s=0.5)).begin().failed()
        ends.set()
    assert "took longer than 0.5 s and was stopped" in failed.reason


def test_a_job_is_polled_until_its_field_says_that_it_is_done(folder: Path) -> None:
    statuses = iter(["queued", "rebooting", "finished"])
    with patch_server(job(lambda: Answer(200, {"state": {"now": next(statuses)}}))) as server:
        poll = {
            "url": f"{server.url}/jobs/{{answer.job.id}}?host={{host}}",
            "field": "state.now",
            "done": ["finished"],
            "every_s": 0.05,
        }
        Maintained(folder, call(server.url, poll=poll)).begin().returned()
    assert [asked.path for asked in server.asked[1:]] == [f"/jobs/j%207?host={HOST}"] * 3
    assert len(server.calls()) == 1


def test_a_job_that_fails_is_told_with_its_message(folder: Path) -> None:
    answers = in_turn(Answer(503), Answer(200, "not yet JSON"), Answer(200, {"status": "error", "why": "no kernel"}))
    with patch_server(job(lambda: answers(None))) as server:
        poll = {
            "url": f"{server.url}/jobs/{{answer.job.id}}", "field": "status", "done": ["ok"], "failed": ["error"],
            "message": "why", "every_s": 0.05,
        }  # fmt: skip
        failed = Maintained(folder, call(server.url, poll=poll)).begin().failed()
    assert f"GET {server.url}/jobs/j%207 says that the job is error: no kernel" in failed.reason
    assert failed.untouched is False
    assert len(server.asked) == 4


def test_a_job_without_a_field_is_done_by_its_code_at_the_place_that_the_answer_names(folder: Path) -> None:
    codes = iter([202, 202, 200])
    with patch_server(job(lambda: Answer(next(codes)), Location="/jobs/9")) as server:
        Maintained(folder, call(server.url, poll={"url": "{location}", "every_s": 0.05})).begin().returned()
    assert [asked.path for asked in server.asked[1:]] == ["/jobs/9"] * 3


@pytest.mark.parametrize("header", [{}, {"Location": "http://192.0.2.1/jobs/9"}])
def test_a_place_that_is_missing_or_at_another_server_is_not_asked(folder: Path, header: dict[str, str]) -> None:
    with patch_server(job(lambda: Answer(200), **header)) as server:
        failed = Maintained(folder, call(server.url, poll={"url": "{location}"})).begin().failed()
    assert "another server" in failed.reason if header else "no Location" in failed.reason
    assert failed.untouched is False


def test_a_job_that_does_not_end_is_given_up_in_time_with_what_it_said_last(folder: Path) -> None:
    with patch_server(job(lambda: Answer(200, {"status": "thinking"}))) as server:
        poll = {"url": f"{server.url}/jobs/1", "field": "status", "done": ["ok"], "every_s": 0.1}
        failed = Maintained(folder, call(server.url, poll=poll, timeout_s=1.0)).begin().failed()
    assert "did not say in time that the job has ended, at last: thinking" in failed.reason


def test_a_job_is_watched_on_after_its_agent_and_its_watcher_were_killed_and_called_once(folder: Path) -> None:
    status = ["running"]
    with patch_server(job(lambda: Answer(200, {"status": status[0]}))) as server:
        poll = {"url": f"{server.url}/jobs/{{answer.job.id}}", "field": "status", "done": ["ok"], "every_s": 0.1}
        action = call(server.url, poll=poll)
        with agent(folder, action) as running:
            until(lambda: len(server.asked) > 2 and newest(folder).process, "the job is polled")
            running.kill()
            running.wait()
            kill_session(newest(folder))
        taken_up = Maintained(folder, action).adopt()
        polled = len(server.asked)
        until(lambda: len(server.asked) > polled + 1, "it is polled on")
        status[0] = "ok"
        taken_up.returned()
    assert len(server.calls()) == 1


def test_a_call_outlives_its_agent(folder: Path) -> None:
    def slow(_: Asked) -> Answer:
        time.sleep(1.0)
        return Answer(200)

    with patch_server(slow) as server:
        with agent(folder, call(server.url)) as running:
            until(lambda: server.asked, "it is called")
            running.kill()
            running.wait()
        Maintained(folder, call(server.url)).adopt().returned()
    assert len(server.asked) == server.most_at_once == 1


def test_a_call_that_was_killed_before_its_answer_is_repeated_by_the_same_key(folder: Path, ends) -> None:
    def first_hangs(_: Asked) -> Answer:
        if len(server.asked) == 1:
            ends.wait(30)
        return Answer(200)

    with patch_server(first_hangs) as server:
        with agent(folder, call(server.url)) as running:
            until(lambda: server.asked and newest(folder).process, "it is called")
            running.kill()
            running.wait()
            kill_session(newest(folder))
        Maintained(folder, call(server.url)).adopt().returned()
        ends.set()
    first, second = (asked.headers["Idempotency-Key"] for asked in server.asked)
    assert first == second


def test_hosts_have_keys_of_their_own(folder: Path) -> None:
    with patch_server(in_turn(Answer(200))) as server:
        for name in ("h1", "h2"):
            Maintained(folder, call(server.url), name=name).begin().returned()
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 2
