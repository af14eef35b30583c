"""What a command is going to need, loaded while it still reads files."""

from threading import Thread
from typing import Final

from slacktide.service.console import shows_bars, tell

COMPILING: Final = "the planner is compiled for this machine, once: a minute or two, and many more if it is busy"


def load_planner() -> None:
    """Load the planner in the background: half a second in which a command reads its fleet.

    Where it has to be compiled first, and no bar shows that something goes on, it is said.
    """
    Thread(target=_load, name="load the planner").start()


def _load() -> None:
    from slacktide.planner.compiled import on_first_compile

    if not shows_bars():
        on_first_compile(lambda: tell(COMPILING))

    from slacktide.planner.listing.schedule import list_schedule  # noqa: F401 - with all that it imports
    from slacktide.planner.listing.start import start

    start()
