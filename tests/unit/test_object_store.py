"""Fleets, plans and policies at URLs: fsspec's own store in memory, which is a store like all others."""

import re
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from small_fleet import small_fleet, small_plan

from slacktide.datasets.digest import digest
from slacktide.datasets.files import FILE_NAMES, META_FILE, read_snapshot, write_snapshot
from slacktide.errors import InputError, OutputError, UsageError
from slacktide.object_store import StoredPath, check_writable, path_at, steady, write_folder
from slacktide.planner.plan_files import HEADER_FILE, first_gate, read_plan, write_plan
from slacktide.planner.policy import PRESETS
from slacktide.planner.policy_files import read_policy, write_policy
from slacktide.service.destinations import check_directory, check_file, refuse_to_replace

NIGHT = StoredPath("memory://plans/night")


@pytest.fixture(autouse=True)
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """Have an empty store."""
    found = fsspec.filesystem("memory")
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]


def everything(store: fsspec.AbstractFileSystem) -> set[str]:
    return set(store.find("/"))


def test_a_url_is_told_from_a_path() -> None:
    assert path_at("plans/night") == Path("plans/night")
    assert path_at("file:///plans/one%20night") == Path("/plans/one night")
    assert path_at("s3://bucket/plans/night/") == StoredPath("s3://bucket/plans/night")
    assert str(path_at("s3://bucket/plans/night/")) == "s3://bucket/plans/night"
    night = StoredPath("s3://bucket/plans/night.yaml")
    assert (night.name, night.suffix, str(night.with_name("day"))) == ("night.yaml", ".yaml", "s3://bucket/plans/day")
    assert night.parents == (StoredPath("s3://bucket/plans"), StoredPath("s3://bucket"))
    assert path_at(night) is night


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="environment") as refused:
        path_at("sftp://night:heron@host/plan")
    assert "heron" not in str(refused.value)


def test_fleet_plan_and_policy_come_back_as_they_were(store: fsspec.AbstractFileSystem) -> None:
    fleet, plan, policy = StoredPath("memory://fleets/now"), small_plan(), StoredPath("memory://mine.yaml")
    for _ in range(2):
        write_snapshot(small_fleet(), fleet)
        write_plan(plan, NIGHT)
    assert digest(read_snapshot(fleet)) == digest(small_fleet())
    assert read_plan(NIGHT).header == plan.header
    assert first_gate(NIGHT) == plan.waves["gate"][0]
    assert fleet.names() == tuple(sorted(FILE_NAMES))
    write_policy(PRESETS["urgent"], StoredPath("memory://terms/mine.yaml"))
    assert read_policy(StoredPath("memory://terms/mine.yaml")) == PRESETS["urgent"]
    assert not any("partial" in name for name in everything(store))
    with pytest.raises(UsageError, match=r"memory://mine\.yaml: there is no such file"):
        read_policy(policy)


def test_what_is_not_there_is_told_by_its_url() -> None:
    with pytest.raises(UsageError, match=r"memory://fleets/now: does not exist"):
        read_snapshot(StoredPath("memory://fleets/now"))
    with pytest.raises(UsageError, match=r"memory://plans/night: there is no such directory"):
        read_plan(NIGHT)
    with pytest.raises(UsageError, match=r"nosuch://bucket/fleet: no object store is known for nosuch://"):
        read_snapshot(StoredPath("nosuch://bucket/fleet"))


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match=r"gs://bucket/fleet: needs a package .* gcsfs"):
        read_snapshot(StoredPath("gs://bucket/fleet"))


def test_a_plan_without_its_header_is_none() -> None:
    """So is one whose writer ended before the last file, or whose replacement is under way."""
    write_plan(small_plan(), NIGHT)
    store, key = (NIGHT / HEADER_FILE).store()
    store.rm_file(key)
    with pytest.raises(InputError, match=r"plan\.json"):
        read_plan(NIGHT)


class _Full:
    """A store in which nothing can be written any more after some files."""

    def __init__(self, store: fsspec.AbstractFileSystem, patch: pytest.MonkeyPatch, verb: str) -> None:
        def full(*_args: object, **_kwargs: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(type(store), verb, full)


def test_a_plan_that_cannot_be_written_leaves_the_one_before(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(small_plan(), NIGHT)
    before = everything(store)
    with monkeypatch.context() as patch:
        _Full(store, patch, "pipe")
        with pytest.raises(OutputError, match=r"memory://plans/night: cannot be written: .*No space left"):
            write_plan(small_plan(), NIGHT)
    assert everything(store) == before
    assert read_plan(NIGHT).header == small_plan().header


def test_a_replacement_that_ends_half_way_leaves_no_plan_that_looks_whole(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(small_plan(), NIGHT)
    with monkeypatch.context() as patch:
        _Full(store, patch, "copy")
        with pytest.raises(OutputError, match=r"all of it is in memory://plans/\.night\.") as refused:
            write_plan(small_plan(), NIGHT)
    assert HEADER_FILE not in NIGHT.names()
    beside = StoredPath(re.search(r"memory://\S+\.partial", str(refused.value))[0])
    assert read_plan(beside).header == small_plan().header
    write_plan(small_plan(), NIGHT)
    assert read_plan(NIGHT).header == small_plan().header


def test_what_is_replaced_while_it_is_read_is_refused() -> None:
    fleet = StoredPath("memory://fleets/now")
    write_snapshot(small_fleet(), fleet)
    with (
        pytest.raises(InputError, match="memory://fleets/now: was replaced while it was read"),
        steady(fleet / META_FILE),
    ):
        write_snapshot(small_fleet(), fleet)


def test_files_of_others_are_refused(store: fsspec.AbstractFileSystem) -> None:
    store.pipe_file("/plans/night/thesis.tex", b"years of work")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        write_plan(small_plan(), NIGHT)
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        check_directory(NIGHT, ("plan.json",))
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        write_snapshot(small_fleet(), NIGHT)
    assert everything(store) == {"/plans/night/thesis.tex"}


def test_destinations_are_tried_before_the_work(
    store: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_directory(NIGHT, ("plan.json",))
    check_file(StoredPath("memory://plans/night.html"))
    assert everything(store) == set()
    with pytest.raises(UsageError, match="whole bucket"):
        check_writable(StoredPath("memory://plans"))
    with pytest.raises(UsageError, match="lies within"):
        refuse_to_replace(StoredPath("memory://fleets/now/plan"), StoredPath("memory://fleets/now"))
    refuse_to_replace(NIGHT, Path("plans/night"))
    with monkeypatch.context() as patch:
        _Full(store, patch, "pipe_file")
        with pytest.raises(OutputError, match="cannot be written"):
            check_directory(NIGHT, ("plan.json",))


def test_names_that_are_no_longer_written_go() -> None:
    write_folder(NIGHT, {"a": b"1", "b": b"2"}, (), "a")
    write_folder(NIGHT, {"a": b"3"}, ("b",), "a")
    assert NIGHT.names() == ("a",)
    assert (NIGHT / "a").read_bytes() == b"3"
