"""The real server on Ray Serve: an urgent night from the upload to the campaign's end, and a server that comes back."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from http_server import parts_of

pytestmark = [pytest.mark.integration]
FLEET = Path(__file__).parents[1] / "replay" / "urgent" / "fleet"
PATIENCE_S = 300.0
"""For a machine that others use as well; on one that is idle all of it takes half a minute."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "slacktide.service.cli", *words]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve") / "data"


@pytest.fixture(scope="module")
def certificate(data: Path) -> Path:
    """Return the file of a certificate for this machine's own address; its key is beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (data.parent / "key.pem").write_bytes(own)
    (data.parent / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    return data.parent / "certificate.pem"


@pytest.fixture(scope="module")
def url(data: Path, certificate: Path) -> Iterator[str]:
    """Have a server, ended as an operator ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = data.parent / "said"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with said.open("wb") as file:
        tls = ("--tls-certificate", str(certificate), "--tls-key", str(certificate.with_name("key.pem")))
        words = command("serve", "--data", str(data), "--port", str(port), *tls)
        server = subprocess.Popen(words, stdout=file, stderr=file, env=environment)
        try:
            address = f"https://127.0.0.1:{port}"
            wait_for(lambda: f"{address}/openapi.json" in said.read_text() or server.poll() is not None)
            assert server.poll() is None, said.read_text()
            yield address
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(PATIENCE_S)
    assert code == 0, said.read_text()
    assert "the server has ended; campaigns go on" in said.read_text()
    assert "raylet" not in said.read_text()


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, "nothing has come of it"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def token(data: Path) -> str:
    words = command("token", "create", "the night", "--role", "operator", "--data", str(data), "--json")
    made = subprocess.run(words, check=True, capture_output=True)
    found: str = json.loads(made.stdout)["token"]
    return found


def test_an_urgent_night(url: str, token: str, certificate: Path) -> None:
    trusted = ssl.create_default_context(cafile=certificate)
    with httpx.Client(base_url=url, timeout=60, verify=trusted, headers={"Authorization": f"Bearer {token}"}) as api:
        assert api.get("/readyz").json() == {"ready": True}
        assert httpx.get(f"{url}/v1/me", verify=trusted).json()["role"] == "viewer"
        assert api.get("/v1/audit").status_code == 403
        given = api.get("/v1/me", headers={"X-Request-Id": "of-the-caller"}).headers.get_list("X-Request-Id")
        assert len(given) == 1
        assert given != ["of-the-caller"]
        uploaded = api.post("/v1/fleets", files=parts_of(FLEET))
        assert uploaded.status_code == 201, uploaded.text
        asked = {"fleet_id": uploaded.json()["fleet_id"], "within_s": 14_400, "time_limit_s": 0}
        job = api.post("/v1/campaigns/urgent", json=asked, headers={"Idempotency-Key": "night"})
        assert job.status_code == 202
        path = job.headers["Location"]
        wait_for(lambda: api.get(path).json()["state"] not in ("queued", "running"))
        done = api.get(path).json()
        assert done["state"] == "done", done
        campaign = f"/v1/campaigns/{done['result']['campaign_id']}"
        wait_for(lambda: api.get(campaign).json()["progress"] is not None)
        types = []
        with api.stream("GET", f"{campaign}/events/stream", timeout=PATIENCE_S) as stream:
            assert stream.status_code == 200
            types = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")]
        assert "migration-intended" in types
        assert types[-1] == "campaign-finished"
        found = api.get(campaign).json()
        assert found["standing"] == "finished"
        assert found["progress"]["hosts"] == {"returned": done["result"]["hosts"]}
        wait_for(lambda: api.get(f"{campaign}/report").status_code == 200)


def test_the_command_line_from_afar(url: str, token: str, certificate: Path, tmp_path: Path) -> None:
    """Fleet, plan and campaign of one command each, over TLS, with the token in a file."""
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    access = ("--server", url, "--token-file", str(tmp_path / "token"), "--ca-file", str(certificate))
    fleet, plan = str(FLEET), str(tmp_path / "plan")

    def called(*words: str, code: int = 0) -> str:
        ran = subprocess.run(command(*words), capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    assert "operator" in called("server", "status", *access)
    assert "is not trusted" in called("server", "status", *access[:4], code=2)
    called("plan", fleet, "--preset", "urgent", "--time-limit", "1", "-o", plan, *access)
    assert "0 errors" in called("audit", fleet, plan, *access)
    done = called("run", fleet, plan, "--seed", "11", *access)
    assert "is carried out on" in done
    assert (tmp_path / "plan-campaign" / "report.html").is_file()
    assert "finished" in called("campaign", "list", *access)


def test_the_examples_of_the_documentation(url: str, token: str, certificate: Path, tmp_path: Path) -> None:
    """Word for word, in one shell; the fleet is another one than above, so that the campaign is too."""
    shutil.copytree(FLEET.parents[1] / "baked" / "fleet", tmp_path / "fleet")
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    script = "set -euo pipefail\n" + "\n".join(blocks)
    environment = {**os.environ, "URL": url, "TOKEN": token, "CURL_CA_BUNDLE": str(certificate)}
    shell = ["timeout", str(int(PATIENCE_S)), "bash", "-c", script]
    ran = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "finished" in ran.stdout
    assert "campaign-finished" in (tmp_path / "fleet" / "stream").read_text()
    assert (tmp_path / "fleet" / "blackouts.csv").read_text().startswith("migration_id,")
