"""What is wrong with a fleet's links: rules that they must keep so that every host can reach every other."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from slacktide.findings import Finding, Severity, errors_in
from slacktide.topology.access import access_classes
from slacktide.topology.datacenter import FILE, numbered_links, switch_names

SHOWN_PER_RULE: Final = 100
"""Findings of one rule that are listed one by one; a last one counts the others.  A table that breaks one rule more
often has one cause."""

GROUPS_SHOWN: Final = 5
"""Groups of hosts described in a finding of ``disconnected``."""


def topology_findings(host_ids: Iterable[str], links: pl.DataFrame, domains: pl.DataFrame) -> tuple[Finding, ...]:
    """Return what is wrong with the links between ``host_ids``, with the row in the table where there is one.

    Errors: ``self-link``, ``host-to-host``, ``unlinked-host``, ``one-way-switch``, ``stranded-switch``,
    ``disconnected`` (looked for where there is no other error).  Warnings: ``dead-end-switch``,
    ``host-without-domain``.  Without hosts there is nothing to find.
    """
    hosts = pl.Series("node", list(host_ids), dtype=pl.String).unique().sort()
    if hosts.is_empty():
        return ()
    nodes = pl.concat([hosts, switch_names(hosts, links)])
    rows = numbered_links(nodes, links)
    loop = pl.col("tail_node") == pl.col("head_node")
    direct = (pl.col("tail_node") < len(hosts)) & (pl.col("head_node") < len(hosts))
    usable = rows.filter(~loop & ~direct)
    found = [
        *_listed(_self_links(rows.filter(loop)), "self-link"),
        *_listed(_host_to_host(rows.filter(direct & ~loop)), "host-to-host"),
        *_listed(_unlinked_hosts(hosts, usable), "unlinked-host"),
        *_switch_findings(len(hosts), nodes, usable),
        *_listed(_without_domain(hosts, domains), "host-without-domain", "warning"),
    ]
    if not errors_in(found):
        found.extend(_disconnected(hosts, len(nodes), usable))
    return tuple(found)


def _self_links(loops: pl.DataFrame) -> Iterator[Finding]:
    for row, tail in loops.select("row", "tail").iter_rows():
        yield _finding("self-link", f"the link from {tail} leads back to it", "Remove the row.", row, tail)


def _host_to_host(direct: pl.DataFrame) -> Iterator[Finding]:
    remedy = "Put a switch between them; if one of them is a switch, take it out of hosts.parquet."
    for row, tail, head in direct.select("row", "tail", "head").iter_rows():
        message = f"the link {tail} -> {head} joins two hosts, and hosts do not forward"
        yield _finding("host-to-host", message, remedy, row, tail, head)


def _unlinked_hosts(hosts: pl.Series, usable: pl.DataFrame) -> Iterator[Finding]:
    table = pl.DataFrame({"host": hosts}).with_columns(
        out=pl.col("host").is_in(usable["tail"].implode()), into=pl.col("host").is_in(usable["head"].implode())
    )
    remedy = "Add the missing rows, one for each direction, or correct the host's name in them."
    for host, out, into in table.filter(~(pl.col("out") & pl.col("into"))).iter_rows():
        lacks = "no link from a switch" if out else "no link to a switch" if into else "no link to or from a switch"
        yield _finding("unlinked-host", f"host {host} has {lacks}", remedy, None, host)


def _switch_findings(hosts: int, nodes: pl.Series, usable: pl.DataFrame) -> Iterator[Finding]:
    """Yield the switches that lead nowhere."""
    ends = [
        usable.select("row", node=f"{here}_node", other=f"{there}_node", sends=pl.lit(here == "tail"))
        for here, there in (("tail", "head"), ("head", "tail"))
    ]
    table = (
        pl.concat(ends)
        .filter(pl.col("node") >= hosts)
        .group_by("node")
        .agg(
            pl.col("row").min(),
            pl.col("sends").any(),
            receives=pl.col("sends").not_().any(),
            single=(pl.col("other").n_unique() == 1) & (pl.col("other") >= hosts).all(),
        )
        .sort("row", "node")
    )
    label = _components(len(nodes), usable, "weak")
    with_host = np.isin(label, label[:hosts])
    table = table.with_columns(
        name=nodes.gather(table["node"]), near=pl.Series(with_host[table["node"].to_numpy()], dtype=pl.Boolean)
    )
    both = pl.col("sends") & pl.col("receives")
    yield from _listed(_one_way(table.filter(~both)), "one-way-switch")
    yield from _listed(_stranded(table.filter(both & ~pl.col("near"))), "stranded-switch")
    yield from _listed(_dead_ends(table.filter(both & pl.col("near") & pl.col("single"))), "dead-end-switch", "warning")


def _one_way(switches: pl.DataFrame) -> Iterator[Finding]:
    for name, row, sends in switches.select("name", "row", "sends").iter_rows():
        message = f"switch {name} only {'sends' if sends else 'receives'}, so its links lead nowhere"
        remedy = f"Add the other direction; if {name} is meant to be a host, correct its name or add the host."
        yield _finding("one-way-switch", message, remedy, row, name)


def _stranded(switches: pl.DataFrame) -> Iterator[Finding]:
    for name, row in switches.select("name", "row").iter_rows():
        message = f"switch {name} has no path to or from any host"
        yield _finding("stranded-switch", message, "Link it with the others, or remove its rows.", row, name)


def _dead_ends(switches: pl.DataFrame) -> Iterator[Finding]:
    for name, row in switches.select("name", "row").iter_rows():
        message = f"switch {name} has a single neighbour and no host, so no stream crosses it"
        remedy = f"Remove its rows; if {name} is meant to be a host, correct its name or add the host."
        yield _finding("dead-end-switch", message, remedy, row, name, severity="warning")


def _without_domain(hosts: pl.Series, domains: pl.DataFrame) -> Iterator[Finding]:
    remedy = "Add the host's row to domains.parquet, so that limits per domain count it."
    for kind in domains["kind"].unique().sort().to_list():
        inside = domains.filter(pl.col("kind") == kind)["host_id"]
        for host in hosts.filter(~hosts.is_in(inside.implode())).to_list():
            yield Finding(
                rule="host-without-domain",
                message=f"host {host} is in no {kind}, while other hosts are",
                remedy=remedy,
                severity="warning",
                subjects=(host,),
                file="domains.parquet",
            )


def _disconnected(hosts: pl.Series, nodes: int, usable: pl.DataFrame) -> Iterator[Finding]:
    """Yield one finding if some host cannot reach another.

    Switches that reach each other are one group; hosts with links to and from the same groups are alike.
    """
    between = usable.filter((pl.col("tail_node") >= len(hosts)) & (pl.col("head_node") >= len(hosts)))
    label = _components(nodes, between, "strong")[len(hosts) :]
    if label.max() == label.min():
        return
    groups = int(label.max()) + 1
    renumbered = np.concatenate([np.arange(len(hosts)), label + len(hosts)])
    ends = [renumbered[usable[end].to_numpy()] for end in ("tail_node", "head_node")]
    alike = access_classes(len(hosts), groups, ends[0], ends[1])
    inner = (ends[0] >= len(hosts)) & (ends[1] >= len(hosts)) & (ends[0] != ends[1])
    arcs = (np.ones(int(inner.sum())), (ends[0][inner] - len(hosts), ends[1][inner] - len(hosts)))
    hops = csgraph.shortest_path(sparse.csr_array(arcs, shape=(groups, groups)), unweighted=True)
    reach = (alike.entries @ np.isfinite(hops).astype(np.float64)) @ alike.exits.T.toarray() > 0
    size, first = np.unique(alike.of_host, return_index=True, return_counts=True)[2:0:-1]
    np.fill_diagonal(reach, reach.diagonal() | (size == 1))
    if reach.all():
        return
    order = np.argsort(-size, kind="stable")[:GROUPS_SHOWN]
    shown = [(int(size[place]), str(hosts[int(first[place])])) for place in order]
    more = f" and {len(size) - len(shown)} more groups" if len(size) > len(shown) else ""
    described = "; ".join(f"{count} such as {host}" for count, host in shown)
    message = f"not all hosts reach each other; hosts linked alike: {described}{more}"
    yield _finding("disconnected", message, "Add the links that join the groups.", None, *(host for _, host in shown))


def _components(nodes: int, links: pl.DataFrame, connection: Literal["weak", "strong"]) -> NDArray[np.int32]:
    ends = (links["tail_node"].to_numpy(), links["head_node"].to_numpy())
    graph = sparse.csr_array((np.ones(len(links)), ends), shape=(nodes, nodes))
    label: NDArray[np.int32] = csgraph.connected_components(graph, directed=True, connection=connection)[1]
    return label


def _listed(findings: Iterable[Finding], rule: str, severity: Severity = "error") -> Iterator[Finding]:
    """Yield the first findings of a rule, and one that counts the others."""
    more = 0
    for place, finding in enumerate(findings):
        if place < SHOWN_PER_RULE:
            yield finding
        else:
            more += 1
    if more:
        yield _finding(rule, f"{more} more like this", "See the findings above.", None, severity=severity)


def _finding(
    rule: str, message: str, remedy: str, row: int | None, *subjects: str, severity: Severity = "error"
) -> Finding:
    return Finding(rule=rule, message=message, remedy=remedy, severity=severity, subjects=subjects, file=FILE, row=row)
