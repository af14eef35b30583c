import dataclasses
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from slacktide.datasets.digest import digest
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.datasets.listing import LISTED_PER_RULE
from slacktide.datasets.schemas import OPTIONAL, TABLES
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.validation import checked_snapshot, checked_tables, snapshot_findings
from slacktide.errors import InputError
from slacktide.findings import Finding

Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def fleet() -> FleetSnapshot:
    return generate_fleet(GeneratorSettings(hosts=60, hosts_per_rack=10, racks_per_power_feed=2, seed=5))


@pytest.fixture
def tables(fleet: FleetSnapshot) -> Tables:
    return {name: getattr(fleet, name) for name in TABLES}


def set_at(tables: Tables, table: str, row: int, **values: object) -> None:
    frame = tables[table]
    here = pl.int_range(pl.len()) == row
    tables[table] = frame.with_columns(
        pl.when(here).then(pl.lit(value, dtype=frame.schema[column])).otherwise(column).alias(column)
        for column, value in values.items()
    )


def the_finding(tables: Tables) -> Finding:
    _, findings = checked_tables(tables)
    assert len(findings) == 1, [str(finding) for finding in findings]
    assert findings[0].remedy
    return findings[0]


def test_a_generated_fleet_has_no_finding(fleet):
    assert snapshot_findings(fleet) == ()


NEEDED = [
    (name, column) for name in TABLES for column in TABLES[name].column_names() if column not in OPTIONAL.get(name, ())
]


@pytest.mark.parametrize(("table", "column"), NEEDED)
def test_a_missing_column_is_found(tables, table, column):
    tables[table] = tables[table].drop(column)
    findings = [finding for finding in checked_tables(tables)[1] if finding.rule == "column-missing"]
    assert [(finding.file, finding.subjects) for finding in findings] == [(f"{table}.parquet", (column,))]
    assert "is missing" in findings[0].message


def test_an_optional_column_may_be_missing_and_is_then_unknown(fleet, tables):
    tables["vms"] = tables["vms"].drop("used_mib")
    sound, findings = checked_tables(tables)
    assert findings == ()
    assert sound["vms"]["used_mib"].null_count() == len(fleet.vms)
    known = fleet.vms.with_columns(used_mib=pl.col("memory_mib") - 1)
    assert digest(replace(fleet, vms=sound["vms"])) == digest(fleet)
    assert digest(replace(fleet, vms=known)) != digest(fleet)


def test_a_column_too_many_is_found(tables):
    tables["hosts"] = tables["hosts"].with_columns(memory_gib=pl.lit(4))
    finding = the_finding(tables)
    assert (finding.rule, finding.subjects) == ("column-unexpected", ("memory_gib",))


@pytest.mark.parametrize(
    ("column", "dtype"),
    [("memory_mib", pl.Float64), ("memory_mib", pl.String), ("dirty_mib_s", pl.String), ("notice_s", pl.Duration)],
)
def test_a_wrong_type_is_found_with_both_types(tables, column, dtype):
    expected = tables["vms"].schema[column]
    tables["vms"] = tables["vms"].with_columns(pl.col(column).cast(dtype))
    finding = the_finding(tables)
    assert finding.rule == "column-type"
    assert finding.message == f"the column {column} is {tables['vms'].schema[column]}, expected {expected}"


@pytest.mark.parametrize(
    ("table", "column", "dtype"),
    [
        ("hosts", "vcpus", pl.Int64),
        ("hosts", "memory_mib", pl.UInt32),
        ("hosts", "state", pl.String),
        ("hosts", "state", pl.Categorical),
        ("vms", "dirty_mib_s", pl.Float32),
        ("vms", "eviction", pl.String),
    ],
)
def test_a_harmless_type_is_cast(fleet, tables, table, column, dtype):
    tables[table] = tables[table].with_columns(pl.col(column).cast(dtype))
    checked, findings = checked_tables(tables)
    assert findings == ()
    assert checked[table].schema == getattr(fleet, table).schema


