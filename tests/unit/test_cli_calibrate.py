"""``slacktide calibrate``: tables, the policy that it writes, and what it refuses."""

import inspect
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from campaigns import REPLAY, planned_fleet
from measured_campaigns import Moves, Truth, measured_campaign
from rich.console import Console

from slacktide.executors.report import SUMMARY_FILE, write_report
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.planner.calibration import CAUTION, calibrated, learn, observe
from slacktide.planner.policy import PRESETS
from slacktide.planner.policy_files import read_policy, write_policy
from slacktide.planner.prediction_errors import prediction_errors
from slacktide.service.calibrate_text import calibration_text
from slacktide.service.cli import main
from slacktide.service.commands.calibrate import calibrate as command


def carried_out(folder: Path, seed: int, *, simulated: bool = False) -> Path:
    """Return a campaign whose report says that it was measured on real hosts, or that it was not."""
    options = RunOptions(use_ray=False, plan_path=REPLAY / "urgent" / "plan", fleet_path=REPLAY / "urgent" / "fleet")
    report = run_campaign(*planned_fleet("urgent"), folder, seed=seed, options=options)
    if not simulated:
        summary = report.summary.model_copy(update={"simulated": False})
        write_report(type(report)(summary, report.hosts, report.migrations, report.troubles), folder)
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("campaigns")
    for seed, name in enumerate(("first", "second")):
        carried_out(folder / name, seed)
    carried_out(folder / "simulated", 3, simulated=True)
    return folder


@pytest.fixture
def campaign(ran, tmp_path) -> Path:
    """Return a campaign that a test may spoil."""
    shutil.copytree(ran / "first", tmp_path / "campaign")
    return tmp_path / "campaign"


