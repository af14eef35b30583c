"""The doctor on stores, data directories and clocks that are really broken."""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from postgresql import binaries, running_server
from shifted_clocks import ahead_by, host_ahead_by
from small_disks import small_disk

from slacktide.executors.doctor.clocks import clock_check, icmp_offset
from slacktide.executors.store.address import Store, parse_store
from slacktide.executors.store.connection import StoreConnection
from slacktide.executors.store.upgrading import opening
from slacktide.service.cli import main
from slacktide.service.places import Places

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    for name in ("SLACKTIDE_STORE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def looked(capsys: pytest.CaptureFixture[str], *options: object, code: int) -> dict[tuple[str, str], dict[str, Any]]:
    capsys.readouterr()
    assert main(["doctor", *map(str, options), "--json"]) == code
    checks = json.loads(capsys.readouterr().out)["checks"]
    return {(check["area"], check["subject"]): check for check in checks}


def url_of(store: Store) -> str:
    return store.url.set(drivername="sqlite" if store.is_file else "postgresql").render_as_string(False)


def test_a_store_is_looked_at_and_left_as_it_is(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    found = looked(capsys, "--store", url_of(store), code=0)
    assert "yet" in found["store", store.shown]["fact"]
    assert not (store.is_file and store.path.exists())
    with opening(store, create=True) as connection:
        connection.close()
    found = looked(capsys, "--store", url_of(store), code=0)
    assert found["store", store.shown]["fact"].endswith("the newest")
    assert "ms in the median" in found["store", "a commit"]["fact"]
    if not store.is_file:
        assert "limit 500 ms" in found["clocks", "the store"]["fact"]
    own = StoreConnection(store)
    with own.writing() as transaction:
        transaction.exec_driver_sql("UPDATE slacktide_schema SET version_num = '9999'")
    own.close()
    found = looked(capsys, "--store", url_of(store), code=1)
    assert "9999" in found["store", store.shown]["fact"]


def test_a_store_that_is_away_and_one_whose_clock_is_off(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if binaries() is None:
        pytest.skip("POSTGRESQL IS NOT INSTALLED: apt-get install postgresql")
    readable = Path(tempfile.mkdtemp(prefix="slacktide-clock-"))  # by the database's user too
    request.addfinalizer(lambda: shutil.rmtree(readable))
    readable.chmod(0o755)
    for name, value in ahead_by(7, readable).items():
        monkeypatch.setenv(name, value)
    with running_server() as server:
        for name in ("LD_PRELOAD", "CLOCK_AHEAD_S"):
            monkeypatch.delenv(name)
        url = server.url(server.new_database())
        found = looked(capsys, "--store", url, code=1)
        clock = found["clocks", "the store"]
        assert clock["verdict"] == "error"
        assert clock["fact"].startswith(("7,0", "6,9")), clock["fact"]
        server.stop()
        found = looked(capsys, "--store", url, code=1)
        assert "does not answer" in found["store", parse_store(url).shown]["fact"]
        missing = server.url("nowhere")
        server.start()
        found = looked(capsys, "--store", missing, code=1)
        assert "no such database" in found["store", parse_store(missing).shown]["fact"]


def test_a_host_whose_kernel_tells_another_time() -> None:
    with host_ahead_by(5.0, "192.0.2.77") as address:
        offset = icmp_offset(address)
        assert abs(offset.ms - 5000) <= offset.exact_ms + 2
        check = clock_check("h1", offset, 500)
        assert check.verdict == "error"
        assert "limit 500 ms" in check.fact
    with host_ahead_by(0.0, "192.0.2.78") as address:
        assert clock_check("h1", icmp_offset(address), 500).verdict == "ok"


def test_a_full_disk_and_a_directory_that_others_may_enter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        Places(disk / "data").make()
        found = looked(capsys, "--data", disk / "data", code=1)
        assert found["server", "data directory"]["verdict"] == "ok"
        assert "Free some space" in found["server", "disk of the data directory"]["remedy"]
        with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        found = looked(capsys, "--data", disk / "data", code=1)
        assert "0.0 GiB of" in found["store", "disk of the store"]["fact"]
    Places(tmp_path / "data").make()
    (tmp_path / "data").chmod(0o755)
    found = looked(capsys, "--data", tmp_path / "data", code=1)
    assert "mode 755" in found["server", "data directory"]["fact"]
    assert f"chmod 700 {tmp_path / 'data'}" in found["server", "data directory"]["remedy"]
    assert main(["doctor", "--data", str(tmp_path / "data")]) == 1
    assert "1 error" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("days", "mode", "verdict", "said"),
    [
        (400, 0o600, "ok", "until"),
        (3, 0o600, "warning", "in 2 days"),
        (-1, 0o600, "error", "has expired"),
        (400, 0o640, "error", "mode 640"),
    ],
)
def test_the_servers_certificate(
    days: int, mode: int, verdict: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    _pair(certificate, key, timedelta(days=days))
    key.chmod(mode)
    options = ("--tls-certificate", certificate, "--tls-key", key)
    found = looked(capsys, *options, code=1 if verdict == "error" else 0)["certificates", "the server's"]
    assert found["verdict"] == verdict
    assert said in found["fact"]


def test_what_is_wrong_is_told_whatever_a_file_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, key = tmp_path / "what is signed by us.pem", tmp_path / "server.key"
    _pair(certificate, key, timedelta(days=-1))
    options = ("--tls-certificate", certificate, "--tls-key", key)
    assert "has expired" in looked(capsys, *options, code=1)["certificates", "the server's"]["fact"]


def test_a_key_of_another_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _pair(tmp_path / "one.pem", tmp_path / "one.key", timedelta(days=400))
    _pair(tmp_path / "two.pem", tmp_path / "two.key", timedelta(days=400))
    options = ("--tls-certificate", tmp_path / "one.pem", "--tls-key", tmp_path / "two.key")
    assert "is not the key of" in looked(capsys, *options, code=1)["certificates", "the server's"]["fact"]
    assert main(["doctor", "--tls-key", str(tmp_path / "two.key")]) == 2


@pytest.mark.parametrize(("command", "said"), [("ssh 'x", "no closing quotation"), ("", "no words"), (" ", "no words")])
def test_a_command_that_is_none_is_refused(command: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--by", command]) == 2
    words = " ".join(capsys.readouterr().err.split())
    assert said in words
    assert f"the command {command!r}" in words
    assert "ssh {host}" in words


def _pair(certificate: Path, key_file: Path, lasts: timedelta) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slacktide.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now - timedelta(days=5)).not_valid_after(now + lasts).sign(key, hashes.SHA256())
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