def test_a_column_of_nulls_stands_where_null_is_allowed(fleet, tables):
    tables["vms"] = tables["vms"].with_columns(service_id=None)
    checked, findings = checked_tables(tables)
    assert findings == ()
    assert checked["vms"].schema == fleet.vms.schema
    tables["vms"] = tables["vms"].with_columns(vcpus=None)
    assert the_finding(tables).rule == "column-type"


@pytest.mark.parametrize(
    ("table", "values", "rule", "message"),
    [
        ("vms", {"memory_mib": -5}, "value-too-small", "memory_mib is -5, the least allowed is 1"),
        ("vms", {"vcpus": 0}, "value-too-small", "vcpus is 0, the least allowed is 1"),
        ("vms", {"dirty_mib_s": -0.5}, "value-too-small", "dirty_mib_s is -0.5, the least allowed is 0"),
        ("vms", {"dirty_mib_s": float("nan")}, "value-not-finite", "dirty_mib_s is nan"),
        ("vms", {"dirty_mib_s": float("inf")}, "value-not-finite", "dirty_mib_s is inf"),
        ("vms", {"notice_s": None}, "value-missing", "notice_s is null"),
        ("vms", {"host_id": None}, "value-missing", "host_id is null"),
        ("vms", {"machine_types": [None, "gen-1"]}, "value-missing", "machine_types [None, 'gen-1'] holds a null"),
        ("vms", {"blackout_limit_ms": 0}, "value-too-small", "blackout_limit_ms is 0, the least allowed is 1"),
        ("hosts", {"maintenance_s": 0}, "value-too-small", "maintenance_s is 0, the least allowed is 1"),
        ("hosts", {"maintenance_s": 2**62}, "value-too-large", f"maintenance_s is {2**62}, the most allowed is 604800"),
        ("hosts", {"patch_level": None}, "value-missing", "patch_level is null"),
        ("hosts", {"state": None}, "value-missing", "state is null"),
        ("hosts", {"machine_type": ""}, "text-empty", "machine_type is empty"),
        ("hosts", {"rack_id": "r" * 201}, "text-too-long", "rack_id has 201 bytes of UTF-8, the most allowed is 200"),
        ("services", {"max_moving": 0}, "value-too-small", "max_moving is 0, the least allowed is 1"),
        ("links", {"capacity_mbit_s": 0}, "value-too-small", "capacity_mbit_s is 0, the least allowed is 1"),
    ],
)
def test_a_broken_value_is_found_in_its_row(tables, table, values, rule, message):
    set_at(tables, table, 7, **values)
    finding = the_finding(tables)
    assert (finding.rule, finding.severity, finding.file, finding.row) == (rule, "error", f"{table}.parquet", 7)
    key = [str(value) for value in tables[table].select(TABLES[table].primary_key()).row(7)]
    assert finding.message == f"{' '.join(key)}: {message}"
    assert finding.subjects == tuple(key)


@pytest.mark.parametrize(("table", "column"), [("hosts", "state"), ("vms", "eviction"), ("services", "spread_over")])
def test_an_unknown_word_is_found(tables, table, column):
    tables[table] = tables[table].with_columns(pl.col(column).cast(pl.String))
    set_at(tables, table, 4, **{column: "drowsy"})
    findings = [f for f in checked_tables(tables)[1] if f.rule != "service-limit-without-spread"]
    assert [(f.rule, f.row) for f in findings] == [("value-unknown", 4)]
    assert "'drowsy', allowed is " in findings[0].message


def test_a_number_beyond_32_bits_is_found(tables):
    tables["vms"] = tables["vms"].with_columns(pl.col("vcpus").cast(pl.Int64))
    set_at(tables, "vms", 4, vcpus=2**40)
    finding = the_finding(tables)
    assert (finding.rule, finding.row) == ("value-too-large", 4)


