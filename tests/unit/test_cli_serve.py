"""`slacktide serve` and `token`: what is refused before anything starts, and tokens that are made and end."""

import json
import socket
from pathlib import Path

import pytest

from slacktide.service.campaign_terms import Profile
from slacktide.service.cli import main
from slacktide.service.commands.serve import _settings
from slacktide.service.http.server import open_places
from slacktide.service.http.settings import Rates, ServerSettings
from slacktide.service.store.audit import audit_entries
from slacktide.service.store.tokens import find_token

DOCUMENTED = Path(__file__).parents[2] / "docs" / "api.md"


def test_tokens_are_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert main(["token", "create", "night shift", "--role", "operator", *data, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["token", "create", "for ever", "--role", "viewer", "--forever", *data]) == 0
    shown = capsys.readouterr().out.strip()
    database = open_places(ServerSettings(data=tmp_path / "data"))[1]
    found = find_token(database, made["token"])
    assert found is not None
    assert (found.role, found.name) == ("operator", "night shift")
    lasting = find_token(database, shown)
    assert lasting is not None
    assert lasting.expires_at is None
    assert main(["token", "list", *data, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [token["name"] for token in listed] == ["night shift", "for ever"]
    assert made["token"].rpartition("_")[2] not in json.dumps(listed)
    assert main(["token", "revoke", made["token_id"], *data]) == 0
    assert find_token(database, made["token"]) is None
    assert main(["token", "revoke", "nobody", *data]) == 2
    assert audit_entries(database, 0, 10, None, None) == []
    database.close()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "--tls-certificate"),
        (["--host", "0.0.0.0", "--behind-proxy", "--anonymous", "viewer"], 2, "lets anybody in"),
        (["--tls-key", "key.pem"], 2, "needs"),
        (["--anonymous", "everybody"], 2, "everybody"),
        (["--store", "mysql://x/y"], 2, "neither SQLite nor PostgreSQL"),
    ],
)
def test_what_must_not_be_served_is_not(
    options: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--data", str(tmp_path / "data"), *options]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("tokens: 3", "none of oidc"),
        ("oidc: {issuer: 'https://id.example'}", "oidc.audience"),
        ("oidc: {issuer: 'http://id.example', audience: x}", "not encrypted"),
        ("limits: {body_bytes: -1}", "limits.body_bytes"),
        ("profiles: {prod: {connections: c.json, password: x}}", "profiles.prod.password"),
        ("profiles: {lab: {connections: c.json, probes: 9}}", "there is no such field. Take one of probe_port"),
        ("rates: {reads: 200}", 'rates.reads: is no rate. Write how many in which time, such as "200/second"'),
        ("rates: {read: 200/second}", "Take one of reads"),
        ("limits: {stream: 9}", "Take one of streams"),
    ],
)
def test_a_configuration_that_is_not_right_is_refused(
    config: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "server.yaml"
    file.write_text(config)
    assert main(["serve", "--data", str(tmp_path / "data"), "--config", str(file)]) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_documented_profile_and_rates_are_read(tmp_path: Path) -> None:
    (text,) = [part for part in DOCUMENTED.read_text().split("```yaml\n")[1:] if part.startswith("rates:")]
    file = tmp_path / "server.yaml"
    file.write_text(text.partition("```")[0])
    settings = _settings(tmp_path / "data", None, file)
    assert settings.profiles.keys() == {"lab"}
    assert settings.profiles["lab"].model_fields_set >= {"connections", "patch_command", "probe_port"}
    keys = [*Profile.model_fields, *Rates.model_fields]
    assert [key for key in keys if f"| `{key}` |" not in DOCUMENTED.read_text()] == []


@pytest.mark.parametrize("key", ["connections", "maintenance", "fabric", "health"])
@pytest.mark.parametrize("content", [None, "[]"])
def test_a_profile_whose_file_is_not_there_or_not_right_is_refused_at_the_start(
    key: str, content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.json").write_text('{"h1": "qemu+tls://h1/system"}')
    if content is not None:
        (tmp_path / "wrong.json").write_text(content)
    profile = {"connections": str(tmp_path / "good.json"), key: str(tmp_path / "wrong.json")}
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"profiles": {"prod": profile}}))
    assert main(["serve", "--data", str(tmp_path / "data"), "--config", str(config)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"server.json: profiles.prod.{key}: {tmp_path}/wrong.json" in said
    assert f"Write {tmp_path}/wrong.json, or have `{key}` name another" in said
    assert ("no such file" in said) is (content is None)


def test_an_address_that_is_taken_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["serve", "--data", str(tmp_path / "data"), "--port", str(port)]) == 2
    assert "cannot be listened at" in capsys.readouterr().err
