import dataclasses
import json

import polars as pl

from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.summary import summarise


def test_a_summary_counts_what_the_tables_hold():
    fleet = generate_fleet(GeneratorSettings(hosts=80, hosts_per_rack=20, down_share=0.05, patched_share=0.25))
    summary = summarise(fleet)
    assert summary.hosts == sum(summary.hosts_by_state.values()) == sum(summary.hosts_by_machine_type.values()) == 80
    assert summary.hosts_by_patch_level == {"patched": 20, "unpatched": 60}
    assert list(summary.hosts_by_state) == sorted(summary.hosts_by_state)
    assert summary.vms == len(fleet.vms) == sum(summary.vms_by_eviction.values())
    assert summary.used_memory_mib == fleet.vms["memory_mib"].sum()
    assert summary.memory_fill == summary.used_memory_mib / fleet.hosts["memory_mib"].sum()
    assert summary.domains == {"power": 1, "rack": 4, "row": 1}
    assert summary.services == sum(summary.services_by_spread.values()) == len(fleet.services)
    assert summary.vms_in_services == fleet.vms["service_id"].is_not_null().sum()
    assert summary.unknown_dirty_rates == fleet.vms["dirty_mib_s"].is_null().sum() > 0
    assert summary.links == len(fleet.links)
    leaves_and_spines = set(fleet.links["head"]) - set(fleet.hosts["host_id"])
    assert summary.switches == len(leaves_and_spines)


def test_a_summary_of_nothing_has_no_ratios():
    fleet = generate_fleet(GeneratorSettings(hosts=10))
    nothing = dataclasses.replace(fleet, **{name: getattr(fleet, name).clear() for name in TABLES})
    summary = summarise(nothing)
    assert (summary.hosts, summary.vms, summary.switches) == (0, 0, 0)
    assert summary.memory_fill is summary.vcpu_fill is summary.vms_per_host is None


def test_a_summary_becomes_json():
    fleet = generate_fleet(GeneratorSettings(hosts=10))
    data = json.loads(json.dumps(summarise(fleet).as_dict()))
    assert data["hosts"] == 10
    assert data["meta"]["licence"] == "none: synthetic"


def test_services_without_spread_are_counted_as_none():
    fleet = generate_fleet(GeneratorSettings(hosts=20, spread={"none": 1.0}))
    assert fleet.services["spread_over"].null_count() == len(fleet.services)
    assert summarise(fleet).services_by_spread == {"none": len(fleet.services)}
    assert fleet.services.schema["spread_over"] == pl.Enum(["host", "rack", "power", "row"])
