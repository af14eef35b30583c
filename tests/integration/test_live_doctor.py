"""Real libvirt hosts that the doctor looks at: in order, and with what operators find broken."""

import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lab_tests import ON_A_LAB
from shifted_clocks import ahead_by

from slacktide.lab import certificates
from slacktide.lab import host as hosts
from slacktide.lab.layout import Lab, LabHost, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.service.cli import main

pytestmark = ON_A_LAB
RATE_MBIT_S = 50
Doctor = Callable[..., dict[tuple[str, str], dict[str, Any]]]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, RATE_MBIT_S), [], lambda *_: None)
    finally:
        down(name)


@pytest.fixture(scope="module")
def doctor(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Doctor:
    """Return what has the doctor look at both hosts, over TLS and with a command that leads to them."""
    folder = tmp_path_factory.mktemp("doctor")
    known = {host.name: {"uri": address_of(lab, host)} for host in lab.hosts}
    (folder / "connections.json").write_text(json.dumps(known))

    def look(*options: str, code: int, leads: bool = True, **preloaded: str) -> dict[tuple[str, str], dict[str, Any]]:
        inside = ["ip", "netns", "exec", lab.control, sys.executable, "-m", "slacktide.service.cli"]
        words = ["doctor", "--connections", str(folder / "connections.json"), "--data", str(folder / "none"), "--json"]
        way = ["--by", f"{way_to(lab, folder, preloaded)} {{host}} {sys.executable}"] if leads else []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        done = subprocess.run([*inside, *words, *way, *options], capture_output=True, text=True, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        checks = json.loads(done.stdout)["checks"]
        return {(check["area"], check["subject"]): check for check in checks}

    return look


def address_of(lab: Lab, host: LabHost) -> str:
    return f"qemu+tls://{host.address}/system?pkipath={lab.folder / 'client'}"


def way_to(lab: Lab, folder: Path, preloaded: dict[str, str]) -> Path:
    """Return a command that has what follows run on a host; on the second, with a clock of its own."""
    cases = []
    for host in lab.hosts:
        shifted = [f"{name}={value}" for name, value in preloaded.items()] if host.number == 2 else []
        cases.append(f'{host.name}) shift; exec {" ".join([*hosts.inside(host), "env", *shifted])} "$@";;')
    script = folder / "on-host"
    script.write_text("#!/bin/sh\ncase $1 in\n{}\nesac\n".format("\n".join(cases)))
    script.chmod(0o755)
    return script


def test_sound_hosts_are_well_and_their_links_are_measured(lab: Lab, doctor: Doctor, tmp_path: Path) -> None:
    uris = [host.uri for host in lab.hosts]
    for name, rate in (("honest", RATE_MBIT_S), ("boastful", 1000)):
        stated = ["--migration-mbit-s", str(rate), "--measure-s", "0"]
        assert main(["fleet", "import", "libvirt", *uris, "-o", str(tmp_path / name), *stated]) == 0
    found = doctor("--fleet", str(tmp_path / "honest"), "--measure-links", "--seconds", "3", code=0)
    assert {check["verdict"] for check in found.values()} == {"ok"}, found
    for host in ("h1", "h2"):
        assert "QEMU" in found["hosts", host]["fact"]
        assert "limit 500 ms" in found["clocks", host]["fact"]
        for what in ("libvirtd's", "libvirtd's files", "QEMU's for migrations", "QEMU's as a source"):
            assert ("certificates", f"{host}: {what}") in found
    assert "0.05 Gbit/s stated" in found["links", "h1 to h2"]["fact"]
    found = doctor("--fleet", str(tmp_path / "boastful"), "--measure-links", "--seconds", "1", code=1)
    assert found["links", "h2 to h1"]["verdict"] == "error"
    assert "1.00 Gbit/s stated" in found["links", "h2 to h1"]["fact"]


def test_without_a_way_there_what_is_on_the_host_alone_is_unknown(doctor: Doctor) -> None:
    found = doctor(code=0, leads=False)
    assert found["certificates", "h1: QEMU's for migrations"]["verdict"] == "unknown"
    assert found["certificates", "h1: libvirtd's"]["verdict"] == "ok"
    assert found["clocks", "h1"]["verdict"] == "ok", "its kernel tells the time"
    assert found["links", "2 hosts"]["verdict"] == "unknown"


def test_certificates_that_expired_and_keys_that_others_may_read(lab: Lab, doctor: Doctor, tmp_path: Path) -> None:
    with other_certificates(lab, lab.hosts[1], timedelta(hours=-1), tmp_path):
        found = doctor(code=1)
        assert "has expired" in found["certificates", "h2: libvirtd's"]["fact"]
        assert "has expired" in found["certificates", "h2: QEMU's for migrations"]["fact"]
        assert found["hosts", "h2"]["verdict"] == "error", "nobody gets in any more"
        assert found["hosts", "h1"]["verdict"] == "ok"
    with other_certificates(lab, lab.hosts[1], timedelta(days=9), tmp_path):
        found = doctor(code=0)
        assert found["certificates", "h2: QEMU's for migrations"]["verdict"] == "warning"
        assert "in 8 days" in found["certificates", "h2: libvirtd's"]["fact"]
    key = lab.hosts[0].folder / "pki" / "qemu" / "server-key.pem"
    key.chmod(0o644)
    try:
        found = doctor(code=1)
        assert "may be read by others" in found["certificates", "h1: QEMU's for migrations"]["fact"]
    finally:
        key.chmod(0o600)


@contextmanager
def other_certificates(lab: Lab, host: LabHost, lasts: timedelta, folder: Path) -> Iterator[None]:
    """Have a host with certificates that last until then, and give it good ones again.

    A libvirtd that is started with expired ones ends at once; here, as in life, it was started before they had.
    """
    authority = certificates.read_authority(lab.folder / "authority")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "VALID", lasts)
        pair = certificates.new_pair(authority, host.name, host)
    certificates.write_host(host.folder / "pki", authority, pair)
    try:
        start_anew(host, **ahead_by(-7200, folder))
        yield
    finally:
        certificates.write_host(host.folder / "pki", authority, certificates.new_pair(authority, host.name, host))
        start_anew(host)


def start_anew(host: LabHost, **environment: str) -> None:
    """Kill a host's libvirtd, and start it."""
    process = hosts.libvirtd_of(host)
    if process is not None:
        ended = os.pidfd_open(process)
        os.kill(process, signal.SIGKILL)
        assert select.select([ended], [], [], 10)[0]
        os.close(ended)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        starting = hosts.start_libvirtd(host)
    hosts.wait_for_libvirtd(host, starting)


def test_a_host_whose_clock_is_off(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(code=1, **ahead_by(3, tmp_path))
    assert found["clocks", "h2"]["verdict"] == "error"
    assert found["clocks", "h2"]["fact"].startswith(("2,9", "3,0")), found["clocks", "h2"]["fact"]
    assert "chrony" in found["clocks", "h2"]["remedy"]
    assert found["clocks", "h1"]["verdict"] == "ok"


def test_a_libvirtd_that_is_gone_or_hangs(lab: Lab, doctor: Doctor, tmp_path: Path, monkeypatch, capsys) -> None:
    first = lab.hosts[0]
    process = hosts.libvirtd_of(first)
    assert process is not None
    monkeypatch.setattr("slacktide.executors.doctor.hypervisors.ANSWER_S", 3.0)
    known = tmp_path / "c.json"
    known.write_text(json.dumps({host.name: host.uri for host in lab.hosts}))
    os.kill(process, signal.SIGSTOP)
    try:
        assert main(["doctor", "--connections", str(known), "--data", str(tmp_path / "d"), "--json"]) == 1
        said = json.loads(capsys.readouterr().out)["checks"]
        found = {check["subject"]: check for check in said if check["area"] == "hosts"}
        assert "has not answered within 3 s" in found["h1"]["fact"]
        assert found["h2"]["verdict"] == "ok"
    finally:
        os.kill(process, signal.SIGCONT)
    os.kill(process, signal.SIGKILL)
    try:
        found = doctor(code=1)
        assert "does not answer" in found["hosts", "h1"]["fact"]
    finally:
        start_anew(first)
    assert doctor(code=0)["hosts", "h1"]["verdict"] == "ok"
