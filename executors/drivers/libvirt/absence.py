"""What is said of a VM that does not run in one place after its migration: pure."""

from typing import NamedTuple

from slacktide.executors.drivers.libvirt.verdict import GuestState, Place, verdict
from slacktide.executors.drivers.protocol import MigrationRequest


class Ending(NamedTuple):
    """What was heard of a guest's end."""

    ended_by: str | None
    """What ended it, in words, where that was the guest itself or somebody."""
    moved: bool
    """Whether it had been resumed on its target before."""


class Absence(NamedTuple):
    """How it is told."""

    lost: bool
    """False: it ended on its source, by its own wish or somebody's."""
    text: str


def absence(
    request: MigrationRequest, source: GuestState, target: GuestState, ending: Ending, why: str | None
) -> Absence:
    """Return what is said of a VM that is neither on its source nor on its target, or on both.

    ``why``: what went wrong with the migration, if anything did.
    """
    here, there = request.source, request.target
    where = f"on {here} it {source.value}, on {there} it {target.value}"
    because = f"{where}; {why}" if why else where
    torn = GuestState.TORN in (source, target)
    if source is GuestState.SENT:
        remedy = f"Destroy it on {here}, where its memory is stale, then start it on {there}"
    elif torn:
        remedy = f"Destroy it on {here} and {there}, then start it on one of them"
    elif (source, target) == (GuestState.ABSENT, GuestState.ABSENT):
        remedy = f"Neither host has its definition any more: define it on {here}, and start it"
    else:
        remedy = f"Start it on {there if source is GuestState.ABSENT else here}"
    if verdict(source, target).place is Place.TWICE:
        fact = f"runs on both hosts: {because}"
        remedy = "End one of them before both write to the same disks"
    elif ending.ended_by is not None and ending.moved:
        fact = f"the guest {ending.ended_by} after it had moved: {where}"
        remedy = remedy if torn else f"{remedy}, if it is to run"
    elif ending.ended_by is not None and not torn:
        fact = f"the guest {ending.ended_by} during its migration: {where}"
        return Absence(False, f"VM {request.vm_id}: {fact}. {remedy}, if it is to run, and plan its host anew")
    elif torn:
        fact = f"is lost, neither half of its memory is of use: {because}"
    elif source is GuestState.ABSENT and target is GuestState.ABSENT:
        fact = f"is neither on {here} nor on {there}: {because}"
        remedy = f"Look for it on other hosts first; only where it is on none, define it on {here} and start it"
    else:
        fact = f"runs nowhere any more: {because}"
    return Absence(True, f"VM {request.vm_id}: {fact}. {remedy}")
