"""The doctor run by a user who may not see everything: that is unknown, and ends nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slacktide.executors.presence import is_hidden, is_missing

LOOKS = """
import json, os, sys
from pathlib import Path
from slacktide.executors import certificates
from slacktide.executors.doctor import on_host, stores
from slacktide.executors.doctor.files import Pair, pair_checks, secret_checks
from slacktide.service import doctor
from slacktide.service.commands.doctor import _data, _store

closed, settings = Path(sys.argv[1]), Path(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
on_host.QEMU_CONF, on_host.LIBVIRTD_CONFS = settings / "qemu.conf", (settings / "libvirtd.conf",)
checks = [
    *pair_checks("certificates", Pair("pair", closed / "one.pem", closed / "one.key", closed / "ca.pem")),
    *secret_checks("certificates", "token", closed / "token"),
    *stores.store_checks(_store(closed, None), 500.0),
    *doctor._server_checks(doctor.Installation(data=closed / "data")),
    *on_host.host_certificates("h1", ["h1.example"]),
]
os.environ |= {"HOME": str(closed), "XDG_DATA_HOME": str(closed / "share")}
assert _data(None) == closed / "share" / "slacktide"
assert certificates.pki_of("qemu+tls://h1/system").authority == Path(certificates.SYSTEM[0])
on_host.HostSide().about()
assert on_host.HostSide().migration_address() == ""
facts = [fact for fact, _ in certificates.client_reasons(f"qemu+tls://h1/system?pkipath={closed}", None)]
json.dump({"checks": [check.as_dict() for check in checks], "facts": facts}, sys.stdout)
"""


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that another user, and its owner too, may not enter."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def test_what_may_not_be_seen_is_unknown(tmp_path: Path, closed: Path) -> None:
    settings = tmp_path / "libvirt"
    settings.mkdir()
    for name in ("qemu.conf", "libvirtd.conf"):
        (settings / name).write_text('migration_host = "192.0.2.1"\n')
        (settings / name).chmod(0)
    command = [sys.executable, "-c", LOOKS, str(closed), str(settings)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert {(check["verdict"], check["remedy"]) for check in said["checks"]} == {("unknown", "Run this as root")}
    files = [closed / name for name in ("one.pem", "one.key", "ca.pem", "token", "store.sqlite", "data")]
    files += [settings / "libvirtd.conf", settings / "qemu.conf"]
    assert [check["fact"] for check in said["checks"]] == [f"{path} cannot be read by this user" for path in files]
    names = ("cacert.pem", "clientcert.pem", "clientkey.pem")
    assert said["facts"] == [f"{closed / name} cannot be read by this user" for name in names]


def test_what_is_not_there_is_missing_and_not_hidden(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, missing in ((file, False), (tmp_path / "none", True), (file / "below", True), (tmp_path, False)):
        assert (is_missing(path), is_hidden(path)) == (missing, False)
