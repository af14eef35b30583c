"""Whether a server says that it is ready, with its store away, its disk full, and on its way out."""

from contextlib import suppress
from pathlib import Path

import pytest
from http_server import in_process
from postgresql import binaries, running_server
from pydantic import SecretStr
from small_disks import small_disk

from slacktide.service.http import readiness

pytestmark = pytest.mark.integration


def test_a_store_that_is_away(tmp_path: Path) -> None:
    if binaries() is None:
        pytest.skip("POSTGRESQL IS NOT INSTALLED: apt-get install postgresql")
    with running_server() as server:
        process = in_process(tmp_path, store_url=SecretStr(server.url(server.new_database())))
        assert process.get("/readyz", role=None) == {"ready": True}
        server.stop()
        answer = process.call("GET", "/readyz", None)
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the store does not answer"])
        assert process.call("GET", "/healthz", None).status_code == 200
        server.start()
        assert process.get("/readyz", role=None) == {"ready": True}
        process.server.database.close()


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LEAST_BYTES", 2**20)  # the disk has 32 MiB
    with small_disk(tmp_path / "disk") as disk:
        process = in_process(disk)
        assert process.get("/readyz", role=None) == {"ready": True}
        with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        answer = process.call("GET", "/readyz", None)
        assert answer.status_code == 503
        assert "the disk of the data and the store is full" in answer.json()["reasons"]
        assert str(disk) not in answer.text
        (disk / "ballast").unlink()
        assert process.get("/readyz", role=None) == {"ready": True}
        process.server.database.close()


def test_a_server_that_is_about_to_end(tmp_path: Path) -> None:
    process = in_process(tmp_path)
    readiness.leaving_file(process.server.places, process.server.settings).touch()
    answer = process.call("GET", "/readyz", None)
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the server is shutting down"])
    assert process.get("/v1/me")["role"] == "admin", "what comes is answered still"
    other = in_process(tmp_path)
    assert other.get("/readyz", role=None) == {"ready": True}, "it is another server on the same data"
