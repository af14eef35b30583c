import numpy as np
import polars as pl
import pytest

from slacktide.errors import UsageError
from slacktide.topology import Datacenter, Rates, Routing, clos3, leaf_spine, route_table


def datacenter(fabric):
    return Datacenter.from_tables(fabric.domains["host_id"], fabric.links, fabric.domains)


def of_links(*rows, one_way=()):
    """Links in both directions, and some in one."""
    both = [row for tail, head, rate in rows for row in ((tail, head, rate), (head, tail, rate))]
    both.extend(one_way)
    links = pl.DataFrame(both, schema=["tail", "head", "capacity_mbit_s"], orient="row")
    hosts = sorted({tail for tail, _, _ in rows if tail.startswith("h")})
    return Datacenter.from_tables(
        hosts, links, pl.DataFrame(schema={"host_id": pl.String, "kind": pl.String, "domain_id": pl.String})
    )


HOSTS = [f"h{number}" for number in range(8)]
FABRIC = datacenter(leaf_spine(HOSTS, [f"r{number // 2}" for number in range(8)], Rates(10_000, 40_000), spines=4))


def loads_by_name(routing, source, target):
    row = routing.link_loads(np.array([source]), np.array([target])).tocoo()
    names = routing.datacenter.link_names
    return {names[link]: share for link, share in zip(row.coords[1], row.data, strict=True)}


def test_a_stream_splits_over_all_spines():
    found = loads_by_name(Routing(FABRIC), 0, 2)
    spines = {f"leaf/r0 -> spine/{spine}": 0.25 for spine in range(4)}
    down = {f"spine/{spine} -> leaf/r1": 0.25 for spine in range(4)}
    assert found == {"h0 -> leaf/r0": 1.0, "leaf/r1 -> h2": 1.0} | spines | down


def test_a_stream_within_a_rack_stays_there():
    assert loads_by_name(Routing(FABRIC), 0, 1) == {"h0 -> leaf/r0": 1.0, "leaf/r0 -> h1": 1.0}


def test_a_stream_to_its_own_host_crosses_nothing():
    loads = Routing(FABRIC).link_loads(np.array([0, 3, 1]), np.array([1, 3, 0]))
    assert np.diff(loads.indptr).tolist() == [2, 0, 2]


def test_no_pairs_are_no_rows():
    assert Routing(FABRIC).link_loads(np.array([], dtype=int), np.array([], dtype=int)).shape == (0, 48)


def test_splitting_is_per_hop_not_per_path():
    # From A one next hop is B with two ways on, the other is C with one: 1/2 each, not 2/3 and 1/3.
    routing = Routing(
        of_links(
            ("h0", "A", 9), ("A", "B", 9), ("A", "C", 9), ("B", "D", 9), ("B", "E", 9), ("C", "E", 9),
            ("D", "F", 9), ("E", "F", 9), ("h1", "F", 9),
        )
    )  # fmt: skip
    found = loads_by_name(routing, 0, 1)
    assert found["A -> C"] == 0.5
    assert found["B -> D"] == 0.25
    assert found["E -> F"] == 0.75


def test_hosts_never_forward():
    routing = Routing(of_links(("h0", "A", 9), ("h1", "A", 9), ("h1", "B", 9), ("h2", "B", 9)))
    with pytest.raises(UsageError, match="from h0 to h2: no path"):
        routing.link_loads(np.array([1, 0]), np.array([0, 2]))
    table = routing.route_table()
    assert table.bottleneck_mbit_s.reshape(3, 3)[0].tolist() == [np.inf, np.inf, 0.0]


def test_alike_links_are_one_bundle():
    table = Routing(FABRIC).route_table()
    assert len(table.bundle_capacity_mbit_s) == 8
    assert set(table.bundle_capacity_mbit_s) == {160_000.0}
    assert table.bundle_names[0] == "leaf/r0 -> spine/0 and 3 like it"
    assert table.bottleneck_mbit_s[:2].tolist() == [np.inf, 160_000.0]


def test_super_spines_are_merged_over_all_planes():
    racks = [f"r{number:02}" for number in range(12)]
    fabric = datacenter(clos3([f"h{number:02}" for number in range(12)], racks, Rates(90, 10), racks_per_pod=4))
    table = Routing(fabric).route_table()
    assert len(table.bundle_capacity_mbit_s) == 2 * 12 + 2 * 3


