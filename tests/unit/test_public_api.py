"""What programs may rely on: the exported names, their signatures, and what they do with paths, URLs and objects."""

import inspect
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from small_fleet import small_fleet, small_plan

import slacktide
from slacktide.planner.policy import PRESETS
from slacktide.planner.solve import make_plan
from slacktide.planner.stopping import Iterations
from slacktide.service import library

PLACE = "str | os.PathLike[str]"
SIGNATURES = {
    "audit": f"(fleet: FleetSnapshot | {PLACE}, plan: Plan | {PLACE}) -> AuditReport",
    "plan": (
        f"(fleet: FleetSnapshot | {PLACE}, policy: Policy | {PLACE} = 'routine', *, evacuate: Sequence[str] = (), "
        "time_limit_s: float | None = None, iterations: int | None = None, seed: int = 0, workers: int = 1, "
        "cells: Union[int, Literal['auto', 'off']] = 'auto', on_ray: bool = False) -> Plan"
    ),
    "preset": "(name: Literal['urgent', 'routine']) -> Policy",
    "read_fleet": f"(place: {PLACE}) -> FleetSnapshot",
    "read_plan": f"(place: {PLACE}) -> Plan",
    "read_policy": f"(place: {PLACE}) -> Policy",
    "write_fleet": f"(fleet: FleetSnapshot, place: {PLACE}) -> None",
    "write_plan": f"(plan: Plan, place: {PLACE}) -> None",
    "write_policy": f"(policy: Policy, place: {PLACE}) -> None",
}
TYPES = {
    *("AuditReport", "ExecutionError", "Finding", "FleetSnapshot", "InputError", "OutputError", "Plan", "Policy"),
    *("SlacktideError", "UsageError"),
}
DOCS = Path(__file__).parents[2] / "docs" / "python.md"


def words(name: str) -> str:
    """Return a function's signature, types by their own names."""
    text = str(inspect.signature(getattr(slacktide, name)))
    for part in ("slacktide.datasets.snapshot.", "slacktide.planner.plan.", "slacktide.planner.policy."):
        text = text.replace(part, "")
    return text.replace("slacktide.planner.audit.", "").replace("collections.abc.", "").replace("typing.", "")


def test_the_exported_names() -> None:
    assert set(slacktide.__all__) == {*SIGNATURES, *TYPES, "__version__"} == set(dir(slacktide))
    assert set(library.__all__) | {"__version__"} == set(slacktide.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plans'"):
        slacktide.plans  # noqa: B018


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    assert words(name) == SIGNATURES[name]
    assert inspect.getdoc(getattr(slacktide, name))


def test_every_name_is_in_its_documentation() -> None:
    text = DOCS.read_text()
    assert [name for name in slacktide.__all__ if f"`{name}" not in text and f"slacktide.{name}" not in text] == []


def test_objects_paths_and_urls_give_the_same_plan(tmp_path: Path) -> None:
    policy = slacktide.preset("urgent")
    slacktide.write_fleet(small_fleet(), tmp_path / "fleet")
    slacktide.write_fleet(small_fleet(), "memory://python/fleet")
    slacktide.write_policy(policy, tmp_path / "mine.yaml")
    expected = make_plan(small_fleet(), fitted(policy), stop=Iterations(1))
    slacktide.write_policy(fitted(policy), "memory://python/mine.json")
    made = [
        slacktide.plan(small_fleet(), "urgent", iterations=1),
        slacktide.plan(str(tmp_path / "fleet"), fitted(policy), iterations=1),
        slacktide.plan("memory://python/fleet", "memory://python/mine.json", iterations=1, time_limit_s=600),
        slacktide.plan(tmp_path / "fleet", "urgent", iterations=1, cells="off"),
    ]
    assert {plan.header.id for plan in made} == {expected.header.id}
    slacktide.write_plan(made[0], "memory://python/plan")
    assert slacktide.read_plan("memory://python/plan").header.id == expected.header.id
    assert slacktide.audit("memory://python/fleet", "memory://python/plan").findings == ()
    assert slacktide.audit(small_fleet(), small_plan()).findings == ()


def fitted(policy: slacktide.Policy) -> slacktide.Policy:
    kinds = {"fleet", *small_fleet().domains["kind"]}
    return policy.model_copy(update={"max_out": {k: v for k, v in policy.max_out.items() if k in kinds}})


def test_hosts_to_evacuate() -> None:
    made = slacktide.plan(small_fleet(), fitted(PRESETS["urgent"]), evacuate=["h2"], iterations=0)
    assert made.header.policy.evacuate == ("h2",)


@pytest.mark.parametrize(
    "wrong", [{"iterations": -1}, {"workers": 0}, {"cells": 0}, {"cells": "some"}, {"time_limit_s": -1.0}, {"seed": -1}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(slacktide.UsageError, match=next(iter(wrong))):
        slacktide.plan("memory://python/none", **wrong)  # type: ignore[arg-type]


def test_a_preset_that_is_none_is_refused() -> None:
    with pytest.raises(slacktide.UsageError, match="routine or urgent"):
        slacktide.preset("hasty")  # type: ignore[arg-type]


def test_what_is_of_another_type_is_refused_in_words(tmp_path: Path) -> None:
    fleet = small_fleet()
    for wrong, fact in (
        (lambda: slacktide.plan(5), "5: is of the type int. Give a fleet, or where one is"),
        (lambda: slacktide.plan(None), "None: is of the type NoneType. Give a fleet"),
        (lambda: slacktide.plan(fleet, {"a": 1}), "is of the type dict. Give a policy, or where one is"),
        (lambda: slacktide.audit(fleet, None), "Give a plan, or where one is"),
        (lambda: slacktide.plan(fleet, evacuate=[5]), "evacuate: holds 5, which is no id of a host"),
        (lambda: slacktide.plan(fleet, evacuate=5), "evacuate: holds 5, which is no id of a host"),
        (lambda: slacktide.plan(fleet, seed=[]), r"seed: is \[\]"),
        (lambda: slacktide.write_policy("x", tmp_path / "p.yaml"), "'x': is of the type str. Give a Policy"),
        (lambda: slacktide.write_plan(fleet, tmp_path / "p"), "Give a Plan"),
        (lambda: slacktide.write_fleet("x", tmp_path / "f"), "Give a FleetSnapshot"),
        (lambda: slacktide.read_fleet(b"x"), "Give a path or a URL"),
        (lambda: slacktide.preset(["urgent"]), "there is none of this name"),
    ):
        with pytest.raises(slacktide.UsageError, match=fact):
            wrong()
    assert list(tmp_path.iterdir()) == []


def test_a_fleet_in_memory_is_checked_as_one_that_is_read() -> None:
    fleet = small_fleet()
    without = replace(fleet, hosts=fleet.hosts.drop("vcpus"))
    elsewhere = replace(fleet, vms=fleet.vms.with_columns(host_id=pl.lit("nowhere")))
    for wrong, rule in ((without, "column-missing"), (elsewhere, "vm-host-unknown")):
        for ask in (slacktide.plan, lambda given: slacktide.audit(given, small_plan())):
            with pytest.raises(slacktide.InputError) as refused:
                ask(wrong)
            assert rule in {finding.rule for finding in refused.value.findings}


def test_a_text_is_one_host_to_evacuate() -> None:
    fleet = small_fleet()
    host = fleet.vms["host_id"][0]
    one, listed = (slacktide.plan(fleet, "urgent", evacuate=each, iterations=0) for each in (host, [host]))
    assert one.header.id == listed.header.id
