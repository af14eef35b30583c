import numpy as np
import polars as pl
import pytest

from slacktide.datasets.calibration import DIRTY_PROFILES, HUAWEI_EAST_1_SIZES, MACHINE_TYPES, MachineType, VmSize
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings, generator_settings
from slacktide.datasets.packing import filled, sizes_that_fit
from slacktide.datasets.randomness import Purpose, chosen, evenly_chosen, uniform
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.summary import summarise
from slacktide.datasets.validation import snapshot_findings
from slacktide.errors import UsageError


@pytest.fixture(scope="module")
def fleet() -> FleetSnapshot:
    return generate_fleet(GeneratorSettings(hosts=1_000, seed=7))


def used_mib(fleet: FleetSnapshot) -> pl.DataFrame:
    return fleet.vms.group_by("host_id").agg(pl.col("memory_mib", "vcpus").sum())


def test_the_default_fleet_is_as_documented(fleet):
    summary = summarise(fleet)
    assert snapshot_findings(fleet) == ()
    assert summary.memory_fill == pytest.approx(0.75, abs=0.01)
    assert 0.6 < summary.vcpu_fill < summary.memory_fill
    assert 12.5 < summary.vms_per_host < 14.5
    assert summary.hosts_by_state == {"active": 980, "empty": 20}
    assert summary.hosts_by_patch_level == {"unpatched": 1_000}
    assert summary.vms_by_eviction["live"] / summary.vms > 0.98
    assert summary.vms_by_eviction["restart"] / summary.vms == pytest.approx(0.01, abs=0.004)
    assert summary.vms_by_eviction["pinned"] / summary.vms < 0.002
    assert summary.unknown_dirty_rates / summary.vms == pytest.approx(0.03, abs=0.006)
    assert summary.unknown_dirty_rates == summary.unknown_hot_sets
    assert summary.domains == {"power": 5, "rack": 25, "row": 3}


def test_tables_come_sorted_and_valid(fleet):
    for name, schema in TABLES.items():
        table = getattr(fleet, name)
        assert schema.is_valid(table)
        assert table.equals(table.sort(schema.primary_key()))


def test_the_same_settings_give_the_same_fleet_and_another_seed_another(fleet):
    again = generate_fleet(GeneratorSettings(hosts=1_000, seed=7))
    other = generate_fleet(GeneratorSettings(hosts=1_000, seed=8))
    for name in TABLES:
        assert getattr(again, name).equals(getattr(fleet, name))
    assert not other.vms.equals(fleet.vms)


def test_adding_hosts_leaves_the_others_and_their_vms_as_they_are(fleet):
    larger = generate_fleet(GeneratorSettings(hosts=1_400, seed=7))
    assert larger.hosts[:1_000].equals(fleet.hosts)
    assert larger.vms[: len(fleet.vms)].drop("service_id").equals(fleet.vms.drop("service_id"))


@pytest.mark.parametrize("fill", [0.2, 0.5, 0.9])
def test_hosts_are_filled_to_the_asked_share_without_overflow(fill):
    fleet = generate_fleet(GeneratorSettings(hosts=600, fill=fill, empty_share=0.05))
    assert summarise(fleet).memory_fill == pytest.approx(fill, abs=0.015)
    assert snapshot_findings(fleet) == ()


def test_sizes_follow_the_calibrated_shares(fleet):
    fits_everywhere = [size for size in HUAWEI_EAST_1_SIZES if size.memory_mib <= 16_384 and size.vcpus <= 8]
    total = sum(size.share for size in fits_everywhere)
    for size in fits_everywhere:
        of_size = (pl.col("vcpus") == size.vcpus) & (pl.col("memory_mib") == size.memory_mib)
        assert len(fleet.vms.filter(of_size)) / len(fleet.vms) == pytest.approx(size.share / total, abs=0.015)


def test_no_vm_is_larger_than_the_asked_share_of_its_host():
    fleet = generate_fleet(GeneratorSettings(hosts=300, largest_vm_share=0.25))
    placed = fleet.vms.join(fleet.hosts, on="host_id", suffix="_of_host")
    assert (placed["memory_mib"] * 4 <= placed["memory_mib_of_host"]).all()
    assert (placed["vcpus"] * 4 <= placed["vcpus_of_host"]).all()