def calibrate(capsys, *arguments: object, code: int = 0) -> str:
    """Return what the command prints: its result, or its complaint."""
    assert main(["calibrate", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    if code:
        assert captured.out == ""
    return captured.err if code else captured.out


def with_summary(campaign: Path, **changes: object) -> None:
    path = campaign / SUMMARY_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_policy_of_the_campaign_with_the_learnt_figures_in_it(capsys, ran, tmp_path) -> None:
    text = calibrate(capsys, ran / "first", "-o", tmp_path / "learnt.yaml")
    before, after = planned_fleet("urgent")[1].header.policy, read_policy(tmp_path / "learnt.yaml")
    assert after.model_copy(update={"migration": before.migration}) == before
    # The simulation's noise is of 5 % or so around the planned figures: caution is above them.
    assert after.migration.setup_s == before.migration.setup_s + 1
    assert before.migration.switchover_ms <= after.migration.switchover_ms < 2 * before.migration.switchover_ms
    assert after.migration.strategies == before.migration.strategies
    assert f"setup_s        {before.migration.setup_s} -> {after.migration.setup_s}" in text
    assert "as planned" in text
    assert "at a caution of 0.9: from start to end the median error goes from " in text
    assert "A lower --caution gives shorter plans and more migrations that are late" in text
    assert "learnt from the other campaigns" not in text
    assert text.endswith(f"written to {tmp_path / 'learnt.yaml'}\n")


def test_several_campaigns_and_another_policy_as_json(capsys, ran, tmp_path) -> None:
    write_policy(PRESETS["routine"], tmp_path / "mine.yaml")
    options = ("--policy", tmp_path / "mine.yaml", "--caution", 0.75, "-o", tmp_path / "learnt.json", "--json")
    found = json.loads(calibrate(capsys, ran / "first", ran / "second", *options))
    after = read_policy(tmp_path / "learnt.json")
    assert after.objective == PRESETS["routine"].objective
    assert (found["campaigns"], found["caution"]) == (2, 0.75)
    assert found["migration"]["setup_s"] == {"before": 2, "after": after.migration.setup_s}
    assert "learnt from the other campaigns" in [row["name"] for row in found["prediction_errors"]]
    for pair in found["pairs"]:
        for row in pair["figures"].values():
            assert set(row) == {"migrations", "median", "low", "high", "learnt", "pooled"}
    own = sum(pair["figures"]["setup_s"]["migrations"] for pair in found["pairs"])
    assert found["all_pairs"]["setup_s"]["migrations"] == own == found["migrations"]


def test_of_several_pairs_the_table_says_whose_figures_are_taken() -> None:
    moves = (Moves(20, Truth(setup_s=9.0), "new", "old"), Moves(20, Truth(), "old", "new"), Moves(3))
    campaign = measured_campaign(*moves)
    observations = observe([campaign])
    learnt = learn(observations)
    after = calibrated(campaign.policy, learnt)
    errors = list(prediction_errors(observations, learnt, campaign.policy))
    console = Console(file=io.StringIO(), width=200)
    console.print(calibration_text(observations, learnt, campaign.policy, after, errors))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.index("new to old") < text.index("old to new") < text.index("all pairs together\n")
    assert "fewer than 10: as all pairs together" in text
    line = next(line for line in text.splitlines() if line.startswith("setup_s"))
    assert line.split() == ["setup_s", "2", "->", "9", "of", "the", "most", "cautious", "pair,", "new", "to", "old"]


def test_what_stays_and_what_cannot_be_is_said() -> None:
    campaign = measured_campaign(Moves(20))
    slow = campaign.migrations.with_columns(pl.col("blackout_ms") + 600, reserve_s=pl.lit(None, pl.Float64))
    observations = observe([replace(campaign, migrations=slow)])
    learnt = learn(observations)
    after = calibrated(campaign.policy, learnt)
    errors = list(prediction_errors(observations, learnt, campaign.policy))
    console = Console(file=io.StringIO(), width=200)
    console.print(calibration_text(observations, learnt, campaign.policy, after, errors))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fewer than 10: nothing is learnt" in text
    assert "as it was: too little is measured" in text
    assert "is not below blackout_limit_ms 500" in text
    assert "learnt: 20 migrations could not keep the blackout limit" in text


def test_the_caution_without_an_option_is_the_planners() -> None:
    assert inspect.signature(command).parameters["caution"].default == CAUTION


def test_simulated_campaigns_are_refused(capsys, ran, tmp_path) -> None:
    text = calibrate(capsys, ran / "first", ran / "simulated", "-o", tmp_path / "learnt.yaml", code=1)
    assert f"{ran / 'simulated'}: is simulated" in text
    assert "--driver libvirt" in text
    assert not (tmp_path / "learnt.yaml").exists()


def test_too_few_migrations(capsys, campaign, tmp_path) -> None:
    file = campaign / "migrations.parquet"
    pl.read_parquet(file).head(9).write_parquet(file)
    text = calibrate(capsys, campaign, "-o", tmp_path / "learnt.yaml", code=1)
    assert "9 live migrations measured, at least 10 are needed. Give more campaigns" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan_path": None}, "its report does not say where its plan is"),
        ({"fleet_path": "/nowhere/fleet"}, "its fleet is not in /nowhere/fleet any more. Put the fleet back there"),
        ({"plan_id": "0123456789abcdef"}, "ran plan 0123456789abcdef. Put that plan back there"),
        ({"fleet_path": str(REPLAY / "baked" / "fleet")}, "was made for another snapshot"),
    ],
)
def test_fleet_and_plan_have_to_be_those_of_the_campaign(capsys, campaign, tmp_path, changes, words) -> None:
    with_summary(campaign, **changes)
    code = 2 if {"plan_path", "fleet_path"} & set(changes) and "another" not in words else 1
    assert words in calibrate(capsys, campaign, "-o", tmp_path / "learnt.yaml", code=code)


def test_wrong_usage(capsys, ran, tmp_path) -> None:
    first, learnt = ran / "first", tmp_path / "learnt.yaml"
    assert "--caution" in calibrate(capsys, first, "--caution", 1, "-o", learnt, code=2)
    assert "there is none" in calibrate(capsys, "-o", learnt, code=2)
    assert "is a campaign that is given twice" in calibrate(capsys, first, first, "-o", learnt, code=2)
    assert "there is no such directory" in calibrate(capsys, tmp_path / "no", "-o", learnt, code=2)
    assert "holds no report" in calibrate(capsys, tmp_path, "-o", learnt, code=2)
    assert "suffix `.txt`" in calibrate(capsys, first, "-o", tmp_path / "learnt.txt", code=2)
    assert "the folder does not exist" in calibrate(capsys, first, "-o", tmp_path / "no" / "l.yaml", code=2)
    write_policy(PRESETS["routine"], learnt)
    text = calibrate(capsys, first, "--policy", learnt, "-o", learnt, code=2)
    assert "is what the command reads" in text
    assert read_policy(learnt) == PRESETS["routine"]