def test_links_of_unlike_capacity_are_not_merged():
    routing = Routing(
        of_links(("h0", "A", 9), ("A", "B", 9), ("A", "C", 2), ("B", "D", 9), ("C", "D", 2), ("h1", "D", 9))
    )
    table = routing.route_table()
    assert table.bottleneck_mbit_s.reshape(2, 2)[0, 1] == 4.0


def test_switches_that_only_send_or_only_receive_are_not_merged():
    one_way = [("B", "X", 9), ("B", "Y", 9), ("A", "X", 9), ("Y", "A", 99)]
    routing = Routing(of_links(("h0", "A", 9), ("h1", "B", 9), one_way=one_way))
    assert routing.route_table().bottleneck_mbit_s.reshape(2, 2)[1, 0] == 9.0
    assert loads_by_name(routing, 1, 0)["B -> Y"] == 1.0


def test_hosts_with_two_links_split_over_both():
    routing = Routing(of_links(("h0", "A", 10), ("h0", "B", 4), ("h1", "A", 10), ("h1", "B", 10)))
    assert loads_by_name(routing, 0, 1) == {"h0 -> A": 0.5, "h0 -> B": 0.5, "A -> h1": 0.5, "B -> h1": 0.5}
    table = routing.route_table()
    assert table.egress_mbit_s(0.5).tolist() == [4.0, 10.0]
    assert table.ingress_mbit_s(1.0).tolist() == [8.0, 20.0]


def test_a_second_link_does_not_count_where_targets_are_nearer_over_the_first():
    routing = Routing(of_links(("h0", "A", 10), ("h0", "B", 10), ("h1", "A", 10), ("A", "B", 10)))
    table = routing.route_table()
    assert table.egress_mbit_s(1.0)[0] == 10.0


def test_a_table_of_some_classes_is_a_part_of_the_whole():
    routing = Routing(FABRIC)
    whole, part = routing.route_table(), routing.route_table(np.array([3, 1]))
    assert part.classes.tolist() == [1, 3]
    assert part.access_class.tolist() == [-1, -1, 0, 0, -1, -1, 1, 1]
    pair = 1 * 4 + 3
    wanted = slice(*whole.pointer[pair : pair + 2])
    assert part.bundle[slice(*part.pointer[1:3])].tolist() == whole.bundle[wanted].tolist()
    assert part.egress_mbit_s(1.0).tolist() == [0, 0, 10_000, 10_000, 0, 0, 10_000, 10_000]


def test_too_large_a_table_is_refused_unless_asked_for(monkeypatch):
    monkeypatch.setattr(route_table, "MAX_PAIRS", 15)
    with pytest.raises(UsageError, match="4 access classes have more than 15 pairs"):
        Routing(FABRIC).route_table()
    assert len(Routing(FABRIC).route_table(np.arange(4)).pointer) == 17


def test_batches_do_not_change_the_answer(monkeypatch):
    pairs = np.array([(a, b) for a in range(8) for b in range(8)]).T
    whole = Routing(FABRIC).link_loads(*pairs).toarray()
    monkeypatch.setattr("slacktide.topology.paths.BATCH_ARCS", 1)
    assert (Routing(FABRIC).link_loads(*pairs).toarray() == whole).all()
    monkeypatch.setattr("slacktide.topology.paths.BATCH_ARCS", 10**9)
    monkeypatch.setattr("slacktide.topology.paths.BATCH_PAIRS", 5)
    assert (Routing(FABRIC).link_loads(*pairs).toarray() == whole).all()


def test_a_datacenter_without_hosts_has_an_empty_table():
    routing = Routing(of_links(("A", "B", 1)))
    table = routing.route_table()
    assert table.pointer.tolist() == [0]
    assert table.egress_mbit_s(1.0).tolist() == []
    assert routing.link_loads(np.array([], dtype=int), np.array([], dtype=int)).shape == (0, 2)


def test_an_empty_datacenter_has_an_empty_table():
    assert Routing(of_links()).route_table().pointer.tolist() == [0]