@pytest.mark.parametrize("settings", [{}, {"spread": {"power": 1.0}}, {"spread": {"row": 1.0}}, {"hosts_per_rack": 3}])
def test_services_keep_their_own_rule_from_the_start(settings):
    fleet = generate_fleet(GeneratorSettings(hosts=200, seed=2, service_share=1.0, **settings))
    hosts = pl.DataFrame({"host_id": fleet.hosts["host_id"], "kind": "host", "domain_id": fleet.hosts["host_id"]})
    domains = pl.concat([fleet.domains, hosts])
    rules = fleet.services.with_columns(pl.col("spread_over").cast(pl.String)).drop_nulls("spread_over")
    members = fleet.vms.join(rules, on="service_id").join(
        domains, left_on=["host_id", "spread_over"], right_on=["host_id", "kind"]
    )
    counts = members.group_by("service_id", "domain_id", "max_per_domain").len()
    assert len(counts) > 50
    assert (counts["len"] <= counts["max_per_domain"]).all()
    assert fleet.vms["service_id"].null_count() == 0
    assert set(fleet.vms["service_id"]) == set(fleet.services["service_id"])


def test_services_that_limit_moving_let_one_move(fleet):
    sizes = fleet.vms.group_by("service_id").len().join(fleet.services, on="service_id").drop_nulls("max_moving")
    assert len(sizes) == pytest.approx(len(fleet.services) / 2, rel=0.1)
    assert (sizes["max_moving"] >= 1).all()
    assert (sizes["max_moving"] <= (sizes["len"] * 0.2).clip(lower_bound=1)).all()


def test_racks_hold_one_machine_type_and_match_their_domains(fleet):
    assert fleet.hosts.group_by("rack_id").agg(pl.col("machine_type").n_unique())["machine_type"].max() == 1
    racks = fleet.domains.filter(pl.col("kind") == "rack")
    assert fleet.hosts.join(racks, on="host_id").filter(pl.col("rack_id") != pl.col("domain_id")).is_empty()


def test_dirty_rates_stay_in_their_profiles(fleet):
    known = fleet.vms.drop_nulls("dirty_mib_s")
    assert known["hot_mib"].max() <= max(profile.hot_mib[1] for profile in DIRTY_PROFILES)
    assert known["hot_mib"].min() >= min(profile.hot_mib[0] for profile in DIRTY_PROFILES)
    assert known["dirty_mib_s"].max() <= max(profile.dirty_mib_s[1] for profile in DIRTY_PROFILES)
    assert (known["hot_mib"] * 2 <= known["memory_mib"]).all()


def test_no_guest_states_a_blackout_limit_that_its_hot_set_must_break():
    fleet = generate_fleet(GeneratorSettings(hosts=300, blackout_limit_share=1.0, blackout_limits_ms=(1_000, 60, 300)))
    stated = fleet.vms.drop_nulls(["blackout_limit_ms", "hot_mib"])
    assert set(stated["blackout_limit_ms"]) == {60, 300, 1_000}
    assert (stated["hot_mib"] * 8.388608 / 4 <= stated["blackout_limit_ms"]).all()


def test_every_share_can_be_turned_off_or_up():
    off = generate_fleet(
        GeneratorSettings(
            hosts=100, empty_share=0, service_share=0, unknown_dirty_share=0, restart_share=0, pinned_share=0,
            local_disk_share=0, blackout_limit_share=0, restricted_share=0, notice_s=((0, 1),),
        )
    )  # fmt: skip
    assert off.services.is_empty()
    nulls = off.vms.null_count().row(0, named=True)
    assert {column for column, count in nulls.items() if count} == {
        "used_mib",
        "service_id",
        "blackout_limit_ms",
        "machine_types",
    }
    assert summarise(off).vms_by_eviction == {"live": len(off.vms)}
    assert (summarise(off).vms_with_local_disk, summarise(off).vms_with_notice) == (0, 0)
    on = generate_fleet(
        GeneratorSettings(
            hosts=100, empty_share=0.2, down_share=0.1, patched_share=0.5, service_share=1, unknown_dirty_share=1,
            restart_share=1, pinned_share=0, local_disk_share=1, blackout_limit_share=1, restricted_share=1,
        )
    )  # fmt: skip
    summary = summarise(on)
    assert summary.hosts_by_state["down"] == 10
    assert summary.hosts_by_patch_level == {"patched": 50, "unpatched": 50}
    assert summary.vms_by_eviction == {"restart": len(on.vms)}
    assert summary.vms_with_local_disk == summary.unknown_dirty_rates == len(on.vms)
    assert on.vms["blackout_limit_ms"].null_count() == on.vms["machine_types"].null_count() == 0
    assert snapshot_findings(on) == ()


