"""From plan to report within one process."""

import json
import shutil

import polars as pl
import pytest
from campaigns import planned_fleet
from small_fleet import edited, small_fleet, small_plan

from slacktide.errors import ExecutionError, InputError, OutputError, UsageError
from slacktide.executors.campaign_directory import journal_standing
from slacktide.executors.campaign_file import JOURNAL_FILE
from slacktide.executors.drivers.settings import Failures, Others
from slacktide.executors.events import MigrationDone
from slacktide.executors.report import read_report
from slacktide.executors.report_again import is_gone, report_again
from slacktide.executors.report_page import render_report
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.reading import read_journal
from slacktide.service.campaign_text import campaign_rows, planned_hosts

LOCAL = RunOptions(use_ray=False, agents=2)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    snapshot, plan = planned_fleet("urgent")
    folder = tmp_path_factory.mktemp("campaign") / "c"
    wrong = Failures(migrations_per_mille=20)
    return run_campaign(snapshot, plan, folder, seed=3, failures=wrong, options=LOCAL), folder, plan


def test_planned_and_measured_stand_side_by_side(report) -> None:
    made, _, plan = report
    assert made.migrations.height == plan.migrations.height
    done = made.migrations.filter(pl.col("state") == "done")
    assert done.height == plan.migrations.height
    stages = done.select(
        spent=pl.sum_horizontal("reserve_s", "prepare_s", "connect_s", "brownout_s", "forwarding_s", "delete_s")
        + pl.col("blackout_ms") / 1000,
        whole=pl.col("end_s") - pl.col("start_s"),
    )
    assert (stages["spent"] - stages["whole"]).abs().max() < 1e-6
    assert (done["start_s"] >= done["planned_start_s"]).all()
    assert ((done["probe_blackout_ms"] - done["blackout_ms"]).abs() <= done["probe_resolution_ms"]).all()
    assert done["probe_resolution_ms"].unique().to_list() == [10.0]
    assert made.summary.counts_differ is None
    assert made.hosts["state"].cast(pl.String).unique().to_list() == ["returned"]
    assert (made.hosts["drained_s"] >= made.hosts["drain_start_s"]).all()


def test_figures_agree_with_the_tables(report) -> None:
    made, _, plan = report
    summary = made.summary
    assert summary.simulated
    assert summary.finished
    assert summary.hosts == {"returned": made.hosts.height}
    assert summary.migrations == {"done": made.migrations.height}
    assert summary.attempts == made.migrations["attempts"].sum() > made.migrations.height
    assert sum(summary.failed_attempts.values()) == summary.attempts - made.migrations.height
    assert summary.makespan.measured_s == made.hosts["return_s"].max()
    assert summary.exposure.measured_host_h == pytest.approx(made.hosts["return_s"].sum() / 3600)
    restarted = pl.col("strategy") == "restart"
    assert summary.blackout.hypervisor_ms.max == made.migrations.filter(~restarted)["blackout_ms"].max()
    assert summary.restarts.count == made.migrations.filter(restarted).height
    assert summary.restarts.hypervisor_max_ms == made.migrations.filter(restarted)["blackout_ms"].max()
    assert summary.makespan.planned_s == plan.header.summary.makespan_s


def test_a_report_comes_back_as_it_was_written(report) -> None:
    made, folder, _ = report
    read = read_report(folder)
    assert read.summary == made.summary
    for name in ("hosts", "migrations", "troubles"):
        assert getattr(read, name).equals(getattr(made, name)), name


def test_the_same_seed_gives_the_same_report_byte_for_byte(report, tmp_path) -> None:
    _, folder, _ = report
    snapshot, plan = planned_fleet("urgent")
    options = RunOptions(use_ray=False, agents=1)
    run_campaign(snapshot, plan, tmp_path / "c", seed=3, failures=Failures(migrations_per_mille=20), options=options)
    for name in ("hosts.parquet", "migrations.parquet", "troubles.parquet"):
        assert (tmp_path / "c" / name).read_bytes() == (folder / name).read_bytes(), name
    one, other = (json.loads((path / "report.json").read_text()) for path in (folder, tmp_path / "c"))
    for figures in (one, other):
        del figures["execution_wall_s"], figures["agents"]
    assert one == other


