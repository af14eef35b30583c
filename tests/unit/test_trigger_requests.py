"""What requests in files become: read, folded, changed, superseded, withdrawn."""

import json
import os
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_fleet import small_fleet
from triggers_at_hand import NOW, REQUESTS, Rows, request

from slacktide.errors import InputError
from slacktide.executors.triggers import requests_told
from slacktide.executors.triggers.request import MOST_BYTES, Due, read_request
from slacktide.executors.triggers.request_files import MOST_SAID, look, read_files, settled
from slacktide.executors.triggers.request_watch import RequestWatch
from slacktide.executors.triggers.settings import Requests
from slacktide.executors.triggers.trigger import OPEN, State


def seen(rows: Rows, asked, source: str = "a.yaml") -> None:
    rows.decide(partial(requests_told.seen, request=asked, source=source, terms=REQUESTS, now=NOW))


def gone(rows: Rows, *present: str, places: tuple[str, ...] = ("/r",)) -> None:
    rows.decide(partial(requests_told.gone, present=present, looked_into=places))


def test_a_request_is_read_with_all_that_it_may_say(tmp_path) -> None:
    file = tmp_path / "kernel.yaml"
    file.write_text(
        "id: kernel-6.1.119\npatch_level: 6.1.119-1\nmachine_types: [gen-1]\nexclude: [h9]\n"
        "reason: CVE-2026-1\nby: ada\nurgency: urgent\ndeadline: 2026-12-01T06:00:00+01:00\n"
    )
    read = read_request(file)
    assert (read.urgency, read.order, read.machine_types) == ("urgent", "version", ("gen-1",))
    assert read.deadline.utcoffset().total_seconds() == 3600
    same = tmp_path / "kernel.json"
    same.write_text(json.dumps(json.loads(read.model_dump_json(exclude_defaults=True))))
    assert read_request(same).digest == read.digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id: a\n", "`patch_level` is missing"),
        ("id: a\npatch_level: 1\nurgnecy: urgent\n", "`urgnecy` in line 3 is not a field here"),
        ("id: a b\npatch_level: '1'\n", "`id` in line 1"),
        ("id: a\npatch_level: '2'\norder: listed\nlevels: ['1']\n", "does not have `patch_level`"),
        ("id: a\npatch_level: '2'\nlevels: ['1', '2']\n", "is for `order: listed`"),
        ("id: a\npatch_level: '2'\nhosts: [h1]\nexclude: [h1]\n", "both names and excludes h1"),
        ("id: a\npatch_level: '2'\ndeadline: 2026-12-01T06:00:00\n", "timezone"),
        ("id: [", "while parsing"),
        ("", "the file is empty"),
    ],
)
def test_what_is_no_request_says_which_field_and_why(tmp_path, text, says) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_request(file)
    assert says in str(caught.value)


def test_hosts_below_the_level_are_due_and_only_those_that_are_named() -> None:
    fleet = small_fleet()
    levels = dict(
        zip(fleet.hosts["host_id"], ["6.1.90-1", "6.1.119-1", "6.1.120-1", "5.15.0-91", "x", "6.1.9"], strict=True)
    )
    fleet.hosts.replace_column(
        fleet.hosts.columns.index("patch_level"), fleet.hosts["host_id"].replace_strict(levels).alias("patch_level")
    )
    assert Due(patch_level="6.1.119-1").in_fleet(fleet) == ["h1", "h4", "h6"]
    assert Due(patch_level="6.1.119-1", order="other", exclude=("h5",)).in_fleet(fleet) == ["h1", "h3", "h4", "h6"]
    rack = fleet.hosts["rack_id"][0]
    of_rack = fleet.hosts.filter(fleet.hosts["rack_id"] == rack)["host_id"].to_list()
    both = [
        Due(patch_level="6.1.119-1", racks=(rack,)),
        Due.model_validate_json(
            json.dumps({"patch_level": "6.1.119-1", "domains": [{"kind": "rack", "id": rack}]}), strict=True
        ),
    ]
    for due in both:
        assert due.in_fleet(fleet) == [host for host in ("h1", "h4", "h6") if host in of_rack]
    assert Due(patch_level="1", hosts=("h1", "h77")).unknown(fleet) == ["h77"]


