"""The datacenter as a graph: links, routes, failure domains and builders. No VMs, no time.

What others use:

- :class:`Datacenter`: hosts, switches and directed links, ``Datacenter.from_tables(host_ids, links, domains)``; its
  :class:`FailureDomains`; :func:`topology_findings` says what is wrong with the tables.
- :class:`Routing`: ``link_loads(sources, targets)``, the share of each stream on every link; ``route_table()``, a
  :class:`RouteTable` of bundles between access classes for planning.
- :func:`max_min_rates`: how streams share the links.
- :func:`clos`, :func:`leaf_spine`, :func:`clos3`, :func:`fat_tree`: fabrics (:class:`Fabric`) at given :class:`Rates`.
"""

from slacktide.topology.builders import Fabric, Rates, clos, clos3, fat_tree, leaf_spine
from slacktide.topology.datacenter import Datacenter
from slacktide.topology.domains import FailureDomains
from slacktide.topology.route_table import RouteTable
from slacktide.topology.routing import Routing
from slacktide.topology.sharing import max_min_rates
from slacktide.topology.soundness import topology_findings

__all__ = [
    "Datacenter",
    "Fabric",
    "FailureDomains",
    "Rates",
    "RouteTable",
    "Routing",
    "clos",
    "clos3",
    "fat_tree",
    "leaf_spine",
    "max_min_rates",
    "topology_findings",
]
