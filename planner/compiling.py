"""Who is to hear that something is being compiled: known before numba is loaded, which takes half a second."""

from collections.abc import Callable

_HEARING: list[Callable[[], None]] = []


def on_first_compile(tell: Callable[[], None]) -> None:
    """Have ``tell`` called as soon as something is compiled in this process that is not kept on disk: it takes long."""
    _HEARING.append(tell)


def compiling() -> None:
    """Tell all who wait to hear of it, once."""
    hearing = list(_HEARING)
    _HEARING.clear()
    for tell in hearing:
        tell()