@pytest.mark.parametrize("table", list(TABLES))
def test_a_repeated_key_is_found(tables, table):
    tables[table] = pl.concat([tables[table], tables[table][2:3]])
    findings = [f for f in checked_tables(tables)[1] if not f.rule.startswith("host-")]
    assert [(f.rule, f.row, f.file) for f in findings] == [
        ("key-duplicate", len(tables[table]) - 1, f"{table}.parquet")
    ]
    assert findings[0].message.endswith("is in row 2 already")


def test_an_empty_fleet_is_found(fleet):
    empty = {name: getattr(fleet, name).clear() for name in TABLES}
    finding = the_finding(empty)
    assert finding.rule == "fleet-empty"


Break = Callable[[Tables], None]


def _unknown_host(tables: Tables) -> None:
    set_at(tables, "vms", 3, host_id="host-x")


def _unknown_service(tables: Tables) -> None:
    set_at(tables, "vms", 3, service_id="service-x")


def _unknown_host_of_domain(tables: Tables) -> None:
    extra = pl.DataFrame({"host_id": ["host-x"], "kind": ["rack"], "domain_id": ["rack-1"]})
    tables["domains"] = pl.concat([tables["domains"], extra])


def _no_rack(tables: Tables) -> None:
    third = tables["hosts"]["host_id"][3]
    tables["domains"] = tables["domains"].filter(~((pl.col("host_id") == third) & (pl.col("kind") == "rack")))


def _other_rack(tables: Tables) -> None:
    set_at(tables, "hosts", 3, rack_id="rack-x")


def _no_row_domains(tables: Tables) -> None:
    tables["domains"] = tables["domains"].filter(pl.col("kind") != "row")
    set_at(tables, "services", 3, spread_over="row", max_per_domain=9)


def _limit_without_spread(tables: Tables) -> None:
    set_at(tables, "services", 3, spread_over=None, max_per_domain=9)


def _overfull_vcpus(tables: Tables) -> None:
    set_at(tables, "hosts", 3, vcpus=1)


def _overfull_memory(tables: Tables) -> None:
    set_at(tables, "hosts", 3, memory_mib=100)


def _vm_on_empty_host(tables: Tables) -> None:
    empty = tables["hosts"].filter(pl.col("state") == "empty")["host_id"][0]
    small = int(tables["vms"].with_row_index().filter(pl.col("machine_types").is_null())["index"][0])
    set_at(tables, "vms", small, host_id=empty)


def _hot_set(tables: Tables) -> None:
    set_at(tables, "vms", 3, hot_mib=1e6)


@pytest.mark.parametrize(
    ("broken", "rule", "file", "parts"),
    [
        (_unknown_host, "vm-host-unknown", "vms", ["host-x"]),
        (_unknown_service, "vm-service-unknown", "vms", ["service-x"]),
        (_unknown_host_of_domain, "domain-host-unknown", "domains", ["host-x", "rack-1"]),
        (_no_rack, "rack-domain-missing", "hosts", ["has no rack"]),
        (_other_rack, "rack-domain-contradiction", "hosts", ["rack-x", "rack-00000"]),
        (_no_row_domains, "service-spread-kind", "services", ["row"]),
        (_limit_without_spread, "service-limit-without-spread", "services", ["max_per_domain is 9"]),
        (_overfull_vcpus, "host-vcpus-overfull", "hosts", ["vCPU, it sells 1"]),
        (_overfull_memory, "host-memory-overfull", "hosts", ["MiB of memory, it sells 100 MiB"]),
        (_vm_on_empty_host, "vm-on-empty-host", "vms", ["whose state is empty"]),
        (_hot_set, "vm-hot-set", "vms", ["hot_mib is 1e+06 MiB of"]),
    ],
)
def test_a_broken_reference_is_found(tables, broken, rule, file, parts):
    broken(tables)
    finding = the_finding(tables)
    assert (finding.rule, finding.severity, finding.file) == (rule, "error", f"{file}.parquet")
    assert finding.row is not None
    assert finding.subjects
    for part in parts:
        assert part in finding.message