def test_running_a_finished_campaign_again_changes_nothing(report) -> None:
    made, folder, plan = report
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    told = []
    again = run_campaign(
        planned_fleet("urgent")[0],
        plan,
        folder,
        seed=3,
        failures=Failures(migrations_per_mille=20),
        options=RunOptions(use_ray=False, agents=1),
        progress=told.append,
        resumed=told.append,
    )
    assert told == []
    assert again.summary == made.summary
    assert again.migrations.equals(made.migrations)
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before


def test_a_finished_campaign_with_a_damaged_table_keeps_how_it_was_executed(report, tmp_path) -> None:
    made, folder, plan = report
    shutil.copytree(folder, tmp_path / "c")
    (tmp_path / "c" / "hosts.parquet").unlink()
    one = RunOptions(use_ray=False, agents=1)
    wrong = Failures(migrations_per_mille=20)
    again = run_campaign(planned_fleet("urgent")[0], plan, tmp_path / "c", seed=3, failures=wrong, options=one)
    assert again.summary == made.summary
    assert again.hosts.equals(made.hosts)
    assert read_report(tmp_path / "c").hosts.equals(made.hosts)


def test_a_report_that_is_gone_is_made_again_from_the_journal(report, tmp_path) -> None:
    made, folder, plan = report
    shutil.copytree(folder, tmp_path / "c")
    for path in [*(tmp_path / "c").glob("*.parquet"), tmp_path / "c" / "report.json"]:
        path.unlink()
    assert is_gone(tmp_path / "c")
    again = report_again(tmp_path / "c", planned_fleet("urgent")[0], plan)
    unknown = {"execution_wall_s": 0.0, "ray": False, "agents": 0}
    assert again.summary == made.summary.model_copy(update=unknown)
    assert again.migrations.equals(made.migrations)
    assert not is_gone(tmp_path / "c")
    assert read_report(tmp_path / "c").summary == again.summary
    (execution,) = (row for row in campaign_rows(again.summary, planned_hosts(plan)) if row[0] == "execution")
    assert execution == ("execution", "\u2013", "this report is made again from the journal, seed 3")


def test_no_blackout_is_claimed_for_what_did_not_finish(tmp_path) -> None:
    snapshot, plan = planned_fleet("urgent")
    wrong = Failures(migrations_per_mille=300, retryable_share=0.0)
    made = run_campaign(snapshot, plan, tmp_path / "c", seed=1, failures=wrong, options=LOCAL)
    rest = made.migrations.filter(pl.col("state") != "done")
    assert rest.height > 0
    for column in ("blackout_ms", "probe_blackout_ms", "transfer_mib"):
        assert rest[column].null_count() == rest.height
    assert rest["error"].null_count() == 0
    assert set(rest["state"].cast(pl.String)) == {"failed", "given-up"}
    left = made.hosts.filter(pl.col("state") != "returned")
    assert left["reason"].null_count() == 0
    assert set(made.troubles["subject"]) == set(left["host_id"]) | set(rest["migration_id"])
    assert made.summary.hosts == dict(sorted_states(made.hosts))


def sorted_states(table):
    return table["state"].cast(pl.String).value_counts().iter_rows()


def test_progress_is_told_to_the_end(tmp_path) -> None:
    snapshot, plan = planned_fleet("baked")
    told = []
    run_campaign(snapshot, plan, tmp_path / "c", options=LOCAL, progress=told.append)
    assert told[-1].finished
    assert told[-1].hosts_returned == told[-1].hosts == plan.hosts.height
    assert [step.migrations_done for step in told] == sorted(step.migrations_done for step in told)