def test_the_same_request_is_one_however_often_and_wherever_it_is_seen() -> None:
    rows = Rows()
    for source in ("a.yaml", "a.yaml", "b.yaml", "b.yaml"):
        seen(rows, request(), source)
    assert rows.states == ["waits"]
    assert rows.rows[0].course.times == 2, "two files"
    rows.put(1, State.DONE)
    seen(rows, request())
    assert rows.states == ["done"]


def test_another_id_for_the_same_work_is_folded() -> None:
    rows = Rows()
    seen(rows, request("one"))
    seen(rows, request("two", reason="I ask as well"), "b.yaml")
    assert rows.states == ["waits", "folded"]
    assert rows.rows[1].into == 1


def test_a_newer_level_supersedes_what_has_not_begun_and_an_older_one_is_superseded() -> None:
    rows = Rows()
    seen(rows, request("old", "6.1.90-1"))
    seen(rows, request("other-hosts", "6.1.90-1", machine_types=["gen-2"]), "c.yaml")
    seen(rows, request("new", "6.1.119-1"), "b.yaml")
    assert rows.states == ["superseded", "waits", "waits"]
    assert rows.rows[0].into == 3
    seen(rows, request("late", "6.1.100-1"), "d.yaml")
    assert rows.states[3] == "superseded"
    assert rows.rows[3].into == 3


def test_what_waits_for_approval_is_asked_to_end_before_it_is_superseded() -> None:
    rows = Rows()
    seen(rows, request("old", "6.1.90-1"))
    rows.put(1, State.APPROVAL, campaign_id="c1")
    seen(rows, request("new", "6.1.119-1"), "b.yaml")
    assert rows.states == ["approval", "waits"]
    assert rows.rows[0].course.ending is State.SUPERSEDED
    assert [(change.asking.campaign_id, change.asking.kind) for change in rows.asked] == [("c1", "abort")]


def test_what_runs_is_not_superseded() -> None:
    rows = Rows()
    seen(rows, request("old", "6.1.90-1"))
    rows.put(1, State.RUNS)
    seen(rows, request("new", "6.1.119-1"), "b.yaml")
    assert rows.states == ["runs", "waits"]


def test_a_changed_file_changes_what_waits_and_follows_what_has_begun() -> None:
    rows = Rows()
    seen(rows, request())
    seen(rows, request(exclude=["h1"]))
    assert rows.states == ["waits"]
    assert rows.rows[0].asked.due.exclude == ("h1",)
    rows.put(1, State.RUNS, launched=True)
    seen(rows, request(exclude=["h2"]))
    assert rows.states == ["runs", "waits"]
    assert rows.rows[1].asked.due.exclude == ("h2",)


def test_a_removed_file_withdraws_what_has_not_begun_and_only_that() -> None:
    rows = Rows()
    seen(rows, request("a"), "/r/a.yaml")
    seen(rows, request("b", "5"), "/r/b.yaml")
    rows.put(2, State.RUNS)
    gone(rows, places=())
    assert rows.states == ["waits", "runs"], "the directory is away, and has removed nothing"
    gone(rows, "/r/a.yaml")
    assert rows.states == ["waits", "runs"], "the file cannot be read just now"
    gone(rows)
    assert rows.states == ["withdrawn", "runs"]
    seen(rows, request("a"), "/r/a.yaml")
    assert rows.states == ["withdrawn", "runs", "waits"], "it is back"


