"""What others did with VMs while a campaign ran, for its report."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from slacktide.executors.events import VmCreated, VmDeleted, VmEvent, VmMoved
from slacktide.executors.report_tables import ReportOthersTable

WORDS: Final[dict[type[VmEvent], str]] = {VmCreated: "created", VmDeleted: "deleted", VmMoved: "moved"}


def others_table(deeds: Sequence[VmEvent]) -> pl.DataFrame:
    """Return what others did, in order of time."""
    rows = [
        (each.at_s, WORDS[type(each)], each.vm_id, each.host_id, each.source if isinstance(each, VmMoved) else None)
        for each in deeds
    ]
    schema = {"at_s": pl.Float64, **dict.fromkeys(("what", "vm_id", "host_id", "source"), pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row").sort("at_s", "vm_id", maintain_order=True)
    return ReportOthersTable.validate(table, cast=True)


def others_counts(deeds: Sequence[VmEvent]) -> dict[str, int]:
    """Return how many VMs others created, deleted and moved; what they did not do is left out."""
    done = [WORDS[type(each)] for each in deeds]
    return {word: done.count(word) for word in WORDS.values() if word in done}


def counts_words(counts: Mapping[str, int]) -> str:
    """Return such counts as a person reads them."""
    return ", ".join(f"{number:,} {word}" for word, number in counts.items())


def deeds_words(deeds: Sequence[VmEvent]) -> str:
    """Return how many VMs others created, deleted and moved, in words."""
    return counts_words(others_counts(deeds))