def test_a_plan_of_another_snapshot_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="another snapshot"):
        run_campaign(small_fleet(vms={"v1": {"vcpus": 2}}), small_plan(), tmp_path / "c", options=LOCAL)
    assert not (tmp_path / "c").exists()


def test_a_plan_that_breaks_a_rule_is_refused(tmp_path) -> None:
    snapshot = small_fleet()
    broken = edited(small_plan(snapshot), snapshot, migrations={"m1": {"target": "h5"}})
    with pytest.raises(InputError, match="not executed") as refused:
        run_campaign(snapshot, broken, tmp_path / "c", options=LOCAL)
    assert refused.value.findings
    assert not (tmp_path / "c").exists()


def test_a_directory_of_another_campaign_or_of_other_things_is_refused(report, tmp_path) -> None:
    _, folder, plan = report
    snapshot, _ = planned_fleet("urgent")
    with pytest.raises(ExecutionError, match="holds campaign"):
        run_campaign(snapshot, plan, folder, seed=99, options=LOCAL)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        run_campaign(snapshot, plan, tmp_path, options=LOCAL)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        run_campaign(snapshot, plan, tmp_path / "file" / "c", options=LOCAL)


def test_a_damaged_report_is_an_error_with_its_remedy(report, tmp_path) -> None:
    _, folder, _ = report
    with pytest.raises(UsageError, match="holds no report"):
        read_report(tmp_path)
    for name in ("report.json", "hosts.parquet", "migrations.parquet", "troubles.parquet"):
        content = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(content)
    for name in ("migrations.parquet", "report.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:100])
        with pytest.raises(InputError, match="damaged"):
            read_report(tmp_path)
    (tmp_path / "report.json").write_bytes((folder / "report.json").read_bytes())
    (tmp_path / "migrations.parquet").unlink()
    with pytest.raises(InputError, match="missing"):
        read_report(tmp_path)


def test_an_interrupted_run_goes_on_when_it_is_run_again(tmp_path) -> None:
    snapshot, plan = planned_fleet("urgent")

    class StopHere(Exception):  # noqa: N818
        pass

    def interrupt(_told) -> None:
        raise StopHere

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slacktide.executors.run.PROGRESS_INTERVAL_S", 0.01)
        with pytest.raises(StopHere):
            run_campaign(snapshot, plan, tmp_path / "c", options=LOCAL, progress=interrupt)
    begun = read_journal(tmp_path / "c" / JOURNAL_FILE)
    assert begun.last > 0
    done = {entry.event.migration_id for entry in begun.read() if isinstance(entry.event, MigrationDone)}
    begun.close()
    assert not (tmp_path / "c" / "report.json").exists()
    told = []
    made = run_campaign(snapshot, plan, tmp_path / "c", options=LOCAL, resumed=told.append)
    whole = run_campaign(snapshot, plan, tmp_path / "d", options=LOCAL, resumed=told.append)
    assert [(far.migrations_done, far.migrations) for far in told] == [(len(done), plan.migrations.height)]
    assert made.migrations.equals(whole.migrations)
    assert made.hosts.equals(whole.hosts)


def test_what_others_did_meanwhile_is_in_the_report(tmp_path) -> None:
    snapshot, plan = planned_fleet()
    others = Others(deleted_per_mille=30, moved_per_mille=15)
    options = RunOptions(use_ray=False, on_drift="revise")
    report = run_campaign(snapshot, plan, tmp_path / "c", seed=1, others=others, options=options)
    counts = dict(report.others["what"].cast(pl.String).value_counts().iter_rows())
    assert counts == report.summary.others
    assert set(counts) == {"deleted", "moved"}
    assert report.summary.hosts["returned"] == plan.hosts.height
    assert read_report(tmp_path / "c").others.equals(report.others)
    assert "VMs meanwhile" in str(list(campaign_rows(report.summary, planned_hosts(plan))))
    page = render_report(snapshot, journal_standing(snapshot, plan, tmp_path / "c", None)[0].shown, report)
    assert "What others did with VMs meanwhile" in page
