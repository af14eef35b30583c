"""Maintenance actions as files, and what a file is told that is none."""

import json
from pathlib import Path

import pytest
from faulty_files import fault_of

from slacktide.errors import UsageError
from slacktide.executors.maintenance.action import ACTION, CommandAction, HttpAction, NoAction, command_action
from slacktide.executors.maintenance.action_check import action_findings
from slacktide.executors.maintenance.action_files import read_action
from slacktide.service.cli import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "maintenance.yaml"


def fault(path: Path, text: str) -> str:
    return fault_of(read_action, path, text)


def test_an_action_of_each_kind_is_read(file: Path) -> None:
    file.write_text("kind: command\ncommand: ssh {host} 'patch it'\n")
    action = read_action(file)
    assert action == command_action(("ssh", "{host}", "patch it"))
    assert isinstance(action, CommandAction)
    assert action.timeout_s is None
    assert action.retries == 0
    file.write_text("kind: none\n")
    assert read_action(file) == NoAction(kind="none")
    file.write_text("kind: http\nurl: https://x/{host}\njson: {level: '{patch_level}'}\n")
    action = read_action(file)
    assert isinstance(action, HttpAction)
    assert action.json_body == {"level": "{patch_level}"}
    file.write_text("kind: ansible\nplaybook: patch.yml\ninventory: hosts/prod\n")
    action = read_action(file)
    assert action.playbook == str(file.parent / "patch.yml")
    assert action.inventory == str(file.parent / "hosts" / "prod")
    file.write_text("kind: ansible\nplaybook: /srv/patch.yml\ninventory: '{host},'\n")
    action = read_action(file)
    assert (action.playbook, action.inventory) == ("/srv/patch.yml", "{host},")


def test_an_action_written_as_json_reads_back(tmp_path: Path, file: Path) -> None:
    file.write_text(
        "kind: http\nurl: https://x\njson: [1]\n"
        "verify: [{kind: tcp, port: 22}, {kind: command, command: 'ssh {host} ok'}]\n"
        "poll: {url: 'https://x/{answer.id}', field: s, done: [ok]}\n"
    )
    action = read_action(file)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(ACTION.dump_python(action, mode="json", by_alias=True)))
    assert read_action(other) == action


def test_a_kind_that_is_missing_or_misspelt_is_answered_with_all(file: Path) -> None:
    assert "the action: `kind` is missing" in fault(file, "command: patch\n")
    text = fault(file, "kind: ansibel\nplaybook: x\n")
    assert "'ansibel' is no kind that there is" in text
    assert "Did you mean `ansible`? Write one of command, http, ansible, none" in text
    text = fault(file, "kind: none\nverify:\n- kind: patchlevel\n")
    assert "`verify.0` in line 3: 'patchlevel' is no kind that there is" in text
    assert "Did you mean `patch_level`? Write one of patch_level, command, http, tcp" in text


def test_a_misspelt_field_is_answered_with_the_nearest_wherever_it_is(file: Path) -> None:
    text = fault(file, "kind: command\ncommand: patch\nretry: 3\n")
    assert "`retry` in line 3 is not a field here" in text
    assert "Did you mean `retries`?" in text
    text = fault(file, "kind: http\nurl: https://x\npoll:\n  url: https://x\n  feild: a\n  done: [b]\n")
    assert "`poll.feild` in line 5 is not a field here" in text
    assert "Did you mean `field`?" in text
    text = fault(file, "kind: none\nverify:\n- {kind: tcp, port: 22}\n- {kind: tcp, prot: 22}\n")
    assert "`verify.1.prot` in line 4 is not a field here" in text
    assert "`verify.1.port` in line 4 is missing" in text
    assert "Did you mean `json`?" in fault(file, "kind: http\nurl: https://x\njsn: {}\n")


@pytest.mark.parametrize(("line", "remedy"), [
    ("timeout_s: 10min", "Write 600"), ("timeout_s: '90'", "Write 90"), ("retries: '3'", "Write 3"),
    ("retries: 2.0", "Write 2"), ("retry_after_s: 1 h", "Write 3600"),
])  # fmt: skip
def test_a_time_or_a_number_written_otherwise_is_answered_with_what_was_meant(
    file: Path, line: str, remedy: str
) -> None:
    text = fault(file, f"kind: command\ncommand: patch\n{line}\n")
    assert f"`{line.partition(':')[0]}` in line 3" in text
    assert remedy in text


