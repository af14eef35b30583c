"""What ``slacktide run`` says of an action that cannot be carried out, before anything is touched."""

from pathlib import Path

import pytest
from small_fleet import small_fleet, small_plan

from slacktide.datasets.files import write_snapshot
from slacktide.planner.plan_files import write_plan
from slacktide.service.cli import main


@pytest.fixture
def run(tmp_path: Path, capsys):
    """Return what runs the small plan with further words, and gives exit code and what was said."""
    write_snapshot(small_fleet(), tmp_path / "fleet")
    write_plan(small_plan(), tmp_path / "plan")
    (tmp_path / "fleet-connections.json").write_text('{"h1": "test:///default"}')

    def carry_out(*words: str) -> tuple[int, str]:
        code = main(["run", str(tmp_path / "fleet"), str(tmp_path / "plan"), "-o", str(tmp_path / "campaign"), *words])
        assert not (tmp_path / "campaign").exists()
        return code, " ".join(capsys.readouterr().err.split())

    return carry_out


def test_an_action_is_for_real_hosts_and_these_need_one(run, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("kind: none\n")
    code, said = run("--maintenance", str(file))
    assert code == 2
    assert "--maintenance: is for real hosts" in said
    code, said = run("--fabric", str(file))
    assert code == 2
    assert "--fabric: is for real hosts" in said
    code, said = run("--driver", "libvirt")
    assert code == 2
    assert "--patch-command: is missing, and so is --maintenance" in said
    code, said = run("--driver", "libvirt", "--maintenance", str(file), "--patch-command", "true")
    assert code == 2
    assert "is given beside --patch-command" in said


def test_an_action_that_is_wrong_or_lacks_something_is_refused(run, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("kind: comand\n")
    code, said = run("--driver", "libvirt", "--maintenance", str(file))
    assert code == 1
    assert "Did you mean `command`?" in said
    monkeypatch.delenv("NO_TOKEN", raising=False)
    file.write_text("kind: http\nurl: https://x/{host}\nheaders: {Authorization: '${NO_TOKEN}'}\n")
    code, said = run("--driver", "libvirt", "--maintenance", str(file))
    assert code == 1
    assert "cannot be carried out from this machine" in said
    assert "environment variable NO_TOKEN is not set" in said
