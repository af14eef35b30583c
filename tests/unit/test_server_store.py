"""The server's tables: made by migrations in both databases, beside the campaigns' own."""

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from slacktide.errors import ExecutionError, UsageError
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.service.store.answers import Answer, Claim, claim_key, keep_answer, release_key, tell_under_way
from slacktide.service.store.audit import Call, audit_entries, begin_call, end_call
from slacktide.service.store.database import Database, open_database
from slacktide.service.store.inventory import add_fleet, add_plan, find_fleet, find_plan, list_fleets, list_plans
from slacktide.service.store.jobs import (
    MOST_TRIES,
    add_job,
    begin_job,
    cancel_job,
    claim_silent,
    end_job,
    find_job,
    tell_progress,
)
from slacktide.service.store.runs import (
    Run,
    RunState,
    add_run,
    change_run,
    claim_due,
    find_run,
    list_runs,
    run_of_job,
    want_run,
)
from slacktide.service.store.schema import ANSWERS, JOBS, METADATA, VERSION_TABLE
from slacktide.service.store.tokens import create_token, find_token, list_tokens


def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
    return kind != "table" or str(name).startswith("server_")


def test_migrations_make_the_tables_that_the_code_knows(store) -> None:
    database = open_database(store)
    options = {"include_object": ours, "version_table": VERSION_TABLE}
    with database.reading() as transaction:
        assert compare_metadata(MigrationContext.configure(transaction, opts=options), METADATA) == []
    assert list_campaigns(store) == []
    database.close()
    open_database(store).close()


def test_what_is_kept_is_read_again(store) -> None:
    database = open_database(store)
    token, text = create_token(database, "eva", "operator", "me", 60)
    assert find_token(database, text) == token
    assert list_tokens(database) == [token]
    number = begin_call(database, Call("eva", "operator", "192.0.2.7", "create-plan", "POST", "/v1/plans", "k", "r"))
    end_call(database, number, 202, None)
    (entry,) = audit_entries(database, 0, 10, "eva", "create-plan")
    assert (entry.number, entry.status, entry.idempotency_key) == (number, 202, "k")
    assert audit_entries(database, number, 10, None, None) == []
    assert add_fleet(database, "f1", "eva", {"hosts": 6}, [])
    assert not add_fleet(database, "f1", "jan", {"hosts": 6}, [])
    assert [fleet.created_by for fleet in list_fleets(database, "", 10)] == ["eva"]
    assert add_plan(database, "p1", "f1", "eva", {"id": "p1"})
    assert find_plan(database, "p1") == list_plans(database, "", 10, "f1")[0]
    assert list_plans(database, "", 10, "f2") == []
    database.close()


def test_a_key_is_taken_once(store) -> None:
    database = open_database(store)
    evas, jans = Claim("eva", "k", "r1"), Claim("jan", "k", "r4")
    assert claim_key(database, evas, "a") == "new"
    assert claim_key(database, Claim("eva", "k", "r2"), "a") == "under-way"
    assert claim_key(database, Claim("eva", "k", "r3"), "b") == "other-body"
    assert claim_key(database, jans, "b") == "new"
    keep_answer(database, evas, Answer(201, {"location": "/x"}, "{}"))
    assert claim_key(database, Claim("eva", "k", "r5"), "a") == Answer(201, {"location": "/x"}, "{}")
    release_key(database, jans)
    assert claim_key(database, Claim("jan", "k", "r6"), "c") == "new"
    database.close()


def test_a_key_is_free_again_once_its_replica_is_silent(store) -> None:
    database = open_database(store)
    gone, there = Claim("eva", "gone", "r1"), Claim("eva", "there", "r2")
    for claim in (gone, there):
        assert claim_key(database, claim, "a") == "new"
    with database.writing() as transaction:
        transaction.execute(ANSWERS.update().values(alive_at="2026-01-01T00:00:00.000Z"))
    tell_under_way(database, [there.request_id])
    assert claim_key(database, there._replace(request_id="r3"), "a") == "under-way"
    assert claim_key(database, gone._replace(request_id="r4"), "b") == "new"
    keep_answer(database, gone, Answer(201, {}, "{}"))
    release_key(database, gone)
    assert claim_key(database, gone._replace(request_id="r5"), "b") == "under-way", "it is the second call's"
    database.close()


def silence(database: Database, job_id: str) -> None:
    with database.writing() as transaction:
        transaction.execute(JOBS.update().where(JOBS.c.job_id == job_id).values(alive_at="2026-01-01T00:00:00.000Z"))


def test_a_job_that_falls_silent_is_begun_again_but_not_for_ever(store) -> None:
    database = open_database(store)
    job = add_job(database, "plan", "eva", {"fleet_id": "f1"})
    assert claim_silent(database) == []
    for number in range(1, MOST_TRIES + 1):
        begun = begin_job(database, job.job_id)
        assert begun is not None
        assert begun.tries == number
        assert begin_job(database, job.job_id) is None, "another has it"
        assert not tell_progress(database, job.job_id, 0.5, "planning", 3.0)
        silence(database, job.job_id)
        assert claim_silent(database) == ([job.job_id] if number < MOST_TRIES else [])
        assert claim_silent(database) == []
    failed = find_job(database, job.job_id)
    assert failed is not None
    assert failed.state == "failed"
    assert begin_job(database, job.job_id) is None
    database.close()


