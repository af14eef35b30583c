"""The same campaign on Ray and within one process."""

from pathlib import Path

import pytest
import ray
from campaigns import planned_fleet
from postgresql import PASSWORD

from slacktide.executors.drivers.settings import Failures
from slacktide.executors.health.settings import Health, Signal
from slacktide.executors.maintenance.action import CommandCheck
from slacktide.executors.run import RunOptions, run_campaign
from slacktide.executors.store.address import parse_store
from slacktide.executors.store.campaigns import list_campaigns

pytestmark = [
    pytest.mark.integration,
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves sockets and log files to the interpreter
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
WRONG = Failures(migrations_per_mille=20, overruns_per_mille=50)


@pytest.mark.usefixtures("ray_ends")
def test_ray_gives_the_report_that_one_process_gives(tmp_path) -> None:
    snapshot, plan = planned_fleet("urgent")
    told = []
    on_ray = run_campaign(
        snapshot,
        plan,
        tmp_path / "ray",
        seed=7,
        failures=WRONG,
        progress=told.append,
        options=RunOptions(agents=2),
    )
    assert not ray.is_initialized(), "Ray was started for the campaign and is still there"
    local = run_campaign(
        snapshot, plan, tmp_path / "local", seed=7, failures=WRONG, options=RunOptions(agents=1, use_ray=False)
    )
    assert on_ray.summary.ray
    assert told[-1].finished
    for name in ("migrations", "hosts", "troubles"):
        assert getattr(on_ray, name).equals(getattr(local, name)), name
        one, other = tmp_path / "ray" / f"{name}.parquet", tmp_path / "local" / f"{name}.parquet"
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.usefixtures("ray_ends")
def test_a_cluster_that_is_there_is_used_and_left_running(tmp_path, monkeypatch) -> None:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    snapshot, plan = planned_fleet("baked")
    report = run_campaign(snapshot, plan, tmp_path / "c", options=RunOptions(agents=1))
    assert report.summary.finished
    assert ray.is_initialized()
    beside_the_command = tmp_path / "well"
    beside_the_command.write_text("#!/bin/sh\n")
    beside_the_command.chmod(0o700)
    signal = Signal(name="here", check=CommandCheck(kind="command", command="./well"))
    monkeypatch.chdir(tmp_path)
    options = RunOptions(agents=1, health=Health(signals=(signal,)))
    again = run_campaign(snapshot, plan, Path("d"), options=options)
    assert again.migrations.equals(report.migrations), "its nodes were started in another folder"
    assert not again.summary.own_steps, "the signal's command was found"


@pytest.mark.usefixtures("ray_ends")
def test_a_campaign_on_ray_is_kept_in_a_database_that_asks_for_a_password(postgresql, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    store = parse_store(parse_store(postgresql.url(postgresql.new_database(), password=True)).kept)
    snapshot, plan = planned_fleet("urgent")
    report = run_campaign(
        snapshot, plan, tmp_path / "c", seed=7, failures=WRONG, options=RunOptions(agents=1, store=store)
    )
    monkeypatch.delenv("PGPASSWORD")
    (listed,) = list_campaigns(store)
    assert (listed.state, listed.is_held, listed.holder) == ("finished", False, None)
    local = run_campaign(
        snapshot, plan, tmp_path / "local", seed=7, failures=WRONG, options=RunOptions(agents=1, use_ray=False)
    )
    assert report.migrations.equals(local.migrations)
    for path in (tmp_path / "c").iterdir():
        assert PASSWORD.encode() not in path.read_bytes()
