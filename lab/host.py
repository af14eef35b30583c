"""A lab host: namespaces of its own under one first process, a libvirtd in it, and its power switch."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Final

from slacktide.errors import ExecutionError
from slacktide.lab.layout import LabHost
from slacktide.lab.namespaces import command_of, first_process_in, namespaces_of, processes_in
from slacktide.lab.network import delete_namespace

BINDS: Final = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
    "run": "/run/libvirt",
    "pki": "/etc/pki",
}
"""Folders of a host, and where it sees them."""
FIRST_PROCESS: Final = """\
hostname {name}
{mounts}
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
echo {retries} > /proc/sys/net/ipv4/tcp_retries2
echo 1 > /proc/sys/net/ipv4/conf/br0/arp_ignore
echo 2 > /proc/sys/net/ipv4/conf/br0/arp_announce
echo ready > {folder}/ready
while :; do sleep 86400 & wait $!; done
"""
"""What a host's first process does: it sees its own folders, and waits.  With it ends everything in the host.

Its bridge neither answers for the address of the endpoint that guests ask nor asks in its name: that is another card's.
"""
LIBVIRTD: Final = """\
host_uuid = "{uuid}"
listen_tls = 1
listen_tcp = 0
listen_addr = "{address}"
auth_tls = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
keepalive_interval = 1
keepalive_count = 3
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""
"""Clients show a certificate of the lab's authority; a peer that is lost is noticed after three seconds."""
QEMU: Final = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
seccomp_sandbox = 0
stdio_handler = "file"
migrate_tls_x509_cert_dir = "/etc/pki/qemu"
migrate_tls_x509_verify = 1
migration_host = "{migration_address}"
migration_address = "{migration_address}"
keepalive_interval = 1
keepalive_count = 3
"""
"""A host's QEMU has no services around it that Debian's packages would bring."""
RETRIES: Final = 4
"""Times that a host sends a TCP segment again before it gives the connection up: some 10 s in place of 15 minutes, so
that a migration whose link was cut ends."""
LOOK_S: Final = 0.01
BEGIN_S: Final = 1.0
"""A host without a process after so long has failed to start."""
START_S: Final = 30.0
"""How long a host or its libvirtd may take to start, on a busy machine."""
END_S: Final = 10.0
"""How long killed processes may take to be gone."""


def furnish(host: LabHost, shared: Path) -> None:
    """Write a host's configuration; ``shared`` has the files that all hosts of the lab see alike."""
    for name in BINDS:
        (host.folder / name).mkdir(parents=True, exist_ok=True)
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, host.namespace)
    values = {"uuid": identity, "address": host.address, "migration_address": host.migration_address}
    (host.folder / "etc/libvirtd.conf").write_text(LIBVIRTD.format(**values), encoding="utf-8")
    (host.folder / "etc/qemu.conf").write_text(QEMU.format(**values), encoding="utf-8")
    places = {str(host.folder / name): place for name, place in BINDS.items()}
    places |= {str(shared / name): f"/etc/{name}" for name in ("hosts", "passwd", "group")}
    mounts = "\n".join(f"mount --bind {folder} {place}" for folder, place in places.items())
    script = FIRST_PROCESS.format(name=host.name, mounts=mounts, retries=RETRIES, folder=host.folder)
    (host.folder / "first-process.sh").write_text(script, encoding="utf-8")


def power_on(host: LabHost) -> None:
    """Start a host's first process and wait until it sees its own folders.

    Raises
    ------
    ExecutionError
        If it does not, with what it said.
    """
    (host.folder / "ready").unlink(missing_ok=True)
    apart = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
    script = ["sh", "-e", str(host.folder / "first-process.sh")]
    said = host.folder / "first-process.log"
    with said.open("w", encoding="utf-8") as log:
        command = ["setsid", "--fork", "ip", "netns", "exec", host.namespace, *apart, *script]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
    began_s = time.monotonic()
    while not (host.folder / "ready").exists():
        waited_s = time.monotonic() - began_s
        if waited_s > START_S or (waited_s > BEGIN_S and not processes_in(host.namespace)):
            words = " ".join(said.read_text(encoding="utf-8").split()) or "nothing"
            remedy = "Mend that; it is what the system lacks or forbids"
            raise ExecutionError(f"lab host {host.name}", f"does not start; it said: {words}", remedy)
        time.sleep(LOOK_S)


