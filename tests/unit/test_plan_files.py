"""Plans on disk."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_fleet import POLICY, edited, small_fleet, small_plan

from slacktide.errors import InputError, OutputError, UsageError
from slacktide.planner.audit import audit
from slacktide.planner.plan import BlackoutSummary, Plan
from slacktide.planner.plan_files import FILE_NAMES, TABLES, plan_id, read_plan, write_plan
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    path = tmp_path / "plan"
    write_plan(small_plan(), path)
    return path


def refused(path: Path) -> set[tuple[str, str | None]]:
    """Return the rules and files of what keeps a plan from being read."""
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert all(finding.message and finding.remedy for finding in caught.value.findings)
    return {(finding.rule, finding.file) for finding in caught.value.findings}


def change(path: Path, name: str, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    file = path / f"{name}.parquet"
    edit(pl.read_parquet(file)).write_parquet(file)


def change_header(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    file = path / "plan.json"
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))


def test_a_written_plan_reads_back_the_same(plan_path: Path) -> None:
    plan, read = small_plan(), read_plan(plan_path)
    assert read.header == plan.header
    for name in TABLES:
        assert_frame_equal(getattr(read, name), getattr(plan, name))
    assert sorted(entry.name for entry in plan_path.iterdir()) == sorted(FILE_NAMES)


def test_the_same_plan_gives_the_same_bytes(plan_path: Path, tmp_path: Path) -> None:
    write_plan(read_plan(plan_path), tmp_path / "again")
    for name in FILE_NAMES:
        assert (plan_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_an_empty_plan_can_be_written_and_read(tmp_path: Path) -> None:
    snapshot, plan = small_fleet(), small_plan()
    gone: dict[str, dict[Any, None]] = {
        "hosts": dict.fromkeys(plan.hosts["host_id"]),
        "migrations": dict.fromkeys(plan.migrations["migration_id"]),
        "deferred": dict.fromkeys(plan.deferred["host_id"]),
    }
    empty = edited(plan, snapshot, **gone)
    write_plan(empty, tmp_path / "plan")
    assert read_plan(tmp_path / "plan").header == empty.header


def test_the_id_is_that_of_the_content() -> None:
    snapshot, plan = small_fleet(), small_plan()

    def with_planning_s(seconds: float) -> Plan:
        summary = plan.header.summary.model_copy(update={"planning_s": seconds})
        header = plan.header.model_copy(update={"summary": summary, "id": "other"})
        return Plan(header, plan.waves, plan.hosts, plan.migrations, plan.deferred)

    assert len(plan.header.id) == 16
    assert plan_id(with_planning_s(9.0)) == plan.header.id
    assert edited(plan, snapshot, migrations={"m1": {"notified_s": 1}}).header.id != plan.header.id


def test_a_plan_changed_by_hand_is_refused(plan_path: Path) -> None:
    change(plan_path, "migrations", lambda table: table.with_columns(bandwidth_mbit_s=pl.lit(1, pl.Int64)))
    assert refused(plan_path) == {("plan-id", "plan.json")}


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_missing_file_is_named(plan_path: Path, name: str) -> None:
    (plan_path / name).unlink()
    assert refused(plan_path) == {("file-unreadable", name)}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_truncated_table_is_named(plan_path: Path, name: str) -> None:
    file = plan_path / f"{name}.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    assert refused(plan_path) == {("file-unreadable", file.name)}


def test_columns_and_values_must_be_the_schemas(plan_path: Path) -> None:
    change(plan_path, "hosts", lambda table: table.drop("return_s"))
    change(plan_path, "waves", lambda table: table.with_columns(start_s=pl.lit("soon")))
    change(plan_path, "migrations", lambda table: table.with_columns(start_s=-pl.col("start_s")))
    found = refused(plan_path)
    assert ("column-missing", "hosts.parquet") in found
    assert ("column-type", "waves.parquet") in found
    assert ("value-too-small", "migrations.parquet") in found


@pytest.mark.parametrize(
    ("table", "edit", "rule"),
    [
        ("hosts", pl.col("wave") + 7, "wave-unknown"),
        ("hosts", pl.lit(0, pl.Int64).alias("drained_s"), "times-order"),
        ("migrations", pl.col("wave") + 7, "wave-unknown"),
        ("migrations", pl.lit(1, pl.Int64).alias("end_s"), "times-order"),
        ("migrations", pl.lit(["m9"]).alias("after"), "migration-unknown"),
    ],
)
def test_tables_must_fit_together(plan_path: Path, table: str, edit: pl.Expr, rule: str) -> None:
    change(plan_path, table, lambda rows: rows.with_columns(edit))
    assert refused(plan_path) == {(rule, f"{table}.parquet")}


def test_a_host_is_not_both_planned_and_deferred(plan_path: Path) -> None:
    change(plan_path, "deferred", lambda rows: rows.head(1).with_columns(host_id=pl.lit("h1")))
    assert refused(plan_path) == {("deferred-planned", "deferred.parquet")}


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda header: header.update(format_version=2), "format-version"),
        (lambda header: header.pop("format_version"), "format-version"),
        (lambda header: header.update(colour="red"), "header-field"),
        (lambda header: header.pop("seed"), "header-field"),
        (lambda header: header.update(seed="7"), "header-field"),
        (lambda header: header["policy"].update(link_share=7), "header-field"),
        (lambda header: header["summary"].pop("makespan_s"), "header-field"),
    ],
)
def test_the_header_is_read_strictly(plan_path: Path, edit: Callable[[dict[str, Any]], None], rule: str) -> None:
    change_header(plan_path, edit)
    assert refused(plan_path) == {(rule, "plan.json")}


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "3"])
def test_a_header_that_is_no_mapping_is_refused(plan_path: Path, text: str) -> None:
    (plan_path / "plan.json").write_text(text)
    assert refused(plan_path) <= {("header-json", "plan.json"), ("format-version", "plan.json")}


def test_a_wrong_path_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        read_plan(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a directory"):
        read_plan(tmp_path / "file")
    with pytest.raises(OutputError, match="holds other things"):
        write_plan(small_plan(), tmp_path)


def test_blackouts_are_stated_of_live_migrations_and_the_id_is_that_of_before() -> None:
    fleet = small_fleet()
    plan = make_plan(fleet, POLICY, stop=Iterations(0))
    restart = plan.migrations["strategy"] == "restart"
    assert restart.any()
    live_ms = plan.migrations.filter(~restart)["predicted_blackout_ms"]
    assert plan.header.summary.predicted_blackout_ms.max == live_ms.max()
    every = BlackoutSummary.over(plan.migrations["predicted_blackout_ms"])
    assert every.max > live_ms.max()
    summary = plan.header.summary.model_copy(update={"predicted_blackout_ms": every})
    before = replace(plan, header=plan.header.model_copy(update={"summary": summary}))
    assert plan_id(before) == plan_id(plan) == plan.header.id
    assert audit(fleet, before).errors == ()
    wrong = summary.model_copy(update={"predicted_blackout_ms": every.model_copy(update={"p50": 1.0})})
    assert plan_id(replace(plan, header=plan.header.model_copy(update={"summary": wrong}))) != plan.header.id
