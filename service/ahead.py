"""What a command is going to need, loaded while it still reads files."""

from threading import Thread
from typing import Final

from slacktide.service.console import shows_bars, tell

COMPILING: Final = "the planner is compiled for this machine, once: a minute or two, and many more if it is busy"


def load_planner() -> None:
    """Load the planner in the background: half a second in which a command reads its fleet.

    Where it has to be compiled first, that is said.
    """
    say_compiling()
    Thread(target=_load, name="load the planner").start()


def say_compiling() -> None:
    """Have it said, where no bar shows that something goes on, that the planner is being compiled."""
    from slacktide.planner.compiling import on_first_compile

    if not shows_bars():
        on_first_compile(lambda: tell(COMPILING))


def _load() -> None:
    from slacktide.planner.listing.schedule import list_schedule  # noqa: F401 - with all that it imports
    from slacktide.planner.listing.start import start

    start()