def test_a_file_that_cannot_be_understood_is_said_once_and_forgotten_once_it_can() -> None:
    rows = Rows()
    for digest in ("1", "1", "2"):
        rows.decide(partial(requests_told.refused, source="a.yaml", digest=digest, why=f"wrong {digest}", now=NOW))
    assert rows.states == ["refused"]
    assert rows.rows[0].detail == "wrong 2"
    seen(rows, request())
    assert rows.states == ["withdrawn", "waits"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["6.1.90-1", "6.1.119-1", "6.2-1"]),
            st.sampled_from(["", "x"]),
            st.sampled_from([None, State.APPROVAL, State.RUNS, State.DONE]),
        ),
        max_size=12,
    )
)
def test_of_whatever_comes_the_same_work_is_open_once_and_the_newest_level_is_kept(came) -> None:
    rows = Rows()
    for name, level, reason, then in came:
        seen(rows, request(name, level, reason=reason), f"{name}.yaml")
        if then is not None and rows.rows[-1].is_open:
            rows.put(len(rows.rows), then, campaign_id="c", launched=True)
    still = [each for each in rows.rows if each.state in OPEN and each.course.ending is None]
    works = [each.asked.work for each in still]
    assert len(works) == len(set(works))
    levels = {each.asked.due.patch_level for each in still if each.state in (State.WAITS, State.APPROVAL)}
    assert len(levels) <= 1, "of requests for the same hosts that have not begun only the newest level is left"
    assert all(each.into is not None for each in rows.rows if each.state in (State.FOLDED, State.SUPERSEDED))


# Files


def write(folder, name: str, *, level: str = "2", identity: str | None = None) -> None:
    (folder / name).write_text(f"id: {identity or name.partition('.')[0]}\npatch_level: '{level}'\n")


def decided(watch: RequestWatch, rows: Rows) -> None:
    """Decide on what a watch has, two at once, until there is nothing more without another look."""
    while True:
        decisions = watch.decisions(NOW, 2)
        for decision in decisions:
            rows.decide(decision)
        watch.done(len(decisions))
        if not watch.is_busy:
            return


def test_files_count_once_two_looks_agree(tmp_path) -> None:
    write(tmp_path, "a.yaml")
    (tmp_path / "README.md").write_text("no request")
    (tmp_path / ".b.yaml").write_text("half")
    first = look([tmp_path])
    assert [file.name for file in first.digests] == ["a.yaml"]
    write(tmp_path, "a.yaml", level="3")
    second = look([tmp_path])
    assert settled(first, second) == {}
    third = look([tmp_path])
    assert [each.patch_level for each in read_files(settled(second, third)).requests.values()] == ["3"]


def test_two_files_with_one_id_are_one_request_if_they_agree(tmp_path) -> None:
    write(tmp_path, "a.yaml", identity="k")
    write(tmp_path, "b.yaml", identity="k")
    write(tmp_path, "c.yaml", identity="k", level="9")
    found = read_files(look([tmp_path]).digests)
    assert [file.name for file in found.requests] == ["a.yaml"]
    assert [file.name for file, _ in found.copies] == ["b.yaml"]
    ((_, why),) = found.wrong.values()
    assert "its id k is that of" in why


def test_a_watched_directory_is_taken_away_filled_anew_and_emptied(tmp_path) -> None:
    folder = tmp_path / "requests"
    folder.mkdir()
    write(folder, "a.yaml")
    rows, watch = Rows(), RequestWatch(Requests(paths=(folder, tmp_path / "one.yaml")), 0)

    def looks(times: int = 3) -> list[str]:
        for _ in range(times):
            decided(watch, rows)
        return rows.states

    assert looks(1) == []
    assert looks() == ["waits"]
    folder.rename(tmp_path / "away")
    assert looks() == ["waits"]
    assert watch.away == (folder,)
    (tmp_path / "away").rename(folder)
    assert looks() == ["waits"]
    (folder / "a.yaml").unlink()
    assert looks(1) == ["waits"], "a checkout may be about to put it back"
    write(folder, "a.yaml")
    assert looks() == ["waits"]
    (folder / ".new").write_text("id: a\npatch_level: '3'\n")
    (folder / ".new").rename(folder / "a.yaml")
    assert looks() == ["waits"]
    assert rows.rows[0].asked.due.patch_level == "3"
    (folder / "a.yaml").write_text("id: a\npatch_lev")
    assert looks() == ["waits", "refused"]
    (folder / "a.yaml").unlink()
    assert looks() == ["withdrawn", "refused"]
    write(tmp_path, "one.yaml")
    assert looks() == ["withdrawn", "refused", "waits"]
    (tmp_path / "one.yaml").unlink()
    assert looks() == ["withdrawn", "refused", "withdrawn"]


