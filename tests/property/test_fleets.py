from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from slacktide.datasets.digest import digest
from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.schemas import TABLES
from slacktide.datasets.validation import snapshot_findings
from slacktide.findings import errors_in

share = st.floats(0, 1)
fleets = st.builds(
    GeneratorSettings,
    hosts=st.integers(1, 90),
    seed=st.integers(0, 2**63 - 1),
    fill=st.floats(0.01, 0.95),
    fill_spread=st.floats(0, 0.5),
    empty_share=st.floats(0, 0.45),
    down_share=st.floats(0, 0.45),
    patched_share=share,
    largest_vm_share=st.floats(0.1, 1),
    hosts_per_rack=st.integers(1, 60),
    racks_per_power_feed=st.integers(1, 5),
    racks_per_row=st.integers(1, 5),
    topology=st.sampled_from(["leaf_spine", "fat_tree"]),
    host_link_mbit_s=st.integers(1, 100_000),
    oversubscription=st.floats(1, 10),
    uplink_mbit_s=st.integers(10_000, 400_000),
    service_share=share,
    max_moving_share=share,
    spread=st.sampled_from([{"none": 1.0}, {"host": 1.0, "rack": 1.0}, {"power": 1.0, "row": 2.0, "none": 0.5}]),
    unknown_dirty_share=share,
    restart_share=share,
    pinned_share=share,
    local_disk_share=share,
    blackout_limit_share=share,
    restricted_share=share,
)


@settings(max_examples=40)
@given(fleets)
def test_generated_fleets_are_sound_and_services_keep_their_rules(options):
    fleet = generate_fleet(options)
    assert errors_in(snapshot_findings(fleet)) == ()
    for name, schema in TABLES.items():
        assert getattr(fleet, name).equals(getattr(fleet, name).sort(schema.primary_key()))
    hosts = pl.DataFrame({"host_id": fleet.hosts["host_id"], "kind": "host", "domain_id": fleet.hosts["host_id"]})
    counts = (
        fleet.vms.join(fleet.services.with_columns(pl.col("spread_over").cast(pl.String)), on="service_id")
        .join(pl.concat([fleet.domains, hosts]), left_on=["host_id", "spread_over"], right_on=["host_id", "kind"])
        .group_by("service_id", "domain_id", "max_per_domain")
        .len()
    )
    assert (counts["len"] <= counts["max_per_domain"]).all()


@settings(max_examples=15)
@given(fleets, st.randoms(use_true_random=False))
def test_what_is_written_in_any_order_is_read_in_order(options, random):
    fleet = generate_fleet(options)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "fleet"
        write_snapshot(fleet, path)
        for name in TABLES:
            shuffled = getattr(fleet, name).sample(fraction=1, shuffle=True, seed=random.randrange(2**32))
            shuffled.write_parquet(path / f"{name}.parquet", compression="snappy")
        again = read_snapshot(path)
    for name in TABLES:
        assert getattr(again, name).equals(getattr(fleet, name))
    assert again.meta == fleet.meta
    assert digest(again) == digest(fleet)
