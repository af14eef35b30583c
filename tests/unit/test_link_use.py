"""Link use equals adding up every migration on every link of its route, second by second."""

import numpy as np
import polars as pl
import pytest
from sample_campaign import sample_plan, sample_report, sample_snapshot

from slacktide.executors import link_use
from slacktide.executors.link_use import HOTTEST, Streams, hottest_links
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.routing import Routing

SHARE = 0.7


def datacenter_of(snapshot) -> Datacenter:
    return Datacenter.from_tables(snapshot.hosts["host_id"], snapshot.links, snapshot.domains)


@pytest.mark.parametrize("at_once", [7, 20_000])
def test_hottest_links_equal_plain_addition(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(link_use, "STREAMS_AT_ONCE", at_once)
    snapshot = sample_snapshot(60, vms_per_host=2)
    plan = sample_plan(snapshot)
    datacenter = datacenter_of(snapshot)
    routing = Routing(datacenter)
    streams = Streams.of(plan.migrations, datacenter.hosts)
    found = hottest_links(datacenter, routing.link_loads, SHARE, streams)

    place = {host: number for number, host in enumerate(datacenter.hosts)}
    use = np.zeros((int(plan.migrations["end_s"].max()), len(datacenter.link_names)))
    for row in plan.migrations.iter_rows(named=True):
        pair = np.array([place[row["source"]]]), np.array([place[row["target"]]])
        share = routing.link_loads(*pair).toarray()[0]
        use[row["start_s"] : row["end_s"]] += share * row["bandwidth_mbit_s"]
    mean = use.mean(axis=0) / (datacenter.capacity_mbit_s * SHARE)
    peaks = use.max(axis=0) / (datacenter.capacity_mbit_s * SHARE)

    hosts = set(datacenter.hosts)
    between = np.array([hosts.isdisjoint(name.split(" -> ")) for name in datacenter.link_names])
    shown = [each.mean_share for each in found if not each.between_switches]
    assert shown == pytest.approx(sorted(mean[~between], reverse=True)[: HOTTEST // 2])
    # All spines share evenly, so that only one of each leaf's links to them, or from them, is shown.
    to_first = np.array([name.startswith("spine-0") or name.endswith("spine-0") for name in datacenter.link_names])
    shown = [each.mean_share for each in found if each.between_switches]
    assert shown == pytest.approx(sorted(mean[to_first], reverse=True)[: HOTTEST // 2])
    for each in found:
        column = datacenter.link_names.index(each.name)
        assert each.between_switches == between[column]
        assert each.planned.at(np.arange(len(use), dtype=float)) == pytest.approx(use[:, column], abs=1e-6)
        assert each.peak_share == pytest.approx(peaks[column])
        assert each.limit_mbit_s == pytest.approx(SHARE * each.capacity_mbit_s)
        assert each.measured is each.measured_peak_share is None


def test_measured_use_stands_beside_planned() -> None:
    snapshot = sample_snapshot(60, vms_per_host=2)
    plan = sample_plan(snapshot)
    datacenter = datacenter_of(snapshot)
    loads = Routing(datacenter).link_loads
    planned = Streams.of(plan.migrations, datacenter.hosts)
    measured = Streams.of(sample_report(plan).migrations, datacenter.hosts)
    found = hottest_links(datacenter, loads, SHARE, planned, measured)
    swapped = {each.name: each for each in hottest_links(datacenter, loads, SHARE, measured)}
    assert [each.name for each in found] == [each.name for each in hottest_links(datacenter, loads, SHARE, planned)]
    both = [each for each in found if each.name in swapped]
    assert both
    for each in both:
        assert each.measured_peak_share == pytest.approx(swapped[each.name].peak_share)


def test_a_fabric_without_links_between_switches_shows_more_of_its_hosts() -> None:
    snapshot = sample_snapshot(20, vms_per_host=2)
    plan = sample_plan(snapshot)
    datacenter = datacenter_of(snapshot)
    streams = Streams.of(plan.migrations, datacenter.hosts)
    found = hottest_links(datacenter, Routing(datacenter).link_loads, SHARE, streams)
    assert [each.between_switches for each in found] == [False] * HOTTEST
    assert [each.mean_share for each in found] == sorted((each.mean_share for each in found), reverse=True)


def test_what_sends_nothing_uses_no_link() -> None:
    snapshot = sample_snapshot(40, vms_per_host=1)
    still = sample_plan(snapshot).migrations.with_columns(bandwidth_mbit_s=pl.lit(0, dtype=pl.Int64))
    datacenter = datacenter_of(snapshot)
    streams = Streams.of(still, datacenter.hosts)
    assert hottest_links(datacenter, Routing(datacenter).link_loads, SHARE, streams) == ()