def test_down_and_empty_hosts_carry_no_vm():
    fleet = generate_fleet(GeneratorSettings(hosts=200, empty_share=0.2, down_share=0.2))
    placed = fleet.vms.join(fleet.hosts, on="host_id")
    assert set(placed["state"]) == {"active"}
    assert set(fleet.hosts["state"]) == {"active", "empty", "down"}


def test_a_fat_tree_makes_its_edge_switches_the_racks():
    fleet = generate_fleet(GeneratorSettings(hosts=128, topology="fat_tree"))
    assert summarise(fleet).domains["rack"] == 32
    assert snapshot_findings(fleet) == ()
    leaves = fleet.links.join(fleet.hosts, left_on="tail", right_on="host_id")
    assert leaves.group_by("rack_id").agg(pl.col("head").n_unique())["head"].max() == 1


def test_a_host_sends_no_faster_than_its_link():
    fleet = generate_fleet(GeneratorSettings(hosts=50, host_link_mbit_s=5_000))
    assert fleet.hosts["migration_mbit_s"].max() == 5_000


def test_the_source_names_what_was_varied():
    fleet = generate_fleet(GeneratorSettings(hosts=10, seed=4, fill=0.5))
    assert fleet.meta.source == "generated: hosts=10, seed=4, fill=0.5"


@pytest.mark.parametrize(
    "options",
    [
        {"hosts": 0}, {"hosts": 2_000_000}, {"fill": 0}, {"fill": 1.0}, {"colour": 1}, {"empty_share": -0.1},
        {"empty_share": 0.6, "down_share": 0.5}, {"machine_types": ()}, {"machine_types": MACHINE_TYPES[:1] * 2},
        {"vm_sizes": (VmSize(1, 1_024, 0.0),)}, {"vm_sizes": (VmSize(0, 1_024, 1.0),)}, {"local_disk_gib": (5, 2)},
        {"notice_s": ((-1, 1.0),)}, {"service_sizes": ((0, 1.0),)}, {"spread": {"galaxy": 1.0}}, {"spread": {}},
        {"blackout_limits_ms": (0,)}, {"machine_types": (MachineType("m", 0, 1, 1, 1),)}, {"topology": "ring"},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(options):
    with pytest.raises(UsageError, match="generator settings"):
        generator_settings(options)


def test_sizes_that_fit_nowhere_are_refused():
    with pytest.raises(UsageError, match="none fits into 1% of a gen-1 host"):
        generate_fleet(GeneratorSettings(hosts=10, largest_vm_share=0.01))


def test_packing_reaches_its_target_on_average_and_never_overflows():
    machine = MachineType("m", 64, 128 * 1024, 1, 1)
    hosts = np.arange(4_000)
    target = np.full(len(hosts), 0.9 * machine.memory_mib)
    vms = filled(1, sizes_that_fit(HUAWEI_EAST_1_SIZES, machine, 1.0), machine, hosts, target)
    memory = np.bincount(vms.host, vms.memory_mib, minlength=len(hosts))
    assert memory.max() <= machine.memory_mib
    assert np.bincount(vms.host, vms.vcpus).max() <= machine.vcpus
    assert memory.mean() == pytest.approx(target[0], rel=0.01)
    pairs = set(zip(vms.host.tolist(), vms.number.tolist(), strict=True))
    assert len(pairs) == vms.count


def test_numbers_are_uniform_and_independent_of_what_else_is_drawn():
    numbers = uniform(5, Purpose.HOT, np.arange(10_000))
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert numbers.mean() == pytest.approx(0.5, abs=0.02)
    assert np.histogram(numbers, bins=10, range=(0, 1))[0].min() > 850
    assert np.array_equal(numbers[100:200], uniform(5, Purpose.HOT, np.arange(100, 200)))
    assert abs(np.corrcoef(numbers, uniform(5, Purpose.DIRTY, np.arange(10_000)))[0, 1]) < 0.05
    assert abs(np.corrcoef(numbers, uniform(6, Purpose.HOT, np.arange(10_000)))[0, 1]) < 0.05
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.05


def test_even_choice_takes_the_asked_share_and_is_stable():
    picked = evenly_chosen(1_000, 0.02, 0.3)
    assert picked.sum() == 20
    assert set(np.diff(np.flatnonzero(picked))) == {50}
    assert np.array_equal(evenly_chosen(400, 0.02, 0.3), picked[:400])
    assert evenly_chosen(10, 1.0, 0.5).all()
    assert not evenly_chosen(10, 0.0, 0.5).any()


def test_choice_follows_the_shares():
    assert chosen([1, 0, 3], np.array([0.0, 0.2, 0.25, 0.9, 0.999999])).tolist() == [0, 0, 2, 2, 2]
