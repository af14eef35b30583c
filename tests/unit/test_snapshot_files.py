import dataclasses
import json
import os
from pathlib import Path

import polars as pl
import pytest

from slacktide.datasets.digest import digest
from slacktide.datasets.files import FILE_NAMES, check_snapshot, read_snapshot, write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.parquet import read_parquet
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.errors import InputError, OutputError, UsageError


@pytest.fixture(scope="module")
def fleet() -> FleetSnapshot:
    return generate_fleet(GeneratorSettings(hosts=90, hosts_per_rack=10, seed=3))


@pytest.fixture
def written(fleet: FleetSnapshot, tmp_path: Path) -> Path:
    write_snapshot(fleet, tmp_path / "fleet")
    return tmp_path / "fleet"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def the_finding(path: Path, rule: str) -> str:
    snapshot, findings = check_snapshot(path)
    assert snapshot is None
    assert [finding.rule for finding in findings] == [rule]
    assert findings[0].remedy
    with pytest.raises(InputError) as refused:
        read_snapshot(path)
    assert refused.value.findings == findings
    return f"{findings[0].file}: {findings[0].message}"


def test_what_is_written_is_read(fleet, written):
    again = read_snapshot(written)
    assert again.meta == fleet.meta
    for name in TABLES:
        assert getattr(again, name).equals(getattr(fleet, name))


def test_a_snapshot_holds_the_files_of_the_format(written):
    assert sorted(contents(written)) == sorted(FILE_NAMES)


def test_the_same_content_gives_the_same_bytes_whatever_the_order_of_rows(fleet, written, tmp_path):
    shuffled = dataclasses.replace(
        fleet, **{name: getattr(fleet, name).sample(fraction=1, shuffle=True, seed=1) for name in TABLES}
    )
    write_snapshot(shuffled, tmp_path / "other")
    assert contents(tmp_path / "other") == contents(written)


def test_rows_in_another_order_are_read_sorted(fleet, written):
    fleet.vms.sample(fraction=1, shuffle=True, seed=1).write_parquet(written / "vms.parquet")
    assert read_snapshot(written).vms.equals(fleet.vms)


def test_a_snapshot_is_replaced_as_a_whole(fleet, written, tmp_path):
    smaller = generate_fleet(GeneratorSettings(hosts=20, hosts_per_rack=10))
    write_snapshot(smaller, written)
    assert len(read_snapshot(written).hosts) == 20
    assert [entry.name for entry in tmp_path.iterdir()] == ["fleet"]


def test_a_directory_with_other_things_is_refused(fleet, written):
    (written / "notes.txt").write_text("mine")
    before = contents(written)
    with pytest.raises(UsageError, match=r"no fleet snapshot: it holds notes\.txt"):
        write_snapshot(fleet, written)
    assert contents(written) == before


def test_a_file_in_the_way_is_refused(fleet, tmp_path):
    (tmp_path / "fleet").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        write_snapshot(fleet, tmp_path / "fleet")


def test_a_disk_that_fills_up_leaves_the_old_snapshot(fleet, written, tmp_path, monkeypatch):
    before = contents(written)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_snapshot(generate_fleet(GeneratorSettings(hosts=20)), written)
    assert contents(written) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["fleet"]


