"""What ``import slacktide`` offers: fleets, policies and plans read and written, plans made and audited.

Its names are those of :data:`slacktide.__all__`; docs/python.md shows them at work.  A place is a path, or a URL in an
object store such as ``s3://bucket/fleet``.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.datasets.snapshot import FleetSnapshot
from slacktide.datasets.validation import refuse_errors, snapshot_findings
from slacktide.errors import ExecutionError, InputError, OutputError, SlacktideError, UsageError
from slacktide.findings import Finding
from slacktide.object_store import AnyPath, StoredPath, path_at
from slacktide.planner import plan_files, policy_files
from slacktide.planner.audit import AuditReport
from slacktide.planner.audit import audit as replay
from slacktide.planner.plan import Plan
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.solve import make_plan
from slacktide.service.planning import DEFAULT_PRESET, Cells, PresetName, cell_map_for, cell_number, stop_after
from slacktide.service.planning import evacuating as with_evacuated
from slacktide.service.presets import fitted

__all__ = [
    "AuditReport",
    "ExecutionError",
    "Finding",
    "FleetSnapshot",
    "InputError",
    "OutputError",
    "Plan",
    "Policy",
    "SlacktideError",
    "UsageError",
    "audit",
    "plan",
    "preset",
    "read_fleet",
    "read_plan",
    "read_policy",
    "write_fleet",
    "write_plan",
    "write_policy",
]

Place = str | os.PathLike[str]
"""A path, or a URL in an object store."""
Kept = TypeVar("Kept", FleetSnapshot, Policy, Plan)
MOST_SHOWN: Final = 60
"""Characters of something that is told where it is not what was wanted."""


@dataclass(frozen=True, slots=True)
class Search:
    """How long and with what a plan is searched for.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    time_limit_s: float | None = None
    iterations: int | None = None
    seed: int = 0
    workers: int = 1
    cells: Cells = "auto"

    def __post_init__(self) -> None:
        ranges = {
            "time_limit_s": (self.time_limit_s, 0),
            "iterations": (self.iterations, 0),
            "seed": (self.seed, 0),
            "workers": (self.workers, 1),
            "cells": (None if self.cells in ("auto", "off") else self.cells, 1),
        }
        for name, (value, least) in ranges.items():
            if value is None:
                continue
            if not isinstance(value, int | float) or not value >= least:
                raise UsageError(name, f"is {value!r}", f"Give a number, at least {least}")


def plan(
    fleet: FleetSnapshot | Place,
    policy: Policy | Place = DEFAULT_PRESET,
    *,
    evacuate: Sequence[str] = (),
    time_limit_s: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
    workers: int = 1,
    cells: Cells = "auto",
    on_ray: bool = False,
) -> Plan:
    """Return an audited plan of a fleet under a policy, as ``slacktide plan`` makes it.

    The search ends at whichever limit comes first, or by itself; a plan is complete whenever it ends, and Ctrl-C ends
    it with the best plan so far.  Hosts that cannot be planned are in its ``deferred``, each with reason and remedy,
    and what the audit found is in ``header.summary.audit``.  Nothing is printed.

    Parameters
    ----------
    policy
        ``"urgent"`` or ``"routine"`` for a preset, made to fit the fleet; a policy, or where one is, is taken at its
        word.
    evacuate
        Ids of hosts that are about to fail, or one id: only these are planned, to be emptied at once, and none is
        patched.
    time_limit_s
        Seconds that the search may take, beyond the first plan.
    iterations
        Tries that the search may take; the only limit with which plans repeat byte for byte.
    workers
        Processors to search with.
    cells
        Into how many parts along the topology a fleet is cut.
    on_ray
        Plan in a task of Ray, and cells in tasks of their own: on the cluster that this process has joined or that
        ``RAY_ADDRESS`` names, else on processors of this machine.  A fleet at a URL is read there.  Ctrl-C then ends it
        without a plan.

    Raises
    ------
    UsageError
        If there is no fleet or policy there, something else is given, or a number is out of its range.
    InputError
        If one of them is wrong, a fleet in memory as well, or they do not fit each other; the findings say where.
    ExecutionError
        If Ray does not start, or loses the task.
    """
    search = Search(time_limit_s, iterations, seed, workers, cells)
    chosen, hosts = policy if _is_preset(policy) else _policy(policy), _hosts(evacuate)
    if not on_ray:
        return planned(fleet, chosen, hosts, search, ray=False)
    from slacktide.service.ray_planning import in_task  # Ray takes seconds to import

    given = fleet if _is_stored(fleet) else _fleet(fleet)
    name = f"plan {chosen.name if isinstance(chosen, Policy) else chosen} for {_words(given)}"
    return in_task(planned, (given, chosen, hosts, search), name=name, cpus=workers)


def planned(
    fleet: FleetSnapshot | Place, policy: Policy | Place, evacuate: tuple[str, ...], search: Search, ray: bool = True
) -> Plan:
    """Return the plan that :func:`plan` asks for, made in this process; ``ray``: but for cells, as tasks of Ray."""
    snapshot = _fleet(fleet)
    terms = fitted(_policy(policy), snapshot)[0] if _is_preset(policy) else _policy(policy)
    with cell_map_for(search.workers, ray=ray) as cell_map:
        return make_plan(
            snapshot,
            with_evacuated(terms, evacuate) if evacuate else terms,
            seed=search.seed,
            stop=stop_after(search.time_limit_s, search.iterations),
            workers=search.workers,
            cells=cell_number(search.cells),
            cell_map=cell_map,
        )


