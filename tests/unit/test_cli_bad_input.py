"""Bad input: each a clear error and the right exit code, nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from slacktide.datasets.files import write_snapshot
from slacktide.planner.plan_files import write_plan
from slacktide.service.cli import main
from tests.small_fleet import small_fleet, small_plan


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    write_snapshot(small_fleet(), tmp_path / "fleet")
    return tmp_path / "fleet"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    write_plan(small_plan(), tmp_path / "plan")
    return tmp_path / "plan"


def ends_with(capsys, code: int, *arguments: object) -> str:
    """Return what standard error says of a command that ends with ``code`` and prints no result."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def changed(file: Path, *columns: pl.Expr) -> None:
    pl.read_parquet(file).with_columns(*columns).write_parquet(file)


def only(key: str, name: str, value: pl.Expr, column: str) -> pl.Expr:
    """Return the column with another value in one row."""
    return pl.when(pl.col(key) == name).then(value).otherwise(column).alias(column)


def without_file(fleet: Path) -> None:
    (fleet / "vms.parquet").unlink()


def without_column(fleet: Path) -> None:
    file = fleet / "hosts.parquet"
    pl.read_parquet(file).drop("vcpus").write_parquet(file)


def wrong_dtype(fleet: Path) -> None:
    changed(fleet / "vms.parquet", pl.lit("much").alias("memory_mib"))


def negative_memory(fleet: Path) -> None:
    changed(fleet / "vms.parquet", only("vm_id", "v1", pl.lit(-1), "memory_mib"))


def unknown_host(fleet: Path) -> None:
    changed(fleet / "vms.parquet", only("vm_id", "v2", pl.lit("h99"), "host_id"))


def overfull_host(fleet: Path) -> None:
    changed(fleet / "vms.parquet", only("vm_id", "v1", pl.lit(70_000), "memory_mib"))


def link_to_nowhere(fleet: Path) -> None:
    changed(fleet / "links.parquet", only("head", "leaf2", pl.lit("h99"), "head"))


def disconnected(fleet: Path) -> None:
    file = fleet / "links.parquet"
    pl.read_parquet(file).filter(~(pl.col("tail").is_in(["leaf1"]) & (pl.col("head") == "leaf2"))).write_parquet(file)


def empty(fleet: Path) -> None:
    for file in fleet.glob("*.parquet"):
        pl.read_parquet(file).clear().write_parquet(file)


def truncated(fleet: Path) -> None:
    file = fleet / "vms.parquet"
    file.write_bytes(file.read_bytes()[:200])


def not_json(fleet: Path) -> None:
    (fleet / "fleet.json").write_text("{")


DAMAGES = [
    (without_file, "file-missing", "vms.parquet"),
    (without_column, "column-missing", "vcpus"),
    (wrong_dtype, "column-type", "memory_mib"),
    (negative_memory, "value", "memory_mib"),
    (unknown_host, "unknown", "h99"),
    (overfull_host, "overfull", "h1"),
    (link_to_nowhere, "", "h99"),
    (disconnected, "disconnected", "not all hosts reach each other"),
    (empty, "", "hosts"),
    (truncated, "file-unreadable", "vms.parquet"),
    (not_json, "file-unreadable", "fleet.json"),
]


@pytest.mark.parametrize(("damage", "rule", "named"), DAMAGES)
def test_a_damaged_fleet_is_found(capsys, fleet, damage: Callable[[Path], None], rule, named):
    damage(fleet)
    assert main(["fleet", "check", str(fleet), "--json"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert captured.err == ""
    assert result["errors"] > 0
    assert any(
        rule in finding["rule"] and named in finding["message"] and finding["remedy"] for finding in result["findings"]
    ), result["findings"]
    assert main(["fleet", "check", str(fleet)]) == 1
    assert named in capsys.readouterr().out


@pytest.mark.parametrize(("damage", "named"), [(damage, named) for damage, _, named in DAMAGES])
def test_a_damaged_fleet_is_not_planned(capsys, fleet, damage: Callable[[Path], None], named):
    damage(fleet)
    error = ends_with(capsys, 1, "plan", fleet, "-o", fleet.parent / "new")
    assert error.startswith(f"error: {fleet}: the fleet snapshot has ")
    assert named in error
    assert not (fleet.parent / "new").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("fleet", "check", "nowhere"),
        ("fleet", "show", "nowhere"),
        ("plan", "nowhere", "-o", "plan"),
        ("audit", "nowhere", "nowhere"),
        ("explain", "nowhere", "nowhere"),
        ("run", "nowhere", "nowhere", "--no-ray"),
        ("report", "nowhere"),
        ("fleet", "import", "huawei-alibaba", "--machines", "nowhere", "--vms", "nowhere", "-o", "fleet"),
    ],
)
def test_a_path_that_does_not_exist(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert "nowhere" in ends_with(capsys, 2, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("link_shar: 0.5", "Did you mean `link_share`?"),
        ("gates: {kind: pipelined, bake_s: 60}", "`gates.bake_s` contradicts `gates.kind: pipelined`"),
        ("link_share: 2", "`link_share`"),
        ("selection: {hosts: [h1], exclude: [h1]}", "both names and excludes h1"),
        ("", "the file is empty"),
    ],
)
def test_a_wrong_policy(capsys, fleet, tmp_path, text, named):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    error = ends_with(capsys, 1, "plan", fleet, "-o", tmp_path / "new", "--policy", path)
    assert error.startswith(f"error: {path}: ")
    assert named in error
    assert not (tmp_path / "new").exists()


