"""What a job works with."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slacktide.service.campaigning import Campaigning
from slacktide.service.jobs.pulse import Pulse
from slacktide.service.places import Places
from slacktide.service.store.database import Database

if TYPE_CHECKING:
    from slacktide.planner.cell_plans import CellMap

CellMaps = Callable[[int], "AbstractContextManager[CellMap]"]
"""Returns what plans cells, given the number of processors."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where things are, and whom to tell."""

    places: Places
    database: Database
    campaigning: Campaigning
    pulse: Pulse
    job_id: str
    cell_maps: CellMaps | None = None
    """Null: the fleet is planned in one piece."""
    kept: list[str] = field(default_factory=list)
    """Ids of plans that the job has made and that are kept, whatever else comes of it."""
