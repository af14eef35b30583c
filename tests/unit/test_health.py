"""What pauses a campaign by itself: budgets by hand, signals against real commands and real servers."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from campaigns import program_of
from story import drained_to

from slacktide.errors import InputError, UsageError
from slacktide.executors import control_events, events
from slacktide.executors.campaign_state import HostStage, initial_state
from slacktide.executors.events import Stage
from slacktide.executors.health.budgets import exceeded
from slacktide.executors.health.files import read_health
from slacktide.executors.health.guard import Guard
from slacktide.executors.health.settings import Budgets, Health, PrometheusCheck
from slacktide.executors.health.watching import looked


@pytest.fixture
def ended():
    """Return a state in which 200 live migrations were done by 100 s, with blackouts of 1 to 200 ms."""
    state = initial_state(program_of("urgent"))
    live = np.flatnonzero(~state.program.migrations.restarts)[:200]
    state.stage[live] = Stage.DONE
    state.times[live, Stage.DONE] = 100.0
    state.blackout_ms[live] = np.arange(1.0, 201.0)
    return state


def test_blackouts_over_their_budget_are_found(ended) -> None:
    assert exceeded(ended, Budgets(blackout_p99_ms=198)) is None
    found = exceeded(ended, Budgets(blackout_p99_ms=190))
    assert found.name == "blackout_p99_ms"
    assert found.why == "p99 of 200 blackouts is 198\u202fms, above 190\u202fms"
    assert exceeded(ended, Budgets(blackout_p99_ms=190, least=201)) is None, "too few to tell"
    assert exceeded(ended, Budgets(blackout_max_ms=199.5, least=201)).name == "blackout_max_ms"


def test_restarts_are_no_blackouts(ended) -> None:
    restart = np.flatnonzero(ended.program.migrations.restarts)[0]
    ended.stage[restart], ended.times[restart, Stage.DONE], ended.blackout_ms[restart] = Stage.DONE, 100, 60_000
    assert exceeded(ended, Budgets(blackout_max_ms=300)) is None


def test_failures_over_their_budget_are_found(ended) -> None:
    ended.failed_attempts = {int(Stage.BROWNOUT): 2, int(Stage.CONNECTED): 1}
    assert exceeded(ended, Budgets(failed_migrations="2%")) is None
    why = exceeded(ended, Budgets(failed_migrations="1%")).why
    assert why == "3 of 203 attempts to migrate failed (1.5\u202f%), more than 1%"
    assert exceeded(ended, Budgets(failed_migrations=2)).name == "failed_migrations"
    ended.uncounted[0] = 1
    assert exceeded(ended, Budgets(failed_migrations=2)) is None, "one was stopped by a pause"


def test_lost_hosts_over_their_budget_are_found(ended) -> None:
    ended.host_stage[:2] = HostStage.LOST
    assert exceeded(ended, Budgets(lost_hosts=2)) is None
    assert exceeded(ended, Budgets(lost_hosts=1)).name == "lost_hosts"


def test_budgets_are_counted_anew_once_a_person_lets_the_campaign_go_on(ended) -> None:
    ended.failed_attempts, ended.host_stage[:2] = {int(Stage.BROWNOUT): 9}, HostStage.LOST
    budgets = Budgets(blackout_max_ms=10, failed_migrations=3, lost_hosts=0)
    assert exceeded(ended, budgets) is not None
    ended.judged_from_s, ended.failures_before, ended.lost_before = 101, 9, 2
    assert exceeded(ended, budgets) is None


def test_a_guard_pauses_once_and_leaves_a_person_s_word_alone() -> None:
    story = drained_to(program_of_six())
    guard = Guard(Health(budgets=Budgets(failed_migrations=0)))
    failed = events.MigrationFailed(80, "m1", 1, "connected", "no route", retryable=True)
    story.happens(failed)
    assert guard.is_due([failed])
    (paused,) = guard.judge(story.state, 81)
    assert (paused.by, paused.order, paused.cancel) == ("the budget failed_migrations", 0, False)
    story.happens(paused)
    assert guard.judge(story.state, 82) == []
    story.happens(control_events.CampaignContinued(90, 1, "ada", "known"))
    assert guard.judge(story.state, 91) == []


def program_of_six():
    from small_fleet import small_fleet, small_plan

    from slacktide.executors.program import build_program

    return build_program(small_fleet(), small_plan())


def health_of(tmp_path, text: str) -> Health:
    file = tmp_path / "health.yaml"
    file.write_text(text)
    return read_health(file)


def test_a_campaign_does_not_begin_while_a_signal_is_not_well(tmp_path) -> None:
    guard = Guard(health_of(tmp_path, "signals: [{name: door, check: {kind: command, command: 'false'}}]"))
    try:
        assert guard.is_due([])
        changed, paused = guard.judge(initial_state(program_of_six()), 0)
        assert (changed.name, changed.healthy, paused.by) == ("door", False, "the signal door")
    finally:
        guard.close()


class Prometheus(BaseHTTPRequestHandler):
    """Answers instant queries in Prometheus' format: the query says with what."""

    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query)["query"][0]
        if query == "wrong(":
            told = {"status": "error", "errorType": "bad_data", "error": "parse error"}
        elif query == "scalar":
            told = {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "7"]}}
        else:
            samples = [{"metric": {}, "value": [1.0, value]} for value in query.split(",") if value]
            told = {"status": "success", "data": {"resultType": "vector", "result": samples}}
        body = json.dumps(told).encode()
        self.send_response(400 if told["status"] == "error" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def prometheus():
    server = HTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("query", "bounds", "says"),
    [
        ("1,2", {"below": 3}, None),
        ("1,4", {"below": 3}, "1,4 is 4, not below 3"),
        ("1,4", {"above": 2}, "1,4 is 1, not above 2"),
        ("NaN", {"below": 3}, "NaN is nan, not below 3"),
        ("scalar", {"above": 6, "below": 8}, None),
        (",", {"above": 0}, "the query has no value"),
        ("wrong(", {"above": 0}, "the query was refused: parse error"),
    ],
)
def test_a_query_is_within_its_bounds_or_says_why_not(prometheus, query, bounds, says) -> None:
    assert looked(PrometheusCheck(kind="prometheus", url=prometheus, query=query, **bounds)) == says


