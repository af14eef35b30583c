"""Routes against an independent enumeration, and bundles against single links, on random small graphs."""

from fractions import Fraction

import networkx as nx
import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from slacktide.topology import Datacenter, Routing, clos3, fat_tree, leaf_spine

NO_DOMAINS = pl.DataFrame(schema={"host_id": pl.String, "kind": pl.String, "domain_id": pl.String})


@st.composite
def graphs(draw):
    """Return hosts on one to three switches each, and switches with random links, some of them one-way."""
    switches = [f"s{number}" for number in range(draw(st.integers(1, 7)))]
    hosts = [f"h{number}" for number in range(draw(st.integers(2, 5)))]
    rates = st.sampled_from([1, 2])
    links = {}
    for host in hosts:
        for switch in draw(st.lists(st.sampled_from(switches), min_size=1, max_size=3, unique=True)):
            links[host, switch] = draw(rates)
            links[switch, host] = draw(rates)
    pairs = [(a, b) for a in switches for b in switches if a != b]
    for a, b in draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []:
        links[a, b] = draw(rates)
        if draw(st.booleans()):
            links[b, a] = links[a, b]
    return _datacenter(hosts, links)


@st.composite
def fabrics(draw):
    """Return a regular fabric from which a few links between switches are taken, or made thinner."""
    hosts = [f"h{number:02}" for number in range(draw(st.integers(2, 12)))]
    racks = [f"r{number // 2}" for number in range(len(hosts))]
    fabric = draw(
        st.sampled_from(
            [
                leaf_spine(hosts, racks, spines=3),
                clos3(hosts, racks, racks_per_pod=2),
                fat_tree(hosts),
            ]
        )
    )
    links = {(tail, head): rate for tail, head, rate in fabric.links.iter_rows()}
    inner = [link for link in links if not set(link) & set(hosts)]
    for link in draw(st.lists(st.sampled_from(inner), max_size=3)) if inner else []:
        links[link] = draw(st.sampled_from([0, 7]))
    return _datacenter(hosts, {link: rate for link, rate in links.items() if rate})


def _datacenter(hosts, links):
    rows = [(tail, head, rate) for (tail, head), rate in links.items()]
    table = pl.DataFrame(rows, schema={"tail": pl.String, "head": pl.String, "capacity_mbit_s": pl.Int64}, orient="row")
    return Datacenter.from_tables(hosts, table, NO_DOMAINS)


def enumerated(datacenter, source, target):
    """Return the share on every link by walking from hop to hop with exact fractions; None without a path."""
    graph = nx.DiGraph(datacenter.graph)
    graph.remove_nodes_from(set(datacenter.hosts) - {source, target})
    hops = nx.single_source_shortest_path_length(graph.reverse(), target)
    if source not in hops:
        return None
    amount, shares = {source: Fraction(1)}, {}
    for node in sorted(hops, key=hops.get, reverse=True):
        onward = [head for head in graph.successors(node) if hops.get(head, -1) == hops[node] - 1]
        for head in onward if amount.get(node) else []:
            shares[node, head] = amount[node] / len(onward)
            amount[head] = amount.get(head, Fraction(0)) + shares[node, head]
    return shares


def reachable_pairs(datacenter):
    hosts = datacenter.hosts
    return {
        (a, b): enumerated(datacenter, hosts[a], hosts[b])
        for a in range(len(hosts))
        for b in range(len(hosts))
        if a != b
    }


@settings(max_examples=150)
@given(st.one_of(graphs(), fabrics()))
def test_link_loads_agree_with_walking_hop_by_hop(datacenter):
    shares = {pair: share for pair, share in reachable_pairs(datacenter).items() if share is not None}
    pairs = np.array(list(shares), dtype=int).reshape(-1, 2)
    loads = Routing(datacenter).link_loads(pairs[:, 0], pairs[:, 1]).toarray()
    nodes = datacenter.nodes
    place = {
        (nodes[tail], nodes[head]): link
        for link, (tail, head) in enumerate(zip(datacenter.tail, datacenter.head, strict=True))
    }
    wanted = np.zeros_like(loads)
    for row, share in enumerate(shares.values()):
        for link, amount in share.items():
            wanted[row, place[link]] = amount
    np.testing.assert_allclose(loads, wanted, rtol=1e-12)


