"""The live driver where targets refuse: where the VM is afterwards, and what the operator reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab_tests import ON_A_LAB
from live_migrations import (
    CALM,
    LIBVIRTD,
    OFF,
    ON_SOURCE,
    ON_TARGET,
    TwoHosts,
    connection,
)

from slacktide.executors.events import (
    BrownoutStarted,
    MigrationDone,
    MigrationFailed,
    TargetPrepared,
)
from slacktide.lab import certificates
from slacktide.lab.guests import Guest
from slacktide.lab.layout import LabHost

pytestmark = ON_A_LAB
CGROUP = Path("/sys/fs/cgroup/memory")


# Memory


def test_a_target_without_room_is_refused_before_anything_is_touched(two: TwoHosts) -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    total_mib = int(next(line.split()[1] for line in lines if line.startswith("MemTotal:"))) // 1024
    moving = two.begin(Guest(1, total_mib - 64, 32))  # nothing that a guest does not touch is taken from the machine
    ended = moving.outcome()
    assert isinstance(ended, MigrationFailed)
    assert (ended.stage, ended.retryable) == ("intended", True)
    assert f"VM vm1: it may use {total_mib - 64:,} MiB, h2 has " in ended.error
    assert ended.error.endswith("MiB available. Wait until others have left h2, or free memory there")
    assert two.found() == ON_SOURCE


@pytest.mark.skipif(
    not (CGROUP / "memory.limit_in_bytes").exists(), reason=f"NO MEMORY LIMIT WAS TRIED: there is no {CGROUP}"
)
def test_a_target_that_runs_out_of_memory_leaves_the_guest_on_its_source(two: TwoHosts) -> None:
    two.start(Guest(1, 160, 128))
    with memory_limit(two, two.target, 90):
        moving = two.attempt()
        moving.begin()
        moving.until(BrownoutStarted)
        moving.fault()
        ended = moving.outcome()
        assert isinstance(ended, MigrationFailed)
        assert ended.retryable
        assert "its QEMU on h2 ended" in ended.error or "h2's QEMU log of it may say why" in ended.error
        assert two.found() == ON_SOURCE


@contextmanager
def memory_limit(two: TwoHosts, host: LabHost, mib: int) -> Iterator[None]:
    """Have a host's libvirtd, and what it starts, use no more than ``mib``; the kernel kills the largest of them."""
    group = CGROUP / host.namespace
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(mib << 20))
        (process,) = two.processes(host, LIBVIRTD)
        (group / "cgroup.procs").write_text(str(process))
        yield
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            (CGROUP / "cgroup.procs").write_text(process)
        group.rmdir()


# Trust and names


@pytest.mark.parametrize(
    ("files", "trusts_itself", "stage", "words"),
    [
        (("qemu/client-cert.pem", "qemu/client-key.pem"), "", "prepared", "h1's QEMU has a certificate that is not"),
        (("libvirt/clientcert.pem", "libvirt/private/clientkey.pem"), "", "reserved", "h1 or h2 has a certificate"),
        (
            ("libvirt/clientcert.pem", "libvirt/private/clientkey.pem"),
            "CA/cacert.pem",
            "reserved",
            "h2's libvirtd does not trust h1's client certificate",
        ),
    ],
    ids=["data", "control", "control, refused by the target"],
)
def test_a_certificate_of_another_authority_is_named_and_not_tried_again(
    two: TwoHosts, files: tuple[str, str], trusts_itself: str, stage: str, words: str
) -> None:
    two.start(CALM)
    moving = two.attempt()
    with certified_by_another(two.source, files, trusts_itself):
        moving.fault()
        moving.begin()
        ended = moving.outcome()
        assert isinstance(ended, MigrationFailed)
        assert (ended.stage, ended.retryable) == (stage, False)
        assert words in ended.error
        assert two.found() == ON_SOURCE
    moving.again()
    assert isinstance(moving.outcome(), MigrationDone)
    assert two.found() == ON_TARGET


@contextmanager
def certified_by_another(host: LabHost, files: tuple[str, str], trusts_itself: str) -> Iterator[None]:
    """Have a host show a certificate of another authority, which ``trusts_itself``, a file, has it trust too."""
    authority = certificates.new_authority("Another")
    pair = certificates.new_pair(authority, host.name, host)
    content = {host.folder / "pki" / name: pair.pem(certificates.HOST_FILES[name]) for name in files}
    if trusts_itself:
        path = host.folder / "pki" / trusts_itself
        content[path] = path.read_bytes() + authority.pem("certificate")
    before = {path: path.read_bytes() for path in content}
    try:
        for path, bytes_ in content.items():
            path.write_bytes(bytes_)
        yield
    finally:
        for path, bytes_ in before.items():
            path.write_bytes(bytes_)


def test_another_domain_of_the_name_on_the_target_is_left_alone(two: TwoHosts) -> None:
    xml = "<domain type='qemu'><name>vm1</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    with connection(two.target) as opened:
        other = opened.defineXML(xml)
        moving = two.begin(CALM)
        moving.fault()
        ended = moving.outcome()
        assert isinstance(ended, MigrationFailed)
        assert (ended.stage, ended.retryable) == ("intended", False)
        assert f"VM vm1: h2 has another domain of this name, UUID {other.UUIDString()}" in ended.error
        assert TargetPrepared not in moving.kinds()
        assert two.found() == ON_SOURCE._replace(target=OFF)
