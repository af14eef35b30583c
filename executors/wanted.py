"""That the rest of a running campaign is to be planned anew."""

from dataclasses import dataclass
from typing import Final

CAMPAIGN: Final = "the campaign"
"""Who asks for what a rule of its own does."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Why a revision is made, and for whom."""

    why: str
    by: str = CAMPAIGN
    order: int = 0
    """The order in the campaign's store; 0: none, what has happened asks for it."""
    add_hosts: tuple[str, ...] = ()
    """Hosts that are to be patched as well."""
    evacuate: str | None = None
    """Host that is to be emptied before all others, and to stay out."""
