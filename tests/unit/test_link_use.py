"""Link use equals adding up every migration on every link of its route, second by second."""

import numpy as np
import polars as pl
import pytest
from sample_campaign import sample_plan, sample_snapshot

from slacktide.executors import link_use
from slacktide.executors.link_use import Streams, hottest_links
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.routing import Routing

SHARE = 0.7


@pytest.mark.parametrize("at_once", [7, 20_000])
def test_hottest_links_equal_plain_addition(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(link_use, "STREAMS_AT_ONCE", at_once)
    snapshot = sample_snapshot(60, vms_per_host=2)
    plan = sample_plan(snapshot)
    datacenter = Datacenter.from_tables(snapshot.hosts["host_id"], snapshot.links, snapshot.domains)
    routing = Routing(datacenter)
    streams = Streams.of(plan.migrations, datacenter.hosts)
    found = hottest_links(streams, datacenter.link_names, datacenter.capacity_mbit_s, routing.link_loads, SHARE)

    place = {host: number for number, host in enumerate(datacenter.hosts)}
    use = np.zeros((int(plan.header.summary.makespan_s), len(datacenter.link_names)))
    for row in plan.migrations.iter_rows(named=True):
        pair = np.array([place[row["source"]]]), np.array([place[row["target"]]])
        share = routing.link_loads(*pair).toarray()[0]
        use[row["start_s"] : row["end_s"]] += share * row["bandwidth_mbit_s"]
    peaks = use.max(axis=0) / (datacenter.capacity_mbit_s * SHARE)

    assert [each.peak_share for each in found] == pytest.approx(sorted(peaks, reverse=True)[: len(found)])
    for each in found:
        column = datacenter.link_names.index(each.name)
        assert each.use.at(np.arange(len(use), dtype=float)) == pytest.approx(use[:, column], abs=1e-6)
        assert each.limit_mbit_s == pytest.approx(SHARE * each.capacity_mbit_s)


def test_what_sends_nothing_uses_no_link() -> None:
    snapshot = sample_snapshot(40, vms_per_host=1)
    still = sample_plan(snapshot).migrations.with_columns(bandwidth_mbit_s=pl.lit(0, dtype=pl.Int64))
    datacenter = Datacenter.from_tables(snapshot.hosts["host_id"], snapshot.links, snapshot.domains)
    streams = Streams.of(still, datacenter.hosts)
    loads = Routing(datacenter).link_loads
    assert hottest_links(streams, datacenter.link_names, datacenter.capacity_mbit_s, loads, SHARE) == ()
