"""The commands as an operator gives them, one process each, from a generated fleet to its report."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from slacktide.planner.audit import audit
from slacktide.planner.plan import PlanSummary
from slacktide.planner.plan_files import read_plan
from slacktide.service.ahead import COMPILING

pytestmark = [pytest.mark.integration, pytest.mark.computing]

COMMAND = [sys.executable, "-m", "slacktide.service.cli"]
HEAVY = {"altair", "dataframely", "numba", "numpy", "ortools", "polars", "pydantic", "ray", "scipy", "sqlalchemy"}


def slacktide(*arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=400,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def told(stderr: str) -> list[str]:
    """Return what a campaign said, but for how far it is: that depends on how busy the machine is."""
    return [line for line in stderr.splitlines() if " opened, " not in line]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a fleet and its plan."""
    folder = tmp_path_factory.mktemp("work")
    slacktide("fleet", "generate", "--hosts", 40, "--hosts-per-rack", 8, "--seed", 3, "-o", folder / "fleet")
    options = ("--preset", "urgent", "--iterations", 2, "--html", folder / "plan.html")
    printed = slacktide("plan", folder / "fleet", "-o", folder / "plan", *options, "--json")
    (folder / "printed.json").write_text(printed.stdout)
    assert printed.stderr.strip() in ("", COMPILING)
    return folder


def test_help_imports_nothing_heavy():
    program = "import sys, slacktide.service.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def test_check_and_show(work):
    assert slacktide("fleet", "check", work / "fleet").stdout.endswith(": 0 errors, 0 warnings\n")
    shown = json.loads(slacktide("fleet", "show", work / "fleet", "--json").stdout)
    assert shown["hosts"] == 40


def test_plan_prints_the_summary_of_plan_json(work):
    printed = json.loads((work / "printed.json").read_text())
    assert printed == json.loads((work / "plan" / "plan.json").read_text())["summary"]
    assert set(printed) == set(PlanSummary.model_fields) - {"evacuated"}, "of which is silent who evacuates nobody"
    assert "<html" in (work / "plan.html").read_text()


def test_the_same_command_gives_the_same_plan(work):
    options = ("--preset", "urgent", "--iterations", 2)
    slacktide("plan", work / "fleet", "-o", work / "again", *options)
    assert read_plan(work / "again").header.id == read_plan(work / "plan").header.id


def test_cells_on_ray_and_in_process_give_the_same_plan(work):
    options = ("--preset", "urgent", "--iterations", 1, "--cells", 2, "--workers", 2)
    here = slacktide("plan", work / "fleet", "-o", work / "by-cells", *options)
    on_ray = slacktide("plan", work / "fleet", "-o", work / "by-cells-on-ray", *options, "--ray")
    assert here.stdout.splitlines()[0] == on_ray.stdout.splitlines()[0]
    assert on_ray.stderr == ""
    slacktide("audit", work / "fleet", work / "by-cells-on-ray")


def test_audit(work):
    result = json.loads(slacktide("audit", work / "fleet", work / "plan", "--json").stdout)
    assert result["findings"] == []
    assert "host-capacity" in result["checked_rules"]


def test_explain(work):
    assert slacktide("explain", work / "fleet", work / "plan").stdout.strip()
    assert isinstance(json.loads(slacktide("explain", work / "fleet", work / "plan", "--json").stdout), dict)


def test_compare(work):
    table = slacktide("compare", work / "fleet", work / "plan").stdout
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["plan", "kubevirt", "nova", "vsphere", "ovirt"]
    options = ("--constants", "1:1", "--constants", "2:50", "--json")
    rows = json.loads(slacktide("compare", work / "fleet", work / "plan", *options).stdout)["rows"]
    assert [row["name"] for row in rows] == ["plan", "1:1", "2:50"]
    assert rows[0]["over_limit"] == 0
    assert rows[1]["drain_s"] > rows[2]["drain_s"]
    assert rows[1]["blackout_s"] <= rows[2]["blackout_s"]


