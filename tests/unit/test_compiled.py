"""That something is compiled is told once, as soon as it begins."""

import subprocess
import sys

import numba

import slacktide.planner.compiled  # noqa: F401 - it hears what numba does
from slacktide.planner.compiling import on_first_compile


def test_the_first_compilation_is_told_once() -> None:
    told = []
    on_first_compile(lambda: told.append("compiling"))
    kept = numba.njit(lambda number: number + 1)
    assert told == []
    assert kept(1) == 2
    assert told == ["compiling"]
    assert kept(1.5) == 2.5
    assert told == ["compiling"]


def test_who_waits_to_hear_of_it_does_not_load_numba() -> None:
    program = "import sys; from slacktide.service import ahead; ahead.say_compiling(); print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
