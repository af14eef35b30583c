"""A campaign that runs in a process of its own is told what to do from others."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaigns import REPLAY

FLEET, PLAN = REPLAY / "urgent" / "fleet", REPLAY / "urgent" / "plan"


def slacktide(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slacktide.service.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def shown(directory: Path) -> dict:
    return json.loads(slacktide("campaign", "show", directory, "--json").stdout)


@pytest.fixture
def running(tmp_path):
    """Have a campaign that is carried out at 100 times the speed of the clock: minutes for the whole of it."""
    directory = tmp_path / "campaign"
    command = [sys.executable, "-m", "slacktide.service.cli", "run", FLEET, PLAN, "-o", directory]
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            [*map(str, command), "--no-ray", "--speed", "100", "--on-drift", "ignore"], stdout=said, stderr=said
        ) as process,
    ):
        end = time.monotonic() + 60
        while process.poll() is None and not slacktide("campaign", "show", directory).stdout:
            assert time.monotonic() < end
            time.sleep(0.2)
        yield directory, process, tmp_path / "said"
        process.kill()


def test_a_running_campaign_is_paused_changed_resumed_and_aborted(running) -> None:
    directory, process, said = running
    paused = json.loads(slacktide("campaign", "pause", directory, "--by", "ada", "--why", "lunch", "--json").stdout)
    assert paused["answer"]["type"] == "campaign-paused"
    before = shown(directory)
    assert before["standing"] == "paused"
    assert before["holder"] is not None
    end = time.monotonic() + 60
    while shown(directory)["now_s"] < before["now_s"] + 300:
        assert time.monotonic() < end, "the campaign's clock goes on while it is paused"
        time.sleep(0.2)
    skipped = slacktide("campaign", "skip", directory, _waiting_host(before, directory))
    assert (skipped.returncode, skipped.stdout.strip().endswith("is left alone")) == (0, True), skipped.stderr
    refused = slacktide("campaign", "limits", directory, "planet=1")
    assert refused.returncode == 1
    assert "limits no hosts out by planet" in refused.stdout
    changed = slacktide("campaign", "limits", directory, "fleet=50%")
    assert changed.returncode == 0
    assert slacktide("campaign", "resume", directory).stdout.strip() == "goes on"
    aborted = slacktide("campaign", "abort", directory, "--cancel", "--why", "wrong patch")
    assert aborted.stdout.strip().startswith("aborted")
    assert process.wait(60) == 1, "hosts were not patched"
    assert "nothing new is begun: it is paused" in said.read_text()
    after = shown(directory)
    assert after["standing"] == "aborted"
    assert after["waiting"] == []
    kinds = [order["type"] for order in after["orders"]]
    assert kinds == [
        "campaign-paused",
        "host-skipped",
        "order-refused",
        "limits-changed",
        "campaign-continued",
        "campaign-aborted",
    ]
    assert (after["orders"][0]["by"], after["orders"][0]["why"]) == ("ada", "lunch")
    late = slacktide("campaign", "pause", directory)
    assert late.returncode == 1
    assert "has finished: nothing can be asked of it any more" in late.stderr


def _waiting_host(state: dict, directory: Path) -> str:
    """Return a host that has not been drained: the last by name."""
    import polars as pl

    hosts = pl.read_parquet(PLAN / "hosts.parquet").sort("drain_start_s")
    return str(hosts["host_id"][-1])


def test_a_failing_host_is_evacuated_from_a_running_campaign(running) -> None:
    directory, process, said = running
    host = _waiting_host(shown(directory), directory)
    words = slacktide("campaign", "evacuate", directory, host, "--by", "an alert", "--why", "fan", "--json").stdout
    answer = json.loads(words)["answer"]
    assert (answer["type"], answer["evacuates"], answer["by"]) == ("plan-revised", host, "an alert")
    end = time.monotonic() + 60
    while not shown(directory)["hosts"].get("evacuated"):
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.2)
    assert shown(directory)["evacuated"] == {host: "asked for by an alert: fan"}
    assert "evacuated: " in slacktide("campaign", "show", directory).stdout
    again = slacktide("campaign", "evacuate", directory, host)
    assert (again.returncode, "is evacuated already" in again.stdout) == (1, True)
    slacktide("campaign", "abort", directory, "--cancel")
    assert process.wait(60) == 1, "hosts were not patched"
    report = json.loads((directory / "report.json").read_text())
    assert [(each["host_id"], each["why"]) for each in report["evacuations"]] == [(host, "asked for by an alert: fan")]
    assert report["hosts"]["evacuated"] == 1
    assert "evacuated" not in report["not_patched"]


def test_one_that_is_asked_to_end_says_what_goes_on_with_it(running, tmp_path) -> None:
    directory, process, said = running
    slacktide("campaign", "pause", directory)
    process.terminate()
    assert process.wait(60) == 143
    assert f"the same command goes on from the journal in {directory}" in said.read_text()
    found = shown(directory)
    assert (found["standing"], found["holder"]) == ("stopped", None)
    assert found["command"]["words"].startswith(f"slacktide run {FLEET} {PLAN} -o {directory} --no-ray --speed 100")
    assert found["command"]["folder"] == str(Path.cwd())


def test_campaigns_are_listed_and_watched(running, tmp_path) -> None:
    directory, process, _ = running
    (listed,) = json.loads(slacktide("campaign", "list", tmp_path, "--json").stdout)
    assert listed["directory"] == str(directory)
    assert listed["holder"] is not None
    slacktide("campaign", "abort", directory)
    watched = slacktide("campaign", "watch", directory)
    assert watched.returncode == 0
    assert "the campaign is aborted" in watched.stderr
    process.wait(60)


def test_what_is_no_campaign_is_said_to_be_none(tmp_path) -> None:
    for command in ("show", "watch", "pause"):
        done = slacktide("campaign", command, tmp_path)
        assert done.returncode == 2
        assert "holds no campaign" in done.stderr