def test_overfull_says_what_the_vms_use(tables):
    host = tables["hosts"]["host_id"][3]
    vms = tables["vms"].filter(pl.col("host_id") == host)
    _overfull_memory(tables)
    assert the_finding(tables).message == (
        f"{host}: its {len(vms)} VMs use {vms['memory_mib'].sum()} MiB of memory, it sells 100 MiB"
    )


def _down_host(tables: Tables) -> None:
    set_at(tables, "hosts", 3, state="down")


def _unknown_machine_type(tables: Tables) -> None:
    own = tables["hosts"]["machine_type"][0]
    set_at(tables, "vms", 0, machine_types=[own, "gen-x"])


def _foreign_machine_type(tables: Tables) -> None:
    own = tables["hosts"]["machine_type"][0]
    other = tables["hosts"].filter(pl.col("machine_type") != own)["machine_type"][0]
    set_at(tables, "vms", 0, machine_types=[other])


def _spread_without_limit(tables: Tables) -> None:
    set_at(tables, "services", 3, spread_over="rack", max_per_domain=None)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (_down_host, "vm-on-down-host"),
        (_unknown_machine_type, "machine-type-unknown"),
        (_foreign_machine_type, "vm-machine-type"),
        (_spread_without_limit, "service-spread-without-limit"),
    ],
)
def test_a_warning_keeps_the_snapshot_usable(fleet, tables, broken, rule):
    broken(tables)
    checked, findings = checked_tables(tables)
    assert {(finding.rule, finding.severity) for finding in findings} == {(rule, "warning")}
    assert checked_snapshot(fleet.meta, tables, "fleet").hosts.equals(checked["hosts"])


def test_a_link_to_nowhere_is_found_in_its_row(tables):
    tables["links"] = pl.concat(
        [tables["links"], pl.DataFrame({"tail": ["leaf/rack-00000"], "head": ["nowhere"], "capacity_mbit_s": [1]})]
    )
    finding = the_finding(tables)
    assert (finding.rule, finding.file) == ("one-way-switch", "links.parquet")
    assert finding.row == len(tables["links"]) - 1


def test_a_disconnected_topology_is_found(tables):
    tables["links"] = tables["links"].filter(
        ~pl.any_horizontal(pl.col("tail", "head") == "leaf/rack-00002")
        | pl.any_horizontal(pl.col("tail", "head").str.starts_with("host-"))
    )
    assert the_finding(tables).rule == "disconnected"


def test_the_first_broken_rows_are_listed_and_the_others_counted(tables):
    tables["vms"] = tables["vms"].with_columns(notice_s=pl.lit(-1, dtype=pl.Int64))
    _, findings = checked_tables(tables)
    assert len(findings) == LISTED_PER_RULE + 1
    assert [finding.row for finding in findings[:-1]] == list(range(LISTED_PER_RULE))
    assert findings[-1].row is None
    assert findings[-1].message == f"{len(tables['vms']) - LISTED_PER_RULE} more rows break the rule value-too-small"


def test_rows_are_numbered_as_they_were_read(fleet, tables):
    tables["vms"] = tables["vms"].reverse()
    set_at(tables, "vms", 3, memory_mib=-1)
    assert the_finding(tables).row == 3


def test_a_refusal_carries_errors_before_warnings(fleet, tables):
    _spread_without_limit(tables)
    _hot_set(tables)
    with pytest.raises(InputError, match="has 1 error") as refused:
        checked_snapshot(fleet.meta, tables, "fleet")
    assert [finding.severity for finding in refused.value.findings] == ["error", "warning"]


def test_snapshot_findings_name_the_broken_table(fleet):
    broken = dataclasses.replace(fleet, vms=fleet.vms.with_columns(hot_mib=pl.lit(1e9)))
    assert {finding.rule for finding in snapshot_findings(broken)} == {"vm-hot-set"}