@settings(max_examples=150)
@given(st.one_of(graphs(), fabrics()))
def test_bundles_are_loaded_as_their_links_are(datacenter):
    routing = Routing(datacenter)
    table = routing.route_table()
    classes = len(table.classes)
    between = table.bundle_of_link >= 0
    bundle_of = table.bundle_of_link[between]
    capacity = datacenter.capacity_mbit_s[between]
    bundles = len(table.bundle_capacity_mbit_s)
    assert np.bincount(bundle_of, weights=capacity, minlength=bundles).tolist() == table.bundle_capacity_mbit_s.tolist()
    shares = reachable_pairs(datacenter)
    found = {pair for pair, share in shares.items() if share is not None}
    link_loads = routing.link_loads(*np.array(sorted(found), dtype=int).reshape(-1, 2).T).toarray()[:, between]
    loads_of = dict(zip(sorted(found), link_loads, strict=True))
    for (a, b), share in shares.items():
        pair = table.access_class[a] * classes + table.access_class[b]
        row = slice(table.pointer[pair], table.pointer[pair + 1])
        assert (table.bottleneck_mbit_s[pair] == 0) == (share is None)
        if share is None:
            continue
        loads = loads_of[a, b]
        bundled = np.zeros(bundles)
        bundled[table.bundle[row]] = table.share[row]
        np.testing.assert_allclose(np.bincount(bundle_of, weights=loads, minlength=bundles), bundled, rtol=1e-12)
        fullest = np.zeros(bundles)
        np.maximum.at(fullest, bundle_of, loads / capacity)
        np.testing.assert_allclose(fullest, bundled / table.bundle_capacity_mbit_s, rtol=1e-12)
        np.testing.assert_allclose(table.bottleneck_mbit_s[pair], 1 / fullest.max() if loads.any() else np.inf)


@settings(max_examples=100)
@given(st.one_of(graphs(), fabrics()), st.randoms(use_true_random=False))
def test_streams_within_the_hosts_limits_overload_no_host_link(datacenter, random):
    pairs = [pair for pair, share in reachable_pairs(datacenter).items() if share is not None]
    if not pairs:
        return
    chosen = np.array([random.choice(pairs) for _ in range(10)])
    routing = Routing(datacenter)
    table = routing.route_table()
    rate = np.array([0.01 + random.random() for _ in chosen])
    hosts = len(datacenter.hosts)
    for end, limit in ((0, table.egress_mbit_s(0.5)), (1, table.ingress_mbit_s(0.5))):
        total = np.bincount(chosen[:, end], weights=rate, minlength=hosts)
        full = rate * (limit[chosen[:, end]] / total[chosen[:, end]])
        load = routing.link_loads(chosen[:, 0], chosen[:, 1]).T @ full
        own = (datacenter.tail if end == 0 else datacenter.head) < hosts
        assert (load[own] <= 0.5 * datacenter.capacity_mbit_s[own] * (1 + 1e-9)).all()


@settings(max_examples=100)
@given(st.one_of(graphs(), fabrics()))
def test_bundle_loads_are_sums_of_link_loads(datacenter):
    routing = Routing(datacenter)
    pairs = [pair for pair, share in reachable_pairs(datacenter).items() if share is not None]
    sources, targets = np.array(pairs, dtype=int).reshape(-1, 2).T
    bundles, links = len(routing.bundle_capacity_mbit_s), len(datacenter.tail)
    merge = np.zeros((links, bundles))
    merge[np.arange(links), routing.bundle_of_link] = 1
    found = routing.bundle_loads(sources, targets).toarray()
    by_link = routing.link_loads(sources, targets).toarray()
    np.testing.assert_allclose(found, by_link @ merge, rtol=1e-12)
    fullest = np.zeros_like(found)
    for link, bundle in enumerate(routing.bundle_of_link):
        part = by_link[:, link] / datacenter.capacity_mbit_s[link]
        fullest[:, bundle] = np.maximum(fullest[:, bundle], part)
    np.testing.assert_allclose(fullest, found / routing.bundle_capacity_mbit_s, rtol=1e-12)
    inner = len(routing.route_table().bundle_capacity_mbit_s)
    table = routing.route_table()
    for link in np.flatnonzero(routing.bundle_of_link < inner):
        assert table.bundle_of_link[link] == routing.bundle_of_link[link]
