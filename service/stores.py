"""Which store a command means: what is given, or what the environment names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from slacktide.executors.store.address import Store

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