def test_a_policy_that_is_not_there(capsys, fleet, tmp_path):
    assert "policy.yaml" in ends_with(
        capsys, 2, "plan", fleet, "-o", tmp_path / "new", "--policy", tmp_path / "policy.yaml"
    )


def test_a_plan_of_another_fleet_is_refused(capsys, plan, tmp_path):
    write_snapshot(small_fleet(vms={"v1": {"notice_s": 61}}), tmp_path / "other")
    error = ends_with(capsys, 1, "run", tmp_path / "other", plan, "--no-ray")
    assert "was made for another snapshot" in error
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other", "plan"]


def test_the_audit_finds_a_plan_of_another_fleet(capsys, plan, tmp_path):
    write_snapshot(small_fleet(vms={"v1": {"notice_s": 61}}), tmp_path / "other")
    assert main(["audit", str(tmp_path / "other"), str(plan), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"checked_rules", "findings", "notes"}
    assert "snapshot-digest" in {finding["rule"] for finding in result["findings"]}


def test_a_good_plan_audits_clean(capsys, fleet, plan):
    assert main(["audit", str(fleet), str(plan)]) == 0
    assert "rules checked, 0 errors, 0 warnings" in capsys.readouterr().out


@pytest.mark.parametrize(("folder", "file", "command"), [("fleet", "fleet.json", "check"), ("plan", "plan.json", None)])
def test_json_that_is_nested_too_deeply(capsys, fleet, plan, folder, file, command):
    (plan.parent / folder / file).write_text("[" * 100_000)
    if command == "check":
        assert main(["fleet", "check", str(fleet)]) == 1
        assert "is no JSON" in capsys.readouterr().out
    else:
        assert "is not JSON" in ends_with(capsys, 1, "audit", fleet, plan)


def test_a_plan_given_as_a_fleet_is_recognised(capsys, plan):
    assert "it is a plan, and no fleet" in ends_with(capsys, 2, "fleet", "show", plan)


def test_a_plan_that_patches_nothing_is_not_run(capsys, fleet, tmp_path):
    policy = tmp_path / "none.yaml"
    policy.write_text("max_out: {fleet: 0}\nassume: {dirty_mib_s: 1.0, hot_mib: 16.0}\n")
    assert (
        main(["plan", str(fleet), "--policy", str(policy), "-o", str(tmp_path / "none"), "--html", f"{policy}.html"])
        == 1
    )
    capsys.readouterr()
    assert "Nothing can be planned" in Path(f"{policy}.html").read_text()
    error = ends_with(capsys, 1, "run", fleet, tmp_path / "none", "--no-ray", "-o", tmp_path / "ran")
    assert "patches no host: all" in error
    assert not (tmp_path / "ran").exists()


def test_a_policy_can_be_checked_alone(capsys, tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("name: mine\n")
    bad.write_text("link_shar: 0.5\n")
    assert "Did you mean `link_share`?" in ends_with(capsys, 1, "policy", "check", bad)
    assert main(["policy", "check", str(good)]) == 0
    assert capsys.readouterr().out.strip() == f"{good}: policy mine, no error"
    assert main(["policy", "check", str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_out: {racks: 1}", "'racks' is no usual kind of failure domain; a fleet without it is refused"),
        ("max_out: {racks: 1}", "Did you mean `rack`?"),
        ("reserve: {hosts: 1, per: feeds}", "`reserve.per`: 'feeds' is no usual kind"),
        ("max_out: {fleet: 0}", "`max_out.fleet` is 0: no host may leave, none can be patched"),
        ("max_out: {fleet: 3, rack: 0%}", "`max_out.rack` is 0%: no host of a rack may leave"),
        ("migration: {blackout_limit_ms: 20}", "20 ms, less than the switchover alone, `migration.swit"),
    ],
)
def test_what_a_policy_hardly_means_is_a_warning(capsys, tmp_path, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text + "\n")
    assert main(["policy", "check", str(path)]) == 0
    out = capsys.readouterr().out
    assert said in out
    assert out.endswith("policy custom, no error, 1 warning\n")
    assert main(["policy", "check", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["name"] == "custom"
    assert said in captured.err


def test_a_policy_is_checked_against_a_fleet(capsys, fleet, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("max_out: {zone: 1}\n")
    assert main(["policy", "check", str(path)]) == 0
    assert "warning" not in capsys.readouterr().out
    assert main(["policy", "check", str(path), "--fleet", str(fleet)]) == 1
    out = capsys.readouterr().out
    assert "the fleet has no failure domain of the kind 'zone' [domain-kind]" in out
    assert out.endswith("policy custom, 1 error\n")
    path.write_text("max_out: {rack: 1}\n")
    assert main(["policy", "check", str(path), "--fleet", str(fleet)]) == 0


@pytest.mark.parametrize("file", ["plan.json", "migrations.parquet", "hosts.parquet"])
def test_a_truncated_plan(capsys, fleet, plan, file):
    (plan / file).write_bytes((plan / file).read_bytes()[:100])
    assert file in ends_with(capsys, 1, "audit", fleet, plan)


def test_a_plan_changed_by_hand(capsys, fleet, plan):
    changed(plan / "migrations.parquet", pl.col("start_s") + 1)
    assert "changed after it was made" in ends_with(capsys, 1, "run", fleet, plan, "--no-ray")


@pytest.mark.parametrize(
    "command", [("fleet", "generate", "--hosts", "9"), ("plan", "fleet"), ("run", "fleet", "plan", "--no-ray")]
)
def test_an_output_directory_that_holds_other_things(capsys, fleet, plan, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "main.tex").touch()
    error = ends_with(capsys, 2, *command, "-o", "thesis")
    assert "thesis: is not empty: it holds main.tex" in error
    assert [entry.name for entry in (tmp_path / "thesis").iterdir()] == ["main.tex"]


def test_a_fleet_is_no_place_for_its_plan(capsys, fleet):
    before = {file.name: file.read_bytes() for file in fleet.iterdir()}
    assert "is not empty" in ends_with(capsys, 2, "plan", fleet, "-o", fleet)
    assert {file.name: file.read_bytes() for file in fleet.iterdir()} == before


def test_an_error_with_json_is_a_document_with_findings(capsys, fleet):
    negative_memory(fleet)
    assert main(["plan", str(fleet), "-o", str(fleet.parent / "new"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "InputError"
    assert error["exit_code"] == 1
    assert error["findings"][0]["file"] == "vms.parquet"
    assert error["findings"][0]["row"] == 0


def test_a_campaign_without_report(capsys, tmp_path):
    (tmp_path / "campaign").mkdir()
    assert "holds no report" in ends_with(capsys, 2, "report", tmp_path / "campaign")


def test_traces_that_are_none(capsys, tmp_path):
    (tmp_path / "machines.csv").write_text("a,b\n1,2\n")
    (tmp_path / "vms.csv").write_text("vmid,cpu,mem,at,lt\n1,1,2,0,x\n")
    command = ("fleet", "import", "huawei-alibaba", "--machines", tmp_path / "machines.csv")
    error = ends_with(capsys, 1, *command, "--vms", tmp_path / "vms.csv", "-o", tmp_path / "fleet")
    assert "lt is 'x', expected a number" in error
    assert not (tmp_path / "fleet").exists()


def test_the_copy_of_a_fleet_is_the_same_fleet(capsys, fleet, plan, tmp_path):
    shutil.copytree(fleet, tmp_path / "copy")
    assert main(["audit", str(tmp_path / "copy"), str(plan)]) == 0


@pytest.mark.parametrize(("command", "more"), [("compare", ()), ("revise", ("--at", "0", "-o", "rest"))])
def test_a_plan_of_another_fleet_is_neither_compared_nor_revised(capsys, plan, tmp_path, monkeypatch, command, more):
    monkeypatch.chdir(tmp_path)
    write_snapshot(small_fleet(vms={"v1": {"notice_s": 61}}), tmp_path / "other")
    assert "was made for another snapshot" in ends_with(capsys, 1, command, "other", plan, *more)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other", "plan"]


@pytest.mark.parametrize("command", ["plan", "what-if", "pareto"])
def test_nothing_is_written_into_the_fleet(capsys, fleet: Path, command: str) -> None:
    before = sorted(fleet.iterdir())
    said = ends_with(capsys, 2, command, fleet, "--preset", "urgent", "-o", fleet / "within")
    assert "lies within" in said
    assert sorted(fleet.iterdir()) == before


def test_a_page_does_not_take_the_place_of_its_plan(capsys, fleet: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = ends_with(capsys, 2, "plan", fleet, "--preset", "urgent", "-o", out, "--html", out)
    assert "--html and --output" in said
    assert not out.exists()
