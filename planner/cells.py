"""Cells: parts of the fleet that evacuate inside themselves and can be planned apart.

A cell is a union of whole failure domains, of racks on the same switches and of pods, so that limits of domains, spread
rules and nearly all links concern one cell alone.  A kind of domain that would tie more hosts together than a cell has
is cut, and its limits are split between the cells (:mod:`slacktide.planner.budgets`).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from slacktide.planner.needs import canary_size
from slacktide.planner.problem import Problem

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CELL_HOSTS = 5_000
"""Hosts of one cell at most, about: a cell is planned in a second or two, and is large enough to be filled well.

Smaller cells end at more different times and leave more places empty; larger ones leave processors idle at the end and
lengthen the wait for an interrupt (docs/scale.md has the figures).
"""
CANARY_SHARE = 2
"""Hosts of a cell for each host of the canary, at least: one cell has the whole canary, and cells differ in size."""


def cell_count(problem: Problem, asked: int | None = None, *, apart: bool = False) -> int:
    """Return into how many cells a fleet is to be cut: ``asked``, or one unless there is something to plan them apart.

    In one piece a fleet is planned sooner and better, for a pass over what cells have decided takes as long as a pass
    over the fleet (docs/scale.md).  Waves with a gate of their own are waves of the whole fleet, whatever is asked, and
    before hosts that are evacuated nobody leaves in any cell.
    """
    if problem.policy.gates.kind != "pipelined" or problem.hosts.evacuated.any():
        return 1
    hosts, most_out = len(problem.hosts.ids), int(problem.out.limit[0])
    canary = canary_size(problem.policy, int(problem.selected.sum()))
    most = min(hosts, int(problem.hosts.due.sum()) // (CANARY_SHARE * canary)) if canary else hosts
    if asked is None:
        asked = -(-hosts // CELL_HOSTS) if apart else 1
    return max(1, min(asked, most, most_out))


def cut(problem: Problem, count: int) -> Ints:
    """Return the cell of each host, shape (N,): ``count`` cells or fewer, alike in size, machine types and fill.

    Cells are numbered by their first host.
    """
    atom = _atoms(problem, -(-len(problem.hosts.ids) // count))
    amounts = _amounts(problem, atom)
    cell_of_atom = _dealt(amounts, count)
    cell = cell_of_atom[atom]
    _, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first, kind="stable"), kind="stable")[inverse].astype(np.int64)


def _atoms(problem: Problem, most: int) -> Ints:
    """Return what each host cannot be parted from, as numbers from 0 on; nothing larger than ``most`` hosts."""
    atom = np.arange(len(problem.hosts.ids), dtype=np.int64)
    for label in _ties(problem):
        for inside in (_small(label, most), _small(label, most) & _undivided(atom, label)):
            tied = _tied(atom, label, inside)
            if np.bincount(tied).max() <= most:
                atom = tied
                break
    return atom


def _small(label: Ints, most: int) -> Bools:
    """Return which hosts have a label that no more than ``most`` hosts have."""
    inside: Bools = label >= 0
    size = np.bincount(label[inside])
    inside[inside] = size[label[inside]] <= most
    return inside


def _undivided(atom: Ints, label: Ints) -> Bools:
    """Return which hosts belong to an atom with one label alone: feeds across two pods must not tie all pods."""
    least, most = np.full(int(atom.max()) + 1, 2**62), np.full(int(atom.max()) + 1, -2)
    np.minimum.at(least, atom, label)
    np.maximum.at(most, atom, label)
    alike: Bools = (least == most)[atom]
    return alike


def _ties(problem: Problem) -> Iterator[Ints]:
    """Yield what ties hosts together, the most important first; each a number for each host, -1: none."""
    for kind in range(1, problem.out.group.shape[1]):
        yield problem.out.group[:, kind]
    for family in range(problem.reserves.group.shape[1]):
        yield problem.reserves.group[:, family]
    yield problem.network.access_class
    for kind in np.unique(problem.services.spread_kind):
        if kind > 0:
            yield problem.services.spread_domains[kind]
    yield problem.network.pod


def _tied(atom: Ints, label: Ints, inside: Bools) -> Ints:
    """Return ``atom`` with atoms merged that have hosts of one label; hosts outside ``inside`` tie nothing."""
    atoms = int(atom.max()) + 1
    nodes = atoms + int(label.max(initial=-1)) + 1
    ones = np.ones(int(inside.sum()), dtype=np.int8)
    graph = sparse.coo_array((ones, (atom[inside], atoms + label[inside])), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1]
    return np.unique(component[atom], return_inverse=True)[1].astype(np.int64)


def _amounts(problem: Problem, atom: Ints) -> NDArray[np.float64]:
    """Return what of the fleet each atom has, as shares: hosts, due hosts, hosts of each type, and what VMs use."""
    hosts, vms = problem.hosts, problem.vms
    atoms, types = int(atom.max()) + 1, int(hosts.machine_type.max()) + 1
    columns = [np.bincount(atom, minlength=atoms), np.bincount(atom[hosts.due], minlength=atoms)]
    serving = hosts.in_service
    columns += [np.bincount(atom[serving & (hosts.machine_type == number)], minlength=atoms) for number in range(types)]
    columns += [np.bincount(atom[vms.host], weights=vms.demand[:, resource], minlength=atoms) for resource in range(2)]
    amounts = np.stack(columns, axis=1).astype(np.float64)
    shares: NDArray[np.float64] = amounts / np.maximum(amounts.sum(axis=0), 1.0)
    return shares


def _dealt(amounts: NDArray[np.float64], count: int) -> Ints:
    """Return the cell of each atom: the largest are dealt first, each to the cell that has least of what it has."""
    cell = np.zeros(len(amounts), np.int64)
    load = np.zeros((count, amounts.shape[1]))
    for atom in np.argsort(-amounts.sum(axis=1), kind="stable").tolist():
        chosen = int(np.argmin(load @ amounts[atom]))
        cell[atom] = chosen
        load[chosen] += amounts[atom]
    return cell