def audit(fleet: FleetSnapshot | Place, plan: Plan | Place) -> AuditReport:
    """Return what is found where a plan is replayed against its fleet, by code that the planner has no part in.

    Raises
    ------
    UsageError, InputError
        As :func:`read_fleet` and :func:`read_plan`.
    """
    snapshot = _fleet(fleet)
    return replay(snapshot, plan if isinstance(plan, Plan) else plan_files.read_plan(_at(plan, "a plan")))


def preset(name: PresetName) -> Policy:
    """Return a ready policy, ``urgent`` or ``routine``, for any fleet.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if not _is_preset(name):
        raise UsageError(f"preset {name}", "there is none of this name", f"Give {' or '.join(sorted(PRESETS))}")
    return PRESETS[name]


def read_fleet(place: Place) -> FleetSnapshot:
    """Return the fleet snapshot in a directory or at a URL, everything about it checked.

    Raises
    ------
    UsageError
        If there is none.
    InputError
        With every finding, if one is an error; or if an object store refuses.
    """
    return read_snapshot(_at(place))


def write_fleet(fleet: FleetSnapshot, place: Place) -> None:
    """Write a fleet snapshot to a directory or URL, replacing one that is there; nothing else is replaced.

    Raises
    ------
    UsageError, OutputError
        If something else is there, or it cannot be written.
    """
    write_snapshot(_of_kind(fleet, FleetSnapshot), _at(place))


def read_policy(place: Place) -> Policy:
    """Return the policy in a YAML or JSON file, or at the URL of one.

    Raises
    ------
    UsageError
        If there is none, or its suffix is another.
    InputError
        If it is no policy; the findings name each field and the remedy.
    """
    return policy_files.read_policy(_at(place))


def write_policy(policy: Policy, place: Place) -> None:
    """Write every field of a policy, defaults included, as YAML or JSON by the suffix.

    Raises
    ------
    UsageError, OutputError
        If the suffix is another, or it cannot be written.
    """
    policy_files.write_policy(_of_kind(policy, Policy), _at(place))


def read_plan(place: Place) -> Plan:
    """Return the plan in a directory or at a URL.

    Raises
    ------
    UsageError
        If there is none.
    InputError
        If it does not fit together, or was changed since it was made; or if an object store refuses.
    """
    return plan_files.read_plan(_at(place))


def write_plan(plan: Plan, place: Place) -> None:
    """Write a plan to a directory or URL, replacing one that is there; nothing else is replaced.

    Raises
    ------
    OutputError
        If something else is there, or it cannot be written.
    """
    plan_files.write_plan(_of_kind(plan, Plan), _at(place))


def _fleet(given: FleetSnapshot | Place) -> FleetSnapshot:
    """Return a fleet; one in memory is checked as one that is read: who made its tables may have left something out."""
    if not isinstance(given, FleetSnapshot):
        return read_snapshot(_at(given, "a fleet"))
    refuse_errors(snapshot_findings(given), "fleet")
    return given


def _policy(given: Policy | Place) -> Policy:
    if isinstance(given, Policy):
        return given
    return PRESETS[str(given)] if _is_preset(given) else policy_files.read_policy(_at(given, "a policy"))


def _hosts(given: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of hosts; a text is the id of one, and not a list of letters."""
    hosts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    for host in hosts:
        if not isinstance(host, str):
            raise UsageError("evacuate", f"holds {host!r}, which is no id of a host", "Give ids of hosts, as texts")
    return hosts


def _at(given: Place, what: str = "") -> AnyPath:
    """Return the place of something.

    Raises
    ------
    UsageError
        If what is given names none.
    """
    if not isinstance(given, StoredPath) and not (
        isinstance(given, str | os.PathLike) and isinstance(os.fspath(given), str)
    ):
        raise _no_kind(given, f"{what}, or where one is" if what else "a path or a URL")
    return path_at(given)


def _of_kind(given: Kept, kind: type[Kept]) -> Kept:
    if not isinstance(given, kind):
        raise _no_kind(given, f"a {kind.__name__}")
    return given


def _no_kind(given: object, wanted: str) -> UsageError:
    return UsageError(repr(given)[:MOST_SHOWN], f"is of the type {type(given).__name__}", f"Give {wanted}")


def _is_preset(given: Policy | Place) -> bool:
    return isinstance(given, str) and given in PRESETS


def _is_stored(given: FleetSnapshot | Place) -> bool:
    """Return whether a fleet is at a URL, where another machine finds it as well."""
    return not isinstance(given, FleetSnapshot) and isinstance(_at(given, "a fleet"), StoredPath)


def _words(given: FleetSnapshot | Place) -> str:
    """Return what a task is called after, as an operator recognises it."""
    return f"{given.hosts.height:,} hosts" if isinstance(given, FleetSnapshot) else str(given)
