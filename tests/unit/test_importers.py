from pathlib import Path

import polars as pl
import pytest

from slacktide.datasets.calibration import ALIBABA_2018, HUAWEI_EAST_1_SIZES, MachineType
from slacktide.datasets.digest import digest
from slacktide.datasets.importers.alibaba import read_alibaba
from slacktide.datasets.importers.huawei import alive, busiest_moment, read_huawei
from slacktide.datasets.importers.huawei_on_alibaba import ImportOptions, import_huawei_on_alibaba
from slacktide.datasets.importers.traces import TraceColumn, read_trace
from slacktide.datasets.listing import LISTED_PER_RULE
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.summary import summarise
from slacktide.datasets.validation import snapshot_findings
from slacktide.errors import InputError, UsageError

VMS = "vmid,cpu,mem,at,lt\n0,1,2,0.0,10\n1,2,4,5.0,10\n2,4,8,10.0,10\n10,1,1,12,2\n"
MACHINES = """machine_id,failure_domain_1,failure_domain_2,cpu_num,mem_size,status
m_10,1,1,96,100,USING
m_9,1,2,96,100,USING
m_2,3,1,96,50,USING
m_1,3,2,96,100,IMPORT_INSTALLING
"""


@pytest.fixture
def traces(tmp_path: Path) -> tuple[Path, Path]:
    machines, vms = tmp_path / "machines.csv", tmp_path / "vms.csv"
    machines.write_text(MACHINES)
    vms.write_text(VMS)
    return machines, vms


def rules(error: InputError) -> list[tuple[str, int | None]]:
    assert all(finding.remedy and finding.file == "vms.csv" for finding in error.findings)
    return [(finding.rule, finding.row) for finding in error.findings]


def test_vms_alive_have_arrived_and_not_left(traces):
    requests = read_huawei(traces[1])
    assert alive(requests, 10).vms["vm_id"].to_list() == ["vm-01", "vm-02"]
    assert alive(requests, 9.9).vms.rows() == [("vm-00", 1, 2_048), ("vm-01", 2, 4_096)]
    assert alive(requests, 0).vms["vm_id"].to_list() == ["vm-00"]


def test_the_busiest_moment_counts_departures_before_arrivals(traces):
    requests = read_huawei(traces[1])
    assert busiest_moment(requests) == 12
    assert len(alive(requests).vms) == 3
    assert busiest_moment(requests.filter(pl.col("vm_id") != "vm-10")) == 5


def test_a_moment_without_vms_is_refused(traces):
    with pytest.raises(UsageError, match=r"no VM of the trace is alive then. Choose one between 0 and 20"):
        alive(read_huawei(traces[1]), 20)


def test_sizes_are_shares_of_the_vms_alive(traces):
    sizes = alive(read_huawei(traces[1])).sizes
    assert [(size.vcpus, size.memory_mib, round(size.share, 3)) for size in sizes] == [
        (1, 1_024, 0.333),
        (2, 4_096, 0.333),
        (4, 8_192, 0.333),
    ]


def test_machines_come_rack_by_rack_in_the_order_of_their_numbers(traces):
    assert read_alibaba(traces[0])["machine_id"].to_list() == ["m_9", "m_10", "m_1", "m_2"]
    assert read_alibaba(traces[0], 1)["machine_id"].to_list() == ["m_9"]
    with pytest.raises(UsageError, match="the trace has 4 machines"):
        read_alibaba(traces[0], 5)


def test_vms_as_they_are_fill_the_machines_evenly(traces):
    fleet = import_huawei_on_alibaba(*traces, ImportOptions(vms="alive", hosts=4, empty_share=0))
    assert snapshot_findings(fleet) == ()
    states = dict(fleet.hosts.select("host_id", "state").rows())
    assert states == {"m_1": "quarantined", "m_10": "active", "m_2": "empty", "m_9": "active"}
    placed = dict(fleet.vms.select("vm_id", "host_id").rows())
    assert placed == {"vm-02": "m_9", "vm-01": "m_10", "vm-10": "m_10"}
    memory = dict(fleet.hosts.select("host_id", "memory_mib").rows())
    assert memory["m_2"] * 2 == memory["m_9"] == ALIBABA_2018.memory_mib
    domains = fleet.domains.filter(pl.col("host_id") == "m_9").select("kind", "domain_id").rows()
    assert domains == [("power", "power-02"), ("rack", "rack-001")]


def test_what_the_traces_do_not_say_is_unknown_or_an_option(traces):
    machine = MachineType("wide", 1, 64 * 1024, 40_000, 900)
    fleet = import_huawei_on_alibaba(
        *traces, ImportOptions(vms="alive", hosts=4, machine=machine, patch_level="old", empty_share=0)
    )
    for column in ("service_id", "dirty_mib_s", "hot_mib", "blackout_limit_ms", "machine_types"):
        assert fleet.vms[column].null_count() == 3
    host = fleet.hosts.filter(pl.col("host_id") == "m_9").row(0, named=True)
    assert (host["migration_mbit_s"], host["maintenance_s"], host["patch_level"]) == (40_000, 900, "old")
    assert (host["memory_mib"], host["vcpus"], host["machine_type"]) == (64 * 1024, 96, "wide")


def test_vms_that_do_not_fit_are_refused(traces):
    small = MachineType("small", 96, 6 * 1024, 1_000, 900)
    with pytest.raises(UsageError, match="the 3 VMs alive at 12 do not fit"):
        import_huawei_on_alibaba(*traces, ImportOptions(vms="alive", hosts=2, machine=small, empty_share=0))
    traces[0].write_text(MACHINES.replace("USING", "BROKEN"))
    with pytest.raises(UsageError, match="none is left to carry VMs"):
        import_huawei_on_alibaba(*traces, ImportOptions(hosts=2))