def power_off(host: LabHost) -> None:
    """Kill everything in a host at once, as a power cut does, and wait until it is gone."""
    kill_all(host.namespace)


def kill_all(namespace: str) -> None:
    """Kill every process in a namespace and wait until all are gone.

    Raises
    ------
    ExecutionError
        If one stays.
    """
    until_s = time.monotonic() + END_S
    while left := processes_in(namespace):
        ending = list(filter(None, map(_killed, left)))
        try:
            for process, pidfd in ending:
                if not select.select([pidfd], [], [], max(0.0, until_s - time.monotonic()))[0]:
                    fact = f"process {process} does not end"
                    raise ExecutionError(f"namespace {namespace}", fact, "See `ps`; it may hang in the kernel")
        finally:
            for _, pidfd in ending:
                os.close(pidfd)


def _killed(process: int) -> tuple[int, int] | None:
    """Kill a process; return it and what becomes readable once all of it is gone.  None: it is gone already.

    A process that is killed leaves its namespaces, and is then not found there any more, before it has ended.
    """
    try:
        pidfd = os.pidfd_open(process)
    except ProcessLookupError:
        return None
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    return process, pidfd


def start_libvirtd(host: LabHost) -> "subprocess.Popen[bytes]":
    """Begin to start a host's libvirtd; it is there when what is returned has ended with 0."""
    (host.folder / "run/libvirtd.pid").unlink(missing_ok=True)
    log = (host.folder / "libvirtd.out").open("ab")
    with log:
        return subprocess.Popen(
            [*inside(host), "libvirtd", "--daemon", "--listen", "--pid-file", "/run/libvirt/libvirtd.pid"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_for_libvirtd(host: LabHost, starting: "subprocess.Popen[bytes]") -> None:
    """Wait until a host's libvirtd listens.

    Raises
    ------
    ExecutionError
        If it does not, with what it said.
    """
    try:
        code = starting.wait(START_S)
    except subprocess.TimeoutExpired:
        code = None
    if code != 0:
        words = (host.folder / "libvirtd.out").read_text(encoding="utf-8", errors="replace").split("\n")
        said = " ".join(words[-4:]).strip() or "nothing"
        fact = f"does not start; its last words: {said}"
        raise ExecutionError(f"libvirtd of lab host {host.name}", fact, f"See {host.folder}/log/libvirtd.log")


def libvirtd_of(host: LabHost) -> int | None:
    """Return the process of a host's libvirtd; None: it does not run."""
    found = [process for process in processes_in(host.namespace) if command_of(process) == "libvirtd"]
    return found[0] if found else None


def inside(host: LabHost) -> list[str]:
    """Return the words that have a command run inside a host.

    Raises
    ------
    ExecutionError
        If the host is off.
    """
    process = first_process_in(host.namespace)
    if process is None:
        raise ExecutionError(f"lab host {host.name}", "is off", "Switch it on first")
    return ["nsenter", "--target", str(process), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]


def write_shared(folder: Path, hosts: tuple[LabHost, ...]) -> None:
    """Write what all hosts of a lab see as /etc/hosts, /etc/passwd and /etc/group.

    libvirtd starts its QEMU driver only where users and groups of Debian's package exist, even if it does not use them.
    """
    folder.mkdir(exist_ok=True)
    names = "".join(f"{host.address} {host.name}\n" for host in hosts)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}", encoding="utf-8")
    wanted = {
        "passwd": ["libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin"],
        "group": ["libvirt-qemu:x:64055:", "libvirt:x:64054:"],
    }
    for name, lines in wanted.items():
        text = Path(f"/etc/{name}").read_text(encoding="utf-8")
        missing = [
            line for line in lines if not any(it.startswith(line.split(":")[0] + ":") for it in text.split("\n"))
        ]
        (folder / name).write_text(text + "".join(f"{line}\n" for line in missing), encoding="utf-8")


def remove(host: LabHost) -> None:
    """Take away a host: its processes, its namespace with all links in it, its folder."""
    if host.namespace in namespaces_of(host.lab):
        kill_all(host.namespace)
        delete_namespace(host.namespace)
    shutil.rmtree(host.folder, ignore_errors=True)
