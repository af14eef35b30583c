"""``slacktide revise`` with VMs that have come or gone since the plan was made."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.planner.plan import Changes, Revision, StrandedVm
from slacktide.planner.plan_files import read_plan, write_plan
from slacktide.service.cli import main
from slacktide.service.revision_text import stranded_text
from tests.small_fleet import small_fleet, small_plan


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_snapshot(small_fleet(), tmp_path / "fleet")
    write_plan(small_plan(), tmp_path / "plan")
    return tmp_path


def revised(work: Path, *more: object) -> int:
    given = ("revise", work / "fleet", work / "plan", "--at", 0, "-o", work / "rest", *more)
    return main([str(argument) for argument in given])


def new_vms(work: Path, **changes: object) -> Path:
    """Return a file with a VM like the first of h1, but for its id and ``changes``."""
    like = pl.read_parquet(work / "fleet" / "vms.parquet").filter(pl.col("host_id") == "h1").head(1)
    given = {"vm_id": "v9", "service_id": None, **changes}
    given = {name: pl.lit(value).cast(like.schema[name]) for name, value in given.items()}
    like.with_columns(**given).write_parquet(work / "new.parquet")
    return work / "new.parquet"


def test_new_vms_leave_their_host_and_gone_ones_do_not(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert revised(work, "--new-vms", new_vms(work), "--gone-vm", "v3") == 0, capsys.readouterr().out
    now = read_snapshot(work / "rest-fleet")
    assert {"v9"} == set(now.vms["vm_id"]) - set(small_fleet().vms["vm_id"])
    assert "v3" not in set(now.vms["vm_id"])
    moved = read_plan(work / "rest").migrations
    assert moved.filter(pl.col("vm_id") == "v9")["source"].to_list() == ["h1"]
    assert moved.filter(pl.col("vm_id") == "v3").is_empty()
    assert main(["audit", str(work / "rest-fleet"), str(work / "rest")]) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vm_id": "v1"}, "v1"),
        ({"host_id": "h99"}, "v9 is on h99, which is not in hosts.parquet"),
        ({"memory_mib": -1}, "new.parquet"),
    ],
)
def test_new_vms_that_do_not_fit_the_fleet(
    work: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], said: str
) -> None:
    assert revised(work, "--new-vms", new_vms(work, **changes)) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "new.parquet" in error
    assert not (work / "rest").exists()


def test_what_cannot_be_read_or_is_not_there(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert revised(work, "--new-vms", work / "none.parquet") == 2
    said = capsys.readouterr().err
    assert "none.parquet: does not exist" in said
    assert "columns of the fleet's vms.parquet" in said
    (work / "text.parquet").write_text("no table")
    assert revised(work, "--new-vms", work / "text.parquet") == 1
    assert "text.parquet is no readable Parquet file" in capsys.readouterr().err
    assert revised(work, "--gone-vm", "v99") == 1
    assert "does not have 'v99'" in capsys.readouterr().err


def test_a_finished_campaign_is_not_revised(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet, plan, campaign = (str(work / name) for name in ("fleet", "plan", "campaign"))
    assert main(["run", fleet, plan, "-o", campaign, "--no-ray"]) == 0, capsys.readouterr().err
    assert main(["revise", fleet, plan, "--campaign", campaign, "-o", str(work / "rest")]) == 2
    assert "has brought back every host of its plan" in capsys.readouterr().err
    assert not (work / "rest").exists()


def test_stranded_vms_are_listed_so_that_they_can_be_given_as_gone(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = sorted(small_fleet().vms.filter(pl.col("host_id") == "h1")["vm_id"])
    assert there
    revised(work, "--lost-host", "h1", "--json")
    found = json.loads(capsys.readouterr().out)["revision"]
    assert [(one["vm_id"], one["host_id"]) for one in found["stranded"] if one["host_id"] == "h1"] == [
        (name, "h1") for name in there
    ]
    assert len(found["stranded"]) == found["changes"]["stranded_vms"]
    kept = json.loads((work / "rest" / "plan.json").read_text())["revision"]["stranded"]
    assert kept == found["stranded"]
    assert read_plan(work / "rest").header.revision.stranded
    revised(work, "--lost-host", "h1")
    text = capsys.readouterr().out
    assert f"  {there[0]} on h1\n" in text
    assert "`--gone-vm`" in text
    gone = [option for one in found["stranded"] for option in ("--gone-vm", one["vm_id"])]
    revised(work, "--lost-host", "h1", *gone, "--json")
    assert "stranded" not in json.loads(capsys.readouterr().out)["revision"]


def test_of_many_stranded_vms_the_first_are_named() -> None:
    plan = small_plan()
    vms = tuple(StrandedVm(vm_id=f"v{number:02}", host_id="h1") for number in range(23))
    changes = Changes.model_construct(stranded_vms=23)
    revision = Revision.model_construct(stranded=vms, changes=changes)
    text = stranded_text(replace(plan, header=plan.header.model_copy(update={"revision": revision}))).plain
    assert text.startswith("stranded: 23 VMs\n  v00 on h1\n")
    assert "v19 on h1\n  and 3 more in plan.json" in text


@pytest.mark.parametrize(("at", "from_s"), [("600", 600), ("10min", 600), ("9min30s", 570), ("0", 0)])
def test_the_moment_is_in_seconds_or_a_time(work: Path, at: str, from_s: int) -> None:
    main(["revise", str(work / "fleet"), str(work / "plan"), "--at", at, "-o", str(work / "rest")])
    assert read_plan(work / "rest").header.revision.from_s == from_s


def test_a_moment_that_is_none_and_a_failure_that_cannot_be(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["revise", str(work / "fleet"), str(work / "plan"), "-o", str(work / "rest"), "--at"]
    assert main([*given, "soon"]) == 2
    assert '"soon" is neither a whole number of seconds nor a duration such as 1h' in capsys.readouterr().err
    late = read_plan(work / "plan").migrations.sort("start_s")["migration_id"][-1]
    assert main([*given, "0", "--failed", late]) == 1
    said = capsys.readouterr().err
    assert f"plan: {late} cannot have failed at 0 s" in said
    assert "progress" not in said
