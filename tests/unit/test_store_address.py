"""Where a store is, and that a password is in nothing that is shown or kept."""

import json
import pickle
import stat
from pathlib import Path

import pytest
import sqlalchemy as sql
from campaigns import record_of
from postgresql import PASSWORD

from slacktide.errors import ExecutionError, InputError, UsageError
from slacktide.executors.campaign_file import CAMPAIGN_FILE, holds_campaign, kept_in, write_campaign_file
from slacktide.executors.journal import Journal
from slacktide.executors.store.address import Store, parse_store, store_in
from slacktide.executors.store.campaigns import list_campaigns
from slacktide.executors.store.upgrading import opening
from slacktide.service.http.problems import problem_of
from slacktide.service.jobs.carrying import error_of
from slacktide.service.stores import store_given

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _no_passwords_about(monkeypatch) -> None:
    for name in ("PGPASSWORD", "PGPASSFILE", "SLACKTIDE_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("postgresql://eva@db/night", "postgresql://eva@db/night"),
        (f"postgresql://eva:{SECRET}@db:5433/night", "postgresql://eva@db:5433/night"),
        (f"postgres://eva:{SECRET}@db/night", "postgresql://eva@db/night"),
        (f"postgresql+psycopg://eva:{SECRET}@db/night", "postgresql://eva@db/night"),
        (f"postgresql://db/night?user=eva&password={SECRET}", "postgresql://db/night?user=eva"),
        (
            f"postgresql://eva@db/night?sslmode=verify-full&sslpassword={SECRET}",
            "postgresql://eva@db/night?sslmode=verify-full",
        ),
    ],
)
def test_a_password_is_neither_shown_nor_kept(text, kept, tmp_path) -> None:
    store = parse_store(text)
    write_campaign_file(tmp_path, store, "c1")
    for said in (repr(store), str(store), f"{store}", store.shown, store.kept, (tmp_path / CAMPAIGN_FILE).read_text()):
        assert SECRET not in said
    assert store.kept == kept
    assert store.is_at(parse_store(kept))
    assert parse_store(store.kept).kept == kept
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert kept_in(tmp_path, store).store.url == store.url


def test_the_password_may_be_in_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert parse_store("postgresql://eva@db/night").url.password == SECRET
    assert parse_store("postgresql://eva:mine@db/night").url.password == "mine"
    assert parse_store("postgresql://eva@db/night?password=mine").url.password is None


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (f"mysql://eva:{SECRET}@db/night", "mysql:// is neither SQLite nor PostgreSQL"),
        (f"eva:{SECRET}@db/night", "is no URL of a database"),
        (f"postgresql://eva:{SECRET}@db", "names no database"),
        (f"postgresql://eva:{SECRET}@db:x{SECRET}/night", "cannot be read"),
        (f"postgresql://eva:1@2/{SECRET}@db/night", "cannot be read"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///night?mode=memory", "more than a file"),
    ],
)
def test_what_is_no_store_is_refused_and_not_repeated(text, fact) -> None:
    with pytest.raises(UsageError, match=fact) as refused:
        parse_store(text)
    assert SECRET not in str(refused.value)


def test_a_file_is_where_the_url_says(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_store("sqlite:///night.sqlite").path == tmp_path / "night.sqlite"
    assert parse_store(f"sqlite:///{tmp_path}/a/night.sqlite").path == tmp_path / "a" / "night.sqlite"
    assert store_in(tmp_path / "night.sqlite").shown == str(tmp_path / "night.sqlite")


def test_a_directory_that_is_moved_finds_the_journal_within(tmp_path) -> None:
    (tmp_path / "before").mkdir()
    write_campaign_file(tmp_path / "before", store_in(tmp_path / "before" / "journal.sqlite"), "c1")
    (tmp_path / "before").rename(tmp_path / "after")
    assert kept_in(tmp_path / "after") == (store_in(tmp_path / "after" / "journal.sqlite"), "c1")
    write_campaign_file(tmp_path / "after", store_in(tmp_path / "shared.sqlite"), "c1")
    assert kept_in(tmp_path / "after").store.path == tmp_path / "shared.sqlite"


def test_a_directory_of_an_older_release_has_a_journal_alone(tmp_path) -> None:
    assert kept_in(tmp_path) is None
    assert not holds_campaign(tmp_path)
    (tmp_path / "journal.sqlite").touch()
    assert kept_in(tmp_path) is None, "who made it was killed before there was a campaign in it"
    assert not holds_campaign(tmp_path)
    Journal.create(tmp_path / "journal.sqlite", record_of("c1")).close()
    assert kept_in(tmp_path) == (store_in(tmp_path / "journal.sqlite"), None)
    assert holds_campaign(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"format_version": 1}', '{"format_version": 1, "store": "mysql://db/night", "campaign": "c1"}'],
)
def test_a_damaged_note_is_an_error_with_a_remedy(tmp_path, content) -> None:
    (tmp_path / CAMPAIGN_FILE).write_text(content)
    with pytest.raises(InputError, match="is damaged"):
        kept_in(tmp_path)
    (tmp_path / CAMPAIGN_FILE).write_text(json.dumps({"format_version": 2, "store": "sqlite:///a", "campaign": "c"}))
    with pytest.raises(InputError, match="has format version 2"):
        kept_in(tmp_path)


