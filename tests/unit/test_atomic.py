"""Writing whole or not at all."""

from pathlib import Path

import pytest

from slacktide import atomic
from slacktide.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def full_disk(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_directory_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    atomic.write_directory(path, {"a": b"1", "b": b"2"})
    atomic.write_directory(path, {"a": b"3"}, known=("b",))
    assert names(tmp_path) == ["plan"]
    assert names(path) == ["a"]
    assert (path / "a").read_bytes() == b"3"


def test_a_directory_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        atomic.write_directory(tmp_path, {"a": b"1"})
    assert names(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        atomic.write_directory(tmp_path / "plan", {"a": b"1"})


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.write_directory(tmp_path / "plan", {"a": b"old"})
    atomic.write_file(tmp_path / "policy.json", b"old")
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        atomic.write_directory(tmp_path / "plan", {"a": b"new"})
    with pytest.raises(OutputError, match="No space left on device"):
        atomic.write_file(tmp_path / "policy.json", b"new")
    assert names(tmp_path) == ["plan", "policy.json"]
    assert (tmp_path / "plan" / "a").read_bytes() == b"old"
    assert (tmp_path / "policy.json").read_bytes() == b"old"


def test_a_failed_exchange_puts_the_old_directory_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan"
    atomic.write_directory(path, {"a": b"old"})
    rename = Path.rename
    calls = 0

    def second_fails(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2:
            full_disk()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(OutputError):
        atomic.write_directory(path, {"a": b"new"})
    assert names(tmp_path) == ["plan"]
    assert (path / "a").read_bytes() == b"old"


def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        atomic.write_file(tmp_path / "missing" / "policy.json", b"")
    with pytest.raises(OutputError, match="No such file"):
        atomic.write_directory(tmp_path / "missing" / "plan", {"a": b""})
    assert names(tmp_path) == []


def test_a_staged_directory_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "front"
    with atomic.staged_directory(path) as folder:
        (folder / "plans").mkdir()
        (folder / "plans" / "a").write_text("1")
        assert not path.exists()
    with atomic.staged_directory(path, known=("plans",)) as folder:
        (folder / "front.json").write_text("2")
    assert names(path) == ["front.json"]
    assert names(tmp_path) == ["front"]


def test_a_staged_directory_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "front"
    atomic.write_directory(path, {"a": b"old"})

    def interrupted() -> None:
        with atomic.staged_directory(path, known=("a",)) as folder:
            (folder / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(OutputError, match="such as a"):
        atomic.staged_directory(path).__enter__()
    assert (path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["front"]
