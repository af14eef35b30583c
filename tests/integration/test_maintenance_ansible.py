"""Maintenance by real runs of ansible-playbook, on this machine in place of the host."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from maintained import HOST, LEVEL, Maintained, agent, newest, until

from slacktide.executors.maintenance import playbooks
from slacktide.executors.maintenance.action_check import action_findings
from slacktide.executors.maintenance.action_files import read_action
from slacktide.ids import HostId

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(playbooks.program() is None, reason="THERE IS NO ANSIBLE: its tests did not run"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.ini"
    local = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    path.write_text(f"[fleet]\nh1 {local}\nh2 {local}\n")
    return path


@pytest.fixture
def action(tmp_path: Path, inventory: Path):
    """Return what makes an action of a list of tasks."""

    def make(*tasks: dict, hosts: str = "fleet", **more) -> dict:
        playbook = tmp_path / "patch.json"
        playbook.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]))
        return {"kind": "ansible", "playbook": str(playbook), "inventory": str(inventory), **more}

    return make


def task(name: str, command: str, **more) -> dict:
    return {"name": name, "ansible.builtin.shell": command, **more}


def test_a_playbook_is_run_for_its_host_alone_with_what_it_is_told(
    folder: Path, tmp_path: Path, action, monkeypatch
) -> None:
    monkeypatch.setenv("REPO_TOKEN", "t0ken-of-the-repository")
    log = tmp_path / "log"
    tell = task("tell", f"echo {{{{ inventory_hostname }}}} {{{{ slacktide_patch_level }}}} {{{{ token }}}} >>{log}")
    Maintained(folder, action(tell, extra_vars={"token": "${REPO_TOKEN}"})).begin().returned()
    assert log.read_text() == f"{HOST} {LEVEL} t0ken-of-the-repository\n"
    assert not any(b"t0ken" in file.read_bytes() for file in folder.iterdir()), "what it was given is gone"


def test_the_failing_task_and_its_message_are_told(folder: Path, action) -> None:
    tasks = (
        task("not so bad", "exit 1", ignore_errors=True),
        task("install the kernel", "echo no space left on device >&2; exit 3"),
        task("never", "true"),
    )
    failed = Maintained(folder, action(*tasks)).begin().failed()
    assert failed.untouched is False
    assert failed.reason.startswith("ansible-playbook patch.json ended with 2: task install the kernel: ")
    assert "no space left on device" in failed.reason
    assert "not so bad" not in failed.reason


def test_a_result_that_is_not_to_be_logged_is_not_told(folder: Path, action) -> None:
    failed = Maintained(folder, action(task("secret", "echo p4ssword; exit 1", no_log=True))).begin().failed()
    assert "task secret" in failed.reason
    assert "p4ssword" not in failed.reason


def test_a_playbook_is_tried_again(folder: Path, tmp_path: Path, action) -> None:
    twice = task("second time lucky", f"test -e {tmp_path}/been || {{ touch {tmp_path}/been; exit 1; }}")
    Maintained(folder, action(twice, retries=1, retry_after_s=0.05)).begin().returned()


def test_a_host_that_cannot_be_reached_is_untouched(folder: Path, inventory: Path, action) -> None:
    inventory.write_text("[fleet]\nh1 ansible_host=127.0.0.1 ansible_port=1 ansible_connection=ssh\n")
    failed = Maintained(folder, action(task("patch", "true"))).begin().failed()
    assert failed.untouched is True
    assert "ended with 4" in failed.reason
    assert "Failed to connect to the host" in failed.reason


def test_a_playbook_that_does_not_have_the_host_is_no_success(folder: Path, action) -> None:
    failed = Maintained(folder, action(task("patch", "true"), hosts="localhost")).begin().failed()
    assert failed.untouched is True
    assert "has no play for h1" in failed.reason
    failed = Maintained(folder / "2", action(task("patch", "true")), name="h9").begin().failed()
    assert failed.untouched is True
    assert "no hosts to target" in failed.reason


def test_a_playbook_that_cannot_be_read_touches_nothing(folder: Path, tmp_path: Path, action) -> None:
    wrong = action()
    (tmp_path / "patch.json").write_text("- hosts: [")
    failed = Maintained(folder, wrong).begin().failed()
    assert failed.untouched is True
    assert "YAML parsing failed" in failed.reason
    (tmp_path / "patch.json").unlink()
    failed = Maintained(folder / "2", wrong).begin().failed()
    assert failed.untouched is True
    assert "cannot be read" in failed.reason


@pytest.mark.parametrize("name", ["h*", "h1:h2", "!h1", "~h.", "-v", "@file", "h1,h2"])
def test_an_id_that_would_be_a_pattern_of_hosts_is_refused(folder: Path, tmp_path: Path, action, name: str) -> None:
    failed = Maintained(folder, action(task("patch", f"touch {tmp_path}/touched")), name=name).begin().failed()
    assert failed.untouched is True
    assert "for a pattern of hosts" in failed.reason
    assert not (tmp_path / "touched").exists()


def test_without_ansible_nothing_is_touched(folder: Path, tmp_path: Path, action, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    failed = Maintained(folder, action(task("patch", "true"))).begin().failed()
    assert failed.untouched is True
    assert "there is no ansible-playbook where the agent runs" in failed.reason


def test_a_run_outlives_its_agent_and_is_not_begun_again(folder: Path, tmp_path: Path, action) -> None:
    log = tmp_path / "log"
    slow = action(task("slow", f"echo begin >>{log}; sleep 2; echo end >>{log}"))
    with agent(folder, slow) as running:
        until(log.exists, "the task begins")
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert newest(folder).process
    Maintained(folder, slow).adopt().returned()
    assert log.read_text().split() == ["begin", "end"]


def test_a_file_of_an_action_is_checked_by_ansible_itself(tmp_path: Path, inventory: Path, action) -> None:
    file = tmp_path / "maintenance.json"

    def findings(content: dict, *hosts: str) -> list[str]:
        file.write_text(json.dumps(content))
        found = action_findings(read_action(file), file.name, tuple(map(HostId, hosts)))
        return [finding.message for finding in found if finding.severity == "error"]

    good = action(task("patch", "true"))
    beside = good | {"playbook": "patch.json", "inventory": "inventory.ini"}
    assert findings(good, "h1", "h2") == findings(beside, "h1", "h2") == []
    (missing,) = findings(beside, "h1", "h3", "h4")
    assert missing == "the inventory lacks 2 of 3 hosts: h3, h4"
    (pattern, _) = findings(beside, "h*")
    assert "patterns: h*" in pattern
    (tmp_path / "patch.json").write_text("- hosts: [")
    (unreadable,) = findings(beside)
    assert "Ansible cannot read" in unreadable
    shutil.move(tmp_path / "patch.json", tmp_path / "moved.json")
    (gone,) = findings(beside)
    assert "cannot be read" in gone
