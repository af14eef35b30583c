"""Which store a command means: what is given, or what the environment names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from slacktide.service.console import tell

if TYPE_CHECKING:
    from slacktide.executors.store.address import Store
    from slacktide.ids import CampaignId

VARIABLE: Final = "SLACKTIDE_STORE"


def store_given(url: str | None, directory: Path) -> "Store | None":
    """Return the store of an option, else of the environment; null: none is named.

    The environment's is only a default: a directory whose campaign is kept elsewhere goes on there.

    Raises
    ------
    UsageError
        If it is no store.
    """
    from slacktide.executors.campaign_file import kept_in
    from slacktide.executors.store.address import parse_store

    if url is not None:
        return parse_store(url)
    if not os.environ.get(VARIABLE):
        return None
    store = parse_store(os.environ[VARIABLE])
    kept = kept_in(directory)
    return store if kept is None or kept.store.is_at(store) else None


def wait_until_answers(directory: Path, given: "Store | None", campaign: "CampaignId", limit_s: float | None) -> None:
    """Return once the store of a directory's campaign, or of a new one, answers; Ctrl-C ends it.

    Raises
    ------
    StoreError
        If it has not answered after ``limit_s`` seconds; null: there is no limit.
    ExecutionError
        If it refuses for good: a wrong password, a database that is not there.
    """
    from slacktide.executors.campaign_directory import store_for
    from slacktide.executors.store.campaigns import has_campaign
    from slacktide.executors.store.patience import patiently

    store = store_for(directory, given)
    patiently(lambda: has_campaign(store, campaign), limit_s, tell)
