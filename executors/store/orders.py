"""Orders as the store keeps them."""

from typing import NamedTuple


class StoredOrder(NamedTuple):
    """What somebody asked of a campaign."""

    number: int
    asked_at: str
    by: str
    why: str | None
    kind: str
    body: str