def test_a_job_is_cancelled_before_and_while_it_runs(store) -> None:
    database = open_database(store)
    waiting, running = (add_job(database, "plan", "eva", {}) for _ in range(2))
    begin_job(database, running.job_id)
    for job in (waiting, running):
        cancel_job(database, job.job_id)
    assert begin_job(database, waiting.job_id) is None
    assert tell_progress(database, running.job_id, None, "planning", None)
    end_job(database, running.job_id, "cancelled", {"plan_id": "p1"}, None)
    end_job(database, running.job_id, "failed", None, {"object": "job", "fact": "too late"})
    ended = find_job(database, running.job_id)
    assert ended is not None
    assert (ended.state, ended.result, ended.error) == ("cancelled", {"plan_id": "p1"}, None)
    database.close()


def test_a_wanted_campaign_is_looked_at_by_one_replica_at_a_time(store) -> None:
    database = open_database(store)
    run = Run(
        "c1", "f1", "p1", "2026-01-01T00:00:00.000Z", "eva", {"profile": None}, "proposed", None, 0, None, "j1", None
    )
    assert add_run(database, run)
    assert not add_run(database, run)
    assert not add_run(database, run._replace(campaign_id="c2")), "a job asks for one campaign"
    assert run_of_job(database, "j1") == run
    assert add_run(database, run._replace(campaign_id="c3", fleet_id="f3", job_id=None))
    assert add_run(database, run._replace(campaign_id="c4", fleet_id="f3", job_id=None, profile="lab"))
    assert claim_due(database, 60) == []
    assert want_run(database, "c1")
    assert not want_run(database, "c1")
    assert [each.campaign_id for each in claim_due(database, 60)] == ["c1"]
    assert claim_due(database, 60) == []
    change_run(database, "c1", state="failed", said="no room")
    found = find_run(database, "c1")
    assert found is not None
    assert (found.state, found.said) == ("failed", "no room")
    assert want_run(database, "c1")
    assert list_runs(database, "", 10, "f2") == []
    assert [each.said for each in list_runs(database, "", 10, "f1")] == [None]
    database.close()


def on_real_hosts(name: str, created_at: str = "2026-01-01T00:00:00.000Z", state: RunState = "proposed") -> Run:
    return Run(name, "f1", "p1", created_at, "eva", {"profile": "lab"}, state, None, 0, None, None, "lab")


def at_once(begin: Callable[[int], bool], many: int = 6) -> list[str]:
    """Have each of some threads begin a campaign at the same moment, and return what came of it, in order."""
    together, outcomes = threading.Barrier(many), []

    def one(number: int) -> None:
        together.wait()
        try:
            outcomes.append("begun" if begin(number) else "not begun")
        except ExecutionError as error:
            outcomes.append(str(error).replace(error.subject, "another"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(many)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sorted(outcomes)


def test_of_campaigns_begun_at_once_on_the_same_real_hosts_one_is(store) -> None:
    database = open_database(store)
    beside = "another: is carried out on the hosts of profile lab, and two would share their room and limits"
    asked = at_once(lambda number: add_run(database, on_real_hosts(f"a{number}", state="wanted")))
    assert [said.partition(". ")[0] for said in asked] == [beside] * 5 + ["begun"]
    (begun,) = list_runs(database, "", 10)
    assert not add_run(database, begun), "the same is there, not another"
    change_run(database, begun.campaign_id, state="ended")
    for number in range(6):
        assert add_run(database, on_real_hosts(f"b{number}"))
    started = at_once(lambda number: want_run(database, f"b{number}"))
    assert [said.partition(". ")[0] for said in started] == [beside] * 5 + ["begun"]
    assert [run.state for run in list_runs(database, "b", 10)].count("wanted") == 1
    assert add_run(database, on_real_hosts("c")._replace(profile="prod", state="wanted"))
    assert add_run(database, on_real_hosts("d")._replace(profile=None, state="wanted"))
    assert add_run(database, on_real_hosts("e")._replace(profile=None, state="wanted"))
    database.close()


def test_a_server_of_before_with_several_keeps_the_oldest(store) -> None:
    database = open_database(store)
    with database.writing() as transaction:
        transaction.execute(sql.text("DROP INDEX ix_server_runs_wanted"))
        transaction.execute(sql.text("ALTER TABLE server_answers DROP COLUMN alive_at"))
        for name in ("asked", "why", "granted", "made"):
            transaction.execute(sql.text(f"ALTER TABLE server_audit DROP COLUMN {name}"))
        transaction.execute(sql.text(f"UPDATE {VERSION_TABLE} SET version_num = 's0001'"))
    days = {"c1": "2026-01-03", "c2": "2026-01-02", "c3": "2026-01-02", "c4": "2026-01-01"}
    for name, day in days.items():
        assert add_run(database, on_real_hosts(name, day, "ended" if name == "c4" else "wanted"))
    assert add_run(database, on_real_hosts("c5", "2026-01-04", "wanted")._replace(profile="prod"))
    database.close()
    database = open_database(store)
    states = {run.campaign_id: run.state for run in list_runs(database, "", 10)}
    assert states == {"c1": "proposed", "c2": "wanted", "c3": "proposed", "c4": "ended", "c5": "wanted"}
    with pytest.raises(ExecutionError, match="campaign c2: is carried out on the hosts of profile lab"):
        want_run(database, "c1")
    database.close()


def test_a_value_that_the_database_does_not_take_is_the_callers_fault(store) -> None:
    database = open_database(store)
    if store.is_file:
        assert find_fleet(database, "a\0b") is None
    else:
        with pytest.raises(UsageError, match="a value that no database takes"):
            find_fleet(database, "a\0b")
    database.close()