def test_run_and_report_without_ray(work):
    campaign = work / "plan-campaign"
    first = slacktide("run", work / "fleet", work / "plan", "--no-ray", "--json")
    assert told(first.stderr) == []
    assert json.loads(first.stdout) == json.loads((campaign / "report.json").read_text())
    again = slacktide("run", work / "fleet", work / "plan", "--no-ray", "--json")
    assert again.stdout == first.stdout
    assert "had finished: nothing is carried out, here is its report. To begin anew" in again.stderr
    page = (campaign / "report.html").read_bytes()
    (campaign / "report.html").unlink()
    assert str(campaign / "report.html") in slacktide("report", campaign).stdout
    assert (campaign / "report.html").read_bytes() == page
    tables = {path: path.read_bytes() for path in campaign.glob("*.parquet")}
    for path in (*tables, campaign / "report.html"):
        path.unlink()
    assert "made again from the journal" in slacktide("report", campaign).stderr
    assert {path: path.read_bytes() for path in campaign.glob("*.parquet")} == tables
    assert (campaign / "report.html").read_bytes() == page
    other = slacktide("run", work / "fleet", work / "plan", "--no-ray", "--seed", 8, code=1)
    assert "run with other settings or another plan" in other.stderr


def test_a_report_finds_its_moved_plan_by_option(work):
    slacktide("plan", work / "fleet", "-o", work / "moving", "--iterations", 1, "--preset", "urgent", "--seed", 5)
    slacktide("run", work / "fleet", work / "moving", "--no-ray", "-o", work / "moved-campaign")
    (work / "moving").rename(work / "moved")
    assert "Say where it is with --plan" in slacktide("report", work / "moved-campaign", code=2).stderr
    slacktide("report", work / "moved-campaign", "--plan", work / "moved")


def test_hosts_that_do_not_return_are_exit_code_1(work):
    options = ("--no-ray", "--lost-hosts", 400, "--failures", 100, "-o", work / "unlucky", "--json")
    done = slacktide("run", work / "fleet", work / "plan", *options, code=1)
    summary = json.loads(done.stdout)
    assert summary["hosts"]["returned"] < sum(summary["hosts"].values())
    assert summary["attempts"] > summary["migrations"]["done"]


def test_ray_runs_the_same_campaign_and_says_that_it_starts(work):
    done = slacktide("run", work / "fleet", work / "plan", "-o", work / "on-ray", "--agents", 2)
    assert told(done.stderr) == [
        "starting on Ray: the coordinator and 2 agents; the campaign is taken up once they are there"
    ]
    assert "2 agents on Ray" in done.stdout
    assert "planned hosts patched in" in done.stdout


def test_nothing_plannable_is_exit_code_1_with_reasons(work):
    slacktide("fleet", "generate", "--hosts", 6, "--pinned-share", 1, "--empty-share", 0, "-o", work / "stuck")
    done = slacktide("plan", work / "stuck", "-o", work / "stuck-plan", code=1)
    assert "nothing can be planned, all 6 due hosts deferred" in done.stdout
    assert "6  pinned-vm: " in done.stdout


def test_nothing_due_is_exit_code_0(work):
    slacktide("fleet", "generate", "--hosts", 6, "--patched-share", 1, "-o", work / "patched")
    done = slacktide("plan", work / "patched", "-o", work / "patched-plan")
    assert "no host is due, there is nothing to plan" in done.stdout


def test_a_reader_that_leaves_is_no_error(work):
    program = f"{sys.executable} -m slacktide.service.cli fleet show {work / 'fleet'} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "141"}


def test_a_full_disk_leaves_nothing(work):
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from slacktide.service.cli import main; sys.exit(main())"
    )
    for arguments in (
        ("fleet", "generate", "--hosts", "200", "-o", str(work / "full")),
        ("run", str(work / "fleet"), str(work / "plan"), "--no-ray", "-o", str(work / "full-campaign")),
    ):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: ")
    assert not (work / "full").exists()
    assert not list(work.glob("full-campaign/report*"))
    assert not list(work.glob("**/*.part*"))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody may write to")