@pytest.mark.parametrize("wrong", [{"fill": 0}, {"fill": 1}, {"empty_share": -1}, {"largest_vm_share": 2}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="is outside"):
        ImportOptions(**wrong)


def test_a_missing_trace_is_refused(tmp_path, traces):
    with pytest.raises(UsageError, match="does not exist"):
        import_huawei_on_alibaba(tmp_path / "nowhere.csv", traces[1])
    with pytest.raises(UsageError, match="is not a file"):
        read_huawei(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (VMS.replace("cpu", "cores"), [("column-missing", None)]),
        (VMS.replace("2,4,8,", "2,four,8,"), [("value-invalid", 2)]),
        (VMS.replace("2,4,8,", "2,,8,"), [("value-invalid", 2)]),
        (VMS.replace("2,4,8,", "2,-4,8,"), [("value-too-small", 2)]),
        (VMS.replace("2,4,8,", "2,4,nan,"), [("value-invalid", 2)]),
        (VMS.replace("2,4,8,", "2,4,inf,"), [("value-invalid", 2)]),
        (VMS.replace("2,4,8,", "1,4,8,"), [("key-duplicate", 2)]),
        (VMS.replace("2,4,8,", "1,x,y,"), [("key-duplicate", 2), ("value-invalid", 2), ("value-invalid", 2)]),
        ("vmid,cpu,mem,at,lt\n", [("trace-empty", None)]),
        ("", [("file-unreadable", None)]),
        (VMS + "1,2,3,4,5,6,7,8\n", [("file-unreadable", None)]),
    ],
)
def test_a_wrong_trace_is_refused_with_rows(traces, text, expected):
    traces[1].write_text(text)
    with pytest.raises(InputError) as refused:
        read_huawei(traces[1])
    assert rules(refused.value) == expected


def test_binary_is_no_trace(traces):
    traces[1].write_bytes(b"\x00\xff\xfe" * 100)
    with pytest.raises(InputError):
        read_huawei(traces[1])


def test_broken_rows_beyond_the_first_are_counted(traces):
    traces[1].write_text("vmid\n" + "\n".join("x" for _ in range(LISTED_PER_RULE + 6)))
    with pytest.raises(InputError) as refused:
        read_trace(traces[1], {"vmid": TraceColumn(pl.Int64)})
    assert len(refused.value.findings) == LISTED_PER_RULE + 1
    assert refused.value.findings[-1].message == "6 more rows break the rule value-invalid in vmid"


@pytest.fixture(scope="module")
def real_fleet(real_data: Path) -> FleetSnapshot:
    return import_huawei_on_alibaba(real_data / "alibaba-2018-machines.csv", real_data / "huawei-east-1-vms.csv")


def test_the_real_machines_are_filled_with_resampled_vms(real_fleet):
    summary = summarise(real_fleet)
    assert snapshot_findings(real_fleet) == ()
    assert summary.hosts == 4_034
    assert summary.hosts_by_state["quarantined"] == 1
    assert summary.domains == {"power": 20, "rack": 292}
    assert summary.memory_fill == pytest.approx(0.75, abs=0.01)
    assert summary.vcpu_fill < summary.memory_fill
    assert summary.unknown_dirty_rates == summary.vms


def test_real_racks_and_power_feeds_are_no_tree(real_fleet):
    wide = real_fleet.domains.pivot(on="kind", index="host_id", values="domain_id")
    feeds = wide.group_by("rack").agg(pl.col("power").n_unique())
    assert (feeds["power"] > 1).sum() == 198


def test_the_same_seed_imports_the_same_fleet(real_fleet, real_data):
    paths = real_data / "alibaba-2018-machines.csv", real_data / "huawei-east-1-vms.csv"
    assert digest(import_huawei_on_alibaba(*paths)) == digest(real_fleet)
    assert digest(import_huawei_on_alibaba(*paths, ImportOptions(seed=2))) != digest(real_fleet)


def test_the_real_vms_as_they_are_take_the_machines_they_need(real_data):
    paths = real_data / "alibaba-2018-machines.csv", real_data / "huawei-east-1-vms.csv"
    fleet = import_huawei_on_alibaba(*paths, ImportOptions(vms="alive"))
    assert snapshot_findings(fleet) == ()
    assert len(fleet.vms) == 2_432
    assert summarise(fleet).memory_fill == pytest.approx(0.75, abs=0.05)
    earlier = import_huawei_on_alibaba(*paths, ImportOptions(vms="alive", at=500_000))
    assert len(earlier.vms) < 2_432


def test_the_calibrated_sizes_are_those_of_the_trace_weighted_by_lifetime(real_data):
    requests = read_huawei(real_data / "huawei-east-1-vms.csv").with_columns(life=pl.col("leaves") - pl.col("arrives"))
    assert len(requests) == 116_313
    shares = requests.group_by("vcpus", "memory_mib").agg(pl.col("life").sum() / requests["life"].sum())
    measured = {(vcpus, memory_mib): share for vcpus, memory_mib, share in shares.iter_rows()}
    assert len(measured) == len(HUAWEI_EAST_1_SIZES)
    for size in HUAWEI_EAST_1_SIZES:
        assert size.share == pytest.approx(measured[size.vcpus, size.memory_mib], abs=1e-6)