def test_a_path_without_a_directory_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        read_snapshot(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a directory"):
        read_snapshot(tmp_path / "file")


@pytest.mark.parametrize("name", [name for name in FILE_NAMES if name != "vms.parquet"])
def test_a_missing_file_is_found(written, name):
    (written / name).unlink()
    assert the_finding(written, "file-missing") == f"{name}: {name} is missing"


@pytest.mark.parametrize("kept", [0, 3, 100, -9, -1])
def test_a_truncated_table_is_found(written, kept):
    file = written / "vms.parquet"
    file.write_bytes(file.read_bytes()[:kept])
    assert the_finding(written, "file-unreadable").startswith("vms.parquet: vms.parquet is no readable Parquet file")


@pytest.mark.parametrize("start", range(4, 9_000, 900))
def test_zeroed_pages_are_found_without_noise(written, capfd, start):
    file = written / "vms.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:start] + bytes(2_000) + content[start + 2_000 :])
    the_finding(written, "file-unreadable")
    assert capfd.readouterr().err == ""


def test_a_reader_that_panics_is_a_damaged_file_without_noise(written, capfd, monkeypatch):
    def panics(_source: object) -> None:
        os.write(2, b"thread panicked\nstack backtrace")
        raise pl.exceptions.PanicException("called unwrap")

    monkeypatch.setattr(pl, "read_parquet", panics)
    with pytest.raises(ValueError, match="its contents are damaged"):
        read_parquet(b"")
    assert capfd.readouterr().err == ""


def test_what_others_print_while_reading_is_kept(written, capfd, monkeypatch):
    real = pl.read_parquet

    def chatty(source: object) -> pl.DataFrame:
        os.write(2, b"from another thread")
        return real(source)

    monkeypatch.setattr(pl, "read_parquet", chatty)
    read_parquet((written / "hosts.parquet").read_bytes())
    assert capfd.readouterr().err == "from another thread"


def test_a_directory_in_place_of_a_table_is_found(written):
    (written / "vms.parquet").unlink()
    (written / "vms.parquet").mkdir()
    assert "cannot be read" in the_finding(written, "file-unreadable")


def test_broken_json_is_found(written):
    (written / "fleet.json").write_text("{")
    assert "is no JSON" in the_finding(written, "file-unreadable")


@pytest.mark.parametrize("version", [0, 2, "1", True, None])
def test_another_format_version_is_found(written, version):
    meta = json.loads((written / "fleet.json").read_text())
    (written / "fleet.json").write_text(json.dumps({**meta, "format_version": version}))
    assert "this release reads version 1" in the_finding(written, "format-version")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": None}, "source: input should be a valid string"),
        ({"sauce": "x"}, "sauce: extra inputs are not permitted"),
        ({"taken_at": "2014-04-07T18:00:00"}, "taken_at: input should have timezone info"),
    ],
)
def test_a_wrong_field_of_the_fleet_is_found(written, change, message):
    meta = json.loads((written / "fleet.json").read_text())
    (written / "fleet.json").write_text(json.dumps({**meta, **change}))
    assert the_finding(written, "fleet-field") == f"fleet.json: {message}"


def test_a_fleet_that_is_no_object_is_found(written):
    (written / "fleet.json").write_text("[1]")
    assert the_finding(written, "fleet-field").startswith("fleet.json: the file: ")


def test_all_broken_files_are_found_at_once(written):
    (written / "hosts.parquet").unlink()
    (written / "services.parquet").write_bytes(b"no")
    (written / "fleet.json").write_text("no")
    _, findings = check_snapshot(written)
    assert {finding.file for finding in findings} == {"hosts.parquet", "services.parquet", "fleet.json"}


def test_a_digest_depends_on_content_alone(fleet, written, tmp_path):
    expected = digest(fleet)
    assert len(expected) == 64
    assert digest(read_snapshot(written)) == expected
    shuffled = dataclasses.replace(fleet, links=fleet.links.reverse(), domains=fleet.domains.reverse())
    assert digest(shuffled) == expected
    elsewhere = dataclasses.replace(fleet, meta=fleet.meta.model_copy(update={"note": "another"}))
    assert digest(elsewhere) == expected


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("vms", "dirty_mib_s", 0.123456),
        ("vms", "dirty_mib_s", None),
        ("vms", "dirty_mib_s", 0.0),
        ("vms", "machine_types", []),
        ("vms", "machine_types", ["a", "b"]),
        ("vms", "machine_types", ["ab"]),
        ("vms", "eviction", "pinned"),
        ("vms", "service_id", ""),
        ("hosts", "vcpus", 1),
        ("services", "max_moving", 77),
        ("links", "capacity_mbit_s", 1),
        ("domains", "domain_id", "x"),
    ],
)
def test_a_digest_tells_every_change(fleet, table, column, value):
    frame = getattr(fleet, table)
    first = pl.int_range(pl.len()) == 0

    def with_first(new: object) -> FleetSnapshot:
        changed = pl.when(first).then(
            pl.lit(pl.Series([new], dtype=frame.schema[column]).first(), dtype=frame.schema[column])
        )
        return dataclasses.replace(fleet, **{table: frame.with_columns(changed.otherwise(column).alias(column))})

    assert digest(with_first(value)) != digest(fleet)
