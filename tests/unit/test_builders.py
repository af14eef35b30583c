import polars as pl
import pytest

from slacktide.errors import UsageError
from slacktide.topology import Datacenter, Rates, Routing, clos, clos3, fat_tree, leaf_spine, topology_findings


def hosts_and_racks(hosts, per_rack):
    return [f"h{number:05}" for number in range(hosts)], [f"r{number // per_rack:04}" for number in range(hosts)]


BUILT = {
    "leaf-spine": leaf_spine(*hosts_and_racks(24, 4)),
    "three layers": clos3(*hosts_and_racks(24, 2), racks_per_pod=3),
    "fat tree": fat_tree(hosts_and_racks(16, 1)[0]),
    "one rack": leaf_spine(*hosts_and_racks(3, 3)),
    "uneven": clos3(*hosts_and_racks(23, 3), racks_per_pod=3),
}


@pytest.mark.parametrize("fabric", BUILT.values(), ids=BUILT)
def test_every_cable_has_both_directions_and_all_hosts_connect(fabric):
    hosts = fabric.domains["host_id"].to_list()
    back = fabric.links.select(tail="head", head="tail", capacity_mbit_s="capacity_mbit_s").sort("tail", "head")
    assert fabric.links.equals(back)
    assert not [x for x in topology_findings(hosts, fabric.links, fabric.domains) if x.severity == "error"]


def test_uplinks_follow_from_the_oversubscription():
    rates = Rates(host_mbit_s=25_000, uplink_mbit_s=100_000, oversubscription=2.0)
    links = leaf_spine(*hosts_and_racks(96, 48), rates).links
    assert links.filter(pl.col("tail") == "leaf/r0000")["head"].str.starts_with("spine").sum() == 6


def test_a_fat_tree_of_four_ports_is_the_textbook_one():
    fabric = fat_tree(hosts_and_racks(16, 1)[0])
    assert len(fabric.links) == 2 * 3 * 16
    assert fabric.domains["domain_id"].n_unique() == 8
    datacenter = Datacenter.from_tables(fabric.domains["host_id"], fabric.links, fabric.domains)
    assert len(datacenter.switches) == 20
    table = Routing(datacenter).route_table()
    assert table.bottleneck_mbit_s[-2] == 50_000


def test_clos_adds_a_layer_when_spines_run_out_of_ports():
    two, three = clos(*hosts_and_racks(576, 1)), clos(*hosts_and_racks(577, 1))
    assert not two.links["tail"].str.starts_with("super").any()
    assert three.links["tail"].str.starts_with("super").any()


@pytest.mark.parametrize(
    ("build", "fact"),
    [
        (lambda: leaf_spine(*hosts_and_racks(577, 1)), "577 racks"),
        (lambda: leaf_spine(["a", "a"], ["r", "r"]), "there twice"),
        (lambda: leaf_spine(["a"], []), "1 hosts, but 0 racks"),
        (lambda: leaf_spine(["leaf/r"], ["r"]), "host leaf/r has the name of a switch"),
        (lambda: leaf_spine(["a"], ["r"], Rates(uplink_mbit_s=0)), "not positive"),
        (lambda: clos3(["a"], ["r"], racks_per_pod=0), "0 racks in a pod"),
        (lambda: fat_tree(["a"] * 3, ports=3), "3 ports"),
        (lambda: fat_tree(["a", "b", "c"], ports=2), "2 ports carry 2 hosts"),
    ],
)
def test_impossible_fabrics_are_refused(build, fact):
    with pytest.raises(UsageError, match=fact):
        build()
