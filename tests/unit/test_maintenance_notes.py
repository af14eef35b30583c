"""Notes of maintenance: whose processes they are, who may hold the lock, what is filled in and what is hidden."""

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from slacktide.errors import DriverError, OutputError
from slacktide.executors.maintenance.filling import Secrets, Target, address, as_text, at, everywhere, filled, referred
from slacktide.executors.maintenance.notes import (
    Ending,
    HostNotes,
    Note,
    notes_folder,
    process_began,
    processes_of,
)
from slacktide.executors.maintenance.starting import Prepared, start
from slacktide.ids import HostId

TARGET = Target(HostId("h/1"), "6.1 rt")


@pytest.fixture
def notes(tmp_path: Path) -> HostNotes:
    return HostNotes(tmp_path / "notes", HostId("h1"))


def test_processes_are_those_of_the_session_and_not_another_of_its_number(notes: HostNotes) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        note = Note("key", 1, 1, 0.0, process.pid, process_began(process.pid))
        assert processes_of(note) == [process.pid]
        assert processes_of(replace(note, process_began="1")) == []
        process.communicate(b"")
    assert processes_of(note) == []
    assert processes_of(replace(note, process=None)) == []
    assert process_began(process.pid) is None


def test_a_note_reads_back_and_a_damaged_one_is_none(notes: HostNotes) -> None:
    note = Note("key", 2, 1, 5.5, os.getpid(), "77", stopped=True)
    with notes.lock():
        notes.write(note)
    assert notes.read() == note
    notes.base.with_name(f"{notes.base.name}.json").write_text('{"key": "key"}')
    assert notes.read() is None


def test_a_try_has_the_lock_for_as_long_as_it_runs_and_leaves_its_ending(notes: HostNotes, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with notes.lock() as lock:
        assert lock is not None
        running = start(Prepared(["sh", "-c", f"cat {fifo}; exit 7"]), notes, lock)
    with notes.lock() as lock:
        assert lock is None
    assert notes.ending() is None
    fifo.write_text("last words")
    running.wait()
    with notes.lock() as lock:
        assert lock is not None
    assert notes.ending() == Ending(7, "last words")


def test_what_a_try_is_given_is_for_its_owner_alone_and_goes_with_it(notes: HostNotes) -> None:
    with notes.lock() as lock:
        assert lock is not None
        notes.hand(b"secret")
        assert not stat.S_IMODE(notes.handed.parent.stat().st_mode) & 0o077
        start(Prepared(["true"]), notes, lock).wait()
    assert notes.ending() == Ending(0, "")
    assert not notes.handed.exists()


def test_a_folder_that_is_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with (
            pytest.raises(OutputError, match="notes of maintenance cannot be kept"),
            HostNotes(tmp_path / name, HostId("h")).lock(),
        ):
            pass


def test_the_environment_names_the_folder(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLACKTIDE_NOTES", str(tmp_path))
    assert notes_folder() == tmp_path
    monkeypatch.delenv("SLACKTIDE_NOTES")
    assert notes_folder().name == f"slacktide-{os.getuid()}-maintenance"


def test_texts_are_filled_in_and_other_braces_stay() -> None:
    assert filled('{"of": "{host}", "to": "{patch_level}"}', TARGET) == '{"of": "h/1", "to": "6.1 rt"}'
    assert address("http://x/{host}?v={patch_level}&t=${T}", TARGET, {"T": "a/b"}) == "http://x/h%2F1?v=6.1%20rt&t=a/b"
    assert everywhere({"a": ["{host}", 1, None, {"b": "${T}"}]}, TARGET, {"T": "t"}) == {
        "a": ["h/1", 1, None, {"b": "t"}]
    }


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(DriverError, match="environment variable NO_SUCH: is not set"):
        everywhere("${NO_SUCH}", TARGET, {})


def test_secrets_are_hidden_as_they_are_and_as_an_address_has_them() -> None:
    data = {"headers": {"A": "${TOKEN}"}, "url": "${SHORT}"}
    assert referred(data) == ("SHORT", "TOKEN")
    known = Secrets(data, {"TOKEN": "s3cr/t", "SHORT": "on"})
    assert known.hidden("s3cr/t s3cr%2Ft gone on") == "*** *** gone on"
    page = f"<html><title>{'x' * 70} s3cr&#47;t</title>"
    assert known.answer_words(page) == f"a page, {'x' * 70} ***"
    assert known.last_words("gone " + "x" * 400 + "s3cr/t").endswith("x***")


def test_fields_are_found_by_names_and_numbers() -> None:
    data = {"a": [{"b": True}], "c": {"0": "x"}}
    assert as_text(at(data, "a.0.b")) == "true"
    assert as_text(at(data, "c.0")) == "x"
    for field in ("a.1", "a.b", "c.d", "a.0.b.c"):
        with pytest.raises(KeyError):
            at(data, field)