def test_the_environment_names_the_store_of_new_campaigns(tmp_path, monkeypatch) -> None:
    assert store_given(None, tmp_path) is None
    monkeypatch.setenv("SLACKTIDE_STORE", f"postgresql://eva:{SECRET}@db/night")
    assert store_given(None, tmp_path).url.password == SECRET
    assert store_given("postgresql://eva@other/night", tmp_path).kept == "postgresql://eva@other/night"
    write_campaign_file(tmp_path, parse_store("postgresql://eva@db/night"), "c1")
    assert store_given(None, tmp_path).url.password == SECRET
    write_campaign_file(tmp_path, parse_store("postgresql://eva@other/night"), "c1")
    assert store_given(None, tmp_path) is None


def listed(store: Store) -> list:
    with opening(store, create=True) as connection:
        connection.close()
    return list_campaigns(store)


def assert_told_to_nobody(error: ExecutionError) -> None:
    """Assert that neither callers of a server nor those who look at its jobs learn where its store is."""
    problem, _ = problem_of(error, "4f1c2a9b0d3e5f67")
    assert (problem.status, problem.type) == (409, "urn:slacktide:problem:conflict")
    for told in (problem.model_dump_json(), str(error_of(error))):
        assert "slacktide@" not in told
        assert "127.0.0.1" not in told


def test_a_server_that_asks_for_a_password_gets_it_from_where_libpq_looks(postgresql, tmp_path, monkeypatch) -> None:
    database = postgresql.new_database()
    with_password = parse_store(postgresql.url(database, password=True))
    without = parse_store(with_password.kept)
    assert listed(with_password) == []
    for wrong in (None, "wrong"):
        with pytest.raises(ExecutionError, match="refuses the user") as refused:
            list_campaigns(without if wrong is None else Store(without.url.set(password=wrong)))
        assert PASSWORD not in str(refused.value)
        assert not refused.value.retryable
        assert_told_to_nobody(refused.value)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        assert list_campaigns(parse_store(with_password.kept)) == []
    passwords = tmp_path / "pgpass"
    escaped = PASSWORD.replace(":", "\\:")
    passwords.write_text(f"127.0.0.1:{postgresql.port}:{database}:slacktide:{escaped}\n")
    passwords.chmod(stat.S_IRUSR | stat.S_IWUSR)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert list_campaigns(without) == []


def test_a_server_that_is_not_there_and_a_database_that_is_not(postgresql) -> None:
    there = parse_store(postgresql.url("nowhere"))
    with pytest.raises(ExecutionError, match="there is no such database") as gone:
        list_campaigns(there)
    assert not gone.value.retryable
    assert_told_to_nobody(gone.value)
    with pytest.raises(ExecutionError, match="is no journal") as empty:
        list_campaigns(parse_store(postgresql.url(postgresql.new_database())))
    assert_told_to_nobody(empty.value)
    with pytest.raises(ExecutionError, match="does not answer") as away:
        list_campaigns(parse_store("postgresql://slacktide@127.0.0.1:9/night"))
    assert away.value.retryable


@pytest.mark.parametrize("options", ["sslmode=nonsense", "nonsense=1"])
def test_a_url_that_cannot_be_followed_is_not_waited_for(options: str) -> None:
    with pytest.raises(ExecutionError, match="cannot be reached so") as wrong:
        list_campaigns(parse_store(f"postgresql://slacktide@127.0.0.1:9/night?{options}"))
    assert not wrong.value.retryable


def test_who_may_not_make_tables_is_told_so(postgresql) -> None:
    database = postgresql.new_database()
    postgresql.execute(database, "CREATE ROLE guest LOGIN")
    url = sql.make_url(postgresql.url(database)).set(username="guest")
    with pytest.raises(ExecutionError, match="refuses the user: permission denied for schema public") as refused:
        listed(parse_store(url.render_as_string(hide_password=False)))
    assert not refused.value.retryable
    postgresql.execute(database, "DROP ROLE guest")


def test_what_is_kept_is_readable(tmp_path: Path) -> None:
    write_campaign_file(tmp_path, parse_store("postgresql://eva@db/night"), "c1")
    assert json.loads((tmp_path / CAMPAIGN_FILE).read_text()) == {
        "format_version": 1,
        "store": "postgresql://eva@db/night",
        "campaign": "c1",
    }


def test_an_empty_url_is_said_to_be_empty() -> None:
    with pytest.raises(UsageError, match="its URL is empty"):
        parse_store(" ")
