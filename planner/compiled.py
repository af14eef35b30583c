"""Functions compiled to machine code on first use, and kept on disk for the next.

numba keeps compiled code by the age of the module that holds it and overlooks a changed callee in another module.  The
folder is therefore named after the text of all modules of the compiled function's package, and of the migration model
whose constants they use.

Compiled at LLVM's first level of optimisation: a pass over 10,000 hosts takes 0.9 s in place of 1.3 s at numba's own
choice, the third, and compiling half as long.

A literal that is handed to a compiled function is of a type of its own, for which that is compiled once more: where it
is a large one, ``np.int64(0)`` and ``np.bool_(False)`` are of the type that variables have.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

os.environ.setdefault("NUMBA_OPT", "1")

import numba
from numba.core import event

from slacktide.planner.compiling import compiling

Function = TypeVar("Function", bound=Callable[..., Any])

_MODEL = Path(__file__).parent / "precopy.py"


@functools.cache
def _cache_folder(package: Path) -> Path:
    """Return the folder for a package's present compiled code: the user's cache, else a temporary one."""
    text = b"".join(path.read_bytes() for path in (*sorted(package.glob("*.py")), _MODEL, Path(__file__)))
    name = f"compiled-{hashlib.sha256(text).hexdigest()[:16]}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for base in (home / "slacktide", Path(tempfile.gettempdir()) / f"slacktide-{os.getuid()}"):
        try:
            (base / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(base / name, os.W_OK):
            return base / name
    return package


def _kept(function: Function, **options: bool) -> Function:
    config: Any = numba.config
    folder = _cache_folder(Path(function.__code__.co_filename).parent)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        compile_: Any = numba.njit(cache=True, nogil=True, error_model="numpy", **options)  # type: ignore[call-overload]
        return cast("Function", compile_(function))
    finally:
        config.CACHE_DIR = before


class _Compiling(event.Listener):
    """Hears when numba compiles."""

    def on_start(self, _event: event.Event) -> None:
        compiling()

    def on_end(self, _event: event.Event) -> None:
        """Do nothing: what was compiled is known by what goes on."""


_hear: Any = event.register
_hear("numba:compile", _Compiling())


def inlined(function: Function) -> Function:
    """Compile ``function`` into its callers: a call that hands on dozens of arrays costs more than a small function.

    A large one with a single caller is compiled once then, and not twice: machine code holds that of all it calls.
    """
    return cast("Function", numba.njit(inline="always", error_model="numpy")(function))


def compiled(function: Function) -> Function:
    """Compile ``function`` with numba in its nopython mode, and keep the result on disk."""
    return _kept(function)


def internal(function: Function) -> Function:
    """Compile ``function`` for calls from compiled code alone: what unpacks Python's arguments costs seconds each.

    A call from Python would end the process.
    """
    return _kept(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)
