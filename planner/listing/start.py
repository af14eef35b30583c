"""The start of what runs compiled code, apart from the first use of it."""

from slacktide.planner.compiled import compiled


@compiled
def _same(number: int) -> int:
    return number


def start() -> None:
    """Start numba: 0.16 s that the first pass would take, and that may as well go by while files are read."""
    _same(0)