def test_an_output_folder_that_cannot_be_written():
    done = slacktide("fleet", "generate", "--hosts", 6, "-o", "/proc/self/fleet", code=1)
    assert "/proc/self/fleet: cannot be written" in done.stderr


def interrupted(arguments: list[str], until: str) -> tuple[int, str]:
    """Return exit code and output of a command on a terminal, with Ctrl-C pressed once ``until`` was shown."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    shown, pressed, end = "", False, time.monotonic() + 400
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
        if until in shown and not pressed:
            process.send_signal(signal.SIGINT)
            pressed = True
        if process.poll() is not None and not select.select([terminal], [], [], 0)[0]:
            break
    os.close(terminal)
    return process.wait(timeout=30), shown


def test_ctrl_c_while_planning_keeps_the_best_plan(work, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    arguments = ["plan", str(work / "fleet"), "-o", str(work / "interrupted"), "--iterations", "100000000"]
    code, shown = interrupted(arguments, "improving")
    assert code == 130, shown
    assert "Traceback" not in shown
    assert "this is the best plan until then" in shown
    assert read_plan(work / "interrupted").header.summary.audit.findings == ()


def test_ctrl_c_during_a_what_if_keeps_the_table_so_far(work, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["what-if", str(work / "fleet"), "--preset", "urgent", "-o", str(work / "what-if")]
    code, shown = interrupted([*arguments, "--iterations", "60"], "max_out.fleet 20%")
    assert code == 130, shown
    assert "Traceback" not in shown
    assert "this is what was known until then" in shown
    found = json.loads((work / "what-if" / "what-if.json").read_text())
    assert not found["whole"]
    assert found["not_planned"]
    plans = sorted((work / "what-if" / "plans").iterdir())
    assert found["present"]["plan_id"] in {folder.name for folder in plans}
    assert all(read_plan(folder).header.summary.audit.findings == () for folder in plans)


def test_ctrl_c_keeps_the_front_so_far(work, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["pareto", str(work / "fleet"), "--preset", "urgent", "-o", str(work / "front"), "--iterations", "60"]
    code, shown = interrupted(arguments, "hosts out, makespan first")
    assert code == 130, shown
    assert "Traceback" not in shown
    found = json.loads((work / "front" / "front.json").read_text())
    assert found["front"]
    assert found["not_planned"] > 0
    assert (work / "front" / "front.png").stat().st_size > 1000


def test_ctrl_c_while_running_goes_on_with_the_same_command(work, monkeypatch):
    from slacktide.executors.events import CampaignFinished
    from slacktide.executors.report_again import is_gone
    from slacktide.executors.store.reading import read_journal

    monkeypatch.setenv("TERM", "xterm")
    campaign = work / "resumed"
    arguments = ["run", str(work / "fleet"), str(work / "plan"), "--no-ray", "-o", str(campaign)]
    code, shown = interrupted(arguments, "hosts returned")
    assert "Traceback" not in shown
    with closing(read_journal(campaign / "journal.sqlite")) as journal:  # the machine may be quick
        finished = bool(journal.of_types(CampaignFinished.type))
    if code == 130:
        assert "the same command goes on" in shown
    if not finished:
        assert code == 130
        assert "has not finished" in slacktide("report", campaign, code=1).stderr
    unreported = is_gone(campaign)
    again = slacktide(*arguments)
    assert ("resumed from the journal: " in again.stderr) == unreported
    assert (campaign / "report.html").is_file()


def test_the_plan_is_audited_by_the_library_too(work):
    from slacktide.datasets.files import read_snapshot

    assert audit(read_snapshot(work / "fleet"), read_plan(work / "plan")).findings == ()
