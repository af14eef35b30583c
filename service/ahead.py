"""What a command is going to need, loaded while it still reads files."""

from threading import Thread


def load_planner() -> None:
    """Load the planner in the background: half a second in which a command reads its fleet."""
    Thread(target=_load, name="load the planner").start()


def _load() -> None:
    from slacktide.planner.listing.schedule import list_schedule  # noqa: F401 - with all that it imports
    from slacktide.planner.listing.start import start

    start()
