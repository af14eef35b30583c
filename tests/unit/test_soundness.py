import polars as pl
import pytest

from slacktide.topology import leaf_spine, topology_findings

HOSTS = [f"h{number}" for number in range(8)]
FABRIC = leaf_spine(HOSTS, [f"r{number // 2}" for number in range(8)], spines=2)


def with_links(*added):
    rows = pl.DataFrame([(tail, head, 1) for tail, head in added], schema=FABRIC.links.schema, orient="row")
    return pl.concat([FABRIC.links, rows])


def found(links, hosts=HOSTS, domains=FABRIC.domains):
    return [
        (finding.rule, finding.severity, finding.subjects, finding.row)
        for finding in topology_findings(hosts, links, domains)
    ]


LAST = len(FABRIC.links)


def test_a_good_fabric_has_no_finding():
    assert found(FABRIC.links) == []


def test_a_fleet_without_hosts_has_no_topology_finding():
    assert found(FABRIC.links, [], FABRIC.domains.clear()) == []


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ([("leaf/r0", "nowhere")], [("one-way-switch", "error", ("nowhere",), LAST)]),
        ([("nowhere", "leaf/r0")], [("one-way-switch", "error", ("nowhere",), LAST)]),
        (
            [("leaf/r0", "nowhere"), ("nowhere", "leaf/r0")],
            [("dead-end-switch", "warning", ("nowhere",), LAST)],
        ),
        ([("spine/0", "spine/0")], [("self-link", "error", ("spine/0",), LAST)]),
        ([("h0", "h1")], [("host-to-host", "error", ("h0", "h1"), LAST)]),
        (
            [("x", "y"), ("y", "x")],
            [("stranded-switch", "error", ("x",), LAST), ("stranded-switch", "error", ("y",), LAST)],
        ),
    ],
)
def test_a_bad_link_is_found_with_its_row(added, expected):
    assert found(with_links(*added)) == expected


@pytest.mark.parametrize(("end", "text"), [("tail", "no link to a switch"), ("head", "no link from a switch")])
def test_a_host_without_a_link_is_found(end, text):
    (finding,) = topology_findings(HOSTS, FABRIC.links.filter(pl.col(end) != "h3"), FABRIC.domains)
    assert (finding.rule, finding.subjects) == ("unlinked-host", ("h3",))
    assert text in finding.message


def test_islands_are_found_with_sizes_and_one_host_each():
    rack = pl.col("tail").eq("leaf/r0") | pl.col("head").eq("leaf/r0")
    spine = pl.col("tail").str.starts_with("spine") | pl.col("head").str.starts_with("spine")
    (finding,) = topology_findings(HOSTS, FABRIC.links.filter(~(rack & spine)), FABRIC.domains)
    assert (finding.rule, finding.subjects) == ("disconnected", ("h2", "h0"))
    assert "6 such as h2; 2 such as h0" in finding.message


def test_a_missing_direction_disconnects():
    spine = pl.col("head").str.starts_with("spine")
    assert [rule for rule, *_ in found(FABRIC.links.filter(~(pl.col("tail").eq("leaf/r0") & spine)))] == [
        "disconnected"
    ]


def two_planes(hosts_on):
    rows = [
        row for host, planes in hosts_on.items() for plane in planes for row in ((host, plane, 10), (plane, host, 10))
    ]
    return pl.DataFrame(rows, schema=["tail", "head", "capacity_mbit_s"], orient="row")


def test_two_separate_planes_connect_hosts_that_are_on_both():
    assert found(two_planes({"a": "PQ", "b": "PQ"}), ["a", "b"], FABRIC.domains.clear()) == []


def test_a_host_on_both_planes_does_not_forward_between_them():
    (finding,) = found(two_planes({"a": "P", "b": "PQ", "c": "Q"}), ["a", "b", "c"], FABRIC.domains.clear())
    assert finding[0] == "disconnected"


def test_a_host_need_not_reach_itself():
    links = pl.DataFrame({"tail": ["a", "P", "b", "Q"], "head": ["P", "b", "Q", "a"], "capacity_mbit_s": [1, 1, 1, 1]})
    assert found(links, ["a", "b"], FABRIC.domains.clear()) == []


def test_a_host_in_no_rack_is_a_warning():
    racks = FABRIC.domains.filter(pl.col("host_id") != "h5")
    assert found(FABRIC.links, domains=racks) == [("host-without-domain", "warning", ("h5",), None)]


def test_many_findings_of_one_rule_are_counted():
    hosts = [f"h{number:03}" for number in range(150)]
    findings = topology_findings(hosts, FABRIC.links.clear(), FABRIC.domains.clear())
    assert len(findings) == 101
    assert findings[-1].message == "50 more like this"
