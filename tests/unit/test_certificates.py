"""Certificates of libvirt's TLS, looked at before a campaign: files, dates, authority, names; and shown by a server."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from slacktide.executors.certificates import client_reasons, names, reasons, server_reasons
from slacktide.lab import certificates as lab
from slacktide.lab.certificates import Pair

NOW = datetime.now(UTC)
HOST = SimpleNamespace(name="localhost", address="127.0.0.1", migration_address="127.0.0.2")
FILES = ("cacert.pem", "clientcert.pem", "clientkey.pem")


@pytest.fixture(scope="module")
def authority() -> Pair:
    return lab.new_authority("ours")


@pytest.fixture(scope="module")
def server(authority: Pair) -> Pair:
    return lab.new_pair(authority, "localhost", HOST)


@pytest.fixture(scope="module")
def pki(authority: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a client."""
    folder = tmp_path_factory.mktemp("pki")
    lab.write_client(folder, authority, lab.new_pair(authority, "slacktide"))
    return folder


def facts(found: Iterator[tuple[str, str]]) -> list[str]:
    listed = list(found)
    assert all(remedy for _, remedy in listed)
    return [fact for fact, _ in listed]


def test_nothing_is_wrong_with_a_sound_certificate(authority: Pair, server: Pair, pki: Path) -> None:
    assert facts(reasons("it", server.certificate, [authority.certificate], NOW)) == []
    assert facts(client_reasons(f"qemu+tls://h1/system?pkipath={pki}", NOW)) == []
    assert facts(client_reasons("qemu:///system", NOW)) == [], "nothing is shown there"


@pytest.mark.parametrize(
    ("early", "valid", "words"),
    [
        (timedelta(days=-1), timedelta(days=2), "it is not in force before "),
        (timedelta(days=2), timedelta(days=-1), "it has expired on "),
        (timedelta(days=1), timedelta(hours=1), "before the plan ends"),
    ],
    ids=["not yet", "expired", "too soon"],
)
def test_dates(monkeypatch, authority: Pair, early: timedelta, valid: timedelta, words: str) -> None:
    monkeypatch.setattr(lab, "EARLY", early)
    monkeypatch.setattr(lab, "VALID", valid)
    pair = lab.new_pair(authority, "localhost", HOST)
    (fact,) = facts(reasons("it", pair.certificate, [authority.certificate], NOW + timedelta(hours=3)))
    assert words in fact


def test_another_authority_is_not_believed_whatever_it_is_called(server: Pair) -> None:
    for other in (lab.new_authority("theirs"), lab.new_authority("ours")):
        (fact,) = facts(reasons("it", server.certificate, [other.certificate], NOW))
        assert fact == "it is signed by CN=ours, which is not trusted here"
    assert facts(reasons("it", server.certificate, None, NOW)) == [], "who connects decides"


def test_an_authority_that_has_expired_is_told(monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lab, "EARLY", timedelta(days=3))
        patch.setattr(lab, "VALID", timedelta(days=-1))
        old = lab.new_authority("old")
    pair = lab.new_pair(old, "localhost", HOST)
    assert facts(reasons("it", pair.certificate, [old.certificate], NOW)) == [
        "the authority that signed it has expired"
    ]


def test_names_and_addresses_of_a_host(authority: Pair, server: Pair) -> None:
    for name in ("localhost", "LOCALHOST", "127.0.0.1"):
        assert names(server.certificate, name)
    for name in ("h1", "127.0.0.3"):
        assert not names(server.certificate, name)
    wild = lab.new_pair(authority, "w", SimpleNamespace(name="*.example", address="::1", migration_address="::2"))
    assert names(wild.certificate, "h1.example")
    assert names(wild.certificate, "0:0:0:0:0:0:0:1")
    assert not names(wild.certificate, "h1.row.example")
    assert names(lab.new_pair(authority, "h1").certificate, "h1"), "without others the common name counts"


def test_files_that_are_not_there_or_are_none(pki: Path, tmp_path: Path) -> None:
    uri = f"qemu+tls://h1/system?pkipath={tmp_path}"
    assert facts(client_reasons(uri, NOW)) == [f"{tmp_path / name} is not there" for name in FILES]
    for name in FILES:
        (tmp_path / name).write_bytes((pki / name).read_bytes())
    (tmp_path / "clientcert.pem").write_text("no certificate")
    (fact,) = facts(client_reasons(uri, NOW))
    assert "is no certificate" in fact


@contextmanager
def served(pair: Pair, folder: Path) -> Iterator[int]:
    """Have a server of TLS on a free port that shows a certificate to one who asks."""
    for part in ("certificate", "key"):
        (folder / part).write_bytes(pair.pem(part))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")

    def serve(listening: socket.socket) -> None:
        taken, _ = listening.accept()
        with taken, context.wrap_socket(taken, server_side=True) as wrapped:
            wrapped.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_a_server_shows_its_certificate(server: Pair, pki: Path, tmp_path: Path) -> None:
    client = f"qemu+tls://localhost/system?pkipath={pki}"
    with served(server, tmp_path) as port:
        assert facts(server_reasons(f"qemu+tls://127.0.0.1:{port}/system", client, NOW)) == []
    stranger = lab.new_pair(lab.new_authority("theirs"), "h9")
    with served(stranger, tmp_path) as port:
        untrusted, misnamed = facts(server_reasons(f"qemu+tls://127.0.0.1:{port}/system", client, NOW))
    assert untrusted.endswith("is signed by CN=theirs, which is not trusted here")
    assert "is for h9: hosts that go there would refuse it" in misnamed


def test_where_nobody_answers_nothing_is_said(pki: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = f"qemu+tls://localhost/system?pkipath={pki}"
    assert facts(server_reasons(f"qemu+tls://127.0.0.1:{port}/system", client, NOW)) == []
    assert facts(server_reasons("qemu+ssh://h1/system", client, NOW)) == []