def test_whatever_a_file_is_it_is_its_own_fault_alone(tmp_path) -> None:
    write(tmp_path, "right.yaml")
    (tmp_path / "date.yaml").write_text("2026-01-01: x\n")
    (tmp_path / "itself.yaml").write_text("id: a\npatch_level: &x [*x]\n")
    (tmp_path / "long.yaml").write_text("#" * (MOST_BYTES + 1))
    (tmp_path / "many.json").write_text(json.dumps({"id": "m", "levels": [1] * 60_000}))
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    (tmp_path / "nothing.yaml").symlink_to("nowhere")
    (tmp_path / "itself-too.yaml").symlink_to("itself-too.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / os.fsdecode(b"odd-\xff.yaml")).write_text("id: odd\npatch_level: '1'\n")
    rows, watch = Rows(), RequestWatch(Requests(paths=(tmp_path, tmp_path / "nothing.yaml")), 0)
    for _ in range(3):
        decided(watch, rows)
    assert watch.away == ()
    said = {each.source.rpartition("/")[2]: each.detail for each in rows.rows if each.state is State.REFUSED}
    assert {name: next(words for words in WRONG if words in detail) for name, detail in said.items()} == {
        "date.yaml": "a date in line 1 is no name of a field",
        "itself.yaml": "the value in line 2 holds itself",
        "long.yaml": "has more than 262,144 bytes",
        "many.json": "`levels.0`: Input should be a valid string",
        "pipe.yaml": "is no regular file",
        "endless.yaml": "is no regular file",
        "nothing.yaml": "is a link to nothing",
        "itself-too.yaml": "Too many levels of symbolic links",
        "odd-\\udcff.yaml": "its name has characters that cannot be printed",
    }
    assert [each.key for each in rows.rows if each.state is State.WAITS] == ["right"]
    assert all(len(detail) <= MOST_SAID + 1 for detail in said.values())


WRONG = (
    "a date in line 1 is no name of a field",
    "the value in line 2 holds itself",
    "has more than 262,144 bytes",
    "`levels.0`: Input should be a valid string",
    "is no regular file",
    "is a link to nothing",
    "Too many levels of symbolic links",
    "its name has characters that cannot be printed",
)


def test_what_was_not_decided_is_decided_later(tmp_path) -> None:
    write(tmp_path, "a.yaml")
    watch = RequestWatch(Requests(paths=(tmp_path,)), 0)
    assert watch.decisions(NOW, 9) == []
    assert watch.decisions(NOW, 9, lambda: True) == [], "there was no time to read it"
    assert watch.is_busy
    assert len(watch.decisions(NOW, 9)) == 2
    assert len(watch.decisions(NOW, 9)) == 2, "the store did not answer"
    watch.done(1)
    assert len(watch.decisions(NOW, 9)) == 1
    watch.done(1)
    assert not watch.is_busy
    assert watch.decisions(NOW, 9) == []


def test_a_file_removed_while_nobody_watched_is_noticed(tmp_path) -> None:
    rows = Rows()
    seen(rows, request("a"), str(tmp_path / "a.yaml"))
    watch = RequestWatch(Requests(paths=(tmp_path,)), 0)
    for _ in range(2):
        decided(watch, rows)
    assert rows.states == ["withdrawn"]
