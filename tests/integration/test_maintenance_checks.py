"""Checks after maintenance, against real commands, servers and ports."""

import os
import socket
from pathlib import Path

import pytest
from maintained import LEVEL, Maintained
from patch_servers import Answer, Asked, patch_server

from slacktide.executors.maintenance.action import CHECKS
from slacktide.executors.maintenance.filling import WORDS, Target
from slacktide.executors.maintenance.verifying import looked
from slacktide.ids import HostId

pytestmark = pytest.mark.integration
SOON = {"within_s": 0.3, "every_s": 0.05}
LATER = {"within_s": 10, "every_s": 0.05}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def verified(*checks: dict) -> dict:
    return {"kind": "command", "command": "true", "verify": list(checks)}


def level_by(command: str, **more) -> dict:
    return {"kind": "patch_level", "command": ["sh", "-c", command], **(SOON | more)}


def test_a_level_that_is_read_back_lets_the_host_return(folder: Path) -> None:
    Maintained(folder, verified(level_by(f"echo {LEVEL}"))).begin().returned()
    Maintained(
        folder / "2", verified(level_by(f"echo kernel {LEVEL}.x86", match="kernel {patch_level}\\.\\w+"))
    ).begin().returned()


@pytest.mark.parametrize(("command", "said"), [
    ("echo 2026-10", f"it says 2026-10, and the policy asks for {LEVEL}"),
    (f"echo {LEVEL}-rc", f"it says {LEVEL}-rc"),
    (f"echo {LEVEL}; exit 5", "it ended with 5"),
    ("sleep 30", "it did not end within 0.2 s"),
])  # fmt: skip
def test_a_wrong_level_is_told_with_the_check_and_the_remedy(folder: Path, command: str, said: str) -> None:
    failed = Maintained(folder, verified(level_by(command, answer_within_s=0.2))).begin().failed()
    assert failed.reason.startswith("check 1 of 1, patch level by sh -c")
    assert "did not pass within 0.3 s" in failed.reason
    assert said in failed.reason
    assert failed.reason.endswith("Look whether the patch was applied and the host has rebooted into it")
    assert failed.untouched is False


def test_a_level_is_matched_as_it_stands(folder: Path) -> None:
    other = LEVEL.replace("-", "x")
    failed = (
        Maintained(folder, verified(level_by(f"echo {other}", match=".{patch_level}|{patch_level}"))).begin().failed()
    )
    assert f"it says {other}" in failed.reason


def test_a_level_is_read_at_a_url_until_the_host_has_rebooted(folder: Path) -> None:
    answers = iter([Answer(503), Answer(200, "no JSON"), Answer(200, {"v": ["2026-10"]}), Answer(200, {"v": [LEVEL]})])
    with patch_server(lambda _: next(answers)) as server:
        check = {"kind": "patch_level", "url": f"{server.url}/{{host}}", "field": "v.0", **LATER}
        Maintained(folder, verified(check)).begin().returned()
    assert [asked.path for asked in server.asked] == ["/h1"] * 4


def test_a_host_that_answers_with_another_level_is_told(folder: Path) -> None:
    with patch_server(lambda _: Answer(200, {"v": "2026-10"})) as server:
        check = {"kind": "patch_level", "url": server.url, "field": "v", **SOON}
        failed = Maintained(folder, verified(check)).begin().failed()
    assert f"check 1 of 1, patch level at {server.url}" in failed.reason
    assert "it says 2026-10" in failed.reason


def test_checks_pass_one_after_the_other_and_the_one_that_does_not_is_named(folder: Path) -> None:
    passes = {"kind": "command", "command": "true", **SOON}
    fails = {"kind": "command", "command": "sh -c 'echo the disk is read-only; exit 1'", **SOON}
    failed = Maintained(folder, verified(passes, fails, passes)).begin().failed()
    assert "check 2 of 3, command sh -c" in failed.reason
    assert "it ended with 1 and said: the disk is read-only" in failed.reason


def test_a_check_is_not_repeated_once_the_campaign_has_given_the_host_up(folder: Path) -> None:
    late = Maintained(folder, verified(level_by("echo old", within_s=60)), maintenance_s=1, late_s=123.0).begin()
    assert "did not pass before the campaign gave the host up: it says old" in late.failed().reason


def test_a_port_is_waited_for(folder: Path) -> None:
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        check = {"kind": "tcp", "address": "127.0.0.1", "port": port.getsockname()[1]}
        failed = Maintained(folder, verified(check | SOON)).begin().failed()
        assert "it does not accept a connection: Connection refused" in failed.reason
        waiting = Maintained(folder / "2", verified(check | LATER)).begin()
        port.listen()
        waiting.returned()


def test_an_answer_is_checked_by_status_and_field(folder: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(200, {"health": asked.path.strip("/")})

    with patch_server(answer) as server:
        good = {"kind": "http", "url": f"{server.url}/good", "field": "health", "equals": "good", **SOON}
        Maintained(folder, verified(good)).begin().returned()
        failed = Maintained(folder / "2", verified(good | {"url": f"{server.url}/bad"})).begin().failed()
        assert "health is bad in place of good" in failed.reason
        failed = Maintained(folder / "3", verified(good | {"status": 204})).begin().failed()
        assert "answered with 200 in place of 204" in failed.reason
        failed = Maintained(folder / "4", verified(good | {"field": "none", "equals": "x"})).begin().failed()
        assert "there is no field none" in failed.reason


def test_a_secret_of_a_check_is_sent_and_hidden(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("HEALTH_TOKEN", "t0ken-of-health")
    with patch_server(lambda asked: Answer(500, f"bad {asked.headers['X-Api-Key']}")) as server:
        check = {"kind": "http", "url": server.url, "headers": {"X-Api-Key": "${HEALTH_TOKEN}"}, **SOON}
        failed = Maintained(folder, verified(check)).begin().failed()
    assert "bad ***" in failed.reason
    assert "t0ken" not in failed.reason


def test_a_rehearsal_is_verified_too(folder: Path) -> None:
    failed = Maintained(folder, {"kind": "none", "verify": [level_by("echo old")]}).begin().failed()
    assert "it says old" in failed.reason
    assert failed.untouched is False


@pytest.mark.parametrize("secret", ["t0ken-of-health", "two  blanks in a t0ken", 'a "t0ken" with\ttab'])
@pytest.mark.parametrize("kind", ["http", "patch_level"])
def test_no_part_of_a_secret_is_left_where_an_answer_is_cut(folder: Path, monkeypatch, kind: str, secret: str) -> None:
    """As long an answer as has the cut at any place of the secret."""
    monkeypatch.setenv("HEALTH_TOKEN", secret)
    for more in range(WORDS - len(secret) - 2, WORDS + 1, 2):
        with patch_server(lambda _, more=more: Answer(500, f"{secret}{'.' * more}")) as server:
            check = {"kind": kind, "url": f"{server.url}/${{HEALTH_TOKEN}}"}
            said = looked(CHECKS[kind].model_validate(check), Target(HostId("h1"), LEVEL), os.environ)
        assert said is not None
        start = said.partition(" and: ")[2].rstrip(".")
        assert "***".endswith(start), "the end of what stands for it, or nothing"