def test_a_server_that_does_not_answer_is_not_well(prometheus) -> None:
    check = PrometheusCheck(kind="prometheus", url="http://127.0.0.1:1", query="up", above=0)
    assert looked(check).startswith("there is no answer")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("budgets: {blackout_p99: 3}", "`budgets.blackout_p99` in line 1 is not a field here"),
        ("budgets: {failed_migrations: often}", "expected a count such as 3 or a share"),
        ("signals: [{name: a, check: {kind: ping}}]", "has no `kind` that there is"),
        ("signals: [{name: a, check: {kind: prometheus, url: 'http://h', query: up}}]", "a query needs a bound"),
        ("signals: [{name: a, check: {kind: tcp, port: 1}}, {name: a, check: {kind: tcp, port: 2}}]", "called a"),
    ],
)
def test_wrong_files_name_the_field_and_the_remedy(tmp_path, text, says) -> None:
    with pytest.raises(InputError) as caught:
        health_of(tmp_path, text)
    assert any(says in finding.message for finding in caught.value.findings)
    assert all(finding.remedy for finding in caught.value.findings)


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path) -> None:
    with pytest.raises(UsageError):
        read_health(tmp_path / "none.yaml")


def test_a_field_that_is_misspelt_is_answered_with_the_nearest_or_all(tmp_path) -> None:
    path = tmp_path / "health.yaml"
    path.write_text("budgets: {blackout_p99: 500, colour: 1}\nsignal: []\n")
    with pytest.raises(InputError) as found:
        read_health(path)
    remedies = sorted(each.remedy for each in found.value.findings)
    assert remedies[:2] == ["Did you mean `blackout_p99_ms`?", "Did you mean `signals`?"]
    assert remedies[2].startswith("Fields here: blackout_p99_ms, blackout_max_ms")