@pytest.mark.parametrize(("text", "said"), [
    ("kind: command\ncommand: ssh '{host}\n", "cannot be split into words: No closing quotation"),
    ("kind: command\ncommand: []\n", "`command` in line 2"),
    ("kind: http\nurl: api/{host}\n", "is no address of HTTP"),
    ("kind: http\nurl: https://x\nbody: a\njson: {}\n", "a call has one body"),
    ("kind: http\nurl: https://x\nheaders: {Authorization: Bearer abc}\n", "the value of Authorization stands"),
    ("kind: http\nurl: https://x\npoll: {url: https://x, field: a}\n", "nothing says when the job is done"),
    ("kind: http\nurl: https://x\npoll: {url: https://x, done: [a]}\n", "done and failed are values of a field"),
    ("kind: http\nurl: https://x\npoll: {url: https://x, field: a, done: [b], failed: [b]}\n", "b is both done and"),
    ("kind: http\nurl: https://x\nmethod: FETCH\n", "`method` in line 3"),
    ("kind: ansible\nplaybook: x\narguments: [--limit, all]\n", "--limit is given by this action"),
    ("kind: ansible\nplaybook: x\narguments: [--check]\n", "--check is given by this action"),
    ("kind: none\nverify: [{kind: patch_level}]\n", "the level is read by a command or at a url"),
    ("kind: none\nverify: [{kind: patch_level, command: a, match: '('}]\n", "is no regular expression"),
    ("kind: none\nverify: [{kind: http, url: https://x, equals: a}]\n", "equals needs a field"),
    ("kind: none\nverify: [{kind: tcp, port: 70000}]\n", "`verify.0.port` in line 2"),
    ("kind: none\nretries: 3\n", "`retries` in line 2 is not a field here"),
    ("kind: none\nkind: none\n", "`kind` is given twice, again in line 2"),
    ("", "the file is empty"), ("- a\n", "expected fields with values, found a list"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(file: Path, text: str, said: str) -> None:
    told = fault(file, text)
    assert said in told


def test_a_secret_is_never_repeated_by_an_error(file: Path) -> None:
    told = fault(file, "kind: http\nurl: https://x\nheaders: {X-Api-Key: hunter2}\n")
    assert "hunter2" not in told
    assert "write ${NAME}" in told.lower().replace("${name}", "${NAME}")


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_action(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="A maintenance action is a file of one of"):
        read_action(tmp_path / "none.txt")


def test_what_an_action_needs_on_this_machine_is_looked_for(monkeypatch) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    action = ACTION.validate_python(
        {
            "kind": "http",
            "url": "https://x",
            "headers": {"Authorization": "${NO_TOKEN}"},
            "verify": [{"kind": "command", "command": "no-such-program"}],
        }
    )
    found = {finding.rule: finding.message for finding in action_findings(action, "m.yaml")}
    assert found == {
        "maintenance-variable": "environment variable NO_TOKEN is not set on this machine",
        "maintenance-program": "there is no program no-such-program on this machine",
    }
    (warning,) = action_findings(command_action(("true",)), "m.yaml")
    assert (warning.rule, warning.severity) == ("maintenance-unverified", "warning")
    assert action_findings(NoAction(kind="none"), "m.yaml") == ()


def test_the_command_checks_a_file(file: Path, capsys) -> None:
    file.write_text("kind: command\ncommand: 'true'\nverify: [{kind: patch_level, command: echo x}]\n")
    assert main(["maintenance", "check", str(file)]) == 0
    assert f"{file}: action command, 1 check afterwards, no error" in capsys.readouterr().out.replace("\n", " ")
    file.write_text("kind: command\ncommand: no-such-program\n")
    assert main(["maintenance", "check", str(file), "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["kind"] == "command"
    assert "no-such-program" in captured.err
    file.write_text("kind: commnd\n")
    assert main(["maintenance", "check", str(file)]) == 1
    assert "Did you mean `command`?" in capsys.readouterr().err
