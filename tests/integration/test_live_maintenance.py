"""Campaigns on two real hosts that an interface over HTTP patches and reboots, verified by what the hosts say."""

import json
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from lab_tests import ON_A_LAB
from maintained import until
from patch_servers import Answer, Asked, PatchServer, patch_server

from slacktide.lab.guests import Guest, guests_on
from slacktide.lab.layout import Lab, LabSettings
from slacktide.lab.lifecycle import down, up
from slacktide.lab.questions import verify
from slacktide.service.cli import main

pytestmark = ON_A_LAB
PROGRAM = Path(sys.executable).with_name("slacktide")
POLICY = """\
name: lab
patch_level: {level}
max_out: {{fleet: 1}}
objective: [makespan, moves]
link_share: 1.0
canary: {{hosts: 0}}
migration: {{strategies: [precopy, autoconverge], setup_s: 1, forwarding_s: 0}}
"""
OPTIONS = ("--migration-mbit-s", "1000", "--vcpus-per-cpu", "8", "--memory-mib", "1024", "--maintenance-s", "5")
SOON = {"within_s": 3, "every_s": 0.2}
GUESTS = [Guest(1), Guest(2, dirty_mib_s=4.0), Guest(3)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"t{secrets.token_hex(4)}"
    try:
        yield up(LabSettings(name, 2, 1000), GUESTS, lambda *_: None)
    finally:
        down(name)


class Interface:
    """Patches a host by rebooting it, in a job; what it has then is in a file of the host."""

    def __init__(self, lab: Lab, level: str) -> None:
        self._lab = lab
        self._level = level
        self.jobs: dict[str, str] = {}
        self.may_end = threading.Event()
        self.may_end.set()
        self.leaves_out = 0
        """Number of the host, as they come, that reboots without the patch; 0: none."""

    def answer(self, asked: Asked) -> Answer:
        _, what, name = asked.path.split("/")
        if asked.method == "POST" and what == "patch":
            self.jobs[name] = "running"
            threading.Thread(target=self._patch, args=(name, json.loads(asked.body)["level"])).start()
            return Answer(202, headers={"Location": f"/jobs/{name}"})
        if what == "jobs":
            return Answer(200, {"status": self.jobs[name]})
        level = self._file(name)
        return Answer(200, {"kernel": level.read_text()}) if level.exists() else Answer(503)

    def _file(self, name: str) -> Path:
        return next(host for host in self._lab.hosts if host.name == name).folder / "level"

    def _patch(self, name: str, level: str) -> None:
        host = next(host for host in self._lab.hosts if host.name == name)
        assert not guests_on(host), "a host with guests was to be rebooted"
        number = len(self.jobs)
        subprocess.run([PROGRAM, "lab", "reboot", "--name", self._lab.name, name], check=True, capture_output=True)
        self._file(name).write_text("old" if number == self.leaves_out else level)
        self.may_end.wait(60)
        self.jobs[name] = "done"


@contextmanager
def interface(lab: Lab, level: str) -> Iterator[tuple[Interface, PatchServer]]:
    patches = Interface(lab, level)
    with patch_server(patches.answer) as server:
        yield patches, server


def planned(lab: Lab, folder: Path, level: str, url: str) -> list[str]:
    """Plan the patch of both hosts by an interface; return the words that run it."""
    poll = {"url": "{location}", "field": "status", "done": ["done"], "every_s": 0.2}
    level_check = {"kind": "patch_level", "url": f"{url}/level/{{host}}", "field": "kernel", **SOON}
    call = {"kind": "http", "url": f"{url}/patch/{{host}}", "json": {"level": "{patch_level}"}, "poll": poll}
    return planned_with(lab, folder, level, call | {"verify": [level_check]})


def planned_with(lab: Lab, folder: Path, level: str, action: dict, *terms: str) -> list[str]:
    """Plan the patch of both hosts by an action, under further terms; return the words that run it."""
    fleet, plan, policy, file = (folder / name for name in ("fleet", "plan", "policy.yaml", "maintenance.json"))
    policy.write_text(POLICY.format(level=level) + "".join(f"{term}\n" for term in terms))
    file.write_text(json.dumps(action))
    assert main(["fleet", "import", "libvirt", *(host.uri for host in lab.hosts), "-o", str(fleet), *OPTIONS]) == 0
    assert main(["plan", str(fleet), "--policy", str(policy), "--iterations", "4", "-o", str(plan)]) == 0
    assert main(["maintenance", "check", str(file), "--fleet", str(fleet)]) == 0
    where = ("-o", str(folder / "campaign"), "--no-ray")
    return [
        "run",
        str(fleet),
        str(plan),
        "--driver",
        "libvirt",
        "--on-drift",
        "ignore",
        "--maintenance",
        str(file),
        *where,
    ]


def test_hosts_that_an_interface_reboots_return_and_a_campaign_that_is_killed_meanwhile_calls_once(
    lab: Lab, tmp_path: Path
) -> None:
    with interface(lab, "kernel-6.12") as (patches, server):
        words = planned(lab, tmp_path, "kernel-6.12", server.url)
        patches.may_end.clear()
        with subprocess.Popen([PROGRAM, *words], stdout=subprocess.DEVNULL, start_new_session=True) as running:
            until(lambda: any(asked.path.startswith("/jobs/") for asked in server.asked), "the job is polled")
            running.send_signal(signal.SIGKILL)
        patches.may_end.set()
        assert main(words) == 0
        assert sorted(asked.path for asked in server.calls()) == ["/patch/h1", "/patch/h2"]
    assert json.loads((tmp_path / "campaign" / "report.json").read_text())["hosts"] == {"returned": 2}
    assert verify(lab, GUESTS) == {guest.name: 0 for guest in GUESTS}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_ends")
def test_a_host_that_comes_back_without_its_patch_is_told_as_failed_by_agents_on_ray(lab: Lab, tmp_path: Path) -> None:
    with interface(lab, "kernel-6.13") as (patches, server):
        words = planned(lab, tmp_path, "kernel-6.13", server.url)
        patches.leaves_out = 2
        words.remove("--no-ray")
        assert main(words) == 1
    first, second = (asked.path.rpartition("/")[2] for asked in server.calls())
    (trouble,) = pl.read_parquet(tmp_path / "campaign" / "troubles.parquet").iter_rows(named=True)
    assert (trouble["subject"], trouble["reason"]) == (second, "patch-failed")
    assert trouble["detail"].startswith(
        f"check 1 of 1, patch level at {server.url}/level/{second}, did not pass within 3 s"
    )
    assert "it says old, and the policy asks for kernel-6.13" in trouble["detail"]
    summary = json.loads((tmp_path / "campaign" / "report.json").read_text())
    assert summary["hosts"] == {"returned": 1, "failed": 1}
    assert summary["not_patched"] == {"patch-failed": 1}
    hosts = dict(pl.read_parquet(tmp_path / "campaign" / "hosts.parquet").select("host_id", "state").iter_rows())
    assert hosts == {first: "returned", second: "failed"}
    where = {host.name: set(guests_on(host)) for host in lab.hosts}
    assert where == {first: {guest.name for guest in GUESTS}, second: set()}
    assert verify(lab, GUESTS) == {guest.name: 0 for guest in GUESTS}


def test_hosts_that_an_interface_refuses_are_told_as_untouched(lab: Lab, tmp_path: Path, capsys) -> None:
    with patch_server(lambda _: Answer(403, "no change window")) as server:
        words = planned(lab, tmp_path, "kernel-6.14", server.url)
        capsys.readouterr()
        assert main(words) == 1
    summary = json.loads((tmp_path / "campaign" / "report.json").read_text())
    assert summary["not_patched"]["patch-refused"] == 1
    assert "answered with 403 and: no change window" in " ".join(capsys.readouterr().out.split())
    assert verify(lab, GUESTS) == {guest.name: 0 for guest in GUESTS}


def test_hosts_are_patched_in_place_with_their_guests_on_them(lab: Lab, tmp_path: Path) -> None:
    before = {host.name: sorted(guests_on(host)) for host in lab.hosts}
    level = f"{lab.folder}/{{host}}.level"
    patch = {"kind": "command", "command": ["sh", "-c", f"echo $SLACKTIDE_PATCH_LEVEL >{level}"]}
    check = {"kind": "patch_level", "command": ["cat", level], **SOON}
    words = planned_with(lab, tmp_path, "kernel-6.15", patch | {"verify": [check]}, "in_place: true")
    assert main(words) == 0
    summary = json.loads((tmp_path / "campaign" / "report.json").read_text())
    assert (summary["hosts"], summary["migrations"]) == ({"returned": 2}, {})
    assert {host.name: sorted(guests_on(host)) for host in lab.hosts} == before
    assert verify(lab, GUESTS) == {guest.name: 0 for guest in GUESTS}


def test_a_patch_in_place_that_ends_guests_is_told_as_failed(lab: Lab, tmp_path: Path, capsys) -> None:
    full = next(host for host in lab.hosts if guests_on(host))
    victim = sorted(guests_on(full))[0]
    script = f"import libvirt; libvirt.open({full.uri!r}).lookupByName({victim!r}).destroy()"
    patch = {"kind": "command", "command": ["sh", "-c", f'test "$1" != {full.name} || "$2" -c "$3"', "sh", "{host}"]}
    patch["command"] += [sys.executable, script]
    words = planned_with(lab, tmp_path, "kernel-6.16", patch, "in_place: true")
    capsys.readouterr()
    assert main(words) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert f"{full.name} failed, patch-failed: {victim} ran before the patch in place and not after it" in told
    hosts = dict(pl.read_parquet(tmp_path / "campaign" / "hosts.parquet").select("host_id", "state").iter_rows())
    assert hosts[full.name] == "failed"
