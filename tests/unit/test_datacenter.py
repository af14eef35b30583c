import networkx as nx
import numpy as np
import polars as pl
import pytest

from slacktide.errors import InputError, UsageError
from slacktide.topology import Datacenter, FailureDomains

LINKS = pl.DataFrame(
    {
        "tail": ["h2", "s1", "h1", "s1"],
        "head": ["s1", "h2", "s1", "h1"],
        "capacity_mbit_s": [20, 21, 10, 11],
    }
)
DOMAINS = pl.DataFrame(
    {
        "host_id": ["h2", "h1", "h1"],
        "kind": ["rack", "rack", "power"],
        "domain_id": ["r-b", "r-a", "feed"],
    }
)


def test_nodes_are_hosts_then_switches_and_links_are_sorted():
    datacenter = Datacenter.from_tables(["h2", "h1"], LINKS, DOMAINS)
    assert datacenter.hosts == ("h1", "h2")
    assert datacenter.switches == ("s1",)
    assert datacenter.link_names == ("h1 -> s1", "h2 -> s1", "s1 -> h1", "s1 -> h2")
    assert datacenter.capacity_mbit_s.tolist() == [10, 20, 11, 21]
    assert datacenter.tail.tolist() == [0, 1, 2, 2]
    assert datacenter.head.tolist() == [2, 2, 0, 1]


def test_arrays_cannot_be_written():
    datacenter = Datacenter.from_tables(["h2", "h1"], LINKS, DOMAINS)
    with pytest.raises(ValueError, match="read-only"):
        datacenter.capacity_mbit_s[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        datacenter.domains.of("rack")[0] = 1


def test_graph_is_frozen_and_carries_capacities():
    graph = Datacenter.from_tables(["h2", "h1"], LINKS, DOMAINS).graph
    assert graph.edges["s1", "h2"]["capacity_mbit_s"] == 21
    assert graph.nodes["s1"]["kind"] == "switch"
    with pytest.raises(nx.NetworkXError):
        graph.add_edge("h1", "h2")


def test_a_link_listed_twice_is_refused():
    with pytest.raises(InputError, match="h2 -> s1 is listed twice"):
        Datacenter.from_tables(["h2", "h1"], pl.concat([LINKS, LINKS[:1]]), DOMAINS)


def test_a_host_listed_twice_is_refused():
    with pytest.raises(InputError, match="host h1 is listed twice"):
        Datacenter.from_tables(["h1", "h1"], LINKS, DOMAINS)


def test_an_empty_datacenter_is_one():
    datacenter = Datacenter.from_tables([], LINKS.clear(), DOMAINS.clear())
    assert datacenter.nodes == ()
    assert datacenter.domains.kinds == ()


def test_domains_by_kind():
    domains = FailureDomains.from_table(["h1", "h2"], DOMAINS)
    assert domains.kinds == ("power", "rack")
    assert domains.names("rack") == ("r-a", "r-b")
    assert domains.of("rack").tolist() == [0, 1]
    assert domains.of("power").tolist() == [0, -1]
    assert domains.of("power").dtype == np.int32
    assert domains.sizes("power").tolist() == [1]


def test_an_unknown_kind_is_refused_with_the_known_ones():
    domains = FailureDomains.from_table(["h1", "h2"], DOMAINS)
    with pytest.raises(UsageError, match="power, rack"):
        domains.of("row")


def test_a_domain_of_an_unknown_host_is_refused_with_its_row():
    with pytest.raises(InputError, match="host h2 is not in hosts") as caught:
        FailureDomains.from_table(["h1"], DOMAINS)
    assert [finding.row for finding in caught.value.findings] == [0]


def test_a_host_in_two_racks_is_refused():
    twice = pl.concat([DOMAINS, pl.DataFrame({"host_id": ["h1"], "kind": ["rack"], "domain_id": ["r-c"]})])
    with pytest.raises(InputError, match="two domains of one kind"):
        FailureDomains.from_table(["h1", "h2"], twice)
