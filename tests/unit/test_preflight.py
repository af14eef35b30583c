"""Why a migration could not be carried out, from facts; and where hosts answer, from a file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_fleet import small_fleet, small_plan

from slacktide.datasets.files import write_snapshot
from slacktide.errors import InputError, UsageError
from slacktide.executors.connections_file import HostAddress, connections_beside, read_connections
from slacktide.executors.inventory.observed import ObservedDisk
from slacktide.executors.preflight.checks import LIVE_RULES, RESTART_RULES, RULES, Refusal, refusals
from slacktide.executors.preflight.facts import (
    DomainOnHost,
    GuestFacts,
    GuestOnTarget,
    TargetFacts,
    able,
    guest_facts,
    target_facts,
)
from slacktide.executors.preflight.lacks import TAKEN, _missing_features
from slacktide.executors.preflight.moves import PlannedMove, asked_moves, planned_moves
from slacktide.ids import HostId, VmId
from slacktide.planner.plan_files import write_plan
from slacktide.service.cli import main
from slacktide.service.preflight_text import preflight_text

WEB, H1, H2 = VmId("web"), HostId("h1"), HostId("h2")
GUEST = GuestFacts(
    name="web",
    uuid="u1",
    host_uuid="a",
    state="running",
    persistent=True,
    memory_mib=4096,
    vcpus=2,
    machine="pc-q35-9.2",
    arch="x86_64",
    virt_type="kvm",
    emulator="/usr/bin/qemu-system-x86_64",
    cpu_xml="<cpu mode='custom'><model>EPYC-Milan</model></cpu>",
    follows_host=False,
    disks=(ObservedDisk("vda", "/images/web.img", 700),),
    networks=("front",),
    bridges=(),
    held_by="",
    job="",
    snapshots=0,
)
TARGET = TargetFacts(
    name="h2",
    uuid="b",
    domains=(DomainOnHost("db", "u2", True), DomainOnHost("web", "u1", False)),
    memory_mib=65536,
    available_mib=8192,
    software="QEMU 10.0.2, libvirt 11.3.0",
    arch="x86_64",
)
ABLE = GuestOnTarget()


def of(
    guest: GuestFacts | None = GUEST,
    target: TargetFacts = TARGET,
    lacks: GuestOnTarget = ABLE,
    *,
    now: bool = True,
    live: bool = True,
) -> tuple[Refusal, ...]:
    return refusals(guest, WEB, H1, H2, target, lacks, now=now, live=live)


def test_a_sound_guest_may_go_to_a_sound_host() -> None:
    assert of() == ()


BROKEN: list[tuple[str, GuestFacts | None, TargetFacts, GuestOnTarget, str, str]] = [
    ("not-running", None, TARGET, ABLE, "h1 knows no domain of this name", "import the fleet"),
    ("not-running", replace(GUEST, state="paused"), TARGET, ABLE, "it is paused", "resume it"),
    ("busy", replace(GUEST, job="a job on its disk vda"), TARGET, ABLE, "a job on its disk vda", "domjobabort web"),
    ("device", replace(GUEST, held_by="a device is passed through"), TARGET, ABLE, "cannot leave h1", "Detach"),
    ("snapshots", replace(GUEST, snapshots=2), TARGET, ABLE, "h1 keeps 2 snapshots of it", "snapshot-delete web"),
    ("same-host", GUEST, replace(TARGET, uuid="a"), ABLE, "h1 and h2 have one host UUID, a", "host_uuid"),
    (
        "name-clash",
        GUEST,
        replace(TARGET, domains=(DomainOnHost("web", "u9", False),)),
        ABLE,
        "another domain of this name, UUID u9",
        "virsh undefine",
    ),
    (
        "uuid-clash",
        GUEST,
        replace(TARGET, domains=(DomainOnHost("old", "u1", False),)),
        ABLE,
        "UUID u1 under the name old",
        "Undefine old on h2",
    ),
    (
        "uuid-clash",
        GUEST,
        replace(TARGET, domains=(DomainOnHost("web", "u1", True),)),
        ABLE,
        "h2 runs it already",
        "the right one",
    ),
    ("memory", GUEST, replace(TARGET, available_mib=4095), ABLE, "h2 has 4,095 MiB available", "free memory there"),
    ("memory", GUEST, replace(TARGET, memory_mib=4095), ABLE, "h2 has 4,095 MiB in all", "larger host"),
    (
        "cpu",
        GUEST,
        TARGET,
        GuestOnTarget(cpu="no avx512f"),
        "its processor EPYC-Milan: no avx512f",
        "older model",
    ),
    ("machine", GUEST, TARGET, GuestOnTarget(machine="not supported"), "its machine pc-q35-9.2", "h2's QEMU"),
    ("network", GUEST, TARGET, GuestOnTarget(networks=("front",)), "no active libvirt network front", "net-dumpxml"),
    ("storage", GUEST, TARGET, GuestOnTarget(disks=("vda (/images/web.img): no pool",)), "no place", "--shared-path"),
]


@pytest.mark.parametrize(("rule", "guest", "target", "lacks", "fact", "remedy"), BROKEN)
def test_each_rule_refuses_what_breaks_it_and_nothing_else_does(rule, guest, target, lacks, fact, remedy) -> None:
    (found,) = of(guest, target, lacks)
    assert found[:4] == (rule, "web", "h1", "h2")
    assert fact in found.fact
    assert remedy in found.remedy


def test_every_rule_is_broken_by_a_test() -> None:
    assert {rule for rule, *_ in BROKEN} == set(RULES)


def test_a_guest_that_migrates_is_busy_and_not_twice_there() -> None:
    both = replace(TARGET, domains=(DomainOnHost("web", "u1", True),))
    assert [found.rule for found in of(replace(GUEST, job="a migration"), both)] == ["busy"]


def test_memory_that_others_leave_before_does_not_count_ahead_of_time() -> None:
    assert of(target=replace(TARGET, available_mib=0), now=False) == ()
    assert [found.rule for found in of(target=replace(TARGET, memory_mib=4000), now=False)] == ["memory"]


def test_a_restart_is_held_up_by_all_but_what_only_running_guests_need() -> None:
    guest = replace(GUEST, state="shut off", job="a dump", held_by="a device", snapshots=1)
    guest = replace(guest, host_uuid="b", memory_mib=70_000)
    clash = (DomainOnHost("old", "u1", False), DomainOnHost("web", "u9", False))
    lacks = GuestOnTarget(cpu="no avx", machine="unknown", networks=("front",), disks=("vda: no pool",))
    broken = guest, replace(TARGET, domains=clash), lacks
    assert {found.rule for found in of(*broken)} == set(RULES)
    assert {found.rule for found in of(*broken, live=False)} == set(RULES) - LIVE_RULES | {"disks-stay"}


def test_a_restart_is_refused_to_guests_that_cannot_be_started_elsewhere() -> None:
    apart = replace(GUEST, persistent=False)
    assert of(apart) == (), "live, its disk is copied along"
    stays, gone = of(apart, live=False)
    assert (stays.rule, gone.rule) == tuple(RESTART_RULES)
    assert "disks on h1 alone (vda), which do not move with it while it is off" in stays.fact
    assert "transient" in gone.fact


def test_a_file_that_is_in_the_way_is_not_answered_with_more_room() -> None:
    (found,) = of(GUEST, TARGET, GuestOnTarget(disks=(f"vda (/images/web.img): {TAKEN}",)))
    assert found.remedy.startswith("Delete or rename that file on h2 if nothing needs it")
    assert "pool" not in found.remedy


def test_later_moves_are_asked_about_unless_the_guest_comes_back() -> None:
    away, on, back = (
        PlannedMove(WEB, HostId(source), HostId(target), live=True, copies_disks=False)
        for source, target in (("h1", "h2"), ("h2", "h3"), ("h3", "h1"))
    )
    again = back._replace(source=H1, target=H2)
    assert list(asked_moves([away, on, back, again])) == [(away, True), (on, False)]


def test_migrations_are_asked_about_in_the_order_of_their_starts() -> None:
    snapshot, plan = small_fleet(), small_plan()
    moves = planned_moves(snapshot, plan)
    starts = dict(plan.migrations.select("vm_id", "start_s").iter_rows())
    assert len(moves) == plan.migrations.height
    assert [starts[move.vm_id] for move in moves] == sorted(starts.values())
    assert [move.live for move in moves if move.vm_id == "v3"] == [False]
    assert not any(move.copies_disks for move in moves)


def test_more_refusals_than_a_screen_holds_are_counted() -> None:
    found = [Refusal("cpu", VmId(f"v{number}"), H1, H2, "lacks it", "Plan anew") for number in range(23)]
    moves = [PlannedMove(one.vm_id, H1, H2, live=True, copies_disks=False) for one in found]
    text = [str(part) for part in preflight_text("p", moves, found).renderables]
    assert text[0] == "Plan p: 23 migrations of 23 VMs between 2 hosts checked, 23 refusals: 23 cpu"
    assert text[-1] == "and 3 more; --json lists all"


def test_a_processor_of_another_generation_names_its_first_features() -> None:
    words = "the CPU is incompatible with host CPU: Host CPU does not provide required features: "
    names = [f"f{number}" for number in range(11)]
    assert _missing_features(f"{words}rtm") == "it lacks rtm"
    assert _missing_features(words + ", ".join(names)) == "it lacks f0, f1, f2, f3, f4, f5, f6, f7 and 3 more"
    assert _missing_features("another vendor") == "another vendor"


def test_a_connections_file_has_addresses_alone_or_with_that_for_peers(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(
        '{"h1": "qemu+tls://h1/system", "h2": {"uri": "qemu+ssh://h2/system", "peer": "qemu+tls://b/system"}}'
    )
    assert read_connections(file) == {
        "h1": HostAddress("qemu+tls://h1/system", None),
        "h2": HostAddress("qemu+ssh://h2/system", "qemu+tls://b/system"),
    }
    assert connections_beside(tmp_path / "fleet") == tmp_path / "fleet-connections.json"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        (b"\xff", "cannot be read"),
        ("[]", "is no JSON object"),
        ('{"h1": "a", "h1": "b"}', "h1 is there twice"),
        ('{"h1": 3}', "host h1: has neither an address"),
        ('{"h1": ""}', "host h1: has no address"),
        ('{"h1": {"peer": "a"}}', "host h1: has no address"),
        ('{"h1": {"uri": "a", "port": 3}}', "host h1: has an unknown key port"),
        ('{"h1": {"uri": "a", "peer": 3}}', "host h1: has a peer that is no address"),
        ('{"h1": "qemu+tls://h1:x/system"}', "host h1: has the address qemu.*, which is none: Port could not"),
        ('{"h1": {"uri": "a", "peer": "qemu+tls://[::1/system"}}', "host h1: has the address qemu.*, which is none"),
    ],
)
def test_a_wrong_connections_file_is_refused_with_its_place(tmp_path: Path, content: str | bytes, said: str) -> None:
    file = tmp_path / "c.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=said) as refused:
        read_connections(file)
    assert str(file) in refused.value.subject


def test_a_connections_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_connections(tmp_path / "none.json")


def test_hosts_without_an_address_are_named_before_any_is_asked(tmp_path: Path, capsys) -> None:
    write_snapshot(small_fleet(), tmp_path / "fleet")
    write_plan(small_plan(), tmp_path / "plan")
    (tmp_path / "fleet-connections.json").write_text(json.dumps({"h1": "qemu+tls://h1/system"}))
    assert main(["preflight", str(tmp_path / "fleet"), str(tmp_path / "plan"), "--json"]) == 1
    captured = capsys.readouterr()
    assert "is not in the file of connections" in captured.err
    assert json.loads(captured.out)["error"]["subject"].startswith("h2, ")


def test_facts_are_read_from_a_hypervisor() -> None:
    libvirt = pytest.importorskip("libvirt")
    libvirt.registerErrorHandler(lambda *_: None, None)
    connection = libvirt.open("test:///default")
    target = target_facts(connection)
    assert [domain.name for domain in target.domains] == ["test"]
    assert (target.memory_mib, target.available_mib > 0, target.arch) == (3072, True, "i686")
    guest = guest_facts(connection.lookupByName("test"))
    assert (guest.name, guest.running, guest.memory_mib, guest.vcpus) == ("test", True, 8192, 2)
    assert (guest.networks, guest.held_by, guest.host_uuid) == (("default",), "", target.uuid)
    assert able(connection, guest) == GuestOnTarget(disks=(NO_POOL,))
    placed = replace(guest, disks=(ObservedDisk("vda", "/default-pool/a.img", 700),))
    assert able(connection, placed) == GuestOnTarget()
    large = replace(guest, disks=(ObservedDisk("vda", "/default-pool/a.img", 200_000),), networks=("none",))
    full = "vda (/default-pool/a.img): pool default-pool has 102,400 MiB free, 200,000 are needed"
    assert able(connection, large) == GuestOnTarget(networks=("none",), disks=(full,))
    connection.storagePoolLookupByName("default-pool").destroy()
    assert "is not active" in able(connection, placed).disks[0]
    connection.close()


NO_POOL = "vda (/guest/diskimage1): no storage pool has the folder /guest"
